//! Opening names that somebody else chose: below a descriptor, through no link, no mount point and no `..`.
//!
//! What these return was reached in one system call that checked every component (`openat2(2)`); nothing is looked up twice. The rule of the
//! tree (design, invariant 6): while anything that may write below still runs, not even these are called, but for a look at how much there is.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, openat2, statat};
use rustix::io::Errno;

/// No link, magic or not, no `..` beyond the start, no other file system.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

fn open(directory: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    loop {
        match openat2(&directory, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), RESOLVE) {
            // The kernel asks to try again when a rename happened while it looked (openat2(2), EAGAIN).
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Opens a directory for reading.
///
/// # Errors
/// `ELOOP`: a symbolic link is on the way. `EXDEV`: it leads out. `ENOTDIR`: not a directory.
pub fn directory(start: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    open(start, path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens a regular file for reading; never waits, as opening a FIFO would.
///
/// # Errors
/// As [`directory`], and `EINVAL` for anything but a regular file.
pub fn file(start: impl AsFd, path: impl AsRef<Path>) -> Result<(OwnedFd, Stat), Errno> {
    let file = open(start, path.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok((file, stat))
}

/// What a name in this directory is, without following it.
///
/// # Errors
/// `EINVAL` for a name with a slash; else the kernel's.
pub fn stat(directory: impl AsFd, name: &OsStr) -> Result<Stat, Errno> {
    if name.as_bytes().contains(&b'/') || name == ".." {
        return Err(Errno::INVAL);
    }
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Names in a directory, sorted as bytes, without `.` and `..`.
///
/// # Errors
/// The kernel's.
pub fn names(directory: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a directory that was opened for this, and never read, holds nothing.
///
/// # Errors
/// The kernel's.
pub fn is_empty(directory: impl AsFd) -> Result<bool, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A word for a kind of file, as `find -type` tells them apart.
#[must_use]
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "regular file",
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "file of unknown kind",
    }
}
