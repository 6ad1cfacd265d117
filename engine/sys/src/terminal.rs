//! Terminals: becoming the controlling terminal's owner, signals to the foreground.

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

/// `TIOCSIG` (ioctl_tty(2)): `_IOW('T', 0x36, int)`, on every architecture with the usual numbers.
const TIOCSIG: usize = 0x4004_5436;

/// Sends a signal to the foreground process group of a pseudoterminal, given the other end of it: as the key that stands for it does, whatever the terminal's modes
/// are. The kernel knows the group, so none that came later under its number is hit.
///
/// # Errors
/// `EINVAL` for a signal other than `SIGINT`, `SIGQUIT` and `SIGTSTP`; `ENOTTY` for what is no pseudoterminal.
pub fn signal_foreground(master: impl AsFd, signal: i32) -> Result<(), Errno> {
    let signal = usize::try_from(signal).map_err(|_| Errno::INVAL)?;
    // SAFETY: takes a descriptor and two numbers; the kernel reads no memory for this request.
    unsafe { syscall(__NR_ioctl, [master.as_fd().as_raw_fd() as usize, TIOCSIG, signal, 0, 0, 0]) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_key_stands_for_and_only_a_terminal() {
        let master = std::fs::OpenOptions::new().read(true).write(true).open("/dev/ptmx").unwrap();
        // Nobody is in its foreground.
        assert_eq!(signal_foreground(&master, libc::SIGINT), Ok(()));
        assert_eq!(signal_foreground(&master, libc::SIGTERM), Err(Errno::INVAL));
        assert_eq!(signal_foreground(&master, -1), Err(Errno::INVAL));
        assert_eq!(signal_foreground(std::fs::File::open("/dev/null").unwrap(), libc::SIGINT), Err(Errno::NOTTY));
    }
}
