//! Workspaces of one mount: no record of them outlives this process, and what is left of one that nobody wrote to serves the next.
//!
//! ```text
//! passing/NAME/{upper,work}     swept by the next [`Vfs::open`]
//! ```
//!
//! Making and removing directories costs more than everything else that is known of a workspace; most commands leave theirs alone. Such a place is
//! kept, for the one who had it, and only as it was made: nothing lies in its upper nor ever did (the time of last change stands as it was taken when
//! the layers were given out, and no command can set that), owner, bits, size and extended attributes are the same, and the overlay's own directory
//! held what the mount itself makes there. When it is given out again its times are those of that moment. What remains is its inode, with the time at
//! which that was born: both tell its owner that there was a place, and others do not get it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enclos_cas::{Attributes, Digest, beneath};
use rustix::fs::{AtFlags, IFlags, Timespec, Timestamps, UTIME_NOW, flistxattr, fstat, futimens, ioctl_getflags, ioctl_setflags, unlinkat};
use rustix::io::Errno;

use super::{Leftover, Workspace, make, open};
use crate::codebase::records::new_id;
use crate::error::During;
use crate::{Version, Vfs, VfsError};

/// Places kept for one owner, and for all.
const MOST_OF_ONE: usize = 16;
const MOST: usize = 64;
/// Lives of one place. Each mount makes some inodes and lets go of them, all where the place is on the disk, and ext4 without a journal passes over those that
/// were let go of in the last minutes one by one when it looks for a free one: the next place is elsewhere ([`apart`]).
const LIVES: u32 = 32;

/// What the kernel makes for a mount whose upper need not outlive the machine, innermost first (overlayfs, "volatile").
const OF_THE_MOUNT: [&str; 4] = ["work/incompat/volatile/dirty", "work/incompat/volatile", "work/incompat", "work"];

/// A workspace of one mount, while there is one.
#[derive(Debug)]
struct Lent {
    workspace: Workspace,
    /// What it stands on.
    version: Version,
    place: Place,
}

/// Directories for one mount.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    whose: Arc<str>,
    /// How often it was kept.
    lives: u32,
    /// As its upper was when it was given out; `None`: it was not.
    made: Option<Look>,
}

/// What tells that a command has changed an upper, but for what lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: (i64, u64),
    changed: (i64, u64),
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: i64,
    blocks: i64,
    /// Bytes of the names of its extended attributes; some hosts give each file one.
    attributes: usize,
}

impl Look {
    fn at(upper: &OwnedFd) -> Result<Look, Errno> {
        let stat = fstat(upper)?;
        let attributes = match flistxattr(upper, &mut [0u8; 0][..]) {
            Err(Errno::OPNOTSUPP) => 0,
            other => other?,
        };
        Ok(Look {
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            links: stat.st_nlink,
            size: stat.st_size,
            blocks: stat.st_blocks,
            attributes,
        })
    }
}

/// Those that are lent, by the id of the workspace, and those that are free, the one that was free last at the end.
#[derive(Debug, Default)]
pub(crate) struct Places {
    lent: Mutex<HashMap<String, Lent>>,
    free: Free,
}

/// Places that nobody has.
#[derive(Clone, Debug, Default)]
pub(super) struct Free(Arc<Mutex<Vec<Place>>>);

