//! Files of a workspace that is mounted, reached from outside.
//!
//! The top is a descriptor of the mounted workspace, which the engine hands out. Every path is opened beneath it in one system call, through no link
//! and no other mount; a file is first found (`O_PATH`), then looked at, and only a regular one is opened, so that no FIFO makes anybody wait and
//! no device is touched. What was found cannot be exchanged for something else any more: all that follows goes by its descriptor.
//!
//! The caller sees to it that nothing in the sandbox runs meanwhile (ARCHITECTURE.md, invariant 6), and that the thread acts with the rights it
//! should have: [`acting_as`] makes the kernel judge as it judges the sandbox's own commands.

mod acting;
mod push;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use enclos_cas::{MODE_BITS, beneath};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fstat, mkdirat, openat, openat2, readlinkat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::codebase::records::new_id;
use crate::error::During;
use crate::{TreePath, VfsError};

pub use acting::acting_as;

/// The files below a directory in which something hostile may have been at work.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    top: BorrowedFd<'a>,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: FileType,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When it was changed last, in milliseconds since 1970.
    pub changed: i64,
    /// Where a symbolic link says.
    pub target: Option<std::ffi::OsString>,
}

/// Directories in each other that are made at once.
const MISSING_MOST: usize = 128;
/// No link, magic or not, no `..` beyond the start, no other file system.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

impl<'a> Files<'a> {
    /// Below this directory.
    #[must_use]
    pub fn below(top: BorrowedFd<'a>) -> Files<'a> {
        Files { top }
    }

    /// Finds what is at a path, without opening it; a link is found itself.
    fn find(&self, path: &TreePath) -> Result<(OwnedFd, Stat), VfsError> {
        let name = if path.is_top() { std::path::Path::new(".") } else { path.as_path() };
        let found = loop {
            match openat2(self.top, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), RESOLVE) {
                // A rename happened while the kernel looked (openat2(2), EAGAIN).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => break other.map_err(|errno| refused(errno, "opening", path))?,
            }
        };
        let stat = fstat(&found).map_err(|errno| refused(errno, "reading", path))?;
        Ok((found, stat))
    }

