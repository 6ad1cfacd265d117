//! Making processes: `clone3(2)` for a child with a copy of the memory, `clone(2)` for one that shares it until it executes.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use linux_raw_sys::general::{__NR_clone3, clone_args};
use rustix::process::Pid;

use crate::Errno;
use crate::raw::syscall;

/// Which namespaces are new, as flags of `clone3(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFlags(u64);

macro_rules! namespace_flags {
    ($($(#[$doc:meta])* $name:ident = $flag:ident;)+) => {
        impl NamespaceFlags {
            $($(#[$doc])* pub const $name: Self = Self(linux_raw_sys::general::$flag as u64);)+
        }
    };
}

namespace_flags! {
    /// `user_namespaces(7)`.
    USER = CLONE_NEWUSER;
    /// `mount_namespaces(7)`.
    MOUNT = CLONE_NEWNS;
    /// `pid_namespaces(7)`.
    PID = CLONE_NEWPID;
    /// `network_namespaces(7)`.
    NET = CLONE_NEWNET;
    /// `ipc_namespaces(7)`.
    IPC = CLONE_NEWIPC;
    /// `uts_namespaces(7)`.
    UTS = CLONE_NEWUTS;
    /// `cgroup_namespaces(7)`.
    CGROUP = CLONE_NEWCGROUP;
}

impl NamespaceFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// `other` too, if `wanted`.
    #[must_use]
    pub const fn and_if(self, wanted: bool, other: Self) -> Self {
        if wanted { self.and(other) } else { self }
    }
    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether all of `other` are in.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A process just made.
#[derive(Debug)]
pub struct Cloned {
    /// Its id in the maker's pid namespace.
    pub pid: Pid,
    /// `pidfd_open(2)`-style descriptor, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes a process with its own copy of the memory, in new namespaces and, where given, born in a v2 cgroup (`CLONE_INTO_CGROUP`).
/// Signal handlers are back at their defaults in the child (`CLONE_CLEAR_SIGHAND`); the signal mask is inherited.
///
/// `child` runs in the copy, in the only thread there is. It must obey the rule at the head of this crate: no allocation, no lock, no log.
/// It can be called from a multi-threaded process for that reason alone. The child's descriptor table is a copy.
/// The parent must be in a state in which a copy of it makes sense: its open descriptors are the child's.
///
/// # Errors
/// What clone3(2) says, e.g. `EAGAIN` at a process limit, `ENOSPC` at a namespace limit, `EPERM` where user namespaces are refused.
pub fn clone3<T: ?Sized>(
    namespaces: NamespaceFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: fn(&T) -> !,
    context: &T,
) -> Result<Cloned, Errno> {
    copy(namespaces.0, libc::SIGCHLD, cgroup, child, context)
}

/// [`clone3`] with any flags; without `CLONE_VM`, which would need a stack.
fn copy<T: ?Sized>(
    flags: u64,
    exit_signal: c_int,
    cgroup: Option<BorrowedFd<'_>>,
    child: fn(&T) -> !,
    context: &T,
) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid value of this plain struct of integers.
    let mut args: clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | linux_raw_sys::general::CLONE_PIDFD as u64 | linux_raw_sys::general::CLONE_CLEAR_SIGHAND;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = exit_signal as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= linux_raw_sys::general::CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with a null stack the call returns twice like fork(2), each time on its own copy of this stack frame,
    // so neither return disturbs the other. `args` and `pidfd` live across the call. In the child only `child` runs, which diverges,
    // so nothing of the parent's frames is dropped there; that `child` does nothing a copied thread must not is its contract.
    let pid = unsafe { syscall(__NR_clone3, [&raw const args as usize, size_of::<clone_args>(), 0, 0, 0, 0]) }?;
    if pid == 0 {
        crate::child::enter();
        let _guard = NeverUnwind;
        child(context);
    }
    // SAFETY: the call succeeded with CLONE_PIDFD, so the kernel stored a descriptor here that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = Pid::from_raw(pid as i32).ok_or(Errno::SRCH)?;
    Ok(Cloned { pid, pidfd })
}

/// Ends a child whose code panics where panics unwind: the frames above are a copy of the maker's, and what they own is the maker's.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        crate::child::exit(128 + libc::SIGABRT)
    }
}

/// What the process in between needs.
struct Below<'a, T: ?Sized> {
    flags: u64,
    cgroup: Option<BorrowedFd<'a>>,
    child: fn(&T) -> !,
    context: &'a T,
    answer: OwnedFd,
}

/// [`clone3`], for a process that has chosen another pid namespace for its children (`setns(2)`) and wants one more below that: the kernel makes a new pid namespace
/// only below the one the maker itself is in. So a process in between, which is in the chosen one, makes the child, as this process's own (`CLONE_PARENT`).
///
/// # Errors
/// As for [`clone3`].
pub fn clone3_below<T: ?Sized>(
    namespaces: NamespaceFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: fn(&T) -> !,
    context: &T,
) -> Result<Cloned, Errno> {
    let (read, answer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let flags = namespaces.0 | linux_raw_sys::general::CLONE_PARENT as u64;
    let below = Below { flags, cgroup, child, context, answer };
    // One table of descriptors, so that the child's pidfd arrives in ours.
    let between = copy(linux_raw_sys::general::CLONE_FILES as u64, libc::SIGCHLD, None, make_below::<T>, &below)?;
    crate::wait::wait_pidfd(&between.pidfd, crate::wait::Wait::Ended)?;
    let mut bytes = [0u8; 8];
    drop(below);
    if rustix::io::read(&read, &mut bytes)? != bytes.len() {
        // Killed, by nobody we know.
        return Err(Errno::CHILD);
    }
    let [number, errno] = [0, 4].map(|at| RawFd::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    if errno != 0 {
        return Err(Errno::from_raw_os_error(errno));
    }
    // SAFETY: the process in between made this descriptor in the table it shared with us, said so, and has ended: nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(number) };
    let pid = owner(&pidfd)?;
    Ok(Cloned { pid, pidfd })
}

/// The life of the process in between.
fn make_below<T: ?Sized>(below: &Below<'_, T>) -> ! {
    let made = copy(below.flags, 0, below.cgroup, below.child, below.context);
    let (number, errno) = match made.and_then(|made| own(&made).map(|()| made)) {
        Ok(made) => {
            let number = made.pidfd.as_raw_fd();
            // It is the maker's now, in whose table it lies.
            std::mem::forget(made);
            (number, 0)
        }
        Err(errno) => (-1, errno.raw_os_error()),
    };
    let mut bytes = [0u8; 8];
    bytes[..4].copy_from_slice(&number.to_ne_bytes());
    bytes[4..].copy_from_slice(&errno.to_ne_bytes());
    let _ = rustix::io::write(&below.answer, &bytes);
    crate::child::exit(0)
}

/// Writes a process's number on its pidfd; [`owner`] reads it as the reader's own pid namespace calls it (`fcntl(2)`, F_SETOWN).
fn own(made: &Cloned) -> Result<(), Errno> {
    let (fd, pid) = (made.pidfd.as_raw_fd(), made.pid.as_raw_nonzero().get());
    // SAFETY: fcntl(F_SETOWN) takes numbers.
    unsafe { syscall(linux_raw_sys::general::__NR_fcntl, [fd as usize, libc::F_SETOWN as usize, pid as usize, 0, 0, 0]) }.map(drop)
}

fn owner(pidfd: &OwnedFd) -> Result<Pid, Errno> {
    // SAFETY: fcntl(F_GETOWN) takes numbers.
    let pid = unsafe { syscall(linux_raw_sys::general::__NR_fcntl, [pidfd.as_raw_fd() as usize, libc::F_GETOWN as usize, 0, 0, 0, 0]) }?;
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// A stack for a child that shares its maker's memory: anonymous pages with a guard page below.
#[derive(Debug)]
pub struct Stack {
    base: *mut c_void,
}

// SAFETY: the pages belong to this value alone; the pointer is used only by the one child made on it.
unsafe impl Send for Stack {}
// SAFETY: `&Stack` gives no access to the pages.
unsafe impl Sync for Stack {}

const GUARD: usize = 4096;
const STACK: usize = 48 * 1024;

impl Stack {
    /// Maps one.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new() -> Result<Self, Errno> {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
        // SAFETY: a fresh private mapping at an address of the kernel's choosing overlaps nothing.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), GUARD + STACK, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        let stack = Stack { base };
        // SAFETY: the first page of the mapping just made; nothing has a reference into it.
        unsafe { mprotect(base, GUARD, MprotectFlags::empty()) }?;
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, still the same allocation; page-aligned, hence 16-byte aligned as the ABI asks.
        unsafe { self.base.byte_add(GUARD + STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped; the child made on it shares the memory only until it executes or ends, and
        // whoever drops the stack has waited for that (vfork) or is about to end itself (the sandbox's init never drops one).
        let _ = unsafe { rustix::mm::munmap(self.base, GUARD + STACK) };
    }
}

/// Whether the maker waits until the child has executed or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Wait (`CLONE_VFORK`).
    Executed,
    /// Go on at once; the child runs beside its maker, sharing memory (a parked command).
    Cloned,
    /// The same, and it shares the table of descriptors too (`CLONE_FILES`): what it opens its maker has.
    ClonedWithDescriptors,
}

struct Entry<'a, T: ?Sized> {
    run: fn(&T) -> c_int,
    context: &'a T,
}

extern "C" fn enter<T: ?Sized>(entry: *mut c_void) -> c_int {
    // SAFETY: `clone_sharing_memory` passes a pointer to an `Entry` of the same `T`. With `Until::Executed` it lies in the frame of the
    // suspended maker; without it was leaked on purpose into the child's own stack area, see there.
    let entry = unsafe { &*entry.cast::<Entry<'_, T>>() };
    (entry.run)(entry.context)
}

/// Makes a process that shares this process's memory (`CLONE_VM`) until it executes, on a stack of its own. Child-safe: the sandbox's init
/// calls it. Returns the child's id. `run`'s value becomes the exit status if it comes back.
///
/// `run` must not unwind, and obeys the rule of this crate. Without [`Until::Executed`] `context` must be `'static` in effect: the maker keeps it
/// and `stack` until the child has executed or ended. (The sandbox's init holds both for its whole life.)
///
/// # Errors
/// What clone(2) says, e.g. `EAGAIN` at a process limit.
pub fn clone_sharing_memory<T: ?Sized>(stack: &Stack, until: Until, run: fn(&T) -> c_int, context: &T) -> Result<Pid, Errno> {
    let wait = match until {
        Until::Executed => libc::CLONE_VFORK,
        Until::Cloned => 0,
        Until::ClonedWithDescriptors => libc::CLONE_FILES,
    };
    let flags = libc::CLONE_VM | wait | libc::SIGCHLD;
    // The entry lies at the top of the child's stack, so that it outlives this frame when the maker does not wait.
    let entry = Entry { run, context };
    let room = size_of::<Entry<'_, T>>().next_multiple_of(64);
    // SAFETY: `room` bytes below the top are inside the mapping, unused by anybody before the child starts, and aligned to 64.
    let (place, top) = unsafe {
        let place = stack.top().byte_sub(room).cast::<Entry<'_, T>>();
        place.write(entry);
        (place.cast::<c_void>(), place.cast::<c_void>())
    };
    // SAFETY: glibc's and musl's clone() start `enter` on the given stack and end the process with its value; the maker's stack is not
    // touched. The child shares memory, but runs only `run`, which keeps to system calls and to `context`. Signals are blocked by the
    // caller, so no handler of the maker runs in the child. The function writes `errno` only in the maker, on failure.
    let pid = unsafe { libc::clone(enter::<T>, top, flags, place) };
    if pid < 0 {
        // SAFETY: reads this thread's errno, which the failed call above has just set.
        return Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() }));
    }
    Pid::from_raw(pid).ok_or(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_with_seven(_: &()) -> ! {
        crate::child::exit(7)
    }

    #[test]
    fn a_copied_child_ends_and_is_waited_for() {
        let child = clone3(NamespaceFlags::NONE, None, end_with_seven, &()).unwrap();
        let ended = crate::wait::wait_pidfd(&child.pidfd, crate::wait::Wait::Ended).unwrap().unwrap();
        assert_eq!(ended.how, crate::wait::How::Exited(7));
    }

    #[test]
    fn a_child_made_by_another_is_ours() {
        let child = clone3_below(NamespaceFlags::NONE, None, end_with_seven, &()).unwrap();
        let ended = crate::wait::wait_pidfd(&child.pidfd, crate::wait::Wait::Ended).unwrap().unwrap();
        assert_eq!((ended.pid, ended.how), (child.pid.as_raw_nonzero().get(), crate::wait::How::Exited(7)));
    }

    #[test]
    fn what_keeps_another_from_making_a_child_is_told() {
        // The kernel takes no signal handlers along into a new memory, so it refuses the two flags together.
        let wrong = NamespaceFlags(linux_raw_sys::general::CLONE_SIGHAND as u64);
        assert_eq!(clone3_below(wrong, None, end_with_seven, &()).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn a_sharing_child_writes_where_its_maker_reads() {
        use std::sync::atomic::{AtomicI32, Ordering};
        let shared = AtomicI32::new(0);
        let stack = Stack::new().unwrap();
        let write = |shared: &AtomicI32| {
            shared.store(42, Ordering::SeqCst);
            3
        };
        let pid = clone_sharing_memory(&stack, Until::Executed, write, &shared).unwrap();
        let ended = crate::wait::wait_pid(pid, crate::wait::Wait::Ended).unwrap().unwrap();
        assert_eq!(ended.how, crate::wait::How::Exited(3));
        assert_eq!(shared.load(Ordering::SeqCst), 42);
    }
}
