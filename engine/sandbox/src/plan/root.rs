//! What the command sees: the operations that build its root.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use enclos_spec::plan::{Access, Content, Op, ProcCover, ScratchPlace, Source, Upper};
use enclos_spec::{Net, Policy};
use enclos_sys::Errno;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};

use super::identity::Chosen;
use super::{HOME, Resolved, USER, Wants, set_id};
use crate::error::{Failure, Result, Stage};
use crate::launch::idmap::errno_of;
use crate::probe::Facts;

/// What of the host's `/etc` programs need and nobody minds: no passwords, no keys, no machine's name. Each directory is one mount; a link is made anew
/// and a small file is copied, which is cheaper than a mount and costs every later clone of the namespace nothing.
const ETC: [&str; 33] = [
    "alternatives",
    "crypto-policies",
    "fonts",
    "gai.conf",
    "ghc",
    "host.conf",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "mime.types",
    "mono",
    "octave.conf",
    "os-release",
    "perl",
    "php",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "R",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "texmf",
    "timezone",
    "X11/fonts",
    "xdg/user-dirs.defaults",
];
/// Largest file that is copied: one that takes longer to write than to mount is shown.
const SMALL: u64 = 8 * 1024;

/// What came of it.
pub struct Shown {
    /// Operations, in order.
    pub ops: Vec<Op>,
    /// Trees that may be written.
    pub writable: Vec<PathBuf>,
    /// Directories to start in, in order of preference.
    pub directories: Vec<PathBuf>,
}

/// Plans the root.
pub fn operations(policy: &Policy, facts: &Facts, wants: Wants<'_>, chosen: &Chosen, limits: &Resolved) -> Result<Shown> {
    let mut ops = Vec::with_capacity(96);
    match &policy.root {
        Some(root) => own_root(root, &mut ops)?,
        None => host_system(policy, facts, &mut ops),
    }
    files(policy, chosen, &mut ops);
    ops.push(Op::Dev { dst: "/dev".into(), own_file_system: false, terminals: wants.terminal, console: None });
    ops.push(Op::Proc { dst: "/proc".into(), cover: ProcCover::Secrets });
    let place = |dst: &str, mode, owned| ScratchPlace { dst: dst.into(), mode, owned };
    let places =
        vec![place("/tmp", 0o1777, false), place("/var/tmp", 0o1777, false), place("/dev/shm", 0o1777, false), place(HOME, 0o700, true)];
    // The skeleton's own files are not the command's to count.
    ops.push(Op::Scratch { size: limits.disk, inodes: limits.inodes.map(|n| n.saturating_add(SKELETON_INODES)), places });
    let mut writable: Vec<PathBuf> = ["/tmp", "/var/tmp", "/dev", "/proc", HOME].iter().map(PathBuf::from).collect();
    let mut host = host_paths(policy, chosen, limits, &mut writable)?;
    if let Some(dst) = wants.workspace {
        writable.push(dst.to_owned());
        host.push((dst.to_owned(), Op::Workspace { dst: dst.to_owned() }));
    }
    // A deeper path is the more special one: it comes later, whatever order the lists have.
    host.sort_by_key(|(path, _)| path.components().count());
    ops.extend(host.into_iter().map(|(_, op)| op));
    ops.extend(policy.hide.iter().map(|path| Op::Hide { dst: path.clone() }));
    ops.push(Op::RemountReadOnly { dst: "/".into() });
    Ok(Shown { ops, writable, directories: directories(policy, wants.workspace) })
}

/// Inodes of the private tmpfs that set-up itself uses: its root, four places, and a few for overlays.
const SKELETON_INODES: u64 = 16;

fn bind(src: impl Into<PathBuf>, dst: impl Into<PathBuf>, access: Access, optional: bool) -> Op {
    Op::Bind { src: Source::Path(src.into()), dst: dst.into(), access, optional, idmap: false }
}

/// Something of another root: whoever may write there could put a link in its place after it was looked at.
fn exact(src: PathBuf, dst: PathBuf) -> Op {
    Op::Bind { src: Source::Exact(src), dst, access: Access::ReadOnly, optional: false, idmap: false }
}

