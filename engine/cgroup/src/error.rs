//! What can go wrong, and why a controller is missing.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::Controller;

/// Why this host does not give us a controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No hierarchy with it is mounted here.
    #[error("not mounted")]
    NotMounted,
    /// The only mount of its hierarchy starts above or beside our own group, so our group has no path in it (a cgroup namespace
    /// over a mount made outside it, `cgroup_namespaces(7)`).
    #[error("our own group {own} is not below the root {root} of the mount {point}")]
    Hidden {
        /// The mount point.
        point: PathBuf,
        /// Which group is the root of the mount, as `/proc/self/mountinfo` says.
        root: String,
        /// Which group is ours, as `/proc/self/cgroup` says.
        own: String,
    },
    /// Our own group has been removed while we were in it.
    #[error("our own group {own} has been deleted")]
    Deleted {
        /// Which group is ours, as `/proc/self/cgroup` says.
        own: String,
    },
    /// The mount is read-only.
    #[error("{} is mounted read-only", point.display())]
    ReadOnly {
        /// The mount point.
        point: PathBuf,
    },
    /// We may not make groups there, or may not move processes out of there.
    #[error("{} is not writable by uid {uid}", path.display())]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// Our effective user id.
        uid: u32,
    },
    /// v2: no group above ours was given it.
    #[error("v2 {controller}: not in cgroup.controllers of {}", dir.display())]
    NotAvailable {
        /// Which.
        controller: Controller,
        /// The group that lacks it.
        dir: PathBuf,
    },
    /// v2: the group could pass it on, but has processes of its own ("no internal processes", `cgroups(7)`).
    #[error("v2 {controller}: not in cgroup.subtree_control of {}, and cannot be enabled there while it has processes of its own", dir.display())]
    Populated {
        /// Which.
        controller: Controller,
        /// The group with processes.
        dir: PathBuf,
    },
    /// v2: the group is part of a threaded subtree, below which no process can be put.
    #[error("v2: {} is of type \"{kind}\"", dir.display())]
    Threaded {
        /// The group.
        dir: PathBuf,
        /// The content of its `cgroup.type`.
        kind: String,
    },
    /// The kernel refused to show or open it.
    #[error("cannot open {}: {errno}", path.display())]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
}

/// A failure of this crate. Every message is one line and names the file or directory.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A limit was asked for whose controller this host does not give us.
    #[error("the {controller} controller is missing: {reason}")]
    MissingController {
        /// Which.
        controller: Controller,
        /// Why.
        reason: Missing,
    },
    /// The kernel refused a limit.
    #[error("cannot write {value:?} to {}: {errno}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// Some other call on a group failed.
    #[error("cannot {action} {}: {errno}", path.display())]
    Io {
        /// E.g. `create`, `read`, `remove`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
    /// Something that had to happen in time did not.
    #[error("{} {what} within {milliseconds} ms", path.display())]
    TooLate {
        /// The group.
        path: PathBuf,
        /// E.g. `is not frozen`.
        what: &'static str,
        /// How long was waited.
        milliseconds: u64,
    },
    /// The group has no hierarchy that can do it.
    #[error("group {name} cannot {what}: {why}")]
    Unable {
        /// The group.
        name: String,
        /// E.g. `freeze`.
        what: &'static str,
        /// What it would take.
        why: &'static str,
    },
    /// A file of the kernel does not read as documented.
    #[error("{}: {text:?} is not {wanted}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its content, shortened.
        text: String,
        /// What was expected.
        wanted: &'static str,
    },
}

impl CgroupError {
    /// What the kernel said, where a call failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            CgroupError::Write { errno, .. } | CgroupError::Io { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
