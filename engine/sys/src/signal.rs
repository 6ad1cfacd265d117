//! Signal masks and signals read from a descriptor.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use linux_raw_sys::general::{__NR_kill, __NR_rt_sigprocmask, __NR_signalfd4, __NR_tgkill};

use crate::Errno;
use crate::raw::syscall;

/// A set of signals as the kernel keeps it: bit `n - 1` stands for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self(u64::MAX);
    /// These.
    #[must_use]
    pub const fn of(signals: &[i32]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << (signals[index] - 1);
            index += 1;
        }
        Self(bits)
    }
    /// Whether `signal` is in.
    #[must_use]
    pub const fn has(self, signal: i32) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Sets this thread's signal mask and returns the old one. Child-safe.
pub fn set_mask(mask: SignalSet) -> SignalSet {
    let mut old = SignalSet::EMPTY;
    // SAFETY: both sets are 8 bytes, as told; they live across the call. The call can only fail for a bad pointer or size.
    let _ = unsafe {
        syscall(
            __NR_rt_sigprocmask,
            [libc::SIG_SETMASK as usize, &raw const mask as usize, &raw mut old as usize, size_of::<SignalSet>(), 0, 0],
        )
    };
    old
}

/// Blocks every signal until dropped, then puts the old mask back. Around a clone, so that the child starts with all signals blocked.
#[derive(Debug)]
pub struct Blocked(SignalSet);

impl Blocked {
    /// Blocks now.
    #[must_use]
    pub fn all() -> Self {
        Blocked(set_mask(SignalSet::ALL))
    }
    /// The mask that will come back.
    #[must_use]
    pub fn previous(&self) -> SignalSet {
        self.0
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        set_mask(self.0);
    }
}

/// A descriptor that signals of this process (blocked ones) are read from: `signalfd(2)`, close-on-exec, non-blocking. Child-safe.
///
/// # Errors
/// What signalfd(2) says.
pub fn descriptor(signals: SignalSet) -> Result<OwnedFd, Errno> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is 8 bytes, as told, and lives across the call.
    let fd = unsafe { syscall(__NR_signalfd4, [usize::MAX, &raw const signals as usize, size_of::<SignalSet>(), flags as usize, 0, 0]) }?;
    // SAFETY: a descriptor the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// One signal read from a [`descriptor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Who sent it; 0 for the kernel (a key on the terminal, a child's end).
    pub sender: u32,
}

/// Reads one pending signal; `None` when there is none. Child-safe.
///
/// # Errors
/// What read(2) says.
pub fn read(descriptor: impl AsFd) -> Result<Option<Received>, Errno> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let length = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the kernel writes at most `length` bytes into a struct of that size; all-zero is valid.
    let answer = unsafe {
        syscall(linux_raw_sys::general::__NR_read, [descriptor.as_fd().as_raw_fd() as usize, info.as_mut_ptr() as usize, length, 0, 0, 0])
    };
    match answer {
        Ok(read) if read == length => {
            // SAFETY: zeroed, then filled by the kernel.
            let info = unsafe { info.assume_init() };
            Ok(Some(Received { signal: info.ssi_signo as i32, sender: info.ssi_pid }))
        }
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `kill(2)` by number, so that any signal, real-time ones too, can be sent; a negative `pid` names a group. Child-safe.
///
/// # Errors
/// What kill(2) says.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes two numbers.
    unsafe { syscall(__NR_kill, [pid as usize, signal as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Sends a signal to the process behind a pidfd, by number: `pidfd_send_signal(2)`.
///
/// # Errors
/// What the call says; `ESRCH` when it has ended.
pub fn send(pidfd: impl AsFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers and a null siginfo.
    unsafe { syscall(linux_raw_sys::general::__NR_pidfd_send_signal, [pidfd.as_fd().as_raw_fd() as usize, signal as usize, 0, 0, 0, 0]) }
        .map(drop)
}

/// Puts one signal back to its default (`rt_sigaction(2)`). What this program ignores (see [`ignore`]) stays so across clone and exec. Child-safe.
pub fn set_default(signal: i32) {
    dispose(signal, libc::SIG_DFL as u64, 0);
}

/// Children that end leave nothing to wait for (`SA_NOCLDWAIT`, sigaction(2)); `wait_pid` of one still returns when it has ended, with `ECHILD`. Not inherited by
/// [`clone3`](crate::clone::clone3) nor across an execution. Child-safe.
pub fn reap_at_once() {
    dispose(libc::SIGCHLD, libc::SIG_DFL as u64, libc::SA_NOCLDWAIT as u64);
}

/// Ignores one signal (`rt_sigaction(2)`). Child-safe.
pub fn ignore(signal: i32) {
    dispose(signal, libc::SIG_IGN as u64, 0);
}

fn dispose(signal: i32, handler: u64, flags: u64) {
    // struct kernel_sigaction of any architecture fits, and begins with handler and flags; zeros mean no restorer, empty mask.
    let action = [handler, flags, 0, 0, 0, 0, 0, 0];
    // SAFETY: the kernel reads its struct from these words, which live across the call; the set size is 8 bytes, as told. The handler is one of the two numbers that
    // stand for none, so no code runs by it.
    let _ = unsafe {
        syscall(linux_raw_sys::general::__NR_rt_sigaction, [signal as usize, action.as_ptr() as usize, 0, size_of::<SignalSet>(), 0, 0])
    };
}

/// Stops this process itself (`SIGSTOP` to this thread group), as a shell expects of a program whose child was stopped.
pub fn stop_self() {
    // SAFETY: getpid and gettid take nothing; tgkill takes three numbers.
    unsafe {
        let pid = syscall(linux_raw_sys::general::__NR_getpid, [0; 6]).unwrap_or(0);
        let tid = syscall(linux_raw_sys::general::__NR_gettid, [0; 6]).unwrap_or(0);
        let _ = syscall(__NR_tgkill, [pid, tid, libc::SIGSTOP as usize, 0, 0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_arrives_on_the_descriptor() {
        let blocked = Blocked::all();
        let descriptor = descriptor(SignalSet::of(&[libc::SIGUSR2])).unwrap();
        assert_eq!(read(&descriptor).unwrap(), None);
        // To this thread: a signal to the process could be taken by another one, which has it unblocked.
        // SAFETY: gettid takes nothing; tgkill takes three numbers.
        unsafe {
            let thread = syscall(linux_raw_sys::general::__NR_gettid, [0; 6]).unwrap();
            syscall(__NR_tgkill, [std::process::id() as usize, thread, libc::SIGUSR2 as usize, 0, 0, 0]).unwrap();
        }
        assert_eq!(super::read(&descriptor).unwrap().map(|r| r.signal), Some(libc::SIGUSR2));
        drop(blocked);
    }

    #[test]
    fn sets_hold_what_they_were_made_of() {
        let set = SignalSet::of(&[libc::SIGHUP, libc::SIGTERM, 64]);
        assert!(set.has(libc::SIGHUP) && set.has(libc::SIGTERM) && set.has(64) && !set.has(libc::SIGINT));
    }
}
