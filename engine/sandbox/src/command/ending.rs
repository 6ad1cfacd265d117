//! The word of a command's end, for a process that did not start it.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use enclos_sys::Errno;
use rustix::net::{RecvFlags, recv};

use super::Child;
use crate::error::{Failure, Result, Stage};
use crate::init::message::{REPLY, Reply};
use crate::launch::idmap::errno_of;
use crate::watch::{is_readable, now};

/// Where init tells of one command's end. The word waits there for whoever holds this, also when the process that started the command is gone: so a
/// sandbox that is kept ([`crate::Sandbox::keep`]) can tell the next holder what its commands ended with.
#[derive(Debug)]
pub struct Ending {
    id: u32,
    replies: OwnedFd,
}

impl Ending {
    /// From what [`Ending::into_parts`] gave.
    #[must_use]
    pub fn new(id: u32, replies: OwnedFd) -> Ending {
        Ending { id, replies }
    }

    /// The command's name, and a socket: to be kept together.
    #[must_use]
    pub fn into_parts(self) -> (u32, OwnedFd) {
        (self.id, self.replies)
    }

    /// How the command ended, waited for so long at most. `None`: it runs, or nobody can say any more: its sandbox has ended, or the process that
    /// started it has taken the word and is gone.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let until = now() + patience;
        while is_readable(&self.replies, until.saturating_sub(now())) {
            let mut bytes = [0; REPLY];
            // Looked at and left there, so that whoever comes after this process finds it too.
            match recv(&self.replies, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Ok((0, _)) => return None,
                Ok((length, _)) => {
                    if let Some(Reply::Ended { id, status, .. }) = Reply::decode(&bytes[..length.min(REPLY)])
                        && id == self.id
                    {
                        return Some(status_of(status));
                    }
                    // That it was stopped and goes on is of no interest now.
                    let _ = recv(&self.replies, &mut bytes[..], RecvFlags::DONTWAIT);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

impl Child {
    /// What tells another process of the command's end, if it outlives this one.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn ending(&self) -> Result<Ending> {
        let replies = self.replies.as_deref().unwrap_or(&self.control);
        let replies = replies.try_clone().map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), "kept command"))?;
        Ok(Ending::new(self.id, replies))
    }
}

/// As init tells it: an exit status, or minus a signal.
pub(super) fn status_of(told: i32) -> ExitStatus {
    match told {
        code @ 0.. => ExitStatus::from_raw((code & 0xff) << 8),
        signal => ExitStatus::from_raw(-signal),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

    use super::*;
    use crate::init::message::Disk;

    #[test]
    fn the_word_stays_for_whoever_comes_next() {
        let (init, ours) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let tell = |reply: Reply| send(&init, &reply.encode(), SendFlags::empty()).unwrap();
        let ended = |id: u32, status: i32| tell(Reply::Ended { id, status, cpu_us: 0, max_resident: 0, disk: Disk::default() });
        let ending = Ending::new(3, ours.try_clone().unwrap());
        assert_eq!(ending.wait(Duration::ZERO), None);
        tell(Reply::Stopped { id: 3, signal: 19 });
        // Another's, on a socket that is shared.
        ended(2, 1);
        assert_eq!(ending.wait(Duration::ZERO), None);
        ended(3, 7);
        for _ in 0..2 {
            assert_eq!(Ending::new(3, ours.try_clone().unwrap()).wait(Duration::ZERO).unwrap().code(), Some(7));
        }
        let (init, ours) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        drop(init);
        assert_eq!(Ending::new(3, ours).wait(Duration::from_secs(60)), None, "nobody is there to say it");
        assert_eq!(status_of(-9).signal(), Some(9));
    }
}
