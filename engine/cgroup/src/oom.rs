//! Being told when the kernel kills for want of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::io::Errno;

use crate::file::{keyed, open_read, open_write, read_all};
use crate::{CgroupError, Controller, Group, Version};

/// A descriptor that becomes ready when the group ran out of memory. Poll it for [`OomWatch::interest`], then call [`OomWatch::kills`].
#[derive(Debug)]
pub struct OomWatch {
    version: Version,
    /// v2: `memory.events`. v1: `memory.oom_control`.
    counts: OwnedFd,
    /// v1: the eventfd.
    bell: Option<OwnedFd>,
}

impl Group {
    /// A watch on the group's memory running out; `None` when the group has no memory controller.
    ///
    /// v2: `memory.events` (wakes at most every 10 ms, and for other events too); v1: an eventfd registered in `cgroup.event_control`,
    /// which also wakes when the group is removed.
    ///
    /// # Errors
    /// Whatever opening the files or registering the eventfd gives.
    pub fn oom_watch(&self) -> Result<Option<OomWatch>, CgroupError> {
        let Some(node) = self.node(Controller::Memory) else { return Ok(None) };
        let file = if node.version == Version::V2 { "memory.events" } else { "memory.oom_control" };
        let failed = |errno| self.io("watch", node, file, errno);
        let counts = open_read(&node.dir, file).map_err(failed)?;
        if node.version == Version::V2 {
            // The first reading is what later changes are seen against.
            read_all(counts.as_fd()).map_err(failed)?;
            return Ok(Some(OomWatch { version: Version::V2, counts, bell: None }));
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let request = format!("{} {}", bell.as_raw_fd(), counts.as_raw_fd());
        let control = open_write(&node.dir, "cgroup.event_control").map_err(failed)?;
        rustix::io::retry_on_intr(|| rustix::io::write(&control, request.as_bytes())).map_err(failed)?;
        Ok(Some(OomWatch { version: Version::V1, counts, bell: Some(bell) }))
    }
}

impl OomWatch {
    /// What to poll the descriptor for.
    #[must_use]
    pub fn interest(&self) -> PollFlags {
        match self.version {
            Version::V2 => PollFlags::PRI,
            Version::V1 => PollFlags::IN,
        }
    }

    /// How many processes the kernel has killed so far; also makes the watch ready for the next event.
    ///
    /// The wake-up comes when memory runs out, the count a moment later when the kill is done: 0 right after a wake-up is possible.
    ///
    /// # Errors
    /// Whatever reading gives; `ENODEV` when the group was removed.
    pub fn kills(&self) -> Result<u64, Errno> {
        if let Some(bell) = &self.bell {
            match rustix::io::read(bell, &mut [0; 8]) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(keyed(&read_all(self.counts.as_fd())?, "oom_kill").unwrap_or(0))
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_ref().unwrap_or(&self.counts).as_fd()
    }
}
