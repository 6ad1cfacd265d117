//! The engine's errors in bubblewrap's words.

use std::os::fd::RawFd;
use std::path::Path;

use enclos_sandbox::{Error, Failure, Stage};

use super::command_line::{CommandLine, FileOp, From, Kind};
use super::message::system_text;
use super::plan::Launch;

const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EINVAL: i32 = 22;
const EISDIR: i32 = 21;
const EBADF: i32 = 9;
const EPERM: i32 = 1;
const ENOSPC: i32 = 28;
const ELOOP: i32 = 40;

/// What bubblewrap would say.
#[must_use]
pub fn words(error: &Error, line: &CommandLine, launch: &Launch) -> String {
    match error {
        Error::Step(failure) => step(failure, line, launch),
        Error::Filter { .. } => NO_FILTER.to_owned(),
        other => other.to_string(),
    }
}

const NO_FILTER: &str = "Unable to set up system call filtering as requested: prctl(PR_SET_SECCOMP) reported EINVAL. (Hint: this requires a \
                         kernel configured with CONFIG_SECCOMP and CONFIG_SECCOMP_FILTER.)";

fn step(failure: &Failure, line: &CommandLine, launch: &Launch) -> String {
    let errno = failure.errno.raw_os_error();
    let text = system_text(errno);
    if let Some(origin) = failure.op.and_then(|op| launch.origins.get(op)) {
        let op = &line.ops[origin.op];
        if origin.parents {
            return format!("Can't mkdir parents for {}: {text}", op.dest.display());
        }
        return operation(failure.stage, &line.ops[..origin.op], op, errno);
    }
    let subject = failure.subject.as_deref().unwrap_or_default();
    let command = line.command.first().map(|word| word.display().to_string()).unwrap_or_default();
    let about = match failure.stage {
        Stage::Clone => return clone_failed(errno),
        Stage::MapIds => "setting up uid map".to_owned(),
        Stage::JoinUser if errno == EINVAL => {
            return "Joining the specified user namespace failed, it might not be a descendant of the current user namespace.".to_owned();
        }
        Stage::JoinUser => "Joining specified user namespace failed".to_owned(),
        Stage::JoinUserAfter => "Setting userns2 failed".to_owned(),
        Stage::JoinPid => "Setting pidns failed".to_owned(),
        Stage::BecomeSetup | Stage::BecomeUser => match (line.uid, line.gid) {
            (None, Some(gid)) => format!("unable to switch to gid {gid}"),
            (uid, _) => format!("unable to switch to uid {}", uid.unwrap_or_default()),
        },
        Stage::Hostname => format!("Can't set hostname to {}", line.hostname.as_deref().unwrap_or_default().display()),
        Stage::Loopback => "loopback: Failed to bring lo up".to_owned(),
        Stage::Private => "Failed to make / slave".to_owned(),
        Stage::NewRoot => "Failed to mount tmpfs".to_owned(),
        Stage::Nested => "unshare user ns".to_owned(),
        Stage::DisableNested => "cannot open /proc/sys/user/max_user_namespaces".to_owned(),
        Stage::AssertNested => return "creation of new user namespaces was not disabled as requested".to_owned(),
        Stage::Capabilities => "capset failed".to_owned(),
        Stage::Seccomp if errno == EINVAL => return NO_FILTER.to_owned(),
        Stage::Seccomp => "prctl(PR_SET_SECCOMP)".to_owned(),
        Stage::LockOpen => format!("Unable to open lock file {}", lock_file(line, subject)),
        Stage::LockTake => format!("Unable to lock file {}", lock_file(line, subject)),
        Stage::Workdir => format!("Can't chdir to {}", line.chdir.as_deref().unwrap_or(Path::new("/")).display()),
        Stage::Execute => format!("execvp {command}"),
        Stage::Fork => "Can't fork for pid 1".to_owned(),
        stage if subject.is_empty() => format!("cannot {}", stage.text()),
        stage => format!("cannot {} ({subject})", stage.text()),
    };
    format!("{about}: {text}")
}

fn lock_file(line: &CommandLine, subject: &str) -> String {
    match (subject, &line.lock_files[..]) {
        ("", [only, ..]) => only.display().to_string(),
        (subject, _) => subject.to_owned(),
    }
}

fn clone_failed(errno: i32) -> String {
    match errno {
        EINVAL => "Creating new namespace failed, likely because the kernel does not support user namespaces.".to_owned(),
        EPERM => "No permissions to create a new namespace, likely because the kernel does not allow non-privileged user namespaces. \
                  enclos doctor says what to do."
            .to_owned(),
        ENOSPC => "Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)".to_owned(),
        other => format!("Creating new namespace failed: {}", system_text(other)),
    }
}

