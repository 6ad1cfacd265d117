//! Locks on single bytes of a file that belong to the open file, not to the process (`F_OFD_SETLK`, fcntl(2)).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use linux_raw_sys::general::__NR_fcntl;

use crate::Errno;
use crate::raw::syscall;

/// Tries to lock byte `at`. `false`: somebody else holds it. The lock goes when the last copy of this open file is closed, so also at SIGKILL.
///
/// # Errors
/// What fcntl(2) says, other than that the lock is taken.
pub fn try_lock_byte(file: impl AsFd, at: u32) -> Result<bool, Errno> {
    // SAFETY: all-zero is a valid value of this plain struct; `l_pid` must be 0 for F_OFD_SETLK.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = i64::from(at);
    lock.l_len = 1;
    // SAFETY: `lock` has the layout the kernel reads and lives across the call.
    match unsafe { syscall(__NR_fcntl, [file.as_fd().as_raw_fd() as usize, libc::F_OFD_SETLK as usize, &raw const lock as usize, 0, 0, 0]) }
    {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_locked_once_and_freed_with_the_file() {
        let path = std::env::temp_dir().join(format!("enclos-lock-{}", std::process::id()));
        let open = || std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let (first, second) = (open(), open());
        assert!(try_lock_byte(&first, 5).unwrap());
        assert!(!try_lock_byte(&second, 5).unwrap());
        assert!(try_lock_byte(&second, 6).unwrap());
        drop(first);
        assert!(try_lock_byte(&second, 5).unwrap());
        std::fs::remove_file(path).unwrap();
    }
}
