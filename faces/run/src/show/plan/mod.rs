//! `--explain`: a plan as a table. Every field of the plan is here; the order of the root's operations is the order in which they are carried out.

use std::path::Path;

use enclos_spec::plan::{
    Access, Content, Descriptors, FilterSource, IdRange, Identity, Init, Mapper, Namespaces, Op, Plan, ProcCover, Resource, Source, Upper,
};

use crate::text::look::{Tone, tame};
use crate::text::{Grid, Look, units};

/// The plan.
pub fn render(plan: &Plan, look: Look) -> String {
    let mut out = String::new();
    for (title, grid) in
        [("Who and where", setting(plan)), ("The root, in this order", operations(&plan.ops)), ("Walls", walls(plan)), ("Life", life(plan))]
    {
        if !grid.is_empty() {
            out += &format!("{}\n{}\n", look.paint(Tone::Heading, title), grid.render(2, look));
        }
    }
    out.trim_end().to_owned() + "\n"
}

fn path(path: &Path) -> String {
    tame(&path.display().to_string())
}

fn setting(plan: &Plan) -> Grid {
    let mut grid = Grid::new();
    grid.row().cell("new namespaces").cell(namespaces(&plan.namespaces));
    let join = [("user", plan.join.user), ("user, after set-up", plan.join.user_after), ("pid", plan.join.pid)];
    for (kind, fd) in join.iter().filter_map(|(kind, fd)| fd.map(|fd| (kind, fd))) {
        grid.row().cell("joined namespace").cell(format!("{kind}: descriptor {fd}"));
    }
    identity(&mut grid, &plan.identity);
    if let Some(name) = &plan.hostname {
        grid.row().cell("host name").cell(tame(name));
    }
    if plan.namespaces.net {
        grid.row().cell("network").cell(if plan.loopback { "a loopback of its own" } else { "none" });
    } else {
        grid.row().cell("network").cell("the host's");
    }
    if !plan.cpus.is_empty() {
        grid.row().cell("CPUs").cell(plan.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
    }
    grid
}

fn namespaces(namespaces: &Namespaces) -> String {
    let Namespaces { user, pid, net, ipc, uts, cgroup, bound_counts, disable_nested_user, assert_nested_user_disabled } = *namespaces;
    let kinds = [(true, "mount"), (user, "user"), (pid, "pid"), (net, "net"), (ipc, "ipc"), (uts, "uts"), (cgroup, "cgroup")];
    let mut text = kinds.iter().filter(|(new, _)| *new).map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
    if bound_counts {
        text += "; few inotify instances, no further user namespaces";
    }
    if disable_nested_user {
        text += "; no further user namespaces";
    }
    if assert_nested_user_disabled {
        text += "; fails unless further user namespaces are refused";
    }
    text
}

fn identity(grid: &mut Grid, identity: &Identity) {
    let id = |id: Option<u32>| id.map_or_else(|| "the caller's".to_owned(), |id| id.to_string());
    grid.row().cell("inside").cell(format!("uid {}, gid {}", id(identity.uid), id(identity.gid)));
    let writer = match identity.mapper {
        Mapper::Launcher => "written by the launcher",
        Mapper::Own => "written by the new process itself",
        Mapper::Shadow => "written by newuidmap and newgidmap",
    };
    for (name, map) in [("uid map", &identity.uid_map), ("gid map", &identity.gid_map)] {
        if !map.is_empty() {
            grid.row().cell(name).cell(format!("{}, {writer}", map.iter().map(range).collect::<Vec<_>>().join("; ")));
        }
    }
    if let Some((uid, gid)) = identity.setup {
        grid.row().cell("set up as").cell(format!("uid {uid}, gid {gid}"));
    }
    if let Some((uid, gid)) = identity.nested {
        grid.row().cell("then one more user namespace").cell(format!("uid {uid}, gid {gid}"));
    }
    if identity.clear_groups {
        grid.row().cell("supplementary groups").cell("dropped");
    }
}

fn range(range: &IdRange) -> String {
    match range.count {
        1 => format!("{} is {} outside", range.inside, range.outside),
        count => {
            let last = |first: u32| u64::from(first) + u64::from(count) - 1;
            format!("{}-{} are {}-{} outside", range.inside, last(range.inside), range.outside, last(range.outside))
        }
    }
}

fn operations(ops: &[Op]) -> Grid {
    let mut grid = Grid::new();
    for (number, op) in ops.iter().enumerate() {
        for (line, (verb, place, detail)) in operation(op).into_iter().enumerate() {
            let number = if line == 0 { (number + 1).to_string() } else { String::new() };
            grid.row().number(number).cell(verb).cell(place).toned(Tone::Dim, detail);
        }
    }
    grid
}

/// The lines of one operation: verb, place, detail.
fn operation(op: &Op) -> Vec<(&'static str, String, String)> {
    let one = |verb, dst: &Path, detail: String| vec![(verb, path(dst), detail)];
    match op {
        Op::Bind { src, dst, access, optional, idmap } => {
            let mut detail = access_word(*access).to_owned();
            if !matches!(src, Source::Path(from) if from == dst) {
                detail += &format!(", from {}", source(src));
            }
            if *idmap {
                detail += ", owners mapped";
            }
            if *optional {
                detail += ", if it exists";
            }
            one("show", dst, detail)
        }
        Op::Overlay { lower, upper, dst } => {
            let lower = lower.iter().map(source).collect::<Vec<_>>().join(", ");
            let writes = match upper {
                Upper::None => "no writes".to_owned(),
                Upper::Discard => "writes are thrown away".to_owned(),
                Upper::Keep { upper, work } => format!("writes kept in {} (work directory {})", source(upper), source(work)),
            };
            one("overlay", dst, format!("over {lower}; {writes}"))
        }
        Op::Workspace { dst } => one("workspace", dst, "an overlay of layers that are brought".to_owned()),
        Op::Tmpfs { dst, size, inodes, mode, parent_mode } => {
            one("tmpfs", dst, format!("{}, {}{}", bounds(*size, *inodes), octal(*mode), parents(*parent_mode)))
        }
        Op::Scratch { size, inodes, places } => {
            let place = |place: &enclos_spec::plan::ScratchPlace| {
                let owner = if place.owned { ", the command's own" } else { "" };
                ("", path(&place.dst), format!("{}{owner}", octal(place.mode)))
            };
            let head = ("private", String::new(), format!("{}, together", bounds(*size, *inodes)));
            std::iter::once(head).chain(places.iter().map(place)).collect()
        }
        Op::Proc { dst, cover } => {
            let cover = match cover {
                ProcCover::Secrets => "secrets covered, sys read-only",
                ProcCover::Writable => "what is writable made read-only",
            };
            one("proc", dst, cover.to_owned())
        }
        Op::Dev { dst, own_file_system, terminals, console } => {
            let mut detail = "null zero full random urandom tty".to_owned();
            if *terminals {
                detail += ", private terminals";
            }
            if let Some(console) = console {
                detail += &format!(", console from {}", source(console));
            }
            if *own_file_system {
                detail += ", on a tmpfs of its own";
            }
            one("devices", dst, detail)
        }
        Op::Mqueue { dst } => one("mqueue", dst, String::new()),
        Op::Dir { dst, mode, parent_mode } => one("directory", dst, octal(*mode) + &parents(*parent_mode)),
        Op::File { dst, content, mode, parent_mode } => {
            one("file", dst, format!("{}, {}{}", content_word(content), octal(*mode), parents(*parent_mode)))
        }
        Op::BindData { dst, content, mode, parent_mode, read_only } => {
            let access = if *read_only { "read-only" } else { "writable" };
            one(
                "file",
                dst,
                format!("{}, {access}, on its own file system, {}{}", content_word(content), octal(*mode), parents(*parent_mode)),
            )
        }
        Op::Symlink { target, dst } => one("link", dst, format!("to {}", path(target))),
        Op::Chmod { dst, mode } => one("chmod", dst, octal(*mode)),
        Op::RemountReadOnly { dst } => one("read-only", dst, "that mount, not those below it".to_owned()),
        Op::Hide { dst } => one("hide", dst, String::new()),
    }
}

fn access_word(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "read-only",
        Access::ReadWrite => "writable",
        Access::Devices => "writable, devices work",
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Path(from) | Source::Exact(from) => path(from),
        Source::Fd(fd) => format!("descriptor {fd}"),
    }
}

