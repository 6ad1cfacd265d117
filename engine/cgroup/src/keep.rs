//! Groups that outlive the process which made them, because somebody holds on to them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use crate::file::open_dir;
use crate::group::Node;
use crate::parent::Parent;
use crate::v2::node_name;
use crate::{CgroupError, ControllerSet, Group, Limits, Name, Pressure, Version};

/// Where a group is in one hierarchy, for whoever finds it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNode {
    /// Which kind of hierarchy.
    pub version: Version,
    /// What it is used for there.
    pub controllers: ControllerSet,
    /// The group's directory.
    pub path: PathBuf,
}

impl Group {
    /// Keeps the group from being taken for a leftover when this process has ended, for as long as anybody holds the descriptor or a copy of it (`flock(2)`); `None`
    /// for a group that is nowhere.
    ///
    /// # Errors
    /// Whatever opening its directory gives.
    pub fn keep(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Some(node) = self.nodes.first() else { return Ok(None) };
        let failed = |errno| self.io("hold", node, "", errno);
        let directory = openat(&node.dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        flock(&directory, FlockOperation::LockShared).map_err(failed)?;
        self.kept.store(true, Ordering::Relaxed);
        Ok(Some(directory))
    }

    /// Where it is.
    #[must_use]
    pub fn kept_nodes(&self) -> Vec<KeptNode> {
        self.nodes.iter().map(|node| KeptNode { version: node.version, controllers: node.controllers, path: self.path(node) }).collect()
    }

    /// Takes a group over that another process has made and kept: from here on it is removed with this value. `limits`: those it was made with.
    ///
    /// # Errors
    /// [`CgroupError::Io`] for a directory that is not there (`ENOENT`) or not named as the group is (`EINVAL`).
    pub fn adopt(name: &Name, limits: &Limits, kept: Vec<KeptNode>) -> Result<Group, CgroupError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |errno: Errno| CgroupError::Io { action: "find", path, errno }
        };
        let mut nodes = Vec::with_capacity(kept.len());
        for KeptNode { version, controllers, path } in kept {
            let within = match path.parent() {
                Some(within) if path.file_name().is_some_and(|last| last == name.as_str()) => within,
                _ => return Err(failed(&path)(Errno::INVAL)),
            };
            let dir = open_dir(CWD, &path).map_err(failed(&path))?;
            let within_dir = Arc::new(open_dir(CWD, within).map_err(failed(within))?);
            let parent = match within.parent() {
                Some(base) if version == Version::V2 && within.file_name().is_some_and(|last| last == node_name().as_str()) => {
                    let base_dir = open_dir(CWD, base).map_err(failed(base))?;
                    Parent::with_node(base_dir, base.to_owned(), node_name(), controllers.without(ControllerSet::V2_CORE)).entered()
                }
                _ => Parent::direct(open_dir(CWD, within).map_err(failed(within))?, within.to_owned()),
            };
            nodes.push(Node { version, controllers, dir, within: within_dir, parent: Arc::new(parent) });
        }
        Ok(Group {
            name: name.clone(),
            nodes,
            v1_tasks: Vec::new(),
            unmetered: Vec::new(),
            weaker: Vec::new(),
            limits: limits.clone(),
            unset: false,
            kept: AtomicBool::new(true),
            memory_limit: limits.memory,
            clock: OnceLock::new(),
            clock_before: [0; 3],
            pressure_before: Pressure::default(),
            seen_memory: AtomicU64::new(0),
            seen_pids: AtomicU64::new(0),
        })
    }
}
