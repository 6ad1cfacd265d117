//! A [`CommandLine`] into the engine's [`Plan`], and what belongs beside it.
//!
//! Pure: everything about the caller and the host comes in as [`Caller`].

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use enclos_spec::plan::{Capabilities, Descriptors, IdRange, Identity, Init, Join, Mapper, Namespaces, Plan};

use super::command_line::{Change, CommandLine, From, Kind, Unshare};
use super::{capability, limits};

mod ops;

pub use ops::Origin;

/// Who calls, and what this host has: read once, by whoever starts the run.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permitted capabilities as a bit mask.
    pub capabilities: u64,
    /// The last capability the kernel knows.
    pub last_capability: u8,
    /// Current directory; `None` when it is gone.
    pub directory: Option<PathBuf>,
    /// Environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The terminal on standard output, if it is one.
    pub terminal: Option<PathBuf>,
    /// The kernel has user namespaces and allows at least one.
    pub user_namespaces: bool,
    /// The kernel has cgroup namespaces.
    pub cgroup_namespaces: bool,
    /// Paths among the sources of `-try` binds that do not exist.
    pub missing: Vec<PathBuf>,
}

/// Everything the engine is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// What the sandbox is, without filters: those are read from their descriptors when everything else was found right.
    pub plan: Plan,
    /// Which operation of the command line each operation of the plan comes from, for messages.
    pub origins: Vec<Origin>,
    /// What is executed; looked for in the command's `PATH` unless it has a `/`.
    pub program: OsString,
    /// Its arguments, its own name first.
    pub arguments: Vec<OsString>,
    /// Its environment without `PWD`, which follows from the directory it ends up in.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub directory: Directory,
}

/// Where the command starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Directory {
    /// Here, or the run fails.
    Must(PathBuf),
    /// In `/`.
    #[default]
    Root,
    /// In the first of these that can be entered, else in `/`.
    First(Vec<PathBuf>),
}

/// Makes the plan.
///
/// # Errors
/// Options that contradict each other, or that this host cannot carry out, in bubblewrap's words.
pub fn plan(line: &CommandLine, caller: &Caller) -> Result<Launch, String> {
    let namespaces = namespaces(line, caller)?;
    check(line, &namespaces)?;
    let hostname = match line.hostname.as_ref().map(|name| (name, name.to_str())) {
        Some((name, None)) => return Err(format!("Can't set hostname to {}: not UTF-8", name.display())),
        Some((_, Some(name))) => Some(name.to_owned()),
        None => None,
    };
    let (ops, origins) = ops::translate(line, caller);
    let environment = environment(&caller.environment, &line.environment);
    let plan = Plan {
        identity: identity(line, caller, &namespaces),
        capabilities: capabilities(line, caller, &namespaces),
        hostname,
        loopback: namespaces.net,
        namespaces,
        ops,
        new_session: line.new_session,
        die_with_parent: line.die_with_parent,
        init: if needs_init(line) { Init::Reaper } else { Init::None },
        // Who watches a limit must see the end, and so must a report: then the sandbox ends with the command, and with us.
        linger: !line.die_with_parent && limits::watched(&line.limits).is_none() && line.report.is_none(),
        descriptors: Descriptors::KeepAllBut(consumed(line)),
        join: Join { user: line.userns, user_after: line.userns2, pid: line.pidns },
        block_fd: line.block_fd,
        userns_block_fd: line.userns_block_fd,
        sync_fd: line.sync_fd,
        lock_files: line.lock_files.clone(),
        ..Plan::default()
    };
    let program = line.command.first().cloned().unwrap_or_default();
    let mut arguments = line.command.clone();
    if let (Some(name), Some(first)) = (&line.argv0, arguments.first_mut()) {
        first.clone_from(name);
    }
    let directory = directory(line, caller, &environment);
    Ok(Launch { plan, origins, program, arguments, environment, directory })
}

/// Checks in bubblewrap's order, which decides which of two complaints is heard, and says which namespaces are new.
fn namespaces(line: &CommandLine, caller: &Caller) -> Result<Namespaces, String> {
    let Unshare { user, user_try, ipc, pid, net, uts, cgroup, cgroup_try } = line.unshare;
    let refuse = |wrong: bool, text: &str| if wrong { Err(text.to_owned()) } else { Ok(()) };
    let blocked = line.userns_block_fd.is_some();
    refuse(blocked && !user, "--userns-block-fd requires --unshare-user")?;
    refuse(blocked && line.info_fd.is_none(), "--userns-block-fd requires --info-fd")?;
    refuse(line.userns.is_some() && user, "--userns not compatible --unshare-user")?;
    refuse(line.userns.is_some() && user_try, "--userns not compatible --unshare-user-try")?;
    refuse(line.disable_userns && !user, "--disable-userns requires --unshare-user")?;
    refuse(line.disable_userns && blocked, "--disable-userns is not compatible with  --userns-block-fd")?;
    refuse(cgroup && !caller.cgroup_namespaces, "Cannot create new cgroup namespace because the kernel does not support it")?;
    let implied = caller.uid != 0 && line.userns.is_none();
    Ok(Namespaces {
        user: user || implied || (user_try && caller.user_namespaces),
        pid,
        net,
        ipc,
        uts,
        cgroup: cgroup || (cgroup_try && caller.cgroup_namespaces),
        bound_counts: false,
        disable_nested_user: line.disable_userns,
        assert_nested_user_disabled: line.disable_userns || line.assert_userns_disabled,
    })
}