impl Free {
    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, whose: &str) -> Option<Place> {
        let mut free = self.lock();
        let at = free.iter().rposition(|place| *place.whose == *whose)?;
        Some(free.remove(at))
    }

    /// Keeps a place; gives back the one that is kept no more.
    fn put(&self, place: Place) -> Option<Place> {
        let mut free = self.lock();
        let of_one = free.iter().filter(|other| other.whose == place.whose).count();
        let gone = match (of_one >= MOST_OF_ONE, free.len() >= MOST) {
            (true, _) => free.iter().position(|other| other.whose == place.whose),
            (false, full) => full.then_some(0),
        };
        let gone = gone.map(|at| free.remove(at));
        free.push(place);
        gone
    }
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lent>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A workspace that is lent.
    pub(super) fn workspace(&self, id: &str) -> Option<Workspace> {
        self.lock().get(id).map(|lent| lent.workspace.clone())
    }

    /// What one stands on: nothing that is lent is looked up in the records.
    pub(super) fn version(&self, id: &str) -> Option<Version> {
        self.lock().get(id).map(|lent| lent.version.clone())
    }

    /// Where it is.
    pub(super) fn path(&self, id: &str) -> Option<PathBuf> {
        self.lock().get(id).map(|lent| lent.place.path.clone())
    }

    /// Does something while none is lent, with what those that are stand on: codebase, version, tree.
    pub(crate) fn standing<T>(&self, act: impl FnOnce(&[(&str, u64, Digest)]) -> T) -> T {
        let lent = self.lock();
        let all: Vec<_> = lent.values().map(|lent| (lent.workspace.codebase.as_str(), lent.version.number, lent.version.tree)).collect();
        act(&all)
    }

    /// Takes one back.
    pub(super) fn take_back(&self, id: &str) -> Option<Leftover> {
        let Lent { place, .. } = self.lock().remove(id)?;
        Some(Leftover { path: Some(place.path.clone()), again: Some((place, self.free.clone())) })
    }

    /// Gives a place out: its upper as the layers below want it.
    pub(super) fn give_out(&self, id: &str, top: Attributes) -> Result<PathBuf, VfsError> {
        let path = self.path(id).ok_or_else(|| VfsError::Unknown { kind: "workspace", id: id.to_owned() })?;
        let shown = path.join("upper");
        let upper = match open(&shown) {
            Err(VfsError::System { errno: Errno::NOENT, .. }) => {
                for folder in [&path, &shown, &path.join("work")] {
                    make(folder)?;
                }
                let upper = open(&shown)?;
                top.apply(&upper).during("finishing", &shown)?;
                upper
            }
            upper => {
                let upper = upper?;
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                top.apply(&upper).during("finishing", &shown)?;
                futimens(&upper, &Timestamps { last_access: now, last_modification: now }).during("finishing", &shown)?;
                upper
            }
        };
        let made = Look::at(&upper).during("reading", &shown)?;
        if let Some(lent) = self.lock().get_mut(id) {
            // Whoever asks for the layers again has used them before.
            lent.place.made = if lent.place.made.is_none() { Some(made) } else { None };
        }
        Ok(path)
    }
}

impl Vfs {
    /// Makes a workspace on a version (`None`: the newest) that is mounted once, and is gone when this process is. It can be looked at and copied as
    /// any other, but nothing can be made of it, nor anything put in its place. `whose`: who may get what is left of it.
    ///
    /// # Errors
    /// [`VfsError::Unknown`].
    pub fn create_passing(&self, codebase: &str, version: Option<u64>, whose: &str, now: i64) -> Result<Workspace, VfsError> {
        // Under the lock: what it stands on does not go meanwhile.
        let mut lent = self.places().lock();
        let found = self.version(codebase, version)?;
        let workspace = Workspace {
            id: new_id("ws")?,
            codebase: codebase.to_owned(),
            version: found.number,
            generation: 0,
            created: now,
            published: None,
        };
        let place = match self.places().free.take(whose) {
            Some(place) => place,
            None => Place { path: self.root().join("passing").join(new_id("p")?), whose: whose.into(), lives: 0, made: None },
        };
        lent.insert(workspace.id.clone(), Lent { workspace: workspace.clone(), version: found, place });
        Ok(workspace)
    }
}

/// Keeps the place for the next if it is as it was made; else removes it.
pub(super) fn keep(place: Place, free: &Free) -> Result<(), VfsError> {
    let lives = place.lives + 1;
    let gone = match lives < LIVES && is_untouched(&place) {
        true => free.put(Place { made: None, lives, ..place }),
        false => Some(place),
    };
    gone.map_or(Ok(()), |gone| super::files::remove(&gone.path))
}

/// Whether nothing has become of a place but that it was mounted once; what the mount has made is gone then.
fn is_untouched(place: &Place) -> bool {
    let Some(made) = &place.made else { return false };
    let untouched = || -> Result<bool, Errno> {
        let upper = directory(&place.path.join("upper"))?;
        if Look::at(&upper)? != *made || !beneath::is_empty(&upper)? {
            return Ok(false);
        }
        let work = directory(&place.path.join("work"))?;
        for (at, name) in OF_THE_MOUNT.into_iter().enumerate() {
            unlinkat(&work, name, if at == 0 { AtFlags::empty() } else { AtFlags::REMOVEDIR })?;
        }
        beneath::is_empty(&work)
    };
    untouched().unwrap_or(false)
}

/// Has what is made in a directory lie far apart on the disk, as what belongs to different users does (chattr(1), `T`). Where the file system knows no such
/// thing, nothing is lost.
pub(crate) fn apart(path: &Path) {
    let Ok(directory) = directory(path) else { return };
    if let Ok(flags) = ioctl_getflags(&directory) {
        let _ = ioctl_setflags(&directory, flags | IFlags::TOPDIR);
    }
}

fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
