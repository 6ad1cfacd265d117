//! How much an upper holds, looked at while commands write to it.
//!
//! A look opens directories and nothing else, each below the one above it, through no link and no mount, and asks for the blocks of what it finds
//! there; it opens no file, follows no link and believes no size. Whoever moves things about meanwhile can have one counted twice or not at all:
//! freeze the sandbox where that matters.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use enclos_cas::beneath;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use crate::VfsError;
use crate::error::During;

/// Directories in each other that are followed down: each costs a descriptor.
const DEPTH: usize = 512;
/// Bytes of a block, as stat(2) counts them.
const BLOCK: u64 = 512;

/// What something takes of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes of the disk, holes left out; a file with several names counts once.
    pub bytes: u64,
    /// Names of files, directories, links and everything else.
    pub names: u64,
}

impl Used {
    /// How much of an upper is used, which lies in a directory that nobody else can write to; nothing if it is not there.
    ///
    /// # Errors
    /// [`VfsError::Quota`] where directories lie in each other more deeply than anybody follows; the kernel's.
    pub fn of(upper: &Path) -> Result<Used, VfsError> {
        let top = match openat(CWD, upper, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Used::default()),
            other => other.during("opening", upper)?,
        };
        let mut look = Look { used: Used::default(), seen: HashSet::new() };
        look.directory(&top, upper, 0)?;
        Ok(look.used)
    }
}

struct Look {
    used: Used,
    /// Files with several names.
    seen: HashSet<u64>,
}

impl Look {
    fn directory(&mut self, directory: &OwnedFd, shown: &Path, depth: usize) -> Result<(), VfsError> {
        if depth > DEPTH {
            return Err(VfsError::Quota { what: "levels of directories in the workspace", limit: DEPTH as u64 });
        }
        for name in beneath::names(directory).during("reading", shown)? {
            let stat = match beneath::stat(directory, &name) {
                Err(errno) if is_elsewhere(errno) => continue,
                other => other.during("reading", shown)?,
            };
            self.count(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.enter(directory, &name, shown, depth)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, stat: &Stat) {
        self.used.names += 1;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory || stat.st_nlink < 2 || self.seen.insert(stat.st_ino) {
            self.used.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
        }
    }

    fn enter(&mut self, parent: &OwnedFd, name: &OsStr, shown: &Path, depth: usize) -> Result<(), VfsError> {
        match beneath::directory(parent, name) {
            Ok(inner) => self.directory(&inner, shown, depth + 1),
            Err(Errno::ACCESS) => self.forbidden(parent, name, shown, depth),
            Err(errno) if is_elsewhere(errno) => Ok(()),
            Err(errno) => Err(errno).during("opening", shown),
        }
    }

    /// A directory that forbids its owner, who we are, to look into it. It is opened to us for the look, or everything could be hidden there.
    fn forbidden(&mut self, parent: &OwnedFd, name: &OsStr, shown: &Path, depth: usize) -> Result<(), VfsError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match openat(parent, name, flags, Mode::empty()) {
            Err(errno) if is_elsewhere(errno) => return Ok(()),
            other => other.during("opening", shown)?,
        };
        let was = fstat(&found).during("reading", shown)?.st_mode & 0o7777;
        // The descriptor says what is changed; no name is looked up again.
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let change = |mode: u32| rustix::fs::chmod(&path, Mode::from_raw_mode(mode)).during("opening", shown);
        change(was | 0o700)?;
        let looked = match beneath::directory(parent, name) {
            Ok(inner) => self.directory(&inner, shown, depth + 1),
            // Moved, or closed again, by somebody who does not want it counted: the next look will see it.
            Err(_) => Ok(()),
        };
        // What was changed by others since stays.
        if fstat(&found).is_ok_and(|stat| stat.st_mode & 0o7777 == was | 0o700) {
            change(was)?;
        }
        looked
    }
}

/// What somebody has removed, moved or replaced meanwhile.
fn is_elsewhere(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV)
}
