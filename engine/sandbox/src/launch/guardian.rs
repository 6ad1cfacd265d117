//! Removes the control groups of a launcher that was killed.
//!
//! A cgroup outlives every process; only somebody on the host can remove it, and SIGKILL leaves a launcher no time. The guardian is a process that shares the
//! launcher's memory (so it costs a clone and no more), in a session of its own, waiting for one thing: the end of a pipe that the launcher alone holds open. A launcher
//! that ends in order ends its guardian when the group is gone.

use std::ffi::{CString, c_int};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use enclos_cgroup::{Controller, Group, Host, Limits, Name};
use enclos_sys::clone::{Stack, Until, clone_sharing_memory};
use enclos_sys::signal::{self, Blocked};
use enclos_sys::wait::{Wait, wait_pid};
use enclos_sys::{Errno, fd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, unlinkat};
use rustix::process::Pid;

use crate::error::{Failure, Result, Stage};

/// What the guardian reads; made before it is, never changed while it lives.
#[derive(Debug)]
struct Charge {
    /// The groups' directories.
    directories: Vec<CString>,
    /// Its end of the pipe.
    watched: OwnedFd,
    stack: Stack,
}

/// A living guardian. Dropping it ends it.
#[derive(Debug)]
pub struct Guardian {
    pid: Pid,
    /// Boxed: the guardian has a pointer to it. Dropped after the guardian has ended.
    _charge: Box<Charge>,
    /// Held open by this process alone.
    _alive: OwnedFd,
}

/// How often and how long a killed launcher's groups are tried: their processes die at the same moment, but not at once.
const TRIES: usize = 5_000;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Makes a control group with these limits; `guarded`: with somebody who removes it should this process be killed.
///
/// # Errors
/// What the host's control groups refuse.
pub fn make_group(host: &Host, limits: &Limits, guarded: bool) -> Result<(Group, Option<Guardian>)> {
    let name = Name::fresh().map_err(|e| Failure::new(Stage::Cgroup, super::idmap::errno_of(&e)))?;
    // Before the group, so that there is no moment in which nobody would remove it.
    let guardian = if guarded { Some(Guardian::over(host, &name)?) } else { None };
    Ok((host.create(&name, limits)?, guardian))
}

impl Guardian {
    /// Watches over the group that will be made under this name, wherever it will be: from before the first directory is made, so that no moment is left.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn over(host: &Host, name: &Name) -> Result<Guardian> {
        let failed = |e: Errno| Failure::about(Stage::Prepare, e, "guardian");
        let mut directories: Vec<CString> = Controller::ALL
            .into_iter()
            .filter_map(|controller| host.place(controller).ok())
            .filter_map(|place| CString::new(place.parent.join(name.as_str()).into_os_string().into_vec()).ok())
            .collect();
        directories.sort();
        directories.dedup();
        let (watched, alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed)?;
        let charge = Box::new(Charge { directories, watched, stack: Stack::new().map_err(failed)? });
        let pid = {
            let _blocked = Blocked::all();
            clone_sharing_memory(&charge.stack, Until::Cloned, guard, &*charge).map_err(failed)?
        };
        Ok(Guardian { pid, _charge: charge, _alive: alive })
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let _ = signal::kill(self.pid.as_raw_nonzero().get(), rustix::process::Signal::KILL.as_raw());
        let _ = wait_pid(self.pid, Wait::Ended);
    }
}

/// The guardian's life. Child-safe: it shares memory with a launcher that may be killed in the middle of anything.
fn guard(charge: &Charge) -> c_int {
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"enclos-guard");
    // Everything else is the launcher's: its pipes must end when it does. The watched end moves to 0.
    if fd::copy_to(charge.watched.as_fd(), 0, true).is_err() || fd::close_from(1, false).is_err() {
        return 1;
    }
    let Ok(watched) = fd::borrow(0) else { return 1 };
    wait_for_end(watched);
    for directory in &charge.directories {
        for _ in 0..TRIES {
            match unlinkat(CWD, directory, AtFlags::REMOVEDIR) {
                Err(Errno::BUSY | Errno::INTR) => {}
                Ok(()) | Err(_) => break,
            }
            let _ = poll(&mut [], Some(&PAUSE));
        }
    }
    0
}

/// Returns when nobody holds the other end open.
fn wait_for_end(watched: BorrowedFd<'_>) {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(watched, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}
