//! The v2 tree: one hierarchy for all controllers, and its rule that a group which passes controllers on has no processes of its own.
//!
//! Where groups are made, for a set of needed controllers:
//! - nothing needed (a hybrid host, or only CPU time is measured): in our own group;
//! - else in a node below the nearest group, from our own upwards, that passes all of them on already and is writable to us. For root
//!   under systemd that is our slice; for a user the nearest part of the delegated `user@UID.service`. What limits that group limits us.
//! - else below the nearest one where they can be enabled: it has no processes of its own (a delegated group after
//!   [`Host::settle`](crate::Host::settle)), or is the root of the tree.
//!
//! Moving a process from our group to the new one needs write access to `cgroup.procs` of the group both are in (`cgroups(7)`, delegation
//! containment), which is the one the node is made in.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::file::{open_dir, read};
use crate::parent::{Parent, is_tree_root, may_enable, obstacle};
use crate::procfs::{Flavor, Membership, Mount};
use crate::v1::{own_path, rank};
use crate::{Controller, ControllerSet, Missing};

/// The v2 tree, as it is mounted here.
#[derive(Debug)]
pub(crate) struct Tree {
    pub point: PathBuf,
    /// The path of our own group, or why it has none here.
    own: Result<PathBuf, Missing>,
    chosen: Mutex<Vec<(ControllerSet, Arc<Parent>)>>,
}

impl Tree {
    /// The v2 tree among the mounts; of several the most useful (see [`Hierarchy::all`](crate::v1::Hierarchy::all)).
    pub(crate) fn find(mounts: &[Mount], memberships: &[Membership]) -> Option<Tree> {
        let own = memberships.iter().find(|m| m.flavor == Flavor::V2).map(|m| m.path.as_slice());
        mounts
            .iter()
            .filter(|mount| mount.flavor == Flavor::V2)
            .map(|mount| Tree { point: mount.point.clone(), own: own_path(mount, own), chosen: Mutex::default() })
            .max_by_key(|tree| rank(&tree.own))
    }

    /// The path of our own group.
    pub(crate) fn own(&self) -> Result<&Path, Missing> {
        self.own.as_deref().map_err(Clone::clone)
    }

    /// Our own group and those above it, up to the root of the mount.
    pub(crate) fn upwards(&self) -> Result<impl Iterator<Item = &Path>, Missing> {
        Ok(self.own()?.ancestors().take_while(|path| path.starts_with(&self.point)))
    }

    /// Where groups with the controllers `need` are made; a place once found is kept.
    pub(crate) fn parent(&self, need: ControllerSet) -> Result<Arc<Parent>, Missing> {
        let need = need.without(ControllerSet::V2_CORE);
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, parent)) = chosen.iter().find(|(set, _)| *set == need) {
            return Ok(parent.clone());
        }
        let parent = Arc::new(if need.is_empty() { self.within_own()? } else { self.near(need)? });
        chosen.push((need, parent.clone()));
        Ok(parent)
    }

    fn within_own(&self) -> Result<Parent, Missing> {
        let group = Candidate::open(self.own()?)?;
        group.usable()?;
        Ok(Parent::direct(group.dir, group.path.to_owned()))
    }

    fn near(&self, need: ControllerSet) -> Result<Parent, Missing> {
        let mut nearest = None;
        for enable in [false, true] {
            for path in self.upwards()? {
                match Candidate::open(path).and_then(|group| group.offer(need, enable)) {
                    Ok(parent) => return Ok(parent),
                    // Of all the reasons, that of our own group is the one to act on.
                    Err(missing) if enable => nearest = nearest.or(Some(missing)),
                    Err(_) => {}
                }
            }
        }
        Err(nearest.unwrap_or(Missing::NotMounted))
    }
}

/// Name of the node below a group; one per user, so that nobody blocks another's.
pub(crate) fn node_name() -> String {
    format!("enclos.{}", rustix::process::geteuid().as_raw())
}

/// A group that might take our node.
struct Candidate<'a> {
    dir: OwnedFd,
    path: &'a Path,
}

impl<'a> Candidate<'a> {
    fn open(path: &'a Path) -> Result<Self, Missing> {
        let dir = open_dir(rustix::fs::CWD, path).map_err(|errno| Missing::Unreadable { path: path.to_owned(), errno })?;
        Ok(Candidate { dir, path })
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, Missing> {
        read(&self.dir, name).map_err(|errno| Missing::Unreadable { path: self.path.join(name), errno })
    }

    /// Whether groups may be made here and processes moved from here into them.
    fn usable(&self) -> Result<(), Missing> {
        if let Some(missing) = obstacle(&self.dir, self.path, &["cgroup.procs"]) {
            return Err(missing);
        }
        if is_tree_root(&self.dir) {
            return Ok(());
        }
        match self.file("cgroup.type")?.trim_ascii() {
            b"domain" => Ok(()),
            kind => Err(Missing::Threaded { dir: self.path.to_owned(), kind: String::from_utf8_lossy(kind).into_owned() }),
        }
    }

    /// A node below this group, if it passes all of `need` on, or (`enable`) can be made to.
    fn offer(self, need: ControllerSet, enable: bool) -> Result<Parent, Missing> {
        let refuse = |set: ControllerSet, why: fn(Controller, PathBuf) -> Missing| match set.iter().next() {
            Some(controller) => Err(why(controller, self.path.to_owned())),
            None => Ok(()),
        };
        let available = ControllerSet::from_v2(&self.file("cgroup.controllers")?);
        refuse(need.without(available), |controller, dir| Missing::NotAvailable { controller, dir })?;
        let passed_on = ControllerSet::from_v2(&self.file("cgroup.subtree_control")?);
        let lacking = need.without(passed_on);
        if !lacking.is_empty() {
            if let Some(missing) = obstacle(&self.dir, self.path, &["cgroup.subtree_control"]) {
                return Err(missing);
            }
            let enable =
                enable && may_enable(&self.dir).map_err(|errno| Missing::Unreadable { path: self.path.join("cgroup.procs"), errno })?;
            if !enable {
                refuse(lacking, |controller, dir| Missing::Populated { controller, dir })?;
            }
        }
        self.usable()?;
        Ok(Parent::with_node(self.dir, self.path.to_owned(), node_name(), need))
    }
}