/// A failed operation on the file system.
fn operation(stage: Stage, before: &[FileOp], op: &FileOp, errno: i32) -> String {
    let text = system_text(errno);
    let dest = op.dest.display();
    // Inside bubblewrap's scaffolding the new root has this name, and its messages tell it.
    let inside = format!("/newroot{}", Path::new("/").join(&op.dest).display());
    let what = match (stage, &op.kind) {
        (Stage::Source, Kind::Bind { from, .. }) => format!("Can't find source path {}", source(from)),
        (Stage::Source, Kind::Overlay { .. }) => format!("Can't find source path {}", overlay_source(op)),
        (_, Kind::Dir { .. }) if errno == ENOTDIR && lies_below_a_file(op, before) => format!("Can't mkdir parents for {dest}"),
        (_, Kind::Dir { .. }) | (Stage::Place, Kind::Tmpfs { .. } | Kind::Proc | Kind::Dev | Kind::Mqueue | Kind::Overlay { .. }) => {
            format!("Can't mkdir {dest}")
        }
        // A mount of one kind over a file of the other.
        (Stage::Operation, Kind::Bind { from, .. }) if errno == EINVAL && is_directory(from) => {
            return format!("Can't mkdir {dest}: {}", system_text(ENOTDIR));
        }
        (Stage::Operation, Kind::Bind { .. } | Kind::BindData { .. }) if errno == EINVAL => {
            return format!("Can't create file at {dest}: {}", system_text(EISDIR));
        }
        (Stage::Operation, Kind::Tmpfs { .. } | Kind::Proc | Kind::Dev | Kind::Mqueue) if errno == EINVAL => {
            return format!("Can't mkdir {dest}: {}", system_text(ENOTDIR));
        }
        (Stage::Place, Kind::Bind { from, .. }) if is_directory(from) => format!("Can't mkdir {dest}"),
        (Stage::Place, Kind::Bind { .. } | Kind::BindData { .. }) => format!("Can't create file at {dest}"),
        (_, Kind::Bind { from, .. }) => format!("Can't bind mount /oldroot{} on {inside}", source(from)),
        (_, Kind::Overlay { .. }) if errno == ELOOP => {
            return format!("Can't make overlay mount on {inside} with options as given: Overlay directories may not overlap");
        }
        (_, Kind::Overlay { .. }) => format!("Can't make overlay mount on {inside} with options as given"),
        (_, Kind::RemountReadOnly) => format!("Can't remount readonly on {inside}"),
        (_, Kind::Proc) => format!("Can't mount proc on {inside}"),
        (_, Kind::Dev) => format!("Can't mount devpts on {inside}/pts"),
        (_, Kind::Tmpfs { .. }) => format!("Can't mount tmpfs on {inside}"),
        (_, Kind::Mqueue) => format!("Can't mount mqueue on {inside}"),
        (_, Kind::File { fd, .. }) if errno == EBADF || (errno == EISDIR && fd_is_directory(*fd)) => {
            format!("Can't write data to file {dest}")
        }
        (_, Kind::File { .. }) => format!("Can't create file {dest}"),
        (_, Kind::BindData { .. }) => format!("Can't write data to file {dest}"),
        (_, Kind::Symlink { .. }) if errno == EEXIST => return format!("Can't make symlink at {dest}: {}", what_is_there(op, before)),
        (_, Kind::Symlink { .. }) => format!("Can't make symlink at {dest}"),
        (_, Kind::Chmod { mode: 0 }) => format!("Can't chmod 0 {dest}"),
        (_, Kind::Chmod { mode }) => format!("Can't chmod 0{mode:o} {dest}"),
    };
    format!("{what}: {text}")
}

/// The source as it was written.
fn source(from: &From) -> String {
    match from {
        From::Path(path) => path.display().to_string(),
        From::Fd(fd) => format!("/proc/self/fd/{fd}"),
    }
}

/// The directory of an overlay that is not there; the engine tells only that one is not.
fn overlay_source(op: &FileOp) -> String {
    let missing = op.sources().find(|path| std::fs::metadata(path).is_err());
    missing.or(op.sources().next()).map(|path| path.display().to_string()).unwrap_or_default()
}

/// Whether an earlier operation made something that is no directory on the way to this one.
fn lies_below_a_file(op: &FileOp, before: &[FileOp]) -> bool {
    let dest = Path::new("/").join(&op.dest);
    let above: Vec<&Path> = dest.ancestors().skip(1).collect();
    before.iter().any(|earlier| {
        let is_file = match &earlier.kind {
            Kind::File { .. } | Kind::BindData { .. } => true,
            Kind::Bind { from, .. } => !is_directory(from),
            _ => false,
        };
        is_file && above.contains(&Path::new("/").join(&earlier.dest).as_path())
    })
}

/// What stands in the way of a link, as far as the command line tells.
fn what_is_there(op: &FileOp, before: &[FileOp]) -> String {
    let place = Path::new("/").join(&op.dest);
    match before.iter().rev().find(|earlier| Path::new("/").join(&earlier.dest) == place).map(|earlier| &earlier.kind) {
        Some(Kind::Symlink { target }) => format!("existing destination is {}", target.display()),
        Some(_) => "destination exists and is not a symlink".to_owned(),
        None => system_text(EEXIST),
    }
}

fn is_directory(from: &From) -> bool {
    match from {
        From::Path(path) => std::fs::metadata(path).is_ok_and(|found| found.is_dir()),
        From::Fd(fd) => fd_is_directory(*fd),
    }
}

fn fd_is_directory(fd: RawFd) -> bool {
    let found = enclos_sys::fd::borrow(fd).and_then(rustix::fs::fstat);
    found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir())
}
