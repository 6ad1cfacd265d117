//! Descriptors by number: those a child inherits, and those a caller names on a command line.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use linux_raw_sys::general::{__NR_close_range, __NR_fcntl};

use crate::Errno;
use crate::raw::syscall;

/// Borrows a descriptor by number for the rest of the process's life, if it is open.
///
/// Meant for descriptors that nobody closes: the standard streams, those a caller passed in by number, and in a child everything inherited.
/// Child-safe.
///
/// # Errors
/// `EBADF` when no such descriptor is open.
pub fn borrow(fd: RawFd) -> Result<BorrowedFd<'static>, Errno> {
    // SAFETY: F_GETFD reads a flag of a descriptor named by number; no memory is involved.
    unsafe { syscall(__NR_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]) }?;
    // SAFETY: it is open now. Should it be closed later, uses of this borrow fail with EBADF or reach another descriptor of this process;
    // the I/O-safety contract that it is not closed meanwhile is on the documented callers above, none of which close it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes ownership of a descriptor named by number, e.g. one inherited from the caller and named on the command line.
///
/// # Errors
/// `EBADF` when no such descriptor is open.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    borrow(fd)?;
    // SAFETY: it is open, and the caller of `adopt` is told it owns it from now on; each number is adopted once, by the one place that
    // parses it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor from `first` on, or, with `keep_until_exec`, marks them close-on-exec: `close_range(2)`. Child-safe.
///
/// # Errors
/// What close_range(2) says.
pub fn close_from(first: RawFd, keep_until_exec: bool) -> Result<(), Errno> {
    close_between(first, RawFd::MAX, keep_until_exec)
}

/// Closes every descriptor from `first` to `last`, both included; see [`close_from`]. Nothing to do when `first > last`. Child-safe.
///
/// # Errors
/// What close_range(2) says.
pub fn close_between(first: RawFd, last: RawFd, keep_until_exec: bool) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    let flags = if keep_until_exec { libc::CLOSE_RANGE_CLOEXEC as usize } else { 0 };
    // SAFETY: only children call this, on their own table, right before they execute or enter init's loop, whose descriptors are
    // below `first` or above `last`; no owned descriptor in the range is used or dropped afterwards, because a child never drops.
    unsafe { syscall(__NR_close_range, [first as usize, last as usize, flags, 0, 0, 0]) }.map(drop)
}

/// Makes `to` a copy of `from` (`dup3(2)`), close-on-exec or not; when they are the same only the flag changes. Child-safe.
///
/// # Errors
/// What dup3(2) says.
pub fn copy_to(from: BorrowedFd<'_>, to: RawFd, close_on_exec: bool) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let from = from.as_raw_fd();
    if from == to {
        let flag = if close_on_exec { libc::FD_CLOEXEC } else { 0 };
        // SAFETY: sets a flag of a descriptor; no memory is involved.
        return unsafe { syscall(__NR_fcntl, [from as usize, libc::F_SETFD as usize, flag as usize, 0, 0, 0]) }.map(drop);
    }
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: replaces entry `to` of this process's table; only children call this, and they own no value that stands for `to`.
    unsafe { syscall(linux_raw_sys::general::__NR_dup3, [from as usize, to as usize, flags as usize, 0, 0, 0]) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_number_is_refused() {
        assert_eq!(borrow(987_654).unwrap_err(), Errno::BADF);
        assert_eq!(adopt(-1).unwrap_err(), Errno::BADF);
        assert!(borrow(2).is_ok());
    }
}
