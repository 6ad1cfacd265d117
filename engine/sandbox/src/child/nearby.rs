//! The directory that the last place lay in, kept open: neighbours are made in it without looking their path up again.
//!
//! A kept directory stays right until something is mounted over it or over one above it; whoever attaches a tree anywhere but at a name in it says so by
//! [`Nearby::forget`]. Child-safe.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use enclos_sys::Errno;
use rustix::fs::{FileType, Mode, OFlags, mkdirat, mknodat, openat, symlinkat};
use rustix::mount::{MoveMountFlags, move_mount};

use super::place::{Make, Place};

/// Longest path of a directory that is kept.
const LONGEST: usize = 256;

/// A directory of the new root, with the path it was found by.
#[derive(Debug)]
pub struct Nearby {
    path: [u8; LONGEST],
    length: usize,
    directory: Option<OwnedFd>,
}

impl Nearby {
    /// None yet.
    pub const fn none() -> Self {
        Nearby { path: [0; LONGEST], length: 0, directory: None }
    }

    /// To be looked up anew: a mount may cover it.
    pub fn forget(&mut self) {
        self.directory = None;
    }

    /// The directory that `place` lies in, made where it is missing, and the place's name in it. `EXIST` for the root and for `..`, which lie in none.
    fn of<'a, 'p>(&'a mut self, root: BorrowedFd<'_>, place: &'p Place) -> Result<(BorrowedFd<'a>, &'p CString), Errno> {
        let Some((parent, name)) = place.last() else { return Err(Errno::EXIST) };
        if name.as_bytes() == b".." {
            return Err(Errno::EXIST);
        }
        let path = parent.as_bytes();
        if self.directory.is_none() || self.path[..self.length] != *path {
            self.directory = None;
            let (found, _) = place.open_parent(root)?;
            self.length = path.len().min(LONGEST);
            self.path[..self.length].copy_from_slice(&path[..self.length]);
            self.directory = Some(found);
        }
        let directory = self.directory.as_ref().ok_or(Errno::BADF)?.as_fd();
        // A path that is too long to be compared is never found again: its beginning alone is no path of a place.
        if path.len() > LONGEST {
            self.length = 0;
        }
        Ok((directory, name))
    }

    /// Makes `place` and attaches `tree` there; an error where something is there already, or anything else is in the way.
    pub fn attach(&mut self, root: BorrowedFd<'_>, place: &Place, make: Make, tree: &OwnedFd) -> Result<(), Errno> {
        let (directory, name) = self.of(root, place)?;
        match make {
            Make::Directory(mode) => mkdirat(directory, name, Mode::from_raw_mode(mode))?,
            Make::File(mode) => mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(mode), 0)?,
        }
        // No link is followed: a name that was just made is none, and a place may not be one.
        move_mount(tree, c"", directory, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }

    /// Whether the kept directory is this place, or lies below it: then it is there, and a directory.
    pub fn is_within(&self, place: &Place) -> bool {
        let path = place.path.as_bytes();
        let kept = &self.path[..self.length];
        self.directory.is_some() && kept.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Makes a directory where nothing is.
    pub fn directory(&mut self, root: BorrowedFd<'_>, place: &Place, mode: u32) -> Result<(), Errno> {
        let (directory, name) = self.of(root, place)?;
        mkdirat(directory, name, Mode::from_raw_mode(mode))
    }

    /// Makes a file where nothing is, open for writing.
    pub fn file(&mut self, root: BorrowedFd<'_>, place: &Place, mode: u32) -> Result<OwnedFd, Errno> {
        let (directory, name) = self.of(root, place)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(directory, name, flags, Mode::from_raw_mode(mode))
    }

    /// Makes a symbolic link where nothing is.
    pub fn symlink(&mut self, root: BorrowedFd<'_>, place: &Place, target: &CStr) -> Result<(), Errno> {
        let (directory, name) = self.of(root, place)?;
        symlinkat(target, directory, name)
    }
}
