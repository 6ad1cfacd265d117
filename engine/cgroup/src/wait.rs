//! Waiting with an end: for a file of kernfs to change, for processes to end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::file::{keyed, open_read, pids, read, read_all};

/// How long to wait between two looks where the kernel tells nobody of a change.
const LOOK: Duration = Duration::from_millis(1);

/// A moment after which waiting ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(patience: Duration) -> Self {
        let now = Instant::now();
        Deadline(now.checked_add(patience).unwrap_or(now + Duration::from_secs(86_400)))
    }

    /// What is left; `None` when it is over.
    fn left(self) -> Option<Duration> {
        Some(self.0.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Waits a little, if there is time; `false` when there is none.
    pub(crate) fn pause(self) -> bool {
        match self.left() {
            Some(left) => wait(&mut [], left.min(LOOK)).is_ok(),
            None => false,
        }
    }
}

fn wait(fds: &mut [PollFd<'_>], time: Duration) -> Result<usize, Errno> {
    let time = Timespec { tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    match poll(fds, Some(&time)) {
        Err(Errno::INTR) => Ok(0),
        result => result,
    }
}

/// Waits until `key` in the v2 group's `cgroup.events` is `value`; `false` when the deadline came first.
pub(crate) fn events_reach(dir: impl AsFd, key: &str, value: u64, deadline: Deadline) -> Result<bool, Errno> {
    let events = open_read(dir, "cgroup.events")?;
    loop {
        // Reading takes note of the file's state; a change after it ends the poll (Documentation/admin-guide/cgroup-v2.rst).
        if keyed(&read_all(events.as_fd())?, key) == Some(value) {
            return Ok(true);
        }
        let Some(left) = deadline.left() else { return Ok(false) };
        wait(&mut [PollFd::new(&events, PollFlags::PRI)], left)?;
    }
}

/// The processes directly in a group, seen from our pid namespace.
pub(crate) fn members(dir: impl AsFd) -> Result<Vec<u32>, Errno> {
    read(dir, "cgroup.procs").map(|content| pids(&content))
}

/// Handles on the processes of a group. A number may have gone to a stranger between the reading and the opening; so only those that
/// are listed again after they were opened count.
pub(crate) fn handles(dir: impl AsFd) -> Result<Vec<OwnedFd>, Errno> {
    let opened: Vec<(u32, OwnedFd)> = members(&dir)?
        .into_iter()
        .filter_map(|pid| Some((pid, pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?)))
        .collect();
    let still = members(dir)?;
    Ok(opened.into_iter().filter(|(pid, _)| still.contains(pid)).map(|(_, fd)| fd).collect())
}

/// Sends SIGKILL. A process that has ended in the meantime is no failure.
pub(crate) fn kill(process: BorrowedFd<'_>) -> Result<(), Errno> {
    match pidfd_send_signal(process, Signal::KILL) {
        Err(Errno::SRCH) => Ok(()),
        result => result,
    }
}

/// Waits until the v1 group has no process; `false` when the deadline came first. v1 tells nobody of that, but the processes' own handles do.
pub(crate) fn empties(dir: impl AsFd, deadline: Deadline) -> Result<bool, Errno> {
    loop {
        let processes = handles(&dir)?;
        match processes.first() {
            Some(process) => {
                let Some(left) = deadline.left() else { return Ok(false) };
                wait(&mut [PollFd::new(process, PollFlags::IN)], left)?;
            }
            // Processes that cannot be opened: on their way out, or outside our pid namespace.
            None if read(&dir, "cgroup.procs")?.is_empty() => return Ok(true),
            None => {}
        }
        if !deadline.pause() {
            return Ok(false);
        }
    }
}