fn content_word(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => format!("{} given", units::human(bytes.len() as u64, "bytes")),
        Content::Fd(fd) => format!("read from descriptor {fd}"),
    }
}

fn bounds(size: Option<u64>, inodes: Option<u64>) -> String {
    let size = size.map_or_else(|| "half of memory".to_owned(), |size| units::human(size, "bytes"));
    let inodes = inodes.map_or_else(|| "the kernel's number of".to_owned(), |inodes| inodes.to_string());
    format!("at most {size}, {inodes} files")
}

fn octal(mode: u32) -> String {
    format!("mode {mode:04o}")
}

fn parents(mode: u32) -> String {
    if mode == 0o755 { String::new() } else { format!(", missing parents {mode:04o}") }
}

fn walls(plan: &Plan) -> Grid {
    let mut grid = Grid::new();
    let capabilities = match &plan.capabilities {
        None => "as they are".to_owned(),
        Some(sets) => {
            let kept = if sets.keep.is_empty() {
                "none".to_owned()
            } else {
                sets.keep.iter().map(u8::to_string).collect::<Vec<_>>().join(" ") + " (numbers of capabilities(7))"
            };
            let ambient = if sets.ambient { ", ambient" } else { "" };
            let bound = if sets.bound { "; bounding set bounded too" } else { "; bounding set as it is" };
            kept + ambient + bound
        }
    };
    grid.row().cell("capabilities").cell(capabilities);
    grid.row().cell("securebits").cell(if plan.lock_securebits { "locked" } else { "as they are" });
    for filter in &plan.seccomp {
        let filter = match filter {
            FilterSource::Default => "the built-in allowlist".to_owned(),
            FilterSource::Log => "the built-in allowlist, only logging".to_owned(),
            FilterSource::Program(program) => format!("a given program of {} instructions", program.len() / 8),
        };
        grid.row().cell("seccomp").cell(filter);
    }
    if plan.seccomp.is_empty() {
        grid.row().toned(Tone::Warn, "seccomp").cell("off");
    }
    match &plan.landlock {
        None => grid.row().toned(Tone::Warn, "landlock").cell("off"),
        Some(landlock) => {
            let write = landlock.write.iter().map(|tree| path(tree)).collect::<Vec<_>>().join(" ");
            let tcp = if landlock.deny_tcp { "; no TCP" } else { "" };
            grid.row().cell("landlock").cell(format!("writes only below {}{tcp}", if write.is_empty() { "nothing" } else { &write }))
        }
    };
    for limit in &plan.rlimits {
        grid.row().cell(resource(limit.resource)).cell(limit.value.to_string());
    }
    grid
}

fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "RLIMIT_CPU",
        Resource::FileSize => "RLIMIT_FSIZE",
        Resource::Stack => "RLIMIT_STACK",
        Resource::Core => "RLIMIT_CORE",
        Resource::OpenFiles => "RLIMIT_NOFILE",
        Resource::AddressSpace => "RLIMIT_AS",
        Resource::Processes => "RLIMIT_NPROC",
        Resource::LockedMemory => "RLIMIT_MEMLOCK",
        Resource::MessageQueue => "RLIMIT_MSGQUEUE",
        Resource::PendingSignals => "RLIMIT_SIGPENDING",
        Resource::RealTimePriority => "RLIMIT_RTPRIO",
        Resource::Nice => "RLIMIT_NICE",
    }
}

fn life(plan: &Plan) -> Grid {
    let mut grid = Grid::new();
    let init = match (plan.init, plan.hide_init) {
        (Init::Reaper, true) => "ours, with nothing of the host in its command line and environment",
        (Init::Reaper, false) => "ours",
        (Init::None, _) => "none: the first process becomes the command",
    };
    grid.row().cell("init").cell(init);
    grid.row().cell("session").cell(if plan.new_session { "new" } else { "the caller's" });
    let end = match (plan.die_with_parent, plan.linger) {
        (true, _) => "with the thread that made it",
        (false, false) => "with its control socket",
        (false, true) => "when no process is left in it",
    };
    grid.row().cell("ends").cell(end);
    let descriptors = match &plan.descriptors {
        Descriptors::CloseAll => "the standard streams only".to_owned(),
        Descriptors::KeepAllBut(closed) if closed.is_empty() => "all that are not close-on-exec".to_owned(),
        Descriptors::KeepAllBut(closed) => {
            format!("all that are not close-on-exec, but {}", closed.iter().map(i32::to_string).collect::<Vec<_>>().join(" "))
        }
    };
    grid.row().cell("descriptors").cell(descriptors);
    for (name, fd) in [
        ("waits for a byte from", plan.block_fd),
        ("id maps by others, then a byte from", plan.userns_block_fd),
        ("keeps open", plan.sync_fd),
    ] {
        if let Some(fd) = fd {
            grid.row().cell(name).cell(format!("descriptor {fd}"));
        }
    }
    for file in &plan.lock_files {
        grid.row().cell("holds a lock on").cell(path(file));
    }
    grid
}

#[cfg(test)]
mod tests;
