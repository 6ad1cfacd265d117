//! The three calls of `landlock(7)`, child-safe: rules name objects of the new root, which only the child can open.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use linux_raw_sys::general::{__NR_landlock_add_rule, __NR_landlock_create_ruleset, __NR_landlock_restrict_self};
use linux_raw_sys::landlock as abi;

use crate::Errno;
use crate::raw::syscall;

/// Access rights on files, `LANDLOCK_ACCESS_FS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAccess(u64);

macro_rules! access {
    ($($(#[$doc:meta])* $name:ident = $($flag:ident)|+;)+) => {
        impl FileAccess { $($(#[$doc])* pub const $name: Self = Self($(abi::$flag as u64)|+);)+ }
    };
}

access! {
    /// Reading files and directories, and executing.
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    /// Reading one file.
    READ_FILE = LANDLOCK_ACCESS_FS_READ_FILE;
    /// Writing one file, and cutting it.
    WRITE_FILE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
    /// Commands to devices.
    DEVICE = LANDLOCK_ACCESS_FS_IOCTL_DEV;
    /// Everything that changes a tree, special files other than devices included.
    WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE
        | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
        | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
    /// Device nodes.
    MAKE_DEVICE = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
}

impl FileAccess {
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Only what a kernel of this ABI knows (landlock(7), "Compatibility"): REFER from 2, TRUNCATE from 3, IOCTL_DEV from 5.
    #[must_use]
    pub const fn known_to(self, abi_version: u32) -> Self {
        let mut bits = self.0;
        if abi_version < 2 {
            bits &= !(abi::LANDLOCK_ACCESS_FS_REFER as u64);
        }
        if abi_version < 3 {
            bits &= !(abi::LANDLOCK_ACCESS_FS_TRUNCATE as u64);
        }
        if abi_version < 5 {
            bits &= !(abi::LANDLOCK_ACCESS_FS_IOCTL_DEV as u64);
        }
        Self(bits)
    }

    /// Everything this crate names.
    pub const ALL: Self = Self::READ.and(Self::WRITE).and(Self::DEVICE).and(Self::MAKE_DEVICE);
}

/// What a ruleset takes away unless a rule gives it back.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    /// Of the file system.
    pub files: FileAccess,
    /// TCP bind and connect (ABI 4).
    pub tcp: bool,
    /// Abstract Unix sockets and signals of processes outside (ABI 6).
    pub scopes: bool,
}

/// The ABI version the running kernel speaks; 0 when Landlock is absent or off.
pub fn abi_version() -> u32 {
    // SAFETY: with a null attribute, size 0 and the version flag the call only answers a number.
    unsafe { syscall(__NR_landlock_create_ruleset, [0, 0, abi::LANDLOCK_CREATE_RULESET_VERSION as usize, 0, 0, 0]) }
        .map_or(0, |version| version as u32)
}

/// Makes a ruleset. Child-safe.
///
/// # Errors
/// What landlock_create_ruleset(2) says.
pub fn create(handled: &Handled) -> Result<OwnedFd, Errno> {
    let attr = abi::landlock_ruleset_attr {
        handled_access_fs: handled.files.0,
        handled_access_net: if handled.tcp { (abi::LANDLOCK_ACCESS_NET_BIND_TCP | abi::LANDLOCK_ACCESS_NET_CONNECT_TCP) as u64 } else { 0 },
        scoped: if handled.scopes { (abi::LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | abi::LANDLOCK_SCOPE_SIGNAL) as u64 } else { 0 },
    };
    // An older kernel refuses a larger struct only when the part it does not know is not zero.
    // SAFETY: `attr` has the size told and lives across the call.
    let fd = unsafe { syscall(__NR_landlock_create_ruleset, [&raw const attr as usize, std::mem::size_of_val(&attr), 0, 0, 0, 0]) }?;
    // SAFETY: a descriptor the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Gives `access` back on a file, or on a directory and all below it. Child-safe.
///
/// # Errors
/// What landlock_add_rule(2) says; `EBADFD` for an object of an internal file system (a pipe, a socket), which Landlock does not govern.
pub fn allow(ruleset: impl AsFd, object: impl AsFd, access: FileAccess) -> Result<(), Errno> {
    let attr = abi::landlock_path_beneath_attr { allowed_access: access.0, parent_fd: object.as_fd().as_raw_fd() };
    let kind = abi::landlock_rule_type::LANDLOCK_RULE_PATH_BENEATH as usize;
    // SAFETY: the kernel reads the packed struct of exactly this layout, which lives across the call.
    unsafe { syscall(__NR_landlock_add_rule, [ruleset.as_fd().as_raw_fd() as usize, kind, &raw const attr as usize, 0, 0, 0]) }.map(drop)
}

/// Puts the ruleset in force for this thread and all it makes, for good. `no_new_privs` must be set. Child-safe.
///
/// # Errors
/// What landlock_restrict_self(2) says.
pub fn restrict_self(ruleset: impl AsFd) -> Result<(), Errno> {
    // SAFETY: takes two numbers.
    unsafe { syscall(__NR_landlock_restrict_self, [ruleset.as_fd().as_raw_fd() as usize, 0, 0, 0, 0, 0]) }.map(drop)
}
