//! What control groups this host gives us.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::CWD;
use rustix::io::Errno;

use crate::file::read;
use crate::parent::Parent;
use crate::procfs::{cgroup_mounts, memberships};
use crate::v1::Hierarchy;
use crate::v2::Tree;
use crate::{CgroupError, Controller, ControllerSet, Limits, Missing};

/// The kernel's texts from which a host is read.
#[derive(Clone, Debug, Default)]
pub struct ProcView {
    /// Content of `/proc/self/mountinfo`.
    pub mountinfo: Vec<u8>,
    /// Content of `/proc/self/cgroup`.
    pub cgroup: Vec<u8>,
    /// What of it is not to be used.
    pub restrict: Restrict,
}

/// Hides part of a host, to see (or to test) what is left on a lesser one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restrict {
    /// Everything is used.
    #[default]
    Nothing,
    /// The v2 tree is not used.
    V1Only,
    /// The v1 hierarchies are not used.
    V2Only,
    /// No control group is used.
    NoCgroups,
}

impl ProcView {
    /// Reads the two files of the calling process.
    ///
    /// # Errors
    /// Whatever opening or reading `/proc/self/mountinfo` or `/proc/self/cgroup` gives. A kernel without control groups has no
    /// `/proc/self/cgroup`; that is no error, but an empty one.
    pub fn read() -> std::io::Result<Self> {
        let cgroup = match read(CWD, "/proc/self/cgroup") {
            Err(Errno::NOENT) => Vec::new(),
            result => result?,
        };
        Ok(ProcView { mountinfo: read(CWD, "/proc/self/mountinfo")?, cgroup, restrict: Restrict::Nothing })
    }

    /// The same view with part of the host hidden.
    #[must_use]
    pub fn restricted(mut self, restrict: Restrict) -> Self {
        self.restrict = restrict;
        self
    }
}

/// The four kinds of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only the v2 tree.
    V2,
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies and a v2 tree beside them, which has only the controllers that no v1 hierarchy took.
    Hybrid,
    /// No control groups.
    None,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::V2 => "v2",
            Kind::V1 => "v1",
            Kind::Hybrid => "hybrid (v1 and v2)",
            Kind::None => "none",
        })
    }
}

/// Version of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A v1 hierarchy.
    V1,
    /// The v2 tree.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        })
    }
}

/// Where a controller is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Version of the hierarchy.
    pub version: Version,
    /// Where the hierarchy is mounted.
    pub mount_point: PathBuf,
    /// The directory in which our groups are made.
    pub parent: PathBuf,
}

/// What control groups a host gives us. Making one reads and parses text only; each hierarchy is looked at when first used.
#[derive(Debug)]
pub struct Host {
    kind: Kind,
    pub(crate) v1: Vec<Hierarchy>,
    pub(crate) v2: Option<Tree>,
}

/// Where in one hierarchy a group is made, and for which controllers.
pub(crate) type Spot = (Arc<Parent>, ControllerSet);

/// In which hierarchies one group is made.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// In the v2 tree.
    pub v2: Option<Spot>,
    /// In v1 hierarchies.
    pub v1: Vec<Spot>,
    /// What was wanted and is missing.
    pub missing: Vec<(Controller, Missing)>,
}

impl Host {
    /// Reads the host from the texts of `view`. Touches no file.
    #[must_use]
    pub fn detect(view: &ProcView) -> Host {
        let mounts = cgroup_mounts(&view.mountinfo);
        let memberships = memberships(&view.cgroup);
        let (show_v1, show_v2) = match view.restrict {
            Restrict::Nothing => (true, true),
            Restrict::V1Only => (true, false),
            Restrict::V2Only => (false, true),
            Restrict::NoCgroups => (false, false),
        };
        let v1 = if show_v1 { Hierarchy::all(&mounts, &memberships) } else { Vec::new() };
        let v2 = if show_v2 { Tree::find(&mounts, &memberships) } else { None };
        let kind = match (v1.is_empty(), v2.is_some()) {
            (true, true) => Kind::V2,
            (false, false) => Kind::V1,
            (false, true) => Kind::Hybrid,
            (true, false) => Kind::None,
        };
        Host { kind, v1, v2 }
    }

    /// Reads the host the calling process runs on.
    ///
    /// # Errors
    /// As for [`ProcView::read`].
    pub fn probe() -> std::io::Result<Host> {
        ProcView::read().map(|view| Host::detect(&view))
    }

    /// Which of the four kinds it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a v1 hierarchy has `controller`, usable or not; the v2 tree cannot have it then. Touches no file.
    #[must_use]
    pub fn is_on_v1(&self, controller: Controller) -> bool {
        self.v1.iter().any(|hierarchy| hierarchy.controllers.has(controller))
    }

