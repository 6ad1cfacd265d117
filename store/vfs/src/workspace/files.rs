//! Trees on disk that are ours to copy and to remove, though others named what is in them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use enclos_cas::beneath;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, futimens, linkat, mkdirat, mknodat, openat, readlinkat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::VfsError;
use crate::error::During;

/// Directories in each other that are followed down.
const DEPTH: usize = 256;
/// Most bytes of extended attributes that are copied for one file.
const XATTR_MAX: usize = 64 << 10;
/// Directories in each other that are removed where they are.
const NEAR: usize = 16;

/// Removes a directory with all below it; nothing outside it, whatever it holds.
pub(crate) fn remove(path: &Path) -> Result<(), VfsError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL).during("removing", path);
    };
    let parent = match open(CWD, parent) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.during("opening", parent)?,
    };
    remove_at(&parent, name, path)
}

pub(crate) fn remove_at(parent: &OwnedFd, name: &OsStr, shown: &Path) -> Result<(), VfsError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno).during("removing", shown),
    }
    remove_directory(parent, name, shown, 0)
}

/// Each level takes a descriptor, of which there are not as many as hostile trees are deep: what lies deeper than [`NEAR`] is brought up first.
fn remove_directory(parent: &OwnedFd, name: &OsStr, shown: &Path, depth: usize) -> Result<(), VfsError> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(errno).during("removing", shown),
    }
    let directory = enter(parent, name).during("opening", shown)?;
    for inner in beneath::names(&directory).during("reading", shown)? {
        match unlinkat(&directory, &inner, AtFlags::empty()) {
            Ok(()) => {}
            Err(_) if depth < NEAR => remove_directory(&directory, &inner, shown, depth + 1)?,
            Err(_) => flatten(&directory, &inner, shown)?,
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR).during("removing", shown)
}

/// Removes `directory/name`, of any depth, with two descriptors: what it holds is moved up, level by level.
fn flatten(directory: &OwnedFd, name: &OsStr, shown: &Path) -> Result<(), VfsError> {
    let mut waiting = vec![name.to_owned()];
    let mut next = 0u64;
    while let Some(name) = waiting.pop() {
        let inner = enter(directory, &name).during("opening", shown)?;
        for below in beneath::names(&inner).during("reading", shown)? {
            if unlinkat(&inner, &below, AtFlags::empty()).is_ok() {
                continue;
            }
            // A directory: its bits may forbid a move, which rewrites its `..`.
            drop(enter(&inner, &below).during("opening", shown)?);
            let free = loop {
                let name = OsString::from(format!(".removing-{next}"));
                next += 1;
                match rustix::fs::renameat_with(&inner, &below, directory, &name, rustix::fs::RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    other => break other.during("removing", shown).map(|()| name)?,
                }
            };
            waiting.push(free);
        }
        unlinkat(directory, &name, AtFlags::REMOVEDIR).during("removing", shown)?;
    }
    Ok(())
}

