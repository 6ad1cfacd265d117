//! What the child does to itself before it runs anything: notice violations of its rule, wipe what it inherited, end.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use linux_raw_sys::general::{__NR_exit_group, __NR_prctl, __NR_sched_getscheduler, __NR_sched_setscheduler};

use crate::Errno;
use crate::raw::syscall;

static BETWEEN_CLONE_AND_EXEC: AtomicBool = AtomicBool::new(false);

/// Called first in every child. From now on [`is_between_clone_and_exec`] is true in this process (the parent's memory is a copy, or the
/// parent is the sandbox's init, which obeys the same rule). Child-safe.
pub fn enter() {
    BETWEEN_CLONE_AND_EXEC.store(true, Ordering::Relaxed);
}

/// Whether this process is a child that must not allocate. A test binary's global allocator asks this and aborts.
pub fn is_between_clone_and_exec() -> bool {
    BETWEEN_CLONE_AND_EXEC.load(Ordering::Relaxed)
}

/// Ends the process at once, without running anything of its own: `exit_group(2)`. Child-safe.
pub fn exit(status: c_int) -> ! {
    loop {
        // SAFETY: takes a number, touches no memory, does not come back.
        let _ = unsafe { syscall(__NR_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Gives up a real-time scheduling policy that the parent had: `RLIMIT_RTPRIO` does not take away what is inherited, and one such process can keep a CPU
/// from everybody (sched(7)). Others stay as they are. Child-safe.
///
/// # Errors
/// What sched_setscheduler(2) says.
pub fn give_up_real_time() -> Result<(), Errno> {
    const OTHER: usize = 0;
    /// `SCHED_FIFO`, `SCHED_RR`, `SCHED_DEADLINE`.
    const REAL_TIME: [usize; 3] = [1, 2, 6];
    const RESET_ON_FORK: usize = 0x4000_0000;
    // SAFETY: takes a number (0: this thread), touches no memory.
    let policy = unsafe { syscall(__NR_sched_getscheduler, [0; 6]) }?;
    if !REAL_TIME.contains(&(policy & !RESET_ON_FORK)) {
        return Ok(());
    }
    let priority: c_int = 0;
    // SAFETY: the kernel reads one `struct sched_param`, which is one int, from the address of a local that outlives the call.
    unsafe { syscall(__NR_sched_setscheduler, [0, OTHER, (&raw const priority).addr(), 0, 0, 0]) }.map(drop)
}

/// Where this process's command line and environment lie in memory, as the kernel shows them in `/proc/PID/cmdline` and `environ`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartupMemory {
    start: usize,
    end: usize,
}

impl StartupMemory {
    /// Reads the bounds from the text of this process's own `/proc/self/stat` (proc(5), fields 48 to 51: `arg_start` … `env_end`).
    ///
    /// `None` when the text is not of that form or shows zeros, as it does to a process without ptrace rights.
    pub fn from_stat(text: &str) -> Option<Self> {
        // Field 2, the name, may hold spaces and parentheses; the last one closes it. The next field is number 3.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
        let (start, arg_end, env_start, end) = (field(48)?, field(49)?, field(50)?, field(51)?);
        (start != 0 && start <= arg_end && arg_end <= env_start && env_start <= end).then_some(StartupMemory { start, end })
    }

    /// Overwrites command line and environment with zeros in this process's copy of the memory. Child-safe.
    ///
    /// Must be called only in a process that has its own copy (made by [`crate::clone::clone3`]), else the parent loses its own.
    pub fn wipe(self) {
        if !is_between_clone_and_exec() {
            return;
        }
        let area = self.start as *mut u8;
        for offset in 0..self.end.saturating_sub(self.start) {
            // SAFETY: the kernel said these bounds of this very address space: the strings execve(2) put above the initial stack, which
            // stay mapped and writable for the life of the process. `std::env` reads them only through a lock-guarded `environ` that no
            // code of the child consults (rule of this crate: between clone and exec nothing reads the environment).
            unsafe { area.add(offset).write_volatile(0) };
        }
    }
}

/// `prctl(PR_SET_DUMPABLE, 0)`: no core, no ptrace, `/proc/PID/*` owned by root. Child-safe.
///
/// # Errors
/// What prctl(2) says.
pub fn set_not_dumpable() -> Result<(), Errno> {
    // SAFETY: sets a flag of this process; no pointer among the arguments.
    unsafe { syscall(__NR_prctl, [libc::PR_SET_DUMPABLE as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `prctl(PR_SET_DUMPABLE, 1)`: as every program starts. Child-safe.
///
/// # Errors
/// What prctl(2) says.
pub fn set_dumpable() -> Result<(), Errno> {
    // SAFETY: sets a flag of this process; no pointer among the arguments.
    unsafe { syscall(__NR_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_this_process_hold_its_command_line() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let memory = StartupMemory::from_stat(&stat).unwrap();
        let cmdline = std::fs::read("/proc/self/cmdline").unwrap();
        assert!(memory.end - memory.start >= cmdline.len());
    }

    #[test]
    fn a_name_with_parentheses_and_hidden_addresses() {
        let zeros = " 0".repeat(60);
        assert!(StartupMemory::from_stat(&format!("7 (a) b) c) S{zeros}")).is_none());
        assert!(StartupMemory::from_stat("").is_none());
        assert!(StartupMemory::from_stat("7 (x) S 1").is_none());
    }
}
