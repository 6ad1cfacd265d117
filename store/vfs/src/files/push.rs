//! A file of a codebase, written into a workspace that is mounted.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use enclos_cas::{Attributes, Entry, beneath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ftruncate, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::{Files, refused, wrong_kind};
use crate::codebase::records::new_id;
use crate::edit::DIRECTORY_MODE;
use crate::error::During;
use crate::layers::look::{self, Shape};
use crate::{Level, Ownership, Rules, TreePath, Vfs, VfsError};

impl Ownership {
    /// The same on the host, where the sandbox's ids begin with this one.
    #[must_use]
    pub fn on_host(self, first: u32) -> Ownership {
        let shifted = |(user, group): (u32, u32)| (user.wrapping_add(first), group.wrapping_add(first));
        match self {
            Ownership::Two { root, command } => Ownership::Two { root: shifted(root), command: shifted(command) },
            Ownership::One => Ownership::One,
        }
    }
}

impl Vfs {
    /// Writes a file or link of the store into a mounted workspace, all of it or nothing, looking as its level makes it look: owner and bits, and
    /// holes instead of bytes where only its size is shown. Directories above that are missing are made. `false`: the rules hide it, and nothing
    /// is written. `host`: who owns what, in ids of the host; the thread must be allowed to give files to both ([`super::acting_as`] the
    /// sandbox's root, with rights).
    ///
    /// Tell [`Vfs::pushed`] afterwards, and ask [`Vfs::changed_in`] before. Nothing may run in the workspace meanwhile.
    ///
    /// # Errors
    /// [`VfsError::WrongKind`] where a directory or link is in the way, the store's, or the kernel's.
    pub fn push(&self, top: BorrowedFd<'_>, path: &TreePath, entry: &Entry, rules: &Rules, host: Ownership) -> Result<bool, VfsError> {
        let (files, level) = (Files::below(top), rules.level(path));
        let attributes = match entry {
            Entry::Directory { .. } => return Err(wrong_kind(path, FileType::Directory)),
            _ if level == Level::None => return Ok(false),
            entry => Attributes { time: None, ..look::file(level, entry, host) },
        };
        make_above(&files, path, rules, host)?;
        let (parent, name) = files.parent(path)?;
        let _opened = Opened::to_us(&parent, host, path)?;
        match beneath::stat(&parent, name).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile | FileType::Symlink) | Err(Errno::NOENT) => {}
            Ok(other) => return Err(wrong_kind(path, other)),
            Err(errno) => return Err(refused(errno, "reading", path)),
        }
        let temporary = format!(".{}", new_id("pushing")?);
        let made = match entry {
            Entry::File { size, .. } if level == Level::View => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(&parent, &temporary, flags, Mode::RUSR | Mode::WUSR)
                    .and_then(|file| ftruncate(&file, *size).and_then(|()| attributes.apply(&file)))
                    .during("making", path.as_path())
            }
            Entry::File { digest, .. } => {
                self.store().export_file(digest, &parent, Path::new(&temporary), path.as_path(), &attributes).map_err(VfsError::from)
            }
            Entry::Link { target } => {
                let owner = attributes.owner.map(|(user, group)| (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(group)));
                rustix::fs::symlinkat(target, &parent, temporary.as_str())
                    .and_then(|()| match owner {
                        Some((user, group)) => {
                            rustix::fs::chownat(&parent, temporary.as_str(), Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                        }
                        None => Ok(()),
                    })
                    .during("making", path.as_path())
            }
            Entry::Directory { .. } => Err(wrong_kind(path, FileType::Directory)),
        };
        made.and_then(|()| {
            renameat_with(&parent, &temporary, &parent, name, RenameFlags::empty()).map_err(|errno| refused(errno, "naming", path))
        })
        .inspect_err(|_| {
            // The error that is reported is the first.
            let _ = unlinkat(&parent, &temporary, AtFlags::empty());
        })
        .map(|()| true)
    }
}

/// A directory whose bits forbid its owner, whose is everything, to write there: open to us until this is dropped.
struct Opened(Option<(String, Mode)>);

impl Opened {
    fn to_us(directory: &std::os::fd::OwnedFd, host: Ownership, shown: &TreePath) -> Result<Opened, VfsError> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(directory).during("reading", shown.as_path())?.st_mode & 0o7777);
        if host != Ownership::One || mode.contains(Mode::WUSR) {
            return Ok(Opened(None));
        }
        // The descriptor says what is changed; no name is looked up again.
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        rustix::fs::chmod(&path, mode | Mode::RWXU).during("opening", shown.as_path())?;
        Ok(Opened(Some((path, mode))))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((path, mode)) = &self.0 {
            // It is ours, and was changed a moment ago.
            let _ = rustix::fs::chmod(path, *mode);
        }
    }
}

/// Makes the directories above a path.
fn make_above(files: &Files<'_>, path: &TreePath, rules: &Rules, host: Ownership) -> Result<(), VfsError> {
    let mut above: Vec<_> = path.ancestors().skip(1).filter(|directory| !directory.is_top()).collect();
    above.reverse();
    for directory in &above {
        match files.find(directory) {
            Ok(_) => continue,
            Err(VfsError::NotThere(_)) => {}
            Err(error) => return Err(error),
        }
        let shape = match (rules.may_create_in(directory), rules.level(directory), rules.level(path)) {
            (true, Level::Write, Level::Write) => Shape::Whole,
            (true, _, _) => Shape::Open,
            _ => Shape::Closed,
        };
        let (parent, name) = files.parent(directory)?;
        let _opened = Opened::to_us(&parent, host, directory)?;
        mkdirat(&parent, name, Mode::RWXU).map_err(|errno| refused(errno, "making", directory))?;
        let made = beneath::directory(&parent, name).during("opening", directory.as_path())?;
        let look = Attributes { time: None, ..look::directory(shape, DIRECTORY_MODE, host) };
        look.apply(&made).during("finishing", directory.as_path())?;
    }
    Ok(())
}
