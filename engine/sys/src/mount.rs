//! `mount_setattr(2)`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use linux_raw_sys::general::{
    __NR_mount_setattr, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, mount_attr,
};

use crate::Errno;
use crate::raw::syscall;

/// Attributes to set on a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// None.
    pub const NONE: Self = Self(0);
    /// `MOUNT_ATTR_RDONLY`.
    pub const READ_ONLY: Self = Self(MOUNT_ATTR_RDONLY as u64);
    /// `MOUNT_ATTR_NOSUID`.
    pub const NO_SUID: Self = Self(MOUNT_ATTR_NOSUID as u64);
    /// `MOUNT_ATTR_NODEV`.
    pub const NO_DEVICES: Self = Self(MOUNT_ATTR_NODEV as u64);
    /// `MOUNT_ATTR_NOEXEC`.
    pub const NO_EXEC: Self = Self(MOUNT_ATTR_NOEXEC as u64);
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Sets attributes on the mount that `mount` refers to and, with `recursive`, on all below it, in one step. Child-safe.
///
/// # Errors
/// What mount_setattr(2) says; `EPERM` when an attribute is locked or the file system belongs to another user namespace.
pub fn set_attributes(mount: impl AsFd, attributes: Attributes, recursive: bool) -> Result<(), Errno> {
    change(mount.as_fd(), mount_attr { attr_set: attributes.0, attr_clr: 0, propagation: 0, userns_fd: 0 }, recursive)
}

/// Maps the owners of a detached mount's files through a user namespace's id maps. Needs `CAP_SYS_ADMIN` where the file system was mounted.
///
/// # Errors
/// What mount_setattr(2) says; `EINVAL` for a file system that cannot (see the manual's list).
pub fn set_id_map(mount: impl AsFd, user_namespace: impl AsFd) -> Result<(), Errno> {
    let userns_fd = user_namespace.as_fd().as_raw_fd() as u64;
    change(mount.as_fd(), mount_attr { attr_set: MOUNT_ATTR_IDMAP as u64, attr_clr: 0, propagation: 0, userns_fd }, true)
}

/// Both in one step, on one mount.
///
/// # Errors
/// As for [`set_attributes`] and [`set_id_map`].
pub fn set_attributes_and_id_map(mount: impl AsFd, attributes: Attributes, user_namespace: impl AsFd) -> Result<(), Errno> {
    let userns_fd = user_namespace.as_fd().as_raw_fd() as u64;
    change(mount.as_fd(), mount_attr { attr_set: attributes.0 | MOUNT_ATTR_IDMAP as u64, attr_clr: 0, propagation: 0, userns_fd }, false)
}

/// Stops mounts and unmounts from travelling between this mount tree and any other (`MS_PRIVATE`, recursive). Child-safe.
///
/// # Errors
/// What mount_setattr(2) says.
pub fn make_private(mount: impl AsFd) -> Result<(), Errno> {
    change(mount.as_fd(), mount_attr { attr_set: 0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 }, true)
}

fn change(mount: BorrowedFd<'_>, attr: mount_attr, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a static empty string; `attr` has the size told and lives across the call.
    unsafe {
        syscall(
            __NR_mount_setattr,
            [
                mount.as_raw_fd() as usize,
                c"".as_ptr() as usize,
                flags as usize,
                &raw const attr as usize,
                std::mem::size_of::<mount_attr>(),
                0,
            ],
        )
    }
    .map(drop)
}
