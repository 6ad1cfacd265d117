//! `waitid(2)` with resource usage: the raw call has a fifth argument that no wrapper passes.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use linux_raw_sys::general::__NR_waitid;
use rustix::process::Pid;

use crate::Errno;
use crate::raw::syscall;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The end, blocking.
    Ended,
    /// The end, if it has come.
    EndedAlready,
    /// End, stop or continuation, if one has come.
    ChangedAlready,
}

impl Wait {
    fn flags(self) -> i32 {
        match self {
            Wait::Ended => libc::WEXITED,
            Wait::EndedAlready => libc::WEXITED | libc::WNOHANG,
            Wait::ChangedAlready => libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG,
        }
    }
}

/// How a process changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Exited by itself with this status.
    Exited(i32),
    /// Ended by this signal.
    Signaled(i32),
    /// Stopped by this signal.
    Stopped(i32),
    /// Goes on.
    Continued,
}

/// A change of one process.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Which.
    pub pid: i32,
    /// How.
    pub how: How,
    /// CPU time of it and of all descendants it waited for, in microseconds.
    pub cpu_us: u64,
    /// Of that, in user mode.
    pub user_us: u64,
    /// Largest resident set of any one of them, in bytes.
    pub max_resident: u64,
}

/// Waits for one child. Child-safe.
///
/// # Errors
/// What waitid(2) says; `ECHILD` when it is not ours.
pub fn wait_pid(pid: Pid, wait: Wait) -> Result<Option<Changed>, Errno> {
    waitid(libc::P_PID, pid.as_raw_nonzero().get(), wait)
}

/// Waits for the child behind a pidfd. Child-safe.
///
/// # Errors
/// What waitid(2) says.
pub fn wait_pidfd(pidfd: impl AsFd, wait: Wait) -> Result<Option<Changed>, Errno> {
    waitid(libc::P_PIDFD, pidfd.as_fd().as_raw_fd(), wait)
}

/// Waits for any child. Child-safe.
///
/// # Errors
/// What waitid(2) says; `ECHILD` when there is none.
pub fn wait_any(wait: Wait) -> Result<Option<Changed>, Errno> {
    waitid(libc::P_ALL, 0, wait)
}

/// CPU time in microseconds of this process and of all descendants waited for, and the largest resident set of any one of the latter
/// in bytes: `getrusage(2)`. Child-safe.
pub fn usage_of_tree() -> (u64, u64) {
    let of = |who| {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the kernel fills a struct of exactly this layout; all-zero is a valid value of it should the call fail.
        unsafe {
            let _ = syscall(linux_raw_sys::general::__NR_getrusage, [who as usize, usage.as_mut_ptr() as usize, 0, 0, 0, 0]);
            usage.assume_init()
        }
    };
    let (own, children) = (of(libc::RUSAGE_SELF), of(libc::RUSAGE_CHILDREN));
    (
        micros(own.ru_utime) + micros(own.ru_stime) + micros(children.ru_utime) + micros(children.ru_stime),
        u64::try_from(children.ru_maxrss).unwrap_or(0) * 1024,
    )
}

fn micros(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
}

fn waitid(kind: u32, id: i32, wait: Wait) -> Result<Option<Changed>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both structs are of the layout the kernel writes and live across the call; the other arguments are numbers.
        let answer = unsafe {
            syscall(
                __NR_waitid,
                [kind as usize, id as usize, info.as_mut_ptr() as usize, wait.flags() as usize, usage.as_mut_ptr() as usize, 0],
            )
        };
        match answer {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // SAFETY: zeroed is a valid value of both; the kernel has overwritten them or, with WNOHANG and no change, left them zero.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: for an answer of waitid these members of the union are the ones in use; zero when there was no change.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let how = match info.si_code {
        libc::CLD_EXITED => How::Exited(status),
        libc::CLD_STOPPED | libc::CLD_TRAPPED => How::Stopped(status),
        libc::CLD_CONTINUED => How::Continued,
        _ => How::Signaled(status),
    };
    let user_us = micros(usage.ru_utime);
    let max_resident = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok(Some(Changed { pid, how, cpu_us: user_us + micros(usage.ru_stime), user_us, max_resident }))
}
