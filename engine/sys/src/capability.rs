//! Capabilities by number (`capabilities(7)`), securebits and namespaces of users, child-safe.

use linux_raw_sys::general::{__NR_capset, __NR_prctl, __NR_unshare};

use crate::Errno;
use crate::raw::syscall;

/// Highest capability number this crate deals with (`CAP_CHECKPOINT_RESTORE`); the kernel answers `EINVAL` for those it does not know.
pub const LAST: u8 = 40;

fn prctl(operation: i32, a: usize, b: usize) -> Result<usize, Errno> {
    // SAFETY: the operations used in this file take numbers only.
    unsafe { syscall(__NR_prctl, [operation as usize, a, b, 0, 0, 0]) }
}

/// Drops from the bounding set all but `keep` (bit n stands for capability n).
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn bound(keep: u64) -> Result<(), Errno> {
    for number in 0..=63u8 {
        if keep & (1 << number) == 0 {
            match prctl(libc::PR_CAPBSET_DROP, usize::from(number), 0) {
                // Past the last one this kernel knows.
                Err(Errno::INVAL) => break,
                other => other?,
            };
        }
    }
    Ok(())
}

/// The highest capability this kernel knows: `PR_CAPBSET_READ` refuses any above (prctl(2)).
#[must_use]
pub fn last_known() -> u8 {
    let known = |number: u8| prctl(libc::PR_CAPBSET_READ, usize::from(number), 0).is_ok();
    // CAP_CHECKPOINT_RESTORE, of Linux 5.9, is a good guess.
    let mut last = 40;
    while last < 63 && known(last + 1) {
        last += 1;
    }
    while last > 0 && !known(last) {
        last -= 1;
    }
    last
}

/// Sets effective and permitted to `set`, and the inheritable set.
///
/// # Errors
/// `EPERM` for one that is not permitted now.
pub fn set(set: u64, inheritable: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Half {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |bits: u32, inheritable: u32| Half { effective: bits, permitted: bits, inheritable };
    let data = [half(set as u32, inheritable as u32), half((set >> 32) as u32, (inheritable >> 32) as u32)];
    // SAFETY: both structs have the layout of capset(2), version 3, and live across the call.
    unsafe { syscall(__NR_capset, [&raw const header as usize, data.as_ptr() as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Clears the ambient set, then raises `set` in it.
///
/// # Errors
/// What prctl(2), PR_CAP_AMBIENT, says.
pub fn set_ambient(set: u64) -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
    for number in 0..=63usize {
        if set & (1 << number) != 0 {
            prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, number)?;
        }
    }
    Ok(())
}

/// Locks securebits: user 0 is nobody special, changing ids changes no capability set, nothing can be raised in the ambient set.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn lock_securebits() -> Result<(), Errno> {
    // NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their locks, and the lock of KEEP_CAPS (linux/securebits.h).
    const BITS: usize = 0b1110_1111;
    prctl(libc::PR_SET_SECUREBITS, BITS, 0).map(drop)
}

/// Whether all of these capabilities are in effect (bit n stands for capability n).
#[must_use]
pub fn has(all: u64) -> bool {
    effective().is_ok_and(|set| set & all == all)
}

/// `CAP_SETGID`, `CAP_SETUID` and `CAP_SYS_ADMIN`: what it takes to map ids and to mount with the host's rights.
pub const MAP_AND_MOUNT: u64 = 1 << 6 | 1 << 7 | 1 << 21;

/// `prctl(PR_SET_NO_NEW_PRIVS)`.
///
/// # Errors
/// None on any kernel since 3.5.
pub fn no_new_privileges() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Makes a new user namespace for this process (`unshare(CLONE_NEWUSER)`). Only children and single-threaded processes can.
///
/// # Errors
/// What unshare(2) says; `ENOSPC` past `user.max_user_namespaces`, `EINVAL` in a multi-threaded process.
pub fn new_user_namespace() -> Result<(), Errno> {
    // SAFETY: takes a number. The kernel refuses a multi-threaded caller, so no thread is left with other credentials than its siblings.
    unsafe { syscall(__NR_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Makes a new network namespace for this process alone (`unshare(CLONE_NEWNET)`), owned by the user namespace it is in.
///
/// # Errors
/// What unshare(2) says; `ENOSPC` past `user.max_net_namespaces`.
pub fn new_network_namespace() -> Result<(), Errno> {
    // SAFETY: takes a number; changes which network this thread's calls see and nothing else.
    unsafe { syscall(__NR_unshare, [libc::CLONE_NEWNET as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Makes a new cgroup namespace whose roots are the groups this process is in now (`unshare(CLONE_NEWCGROUP)`, cgroup_namespaces(7)).
///
/// # Errors
/// What unshare(2) says.
pub fn new_cgroup_namespace() -> Result<(), Errno> {
    // SAFETY: takes a number; changes what this process sees of its groups and nothing else.
    unsafe { syscall(__NR_unshare, [libc::CLONE_NEWCGROUP as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// The set of capabilities in effect (`CapEff` of this thread), as a mask.
///
/// # Errors
/// What capget(2) says.
pub fn effective() -> Result<u64, Errno> {
    rustix::thread::capabilities(None).map(|sets| sets.effective.bits())
}