    /// Where `controller` is used, asked for alone.
    ///
    /// # Errors
    /// Why it is missing.
    pub fn place(&self, controller: Controller) -> Result<Place, Missing> {
        let layout = self.layout(ControllerSet::NONE.with(controller), ControllerSet::NONE).map_err(|(_, missing)| missing)?;
        let found =
            |version, mount_point: &PathBuf, parent: &Parent| Place { version, mount_point: mount_point.clone(), parent: parent.path() };
        match (layout.v2, layout.v1.first(), &self.v2) {
            (Some((parent, _)), _, Some(tree)) => Ok(found(Version::V2, &tree.point, &parent)),
            (_, Some((parent, controllers)), _) => {
                let hierarchy = self.v1.iter().find(|h| h.controllers.covers(*controllers)).ok_or(Missing::NotMounted)?;
                Ok(found(Version::V1, &hierarchy.point, parent))
            }
            _ => Err(Missing::NotMounted),
        }
    }

    /// In how many hierarchies a group with these limits is made.
    ///
    /// # Errors
    /// As for [`Host::create`], where nothing but the place is in the way.
    pub fn hierarchies(&self, limits: &Limits) -> Result<usize, CgroupError> {
        let layout = self
            .layout(limits.required(), limits.wanted())
            .map_err(|(controller, reason)| CgroupError::MissingController { controller, reason })?;
        Ok(layout.v1.len() + usize::from(layout.v2.is_some()))
    }

    /// In which hierarchies a group is made that must have `required` and should have `wanted`.
    ///
    /// A controller is bound to one hierarchy: a v1 one that has it, else the v2 tree. What every v2 group does by itself (CPU time,
    /// freezing) is taken from v2 where that is usable, because it costs one directory for all and counts best there.
    pub(crate) fn layout(&self, required: ControllerSet, wanted: ControllerSet) -> Result<Layout, (Controller, Missing)> {
        let wanted = wanted.without(required);
        let mut layout = Layout::default();
        let in_v1 = |controller: &Controller| self.v1.iter().any(|h| h.controllers.has(*controller));
        let core: ControllerSet = required.union(wanted).iter().filter(|c| c.v2_name().is_none()).collect();
        let v2_required: ControllerSet = required.without(core).iter().filter(|c| !in_v1(c)).collect();
        let v2_wanted: ControllerSet = wanted.without(core).iter().filter(|c| !in_v1(c)).collect();

        let mut core_missing = Missing::NotMounted;
        let v2_set = v2_required.union(v2_wanted);
        if !v2_set.union(core).is_empty() {
            match self.v2_layout(v2_required, v2_wanted, &mut layout.missing) {
                Ok(Some((parent, controllers))) => layout.v2 = Some((parent, controllers.union(ControllerSet::V2_CORE))),
                Ok(None) => {}
                Err((Some(controller), missing)) => return Err((controller, missing)),
                Err((None, missing)) => core_missing = missing,
            }
        }
        let mut for_v1 = required.union(wanted).without(v2_set);
        if layout.v2.is_some() {
            for_v1 = for_v1.without(core);
        }
        for controller in for_v1.iter() {
            let parent = match self.v1.iter().find(|h| h.controllers.has(controller)) {
                Some(hierarchy) => hierarchy.parent(),
                None => Err(core_missing.clone()),
            };
            match parent {
                Ok(parent) => match layout.v1.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &parent)) {
                    Some((_, controllers)) => *controllers = controllers.with(controller),
                    None => layout.v1.push((parent, ControllerSet::NONE.with(controller))),
                },
                Err(missing) if required.has(controller) => return Err((controller, missing)),
                Err(missing) => layout.missing.push((controller, missing)),
            }
        }
        Ok(layout)
    }

    /// The place in the v2 tree for all of `required` and as much of `wanted` as can be had; an error names the required controller that
    /// is in the way, if it is one.
    fn v2_layout(
        &self,
        required: ControllerSet,
        wanted: ControllerSet,
        left_out: &mut Vec<(Controller, Missing)>,
    ) -> Result<Option<Spot>, (Option<Controller>, Missing)> {
        let Some(tree) = &self.v2 else {
            left_out.extend(wanted.iter().map(|c| (c, Missing::NotMounted)));
            return match required.iter().next() {
                Some(controller) => Err((Some(controller), Missing::NotMounted)),
                None => Ok(None),
            };
        };
        match tree.parent(required.union(wanted)) {
            Ok(parent) => return Ok(Some((parent, required.union(wanted)))),
            Err(missing) if wanted.is_empty() && required.is_empty() => return Err((None, missing)),
            Err(_) => {}
        }
        let mut accepted = required;
        let mut found = tree.parent(required);
        for controller in wanted.iter() {
            match tree.parent(accepted.with(controller)) {
                Ok(more) => (found, accepted) = (Ok(more), accepted.with(controller)),
                Err(missing) => left_out.push((controller, missing)),
            }
        }
        match found {
            Ok(parent) => Ok(Some((parent, accepted))),
            Err(missing) => {
                // Asked one by one, the first that fails alone is to blame; if none does, it is the combination, told by its first.
                let alone = required.iter().find_map(|c| tree.parent(ControllerSet::NONE.with(c)).err().map(|missing| (Some(c), missing)));
                Err(alone.unwrap_or((required.iter().next(), missing)))
            }
        }
    }
}
