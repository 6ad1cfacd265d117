//! Groups whose maker died before it could remove them (`SIGKILL`, power over a debugger, a bug).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::Errno;

use crate::file::{open_dir, write};
use crate::remove::{DEPTH, remove_tree, subdirectories};
use crate::v2::node_name;
use crate::wait::{Deadline, handles, kill};
use crate::{CgroupError, Host, Maker, Name, Version};

/// How long one leftover may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What [`reap_orphans`] did.
#[derive(Debug, Default)]
pub struct Reaped {
    /// Directories removed.
    pub removed: Vec<PathBuf>,
    /// Directories that could not be removed, or not be looked into, and why.
    pub failed: Vec<CgroupError>,
}

/// Kills and removes the groups in our parent directories whose maker is not `alive`. Groups of living makers, and whatever is not named
/// as [`Name`] names, are left alone; so are groups made in another pid namespace when `alive` is [`Maker::is_alive`], and those that somebody keeps
/// ([`Group::keep`](crate::Group::keep)).
///
/// Our parent directories are those in which a [`Host::create`] of a process in our place puts groups: our own v1 groups, our own v2 group,
/// and our node in it or in a group above.
pub fn reap_orphans(host: &Host, alive: impl Fn(Maker) -> bool) -> Reaped {
    let mut reaped = Reaped::default();
    let v1 = host.v1.iter().filter_map(|hierarchy| hierarchy.own().ok()).map(|path| (Version::V1, path.to_owned(), None));
    let v2 = host.v2.iter().filter_map(|tree| tree.upwards().ok()).flatten().flat_map(|path| {
        let node = node_name();
        [(Version::V2, path.to_owned(), None), (Version::V2, path.join(&node), Some((path.to_owned(), node)))]
    });
    let mut orphans = Vec::new();
    let mut nodes = Vec::new();
    for (version, path, node) in v1.chain(v2) {
        match find(version, &path, &alive) {
            Ok(found) => orphans.extend(found),
            // A node that is not there, or a directory we cannot see into, holds nothing of ours.
            Err(Errno::NOENT | Errno::NODEV | Errno::ACCESS) => {}
            Err(errno) => reaped.failed.push(CgroupError::Io { action: "look into", path, errno }),
        }
        nodes.extend(node);
    }
    // Whoever keeps a sandbox holds one of its directories.
    let kept: Vec<String> = orphans.iter().filter(|orphan| orphan.is_kept()).map(|orphan| orphan.name.clone()).collect();
    orphans.retain(|orphan| !kept.contains(&orphan.name));
    // One sandbox is in several hierarchies, and what stops its processes may be in another than what keeps them: so first all are
    // killed, then all let run (a frozen v1 process does not end), then each is removed.
    orphans.iter().for_each(Orphan::kill);
    orphans.iter().for_each(Orphan::thaw);
    for orphan in orphans {
        match orphan.remove() {
            Ok(()) => reaped.removed.push(orphan.path),
            Err(errno) => reaped.failed.push(CgroupError::Io { action: "remove", path: orphan.path, errno }),
        }
    }
    for (above, name) in nodes {
        if let Ok(above) = open_dir(rustix::fs::CWD, &above) {
            // Fails harmlessly while somebody has a group in it.
            let _ = unlinkat(above, name.as_str(), AtFlags::REMOVEDIR);
        }
    }
    reaped
}

/// A leftover directory.
struct Orphan {
    version: Version,
    within: Arc<OwnedFd>,
    name: String,
    path: PathBuf,
}

fn find(version: Version, path: &Path, alive: &impl Fn(Maker) -> bool) -> Result<Vec<Orphan>, Errno> {
    let within = Arc::new(open_dir(rustix::fs::CWD, path)?);
    let names = subdirectories(&*within)?.into_iter();
    let dead = names.filter(|text| Name::parse(text).is_some_and(|name| !alive(name.maker())));
    Ok(dead.map(|name| Orphan { version, within: within.clone(), path: path.join(&name), name }).collect())
}

impl Orphan {
    fn is_kept(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(group) = openat(&*self.within, self.name.as_str(), flags, Mode::empty()) else { return false };
        flock(&group, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
    }

    /// Tries to kill what is in it; whether that worked shows when it is removed.
    fn kill(&self) {
        let Ok(group) = open_dir(&*self.within, &*self.name) else { return };
        if self.version == Version::V2 && write(&group, "cgroup.kill", b"1").is_ok() {
            return;
        }
        for process in handles(&group).unwrap_or_default() {
            let _ = kill(process.as_fd());
        }
    }

    fn thaw(&self) {
        let Ok(group) = open_dir(&*self.within, &*self.name) else { return };
        let _ = match self.version {
            Version::V1 => write(&group, "freezer.state", b"THAWED"),
            Version::V2 => write(&group, "cgroup.freeze", b"0"),
        };
    }

    fn remove(&self) -> Result<(), Errno> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match remove_tree(&*self.within, &self.name, DEPTH) {
                Err(Errno::BUSY) => {}
                result => return result,
            }
            // Again: what forked while it was being killed one by one.
            self.kill();
            if !deadline.pause() {
                return Err(Errno::BUSY);
            }
        }
    }
}