/// The host's system directories, read-only, and a curated `/etc`.
fn host_system(policy: &Policy, facts: &Facts, ops: &mut Vec<Op>) {
    for directory in &facts.system {
        ops.push(match &directory.link {
            Some(link) => Op::Symlink { target: link.clone(), dst: directory.path.clone() },
            None => bind(&directory.path, &directory.path, Access::ReadOnly, false),
        });
    }
    if let Ok(etc) = openat(CWD, c"/etc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        ops.extend(ETC.iter().filter_map(|name| etc_entry(&etc, name)));
    }
    if policy.net == Net::Host {
        ops.push(bind("/etc/resolv.conf", "/etc/resolv.conf", Access::ReadOnly, true));
    }
}

/// How one entry of the host's `/etc` is shown; `None` where this host has none. Looked at with as few calls as there can be: there are many, on the path of every run.
fn etc_entry(etc: impl AsFd, name: &str) -> Option<Op> {
    let path = Path::new("/etc").join(name);
    let shown = |path: PathBuf| Some(bind(path.clone(), path, Access::ReadOnly, true));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(&etc, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP) => {
            let target = PathBuf::from(OsString::from_vec(readlinkat(&etc, name, Vec::new()).ok()?.into_bytes()));
            return Some(Op::Symlink { target, dst: path });
        }
        Err(Errno::ACCESS) if path.is_dir() => return shown(path),
        Err(_) => return None,
    };
    let stat = fstat(&file).ok()?;
    let size = u64::try_from(stat.st_size).ok()?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() || size > SMALL {
        return shown(path);
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    std::fs::File::from(file).read_exact(&mut bytes).ok()?;
    Some(Op::File { dst: path, content: Content::Bytes(bytes), mode: 0o644, parent_mode: 0o755 })
}

/// The entries of another root, each read-only, so that mount points never have to be made inside it.
fn own_root(root: &Path, ops: &mut Vec<Op>) -> Result<()> {
    const OURS: [&str; 6] = ["dev", "proc", "sys", "tmp", "run", "lost+found"];
    let fail = |e: &std::io::Error| Failure::about(Stage::Source, errno_of(e), format!("root {}", root.display()));
    let mut entries = std::fs::read_dir(root).map_err(|e| fail(&e))?.collect::<std::io::Result<Vec<_>>>().map_err(|e| fail(&e))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let (path, dst) = (entry.path(), Path::new("/").join(entry.file_name()));
        let kind = entry.file_type().map_err(|e| fail(&e))?;
        if kind.is_symlink() {
            ops.push(Op::Symlink { target: std::fs::read_link(&path).map_err(|e| fail(&e))?, dst });
        } else if dst == Path::new("/etc") || dst == Path::new("/home") || dst == Path::new("/var") {
            // Ours to add files to: shown entry by entry.
            for inner in std::fs::read_dir(&path).map_err(|e| fail(&e))?.flatten() {
                let name = dst.join(inner.file_name());
                if ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/var/tmp", HOME]
                    .iter()
                    .all(|own| name != Path::new(own))
                {
                    match std::fs::read_link(inner.path()) {
                        Ok(target) => ops.push(Op::Symlink { target, dst: name }),
                        Err(_) => ops.push(exact(inner.path(), name)),
                    }
                }
            }
        } else if kind.is_dir() || kind.is_file() {
            ops.push(exact(path, dst));
        }
    }
    Ok(())
}

/// Small files of our own making.
fn files(policy: &Policy, chosen: &Chosen, ops: &mut Vec<Op>) {
    let (uid, gid) = (chosen.identity.uid.unwrap_or(0), chosen.identity.gid.unwrap_or(0));
    let root_line = |shell: &str| if uid == 0 { String::new() } else { format!("root:x:0:0:root:/nonexistent:{shell}\n") };
    let mut group = if gid == 0 { String::new() } else { "root:x:0:\n".to_owned() };
    group.push_str(&format!("{USER}:x:{gid}:\nnogroup:x:65534:\n"));
    let passwd = format!(
        "{}{USER}:x:{uid}:{gid}:{USER}:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        root_line("/usr/sbin/nologin")
    );
    let hostname = policy.hostname.as_deref().unwrap_or("enclos");
    let hosts = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost\n");
    let switch = if policy.net == Net::Host { "files dns" } else { "files" };
    let nsswitch = format!("passwd: files\ngroup: files\nhosts: {switch}\nservices: files\nprotocols: files\n");
    for (dst, text) in [("/etc/passwd", passwd), ("/etc/group", group), ("/etc/hosts", hosts), ("/etc/nsswitch.conf", nsswitch)] {
        ops.push(Op::File { dst: dst.into(), content: Content::Bytes(text.into_bytes()), mode: 0o644, parent_mode: 0o755 });
    }
    ops.push(Op::Symlink { target: "/proc/self/mounts".into(), dst: "/etc/mtab".into() });
}

