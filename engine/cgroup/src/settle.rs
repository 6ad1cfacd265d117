//! Making room in our own v2 group, so that it can pass controllers on.
//!
//! A v2 group with processes of its own cannot pass controllers to groups inside it. Where nothing above it can be used either (a
//! container with its own cgroup namespace, a service or scope with `Delegate=yes`) the way systemd and the kernel document is to move
//! those processes to a leaf first. That is the process's own decision, so it is a call of its own and never done in passing.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, mkdirat, unlinkat};
use rustix::io::Errno;

use crate::file::{open_dir, read, write};
use crate::parent::is_tree_root;
use crate::wait::members;
use crate::{CgroupError, ControllerSet, Host, Missing};

/// Name of the leaf we move to.
const LEAF: &str = "enclos.self";

/// Our place in the leaf. Dropping it moves the process back and removes the leaf, if no group of ours is left beside it.
#[derive(Debug)]
pub struct Settled {
    own: OwnedFd,
    path: PathBuf,
}

impl Host {
    /// Moves the calling process, with all its threads, from its own v2 group to a leaf `enclos.self` in it, so that
    /// [`Host::create`] can enable controllers in the group. For a server to call once, early.
    ///
    /// `None` when there is nothing to do: no v2 tree, or we are in its root, which may have processes and pass controllers on.
    ///
    /// # Errors
    /// [`CgroupError::Unable`] when the group has other processes (they are somebody else's to move) or no path here;
    /// [`CgroupError::Io`] and [`CgroupError::Write`] where the kernel refuses.
    pub fn settle(&self) -> Result<Option<Settled>, CgroupError> {
        let Some(tree) = &self.v2 else { return Ok(None) };
        let path = tree.own().map_err(|missing| refused(&missing))?.to_owned();
        let io = |action, errno| CgroupError::Io { action, path: path.clone(), errno };
        let own = open_dir(rustix::fs::CWD, &path).map_err(|errno| io("open", errno))?;
        if is_tree_root(&own) {
            return Ok(None);
        }
        let me = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
        if members(&own).map_err(|errno| io("read", errno))? != [me] {
            return Err(CgroupError::Unable {
                name: path.display().to_string(),
                what: "be left for a leaf",
                why: "it has processes besides ours; move those first",
            });
        }
        match mkdirat(&own, LEAF, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(CgroupError::Io { action: "create", path: path.join(LEAF), errno }),
        }
        let leaf = open_dir(&own, LEAF).map_err(|errno| io("open", errno))?;
        enter(&leaf).map_err(|errno| {
            let _ = unlinkat(&own, LEAF, AtFlags::REMOVEDIR);
            CgroupError::Write { path: path.join(LEAF).join("cgroup.procs"), value: "0".to_owned(), errno }
        })?;
        Ok(Some(Settled { own, path }))
    }
}

impl Settled {
    /// The group that can now pass controllers on.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        const FILE: &str = "cgroup.subtree_control";
        // Refused, and so we stay where we are, while a group of ours uses a controller.
        let enabled = read(&self.own, FILE).map(|list| ControllerSet::from_v2(&list)).unwrap_or_default();
        if !enabled.is_empty() && write(&self.own, FILE, enabled.v2_request('-').as_bytes()).is_err() {
            return;
        }
        if enter(&self.own).is_ok() {
            let _ = unlinkat(&self.own, LEAF, AtFlags::REMOVEDIR);
        }
    }
}

fn enter(group: &OwnedFd) -> Result<(), Errno> {
    write(group, "cgroup.procs", b"0")
}

fn refused(missing: &Missing) -> CgroupError {
    CgroupError::Unable { name: missing.to_string(), what: "be left for a leaf", why: "our own v2 group has no path here" }
}
