//! What an attempt does, in a process of its own: each function is one thing a sandbox's set-up does too.
//!
//! Everything here runs between clone and exec and obeys the rule of `enclos-sys`: no allocation, no lock, no log.

use std::os::fd::{AsFd, OwnedFd};

use enclos_sys::landlock::{self, FileAccess, Handled};
use enclos_sys::mount::make_private;
use enclos_sys::{Errno, capability, fd, net, seccomp};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, open, openat, unlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    move_mount,
};

/// What an attempt does.
pub type Act = fn() -> Result<(), Errno>;

/// Nothing: the clone itself is the attempt.
pub fn nothing() -> Result<(), Errno> {
    Ok(())
}

/// Uses a capability that a new user namespace gives: AppArmor may let the namespace be made and take its capabilities away.
pub fn use_capability() -> Result<(), Errno> {
    capability::bound(0)
}

/// In a new pid namespace this is process 1.
pub fn be_first() -> Result<(), Errno> {
    if rustix::process::getpid().is_init() { Ok(()) } else { Err(Errno::CHILD) }
}

/// Changes the propagation of every mount, with `mount_setattr(2)`.
pub fn separate_mounts() -> Result<(), Errno> {
    make_private(root()?)
}

/// Sets a host name.
pub fn set_host_name() -> Result<(), Errno> {
    rustix::system::sethostname(b"enclos")
}

/// Brings up the loopback interface.
pub fn loopback() -> Result<(), Errno> {
    net::loopback_up()
}

/// A cgroup namespace.
pub fn cgroup_namespace() -> Result<(), Errno> {
    capability::new_cgroup_namespace()
}

/// `close_range(2)`: marks, closes nothing.
pub fn close_range() -> Result<(), Errno> {
    fd::close_from(3, true)
}

/// A tmpfs with a size, made and attached with the new mount API.
pub fn tmpfs() -> Result<(), Errno> {
    over_root().map(drop)
}

/// A fresh `/proc`; the kernel refuses one that would show more than the one around us.
pub fn proc() -> Result<(), Errno> {
    let context = fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"hidepid", c"2")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC).map(drop)
}

/// A private devpts, and a terminal from it.
pub fn devpts() -> Result<(), Errno> {
    let context = fsopen(c"devpts", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"ptmxmode", c"0666")?;
    fsconfig_create(&context)?;
    let devpts = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    openat(devpts, c"ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

/// An overlay with its writable layer on a tmpfs.
pub fn overlay() -> Result<(), Errno> {
    overlay_mount().map(drop)
}

/// In an overlay, a directory of the lower layer removed and made again: the new one must be marked as opaque, which takes user extended attributes.
pub fn overlay_replaces() -> Result<(), Errno> {
    let overlay = overlay_mount()?;
    unlinkat(&overlay, c"d", AtFlags::REMOVEDIR)?;
    mkdirat(&overlay, c"d", Mode::RWXU)
}

/// A filter that allows everything.
pub fn filter() -> Result<(), Errno> {
    // BPF_RET | BPF_K with SECCOMP_RET_ALLOW, as struct sock_filter lies in memory.
    const ALLOW: u32 = 0x7fff_0000;
    let [a, b, c, d] = ALLOW.to_ne_bytes();
    let [low, high] = 0x06u16.to_ne_bytes();
    capability::no_new_privileges()?;
    seccomp::install(&[low, high, 0, 0, a, b, c, d])
}

/// A ruleset of the first ABI's rights, in force.
pub fn landlock() -> Result<(), Errno> {
    capability::no_new_privileges()?;
    let ruleset = landlock::create(&Handled { files: FileAccess::READ.known_to(1), tcp: false, scopes: false })?;
    landlock::restrict_self(&ruleset)
}

const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

fn root() -> Result<OwnedFd, Errno> {
    open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// A tmpfs over this mount namespace's root, which nobody else sees.
fn over_root() -> Result<OwnedFd, Errno> {
    let root = root()?;
    make_private(&root)?;
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"size", c"1048576")?;
    fsconfig_create(&context)?;
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE)?;
    attach(&tree, &root)?;
    Ok(tree)
}

fn attach(tree: &OwnedFd, at: impl AsFd) -> Result<(), Errno> {
    move_mount(tree, c"", at, c"", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH)
}

fn overlay_mount() -> Result<OwnedFd, Errno> {
    let layers = over_root()?;
    rustix::process::fchdir(&layers)?;
    for name in [c"lower", c"upper", c"work", c"lower/d"] {
        mkdirat(CWD, name, Mode::RWXU)?;
    }
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"lowerdir", c"lower")?;
    fsconfig_set_string(&context, c"upperdir", c"upper")?;
    fsconfig_set_string(&context, c"workdir", c"work")?;
    fsconfig_set_flag(&context, c"userxattr")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE)
}