/// What of the host the policy shows, each with the path inside.
fn host_paths(policy: &Policy, chosen: &Chosen, limits: &Resolved, writable: &mut Vec<PathBuf>) -> Result<Vec<(PathBuf, Op)>> {
    let mut out: Vec<(PathBuf, Op)> = Vec::new();
    let mut push = |dst: &Path, op: Op| out.push((dst.to_owned(), op));
    // As root the command is nobody on the host: what it may write, and what only its owner may read, is shown as its own.
    let ranged = chosen.lease.is_some();
    let shown = |src: &Path, dst: &Path, access| {
        let idmap = ranged && (access == Access::ReadWrite || !open_to_all(src));
        Op::Bind { src: Source::Exact(src.to_owned()), dst: dst.to_owned(), access, optional: false, idmap }
    };
    if let Some(directory) = &policy.current_directory {
        push(directory, shown(directory, directory, Access::ReadOnly));
    }
    for path in &policy.ro {
        push(path, shown(path, path, Access::ReadOnly));
    }
    for path in &policy.rw {
        if ranged {
            set_id::refuse("rw", path)?;
        }
        writable.push(path.clone());
        push(path, shown(path, path, Access::ReadWrite));
    }
    for binding in &policy.bind {
        if ranged {
            set_id::refuse("bind", &binding.src)?;
        }
        writable.push(binding.dst.clone());
        push(&binding.dst, shown(&binding.src, &binding.dst, Access::ReadWrite));
    }
    for path in &policy.dev {
        use std::os::unix::fs::FileTypeExt;
        let kind =
            std::fs::metadata(path).map_err(|e| Failure::about(Stage::Source, errno_of(&e), path.display().to_string()))?.file_type();
        if !kind.is_char_device() && !kind.is_block_device() && !kind.is_dir() {
            return Err(enclos_spec::PolicyError::value("dev", &path.display().to_string(), "name a device, e.g. /dev/kvm").into());
        }
        writable.push(path.clone());
        push(
            path,
            Op::Bind { src: Source::Exact(path.clone()), dst: path.clone(), access: Access::Devices, optional: false, idmap: false },
        );
    }
    for path in &policy.tmpfs {
        writable.push(path.clone());
        let places = vec![ScratchPlace { dst: path.clone(), mode: 0o755, owned: true }];
        push(path, Op::Scratch { size: limits.disk, inodes: limits.inodes.map(|n| n.saturating_add(SKELETON_INODES)), places });
    }
    for layered in &policy.overlay {
        writable.push(layered.path.clone());
        let upper = match &layered.layer {
            None => Upper::Discard,
            Some(layer) => {
                let (upper, work) = (layer.join("upper"), layer.join("work"));
                Upper::Keep { upper: Source::Exact(upper), work: Source::Exact(work) }
            }
        };
        let lower = vec![Source::Exact(layered.path.clone())];
        push(&layered.path, Op::Overlay { lower, upper, dst: layered.path.clone() });
    }
    Ok(out)
}

/// Whether anybody may read (and enter) this path, so that a nobody may too.
fn open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|m| if m.is_dir() { m.mode() & 0o005 == 0o005 } else { m.mode() & 0o004 != 0 })
}

fn directories(policy: &Policy, workspace: Option<&Path>) -> Vec<PathBuf> {
    match (&policy.workdir, &policy.current_directory) {
        (Some(directory), _) => vec![directory.clone()],
        // A workspace whose top the command may not enter.
        (None, _) if workspace.is_some() => workspace.into_iter().map(Path::to_owned).chain([HOME.into()]).collect(),
        (None, Some(directory)) => vec![directory.clone(), HOME.into()],
        (None, None) => vec![HOME.into()],
    }
}
