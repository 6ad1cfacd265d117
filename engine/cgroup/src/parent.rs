//! The directory our groups are made in.
//!
//! On v1, and on v2 where no controller is needed, that is our own group. On v2 with controllers it is a *node*, `enclos.UID`, below a
//! group that may pass the controllers on. The node exists while groups are in it: whoever makes a group makes the node, whoever
//! removes the last group removes the node, and any number of processes do so at once. Two rules make that safe:
//! - a node with a group in it cannot be removed (`EBUSY`), so after a successful `mkdir` in it the node stays;
//! - in a removed node every call fails (`ENOENT`, `ENODEV`), so a maker that comes too late sees it and starts over.
//!
//! The node also holds the controllers in place: a parent cannot disable one that a child passes on, so no service manager can take a
//! limit away from below us by tidying up.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, mkdirat, unlinkat};
use rustix::io::Errno;

use crate::file::{open_dir, read, write};
use crate::{CgroupError, ControllerSet};

/// How often a maker starts over when peers keep removing the node under it.
const ATTEMPTS: usize = 32;

/// Permission bits of what we make: as the kernel's own groups, readable to all, writable to us.
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);

/// Where groups are made.
#[derive(Debug)]
pub(crate) struct Parent {
    base: Arc<OwnedFd>,
    base_path: PathBuf,
    node: Option<Node>,
}

#[derive(Debug)]
struct Node {
    name: String,
    /// What the node must pass on.
    need: ControllerSet,
    /// The node, while we believe it exists.
    dir: Mutex<Option<Arc<OwnedFd>>>,
    /// Groups this process has in the node; at 0 we try to remove it.
    live: AtomicUsize,
}

/// A group just made.
#[derive(Debug)]
pub(crate) struct Made {
    /// The group.
    pub dir: OwnedFd,
    /// The directory it is in.
    pub within: Arc<OwnedFd>,
}

impl Parent {
    /// Groups go straight into `base`.
    pub(crate) fn direct(base: OwnedFd, base_path: PathBuf) -> Self {
        Parent { base: Arc::new(base), base_path, node: None }
    }

    /// Groups go into `base/name`, which passes `need` on.
    pub(crate) fn with_node(base: OwnedFd, base_path: PathBuf, name: String, need: ControllerSet) -> Self {
        let node = Node { name, need, dir: Mutex::new(None), live: AtomicUsize::new(0) };
        Parent { base: Arc::new(base), base_path, node: Some(node) }
    }

    /// One in which a group of ours is already.
    pub(crate) fn entered(self) -> Self {
        if let Some(node) = &self.node {
            node.live.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    /// The path of the directory groups are made in.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.node {
            Some(node) => self.base_path.join(&node.name),
            None => self.base_path.clone(),
        }
    }

    /// Makes the group `name`, and the node first where there is none.
    pub(crate) fn make(&self, name: &str) -> Result<Made, CgroupError> {
        let mut last = Errno::NOENT;
        for _ in 0..ATTEMPTS {
            let within = match self.within() {
                Ok(within) => within,
                Err((_, errno)) if self.node.is_some() && is_gone(errno) => {
                    last = errno;
                    continue;
                }
                Err((action, errno)) => return Err(CgroupError::Io { action, path: self.path(), errno }),
            };
            match mkdirat(&*within, name, DIR_MODE) {
                Ok(()) => return self.enter(within, name),
                Err(errno) if self.node.is_some() && is_gone(errno) => {
                    self.forget(&within);
                    last = errno;
                }
                Err(errno) => return Err(self.io("create", name, errno)),
            }
        }
        Err(self.io("create", name, last))
    }

    fn enter(&self, within: Arc<OwnedFd>, name: &str) -> Result<Made, CgroupError> {
        if let Some(node) = &self.node {
            node.live.fetch_add(1, Ordering::Relaxed);
        }
        match open_dir(&*within, name) {
            Ok(dir) => Ok(Made { dir, within }),
            Err(errno) => {
                let _ = unlinkat(&*within, name, AtFlags::REMOVEDIR);
                self.left();
                Err(self.io("open", name, errno))
            }
        }
    }