fn check(line: &CommandLine, namespaces: &Namespaces) -> Result<(), String> {
    let refuse = |wrong: bool, text: &str| if wrong { Err(text.to_owned()) } else { Ok(()) };
    let has_ids = namespaces.user || line.userns.is_some();
    refuse(line.uid.is_some() && !has_ids, "Specifying --uid requires --unshare-user or --userns")?;
    refuse(line.gid.is_some() && !has_ids, "Specifying --gid requires --unshare-user or --userns")?;
    refuse(line.hostname.is_some() && !namespaces.uts, "Specifying --hostname requires --unshare-uts")?;
    refuse(line.as_pid_1 && !namespaces.pid, "Specifying --as-pid-1 requires --unshare-pid")?;
    refuse(line.as_pid_1 && !line.lock_files.is_empty(), "Specifying --as-pid-1 and --lock-file is not permitted")?;
    limits::check(line)?;
    // The engine would have to take an empty path for something; nothing is what it is.
    refuse(line.ops.iter().any(|op| op.has_empty_source()), "Can't find source path : No such file or directory")
}

/// A new user namespace maps one id: the caller's. A devpts can only be mounted where user and group 0 are mapped, so with `--dev` and other
/// ids the set-up runs as 0 and the command goes into one more namespace that turns 0 into what was asked for.
fn identity(line: &CommandLine, caller: &Caller, namespaces: &Namespaces) -> Identity {
    if !namespaces.user || line.userns_block_fd.is_some() {
        // In a namespace of somebody else the ids are theirs to map; bubblewrap only switches when told to.
        let joined = line.userns.is_some();
        return Identity { uid: line.uid.filter(|_| joined), gid: line.gid.filter(|_| joined), ..Identity::default() };
    }
    let inside = (line.uid.unwrap_or(caller.uid), line.gid.unwrap_or(caller.gid));
    let terminals = line.ops.iter().any(|op| op.kind == Kind::Dev);
    let as_root = terminals && inside != (0, 0);
    let first = if as_root { (0, 0) } else { inside };
    let one = |inside, outside| vec![IdRange { inside, outside, count: 1 }];
    Identity {
        uid_map: one(first.0, caller.uid),
        gid_map: one(first.1, caller.gid),
        nested: (as_root || line.disable_userns).then_some(inside),
        mapper: Mapper::Own,
        ..Identity::default()
    }
}

/// Root keeps what it has and an ordinary user has nothing, until `--cap-add` and `--cap-drop` say otherwise.
fn capabilities(line: &CommandLine, caller: &Caller, namespaces: &Namespaces) -> Option<Capabilities> {
    let privileged = caller.uid == 0;
    let own_namespace = namespaces.user || line.userns.is_some();
    let changed = !line.capabilities.is_empty();
    if privileged && !own_namespace && !changed {
        return None;
    }
    let known = u64::MAX >> (63 - u32::from(caller.last_capability.min(63)));
    // Outside a user namespace of its own nothing can be added that the caller lacks.
    let all = if own_namespace { known } else { caller.capabilities };
    let start = if privileged { caller.capabilities } else { 0 };
    Some(Capabilities {
        keep: capability::numbers(capability::apply(start, &line.capabilities, all)),
        ambient: changed || !privileged,
        bound: own_namespace,
    })
}

/// A process of ours stays beside the command in a new pid namespace, and where something must be held as long as the sandbox lives.
fn needs_init(line: &CommandLine) -> bool {
    (line.unshare.pid && !line.as_pid_1) || !line.lock_files.is_empty() || line.sync_fd.is_some()
}

/// Descriptors that options consume; the command inherits all others, as with bubblewrap.
pub fn consumed(line: &CommandLine) -> Vec<RawFd> {
    let single = [
        line.userns,
        line.userns2,
        line.pidns,
        line.sync_fd,
        line.seccomp,
        line.block_fd,
        line.userns_block_fd,
        line.info_fd,
        line.json_status_fd,
    ];
    let in_ops = line.ops.iter().filter_map(|op| match op.kind {
        Kind::Bind { from: From::Fd(fd), .. } | Kind::File { fd, .. } | Kind::BindData { fd, .. } => Some(fd),
        _ => None,
    });
    let mut fds: Vec<RawFd> = single.into_iter().flatten().chain(line.add_seccomp.iter().copied()).chain(in_ops).collect();
    fds.sort_unstable();
    fds.dedup();
    fds
}

/// The caller's environment with the changes applied in order. `PWD` is left out: it follows from where the command ends up.
fn environment(caller: &[(OsString, OsString)], changes: &[Change]) -> Vec<(OsString, OsString)> {
    let mut all = caller.to_vec();
    for change in changes {
        match change {
            Change::Clear => all.clear(),
            Change::Unset(name) => all.retain(|(known, _)| known != name),
            Change::Set(name, value) => match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => all.push((name.clone(), value.clone())),
            },
        }
    }
    all.retain(|(name, _)| name != "PWD");
    all
}

fn directory(line: &CommandLine, caller: &Caller, environment: &[(OsString, OsString)]) -> Directory {
    if let Some(wanted) = &line.chdir {
        // An empty name must fail, as chdir(2) does.
        return Directory::Must(if wanted.as_os_str().is_empty() { PathBuf::new() } else { inside(wanted) });
    }
    let home = environment.iter().find(|(name, _)| name == OsStr::new("HOME")).map(|(_, value)| inside(Path::new(value)));
    let places: Vec<PathBuf> = caller.directory.iter().cloned().chain(home).collect();
    if places.is_empty() { Directory::Root } else { Directory::First(places) }
}

/// A path inside: relative ones count from the root.
fn inside(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

#[cfg(test)]
mod tests;
