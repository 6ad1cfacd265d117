//! A v1 hierarchy: a tree of its own for one or a few controllers. Groups go below our own group, so that limits set on us hold for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::file::open_dir;
use crate::parent::{Parent, obstacle};
use crate::procfs::{Flavor, Membership, Mount};
use crate::{ControllerSet, Missing};

/// One v1 hierarchy, as it is mounted here.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub controllers: ControllerSet,
    pub point: PathBuf,
    /// The path of our own group, or why it has none here.
    own: Result<PathBuf, Missing>,
    parent: OnceLock<Arc<Parent>>,
}

impl Hierarchy {
    /// The hierarchies among the mounts. Of several mounts of one hierarchy the most useful counts: one in which our own group has a
    /// path, then a writable one, then the latest, which covers earlier ones at the same place.
    pub(crate) fn all(mounts: &[Mount], memberships: &[Membership]) -> Vec<Hierarchy> {
        let mut found: Vec<Hierarchy> = Vec::new();
        for mount in mounts {
            let Flavor::V1(controllers) = mount.flavor else { continue };
            if controllers.is_empty() {
                continue;
            }
            let own = memberships.iter().find(|m| m.flavor == mount.flavor).map(|m| m.path.as_slice());
            let hierarchy = Hierarchy { controllers, point: mount.point.clone(), own: own_path(mount, own), parent: OnceLock::new() };
            match found.iter_mut().find(|h| h.controllers == controllers) {
                Some(earlier) if rank(&hierarchy.own) >= rank(&earlier.own) => *earlier = hierarchy,
                Some(_) => {}
                None => found.push(hierarchy),
            }
        }
        found
    }

    /// The path of our own group.
    pub(crate) fn own(&self) -> Result<&Path, Missing> {
        self.own.as_deref().map_err(Clone::clone)
    }

    /// Where groups are made. Kept once found; a failure is not, for it may pass (no descriptor left, say).
    pub(crate) fn parent(&self) -> Result<Arc<Parent>, Missing> {
        if let Some(parent) = self.parent.get() {
            return Ok(parent.clone());
        }
        let path = self.own()?;
        let dir = open_dir(rustix::fs::CWD, path).map_err(|errno| Missing::Unreadable { path: path.to_owned(), errno })?;
        match obstacle(&dir, path, &[]) {
            Some(missing) => Err(missing),
            None => Ok(self.parent.get_or_init(|| Arc::new(Parent::direct(dir, path.to_owned()))).clone()),
        }
    }
}

/// The path of our own group in `mount`; `own` is what `/proc/self/cgroup` says of this hierarchy.
pub(crate) fn own_path(mount: &Mount, own: Option<&[u8]>) -> Result<PathBuf, Missing> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let own = own.ok_or(Missing::NotMounted)?;
    if mount.flavor == Flavor::V2 && own.ends_with(b" (deleted)") {
        return Err(Missing::Deleted { own: lossy(own) });
    }
    let Some(inside) = crate::procfs::below(&mount.root, own) else {
        return Err(Missing::Hidden { point: mount.point.clone(), root: lossy(&mount.root), own: lossy(own) });
    };
    if mount.read_only {
        return Err(Missing::ReadOnly { point: mount.point.clone() });
    }
    // `join` of an empty path would append a slash.
    Ok(if inside.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(inside) })
}

/// How useful a mount is.
pub(crate) fn rank(own: &Result<PathBuf, Missing>) -> u8 {
    match own {
        Ok(_) => 2,
        Err(Missing::ReadOnly { .. }) => 1,
        Err(_) => 0,
    }
}