    /// Says that one group made here is gone; removes the node when it was our last. That fails harmlessly when peers have groups there.
    pub(crate) fn left(&self) {
        if let Some(node) = &self.node
            && node.live.fetch_sub(1, Ordering::Relaxed) == 1
        {
            let _ = unlinkat(&*self.base, node.name.as_str(), AtFlags::REMOVEDIR);
        }
    }

    /// The directory groups are made in, made ready if need be.
    fn within(&self) -> Result<Arc<OwnedFd>, (&'static str, Errno)> {
        let Some(node) = &self.node else { return Ok(self.base.clone()) };
        let mut cached = node.dir.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = &*cached {
            return Ok(dir.clone());
        }
        match mkdirat(&*self.base, node.name.as_str(), DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(("create", errno)),
        }
        let dir = open_dir(&*self.base, node.name.as_str()).map_err(|errno| ("open", errno))?;
        self.pass_on(&dir, node.need)?;
        let dir = Arc::new(dir);
        *cached = Some(dir.clone());
        Ok(dir)
    }

    /// Makes the node pass `need` on, and the base too where it does not yet.
    fn pass_on(&self, dir: &OwnedFd, need: ControllerSet) -> Result<(), (&'static str, Errno)> {
        const FILE: &str = "cgroup.subtree_control";
        let request = need.v2_request('+');
        match write(dir, FILE, request.as_bytes()) {
            // The node does not have the controller: the base must pass it on first.
            Err(Errno::NOENT) if may_enable(&self.base).map_err(|errno| ("read the processes above", errno))? => {
                write(&*self.base, FILE, request.as_bytes()).map_err(|errno| ("enable controllers above", errno))?;
                write(dir, FILE, request.as_bytes())
            }
            result => result,
        }
        .map_err(|errno| ("enable controllers in", errno))
    }

    /// Drops the cached node, unless somebody has renewed it since.
    fn forget(&self, dead: &Arc<OwnedFd>) {
        if let Some(node) = &self.node {
            let mut cached = node.dir.lock().unwrap_or_else(PoisonError::into_inner);
            if cached.as_ref().is_some_and(|dir| Arc::ptr_eq(dir, dead)) {
                *cached = None;
            }
        }
    }

    fn io(&self, action: &'static str, name: &str, errno: Errno) -> CgroupError {
        CgroupError::Io { action, path: self.path().join(name), errno }
    }
}

fn is_gone(errno: Errno) -> bool {
    errno == Errno::NOENT || errno == Errno::NODEV
}

/// Whether controllers may be enabled in a v2 group: it has no process of its own, or is the root of the whole tree (which alone has
/// no `cgroup.type`). The kernel itself would let us enable threaded controllers beside processes, and thereby turn the group into a
/// threaded domain where no sandbox can live; so this is looked up, not tried.
pub(crate) fn may_enable(dir: &OwnedFd) -> Result<bool, Errno> {
    Ok(is_tree_root(dir) || read(dir, "cgroup.procs")?.is_empty())
}

/// Whether a v2 group is the root of the whole tree.
pub(crate) fn is_tree_root(dir: &OwnedFd) -> bool {
    rustix::fs::accessat(dir, "cgroup.type", rustix::fs::Access::EXISTS, AtFlags::empty()) == Err(Errno::NOENT)
}

/// What refuses us a directory, where something does: both making groups in it and moving processes out of it must be allowed.
pub(crate) fn obstacle(dir: &OwnedFd, path: &Path, files: &[&str]) -> Option<crate::Missing> {
    use rustix::fs::{Access, accessat};
    for name in std::iter::once(&".").chain(files) {
        let access = if *name == "." { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
        let path = if *name == "." { path.to_owned() } else { path.join(name) };
        match accessat(dir, *name, access, AtFlags::EACCESS) {
            Ok(()) => {}
            Err(Errno::ROFS) => return Some(crate::Missing::ReadOnly { point: path }),
            Err(Errno::ACCESS | Errno::PERM) => {
                return Some(crate::Missing::NotWritable { path, uid: rustix::process::geteuid().as_raw() });
            }
            Err(errno) => return Some(crate::Missing::Unreadable { path, errno }),
        }
    }
    None
}