fn open(at: impl std::os::fd::AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory that may forbid it to its owner.
fn enter(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let found = openat(parent, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mode = rustix::fs::fstat(&found)?.st_mode;
    if mode & 0o700 != 0o700 {
        // The descriptor says what is changed; the name is not looked up again.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
        rustix::fs::chmod(path, Mode::from_raw_mode(mode & 0o7777) | Mode::RWXU)?;
    }
    beneath::directory(parent, name)
}

/// Copies everything below one directory into another, empty one: contents, owners, bits, times, user attributes, whiteouts, the marks of the overlay,
/// names of the same file. Sockets and devices stay behind.
pub(crate) fn copy(from: &OwnedFd, to: &OwnedFd, marks: Marks) -> Result<(), VfsError> {
    let mut copying = Copying { marks, names: HashMap::new(), top: to.try_clone().during("opening", ".")? };
    copying.directory(from, to, Path::new(""), 0)
}

/// Under which name the overlay keeps its marks in extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// `user.overlay.`: mounted in a user namespace, or with `userxattr`.
    User,
    /// `trusted.overlay.`: mounted by root without it.
    Trusted,
}

impl Marks {
    /// The whole name of a mark.
    pub(crate) fn name(self, mark: &str) -> String {
        match self {
            Marks::User => format!("user.overlay.{mark}"),
            Marks::Trusted => format!("trusted.overlay.{mark}"),
        }
    }

    /// The value of a mark; `None`: it has none.
    pub(crate) fn read(self, of: &OwnedFd, mark: &str) -> Result<Option<Vec<u8>>, Errno> {
        let mut value = vec![0; 4096];
        match fgetxattr(of, self.name(mark), &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

struct Copying {
    marks: Marks,
    /// Where the first name of a file with several is.
    names: HashMap<(u64, u64), PathBuf>,
    top: OwnedFd,
}

impl Copying {
    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path, depth: usize) -> Result<(), VfsError> {
        if depth > DEPTH {
            return Err(VfsError::Quota { what: "levels of directories", limit: DEPTH as u64 });
        }
        for name in beneath::names(from).during("reading", path)? {
            let below = path.join(&name);
            let stat = beneath::stat(from, &name).during("reading", &below)?;
            self.entry(from, to, &name, &below, &stat, depth)?;
        }
        self.attributes(from, to, path)
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, below: &Path, stat: &Stat, depth: usize) -> Result<(), VfsError> {
        let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = enter(from, name).during("opening", below)?;
                mkdirat(to, name, Mode::RWXU).during("making", below)?;
                let made = beneath::directory(to, name).during("opening", below)?;
                self.directory(&inner, &made, below, depth + 1)?;
                finish(&made, stat).during("finishing", below)
            }
            FileType::RegularFile => self.file(from, to, name, below, stat),
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new()).during("reading", below)?;
                symlinkat(&target, to, name).during("making", below)?;
                chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).during("finishing", below)
            }
            FileType::CharacterDevice if stat.st_rdev == 0 => {
                mknodat(to, name, FileType::CharacterDevice, Mode::empty(), 0).during("making", below)
            }
            FileType::Fifo => {
                mknodat(to, name, FileType::Fifo, Mode::from_raw_mode(stat.st_mode & 0o7777), 0).during("making", below)?;
                chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).during("finishing", below)
            }
            _ => Ok(()),
        }
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, below: &Path, stat: &Stat) -> Result<(), VfsError> {
        let own = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.names.get(&own) {
            return linkat(&self.top, first, to, name, AtFlags::empty()).during("making", below);
        }
        let (source, _) = beneath::file(from, name).during("opening", below)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR).during("making", below)?;
        let (mut reader, mut writer) = (File::from(source), File::from(target));
        std::io::copy(&mut reader, &mut writer).during("copying", below)?;
        let (source, target) = (OwnedFd::from(reader), OwnedFd::from(writer));
        self.attributes(&source, &target, below)?;
        finish(&target, stat).during("finishing", below)?;
        if stat.st_nlink > 1 {
            self.names.insert(own, below.to_owned());
        }
        Ok(())
    }

    /// User attributes, and of the overlay's own marks the one that says something about what is shown.
    fn attributes(&self, from: &OwnedFd, to: &OwnedFd, below: &Path) -> Result<(), VfsError> {
        let mut names = vec![0; XATTR_MAX];
        let length = match flistxattr(from, &mut names[..]) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            other => other.during("reading", below)?,
        };
        let opaque = self.marks.name("opaque");
        for name in names[..length].split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
            let ours = name.starts_with("user.") && !(self.marks == Marks::User && name.starts_with("user.overlay."));
            if ours || name == opaque {
                let mut value = vec![0; XATTR_MAX];
                let length = fgetxattr(from, name, &mut value[..]).during("reading", below)?;
                fsetxattr(to, name, &value[..length], XattrFlags::empty()).during("finishing", below)?;
            }
        }
        Ok(())
    }
}

fn finish(made: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    fchown(made, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(made, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    futimens(made, &Timestamps { last_access: time, last_modification: time })
}
