//! The ids with which one thread looks at files: `setfsuid(2)`, `setfsgid(2)`.

use std::marker::PhantomData;

use linux_raw_sys::general::{__NR_setfsgid, __NR_setfsuid};

use crate::Errno;
use crate::raw::syscall;

/// The calling thread looks at files as this user until it is dropped: the kernel decides by these ids, and by no capability of user 0 over files.
#[derive(Debug)]
pub struct FileIds {
    before: (u32, u32),
    /// Of one thread.
    _here: PhantomData<*const ()>,
}

/// No id: such a call changes nothing, and answers with what is in force.
const NONE: u32 = u32::MAX;

fn set(number: u32, id: u32) -> u32 {
    // SAFETY: both calls take a number and touch no memory.
    unsafe { syscall(number, [id as usize, 0, 0, 0, 0, 0]) }.map_or(NONE, |before| before as u32)
}

impl FileIds {
    /// Takes them. Needs the right to become this user (`CAP_SETUID`, `CAP_SETGID`), unless it is the caller already.
    ///
    /// # Errors
    /// `EPERM`; the thread is as before then.
    pub fn take(user: u32, group: u32) -> Result<FileIds, Errno> {
        // The group first: taking another user may take the right away.
        let before_group = set(__NR_setfsgid, group);
        let before_user = set(__NR_setfsuid, user);
        let taken = FileIds { before: (before_user, before_group), _here: PhantomData };
        if set(__NR_setfsgid, NONE) == group && set(__NR_setfsuid, NONE) == user { Ok(taken) } else { Err(Errno::PERM) }
    }
}

impl Drop for FileIds {
    fn drop(&mut self) {
        set(__NR_setfsuid, self.before.0);
        set(__NR_setfsgid, self.before.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_anothers_for_a_while() {
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        drop(FileIds::take(own.0.as_raw(), own.1.as_raw()).unwrap());
        let other = FileIds::take(54_321, 54_322);
        if !own.0.is_root() {
            assert_eq!(other.unwrap_err(), Errno::PERM);
            return;
        }
        let other = other.unwrap();
        assert_eq!(std::fs::read("/etc/shadow").unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        drop(other);
        assert_eq!((set(__NR_setfsuid, NONE), set(__NR_setfsgid, NONE)), (own.0.as_raw(), own.1.as_raw()));
        std::fs::read("/etc/shadow").unwrap();
    }
}
