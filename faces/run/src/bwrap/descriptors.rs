//! Descriptors that options name by number. What is not open stays so: no descriptor of ours may take the number, and be read, written or closed for it.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};

use super::command_line::{CommandLine, From, Kind};
use super::message::system_text;
use super::plan::{Launch, consumed};

const EBADF: i32 = 9;

/// Occupies the numbers that an option names and nobody has open, and says which these are. What occupies them can be neither read nor written (`O_PATH`, open(2)), so
/// that whoever uses one is told the same as if it were not open.
///
/// # Errors
/// When this process can open nothing more.
pub fn occupy(numbers: impl IntoIterator<Item = RawFd>) -> Result<BTreeSet<RawFd>, String> {
    let closed: BTreeSet<RawFd> = numbers.into_iter().filter(|number| enclos_sys::fd::borrow(*number).is_err()).collect();
    if closed.is_empty() {
        return Ok(closed);
    }
    let failed = |errno: rustix::io::Errno| system_text(errno.raw_os_error());
    let nothing = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    // It may lie on one of the numbers itself; then it stays there.
    let mut kept = vec![];
    for number in &closed {
        if nothing.as_raw_fd() != *number {
            // The first free number from there on. One beyond the limit cannot be taken by ours either.
            kept.extend(rustix::io::fcntl_dupfd_cloexec(&nothing, *number).ok());
        }
    }
    kept.push(nothing);
    let (stay, _go): (Vec<OwnedFd>, Vec<OwnedFd>) = kept.into_iter().partition(|fd| closed.contains(&fd.as_raw_fd()));
    stay.into_iter().for_each(std::mem::forget);
    Ok(closed)
}

/// [`occupy`] for all that a command line names; says which are closed when the sandbox is made: not open now, or read to their end by then.
///
/// # Errors
/// As for [`occupy`].
pub fn occupy_all(line: &CommandLine) -> Result<BTreeSet<RawFd>, String> {
    let used: BTreeSet<RawFd> = [&line.argument_fds, &line.add_seccomp].into_iter().flatten().copied().chain(line.seccomp).collect();
    let mut closed = occupy(consumed(line).into_iter().chain(used.iter().copied()))?;
    closed.extend(used);
    Ok(closed)
}

/// bubblewrap goes on without a descriptor to wait for or to keep, and fails where it must join or bind.
///
/// # Errors
/// What must be open and is not, in bubblewrap's words.
pub fn check(line: &CommandLine, launch: &mut Launch, closed: &BTreeSet<RawFd>) -> Result<(), String> {
    let plan = &mut launch.plan;
    plan.block_fd = plan.block_fd.filter(|fd| !closed.contains(fd));
    plan.sync_fd = plan.sync_fd.filter(|fd| !closed.contains(fd));
    for (fd, text) in [
        (line.userns, "Joining specified user namespace failed"),
        (line.userns2, "Setting userns2 failed"),
        (line.pidns, "Setting pidns failed"),
    ] {
        if fd.is_some_and(|fd| closed.contains(&fd)) {
            return Err(format!("{text}: {}", system_text(EBADF)));
        }
    }
    let bound = line.ops.iter().filter_map(|op| match op.kind {
        Kind::Bind { from: From::Fd(fd), .. } => Some(fd),
        _ => None,
    });
    match bound.into_iter().find(|fd| closed.contains(fd)) {
        Some(fd) => Err(format!("Can't find source path /proc/self/fd/{fd}: {}", system_text(EBADF))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_open_is_occupied() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let closed = [700, 701, 703];
        let named = closed.into_iter().chain([read.as_raw_fd(), RawFd::MAX]);
        assert_eq!(occupy(named).unwrap(), closed.into_iter().chain([RawFd::MAX]).collect());
        for number in closed {
            let fd = enclos_sys::fd::adopt(number).unwrap();
            assert_eq!(rustix::io::read(&fd, &mut [0u8]), Err(rustix::io::Errno::BADF));
            assert_eq!(rustix::io::write(&fd, b"x"), Err(rustix::io::Errno::BADF));
        }
        assert!(enclos_sys::fd::borrow(702).is_err());
    }
}
