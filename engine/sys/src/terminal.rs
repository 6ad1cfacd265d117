//! Terminals: becoming the controlling terminal's owner, window sizes.

use std::os::fd::{AsFd, AsRawFd};

use linux_raw_sys::general::__NR_ioctl;

use crate::Errno;
use crate::raw::syscall;

/// Makes a terminal the controlling one of this session (`TIOCSCTTY`, ioctl_tty(2)); the caller is a session leader. Child-safe.
///
/// # Errors
/// What ioctl(2) says.
pub fn make_controlling(terminal: impl AsFd) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and a number.
    unsafe { syscall(__NR_ioctl, [terminal.as_fd().as_raw_fd() as usize, libc::TIOCSCTTY as usize, 0, 0, 0, 0]) }.map(drop)
}