    /// Opens what was found. The descriptor says what is opened, no name is looked up again.
    fn open(&self, path: &TreePath, kind: FileType, flags: OFlags) -> Result<(OwnedFd, Stat), VfsError> {
        let (found, stat) = self.find(path)?;
        let is = FileType::from_raw_mode(stat.st_mode);
        if is != kind {
            return Err(wrong_kind(path, is));
        }
        let own = format!("/proc/self/fd/{}", found.as_raw_fd());
        let opened = rustix::fs::open(own, flags | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        Ok((opened.map_err(|errno| refused(errno, "opening", path))?, stat))
    }

    /// The directory in which a name is, which need not be readable, and the name.
    fn parent<'p>(&self, path: &'p TreePath) -> Result<(OwnedFd, &'p OsStr), VfsError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(VfsError::WrongKind { path: path.clone(), why: "the top is a directory and stays one" });
        };
        let (found, stat) = self.find(&parent)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok((found, name)),
            other => Err(wrong_kind(&parent, other)),
        }
    }

    /// Opens a regular file for reading; its size comes with it.
    ///
    /// # Errors
    /// [`VfsError::NotThere`], [`VfsError::WrongKind`], or the kernel's.
    pub fn read(&self, path: &TreePath) -> Result<(File, Status), VfsError> {
        let (file, stat) = self.open(path, FileType::RegularFile, OFlags::RDONLY)?;
        Ok((file.into(), status(&stat, None)))
    }

    /// What is at a path; of a link, the link itself.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub fn status(&self, path: &TreePath) -> Result<Status, VfsError> {
        let (found, stat) = self.find(path)?;
        let target = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Some(readlinkat(&found, "", Vec::new()).map_err(|errno| refused(errno, "reading", path))?),
            _ => None,
        };
        Ok(status(&stat, target.map(|target| std::ffi::OsString::from_vec(target.into_bytes()))))
    }

    /// At most `most` names of a directory after `after`, sorted as bytes, and whether there are more.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub fn list(&self, path: &TreePath, after: Option<&OsStr>, most: usize) -> Result<(Vec<(std::ffi::OsString, Status)>, bool), VfsError> {
        let (directory, _) = self.open(path, FileType::Directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let names = beneath::names(&directory).map_err(|errno| refused(errno, "reading", path))?;
        let mut listed = Vec::new();
        for name in names.into_iter().filter(|name| after.is_none_or(|after| name.as_os_str() > after)) {
            let stat = match beneath::stat(&directory, &name) {
                // Removed meanwhile.
                Err(Errno::NOENT) => continue,
                other => other.map_err(|errno| refused(errno, "reading", path))?,
            };
            if listed.len() == most {
                return Ok((listed, true));
            }
            let target = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => readlinkat(&directory, &name, Vec::new()).ok(),
                _ => None,
            };
            listed.push((name, status(&stat, target.map(|target| std::ffi::OsString::from_vec(target.into_bytes())))));
        }
        Ok((listed, false))
    }

    /// Writes a file of at most `most` bytes, in place of one that is there, all of it or nothing: under a name of its own first, then renamed.
    /// Where the thread may change the file but not its directory, the file is written in place, and may be left half written. `mode`: of a new
    /// file; one that is there keeps its own. Returns its bytes.
    ///
    /// # Errors
    /// [`VfsError::WrongKind`] for anything but a regular file in its place, [`VfsError::Quota`], what `from` says, or the kernel's.
    pub fn write(&self, path: &TreePath, from: impl Read, mode: u32, most: u64) -> Result<u64, VfsError> {
        let (parent, name) = self.parent(path)?;
        let mode = match beneath::stat(&parent, name) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => stat.st_mode & MODE_BITS,
                other => return Err(wrong_kind(path, other)),
            },
            Err(Errno::NOENT) => mode & MODE_BITS,
            Err(errno) => return Err(refused(errno, "reading", path)),
        };
        let temporary = format!(".{}", new_id("writing")?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&parent, &temporary, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                let written = copy(from, file.into(), most, path).and_then(|(file, size)| {
                    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|errno| refused(errno, "finishing", path))?;
                    renameat_with(&parent, &temporary, &parent, name, RenameFlags::empty())
                        .map_err(|errno| refused(errno, "naming", path))?;
                    Ok(size)
                });
                written.inspect_err(|_| {
                    // The error that is reported is the first.
                    let _ = unlinkat(&parent, &temporary, AtFlags::empty());
                })
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                let (file, _) = self.open(path, FileType::RegularFile, OFlags::WRONLY | OFlags::TRUNC)?;
                copy(from, file.into(), most, path).map(|(_, size)| size)
            }
            Err(errno) => Err(refused(errno, "making", path)),
        }
    }

    /// Makes a directory and those above it that are missing.
    ///
    /// # Errors
    /// [`VfsError::WrongKind`] where something else is in the way, or the kernel's.
    pub fn make_directories(&self, path: &TreePath, mode: u32) -> Result<(), VfsError> {
        let mut missing = Vec::new();
        for above in path.ancestors() {
            match self.find(&above) {
                Ok((_, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => break,
                Ok((_, stat)) => return Err(wrong_kind(&above, FileType::from_raw_mode(stat.st_mode))),
                Err(VfsError::NotThere(_)) if missing.len() < MISSING_MOST => missing.push(above),
                Err(VfsError::NotThere(_)) => {
                    return Err(VfsError::Quota { what: "directories made at once", limit: MISSING_MOST as u64 });
                }
                Err(error) => return Err(error),
            }
        }
        for path in missing.iter().rev() {
            let (parent, name) = self.parent(path)?;
            match mkdirat(&parent, name, Mode::from_raw_mode(mode & MODE_BITS)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(refused(errno, "making", path)),
            }
        }
        Ok(())
    }

    /// Removes a file, a link, or a directory: an empty one, or with `all` everything in it.
    ///
    /// # Errors
    /// [`VfsError::NotThere`], or the kernel's.
    pub fn remove(&self, path: &TreePath, all: bool) -> Result<(), VfsError> {
        let (parent, name) = self.parent(path)?;
        let stat = beneath::stat(&parent, name).map_err(|errno| refused(errno, "reading", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return unlinkat(&parent, name, AtFlags::empty()).map_err(|errno| refused(errno, "removing", path));
        }
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) if all => crate::workspace::files::remove_at(&parent, name, path.as_path()),
            other => other.map_err(|errno| refused(errno, "removing", path)),
        }
    }

    /// Gives something another name, in place of a file that has it.
    ///
    /// # Errors
    /// [`VfsError::NotThere`], or the kernel's.
    pub fn rename(&self, from: &TreePath, to: &TreePath) -> Result<(), VfsError> {
        let ((old, name), (new, as_name)) = (self.parent(from)?, self.parent(to)?);
        renameat_with(&old, name, &new, as_name, RenameFlags::empty()).map_err(|errno| refused(errno, "renaming", from))
    }
}

fn status(stat: &Stat, target: Option<std::ffi::OsString>) -> Status {
    Status {
        kind: FileType::from_raw_mode(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & MODE_BITS,
        changed: stat.st_mtime.saturating_mul(1000).saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0) / 1_000_000),
        target,
    }
}

fn copy(from: impl Read, mut into: File, most: u64, path: &TreePath) -> Result<(File, u64), VfsError> {
    let mut from = from.take(most.saturating_add(1));
    let (mut size, mut buffer) = (0u64, vec![0; 64 << 10]);
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((into, size)),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(enclos_cas::CasError::Stream { doing: "reading", source }.into()),
        };
        size += count as u64;
        if size > most {
            return Err(VfsError::Quota { what: "bytes of a file", limit: most });
        }
        into.write_all(&buffer[..count]).during("writing", path.as_path())?;
    }
}

fn refused(errno: Errno, doing: &'static str, path: &TreePath) -> VfsError {
    match errno {
        Errno::NOENT => VfsError::NotThere(path.clone()),
        Errno::LOOP => VfsError::WrongKind { path: path.clone(), why: "a symbolic link is on the way, and none is followed" },
        Errno::NOTDIR => VfsError::WrongKind { path: path.clone(), why: "something on the way is not a directory" },
        Errno::XDEV => VfsError::WrongKind { path: path.clone(), why: "it lies on another file system, and none is entered" },
        errno => VfsError::System { doing, path: path.as_path().to_owned(), errno },
    }
}

fn wrong_kind(path: &TreePath, is: FileType) -> VfsError {
    let why = match is {
        FileType::Directory => "it is a directory",
        FileType::RegularFile => "it is a regular file",
        FileType::Symlink => "it is a symbolic link, and none is followed",
        _ => "it is neither a file nor a directory, and is not opened",
    };
    VfsError::WrongKind { path: path.clone(), why }
}
