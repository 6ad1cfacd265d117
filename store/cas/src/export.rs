//! Writing a tree into a directory.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, linkat, mkdirat, openat, symlinkat, utimensat,
};

use crate::error::During;
use crate::{CasError, Check, Digest, Entry, Store, Tree, beneath};

/// What a written entry shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits; a link has none.
    pub mode: u32,
    /// User and group; `None`: whoever writes.
    pub owner: Option<(u32, u32)>,
    /// Time of last change, in seconds since 1970; `None`: now.
    pub time: Option<i64>,
}

impl Attributes {
    fn times(&self) -> Option<Timestamps> {
        let time = Timespec { tv_sec: self.time?, tv_nsec: 0 };
        Some(Timestamps { last_access: time, last_modification: time })
    }

    /// Gives them to an open file or directory. The mode comes last: a change of owner takes bits away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn apply(&self, to: impl AsFd) -> Result<(), rustix::io::Errno> {
        if let Some((user, group)) = self.owner {
            fchown(&to, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        fchmod(&to, Mode::from_raw_mode(self.mode))?;
        self.times().map_or(Ok(()), |times| futimens(&to, &times))
    }
}

impl Store {
    /// Writes a tree and all below it into an empty directory; `look` says what each entry, named by its path below, shall be like. The
    /// directory itself keeps its attributes. Contents are verified on the way.
    ///
    /// # Errors
    /// [`CasError::NotEmpty`], [`CasError::Missing`], [`CasError::Damaged`], or the kernel's with the path.
    pub fn export(&self, tree: &Digest, into: impl AsFd, look: &mut dyn FnMut(&Path, &Entry) -> Attributes) -> Result<(), CasError> {
        self.export_near(tree, into, None, look)
    }

    /// As [`Store::export`]. `near`: a tree, and a directory to which it was exported with the same looks and in which nothing was changed since.
    /// Files that are equal at equal paths are then not written but get a second name, so that only what differs costs bytes.
    ///
    /// # Errors
    /// As [`Store::export`].
    pub fn export_near(
        &self,
        tree: &Digest,
        into: impl AsFd,
        near: Option<(&Digest, &OwnedFd)>,
        look: &mut dyn FnMut(&Path, &Entry) -> Attributes,
    ) -> Result<(), CasError> {
        if !beneath::names(&into).during("reading", ".")?.is_empty() {
            return Err(CasError::NotEmpty);
        }
        let top = beneath::directory(into, ".").during("opening", ".")?;
        let near = near.map(|(digest, directory)| self.tree(digest).map(|tree| (tree, directory))).transpose()?;
        self.export_tree(&self.tree(tree)?, &top, near.as_ref().map(|(tree, directory)| (tree, *directory)), Path::new(""), look)
    }

    fn export_tree(
        &self,
        tree: &Tree,
        into: &OwnedFd,
        near: Option<(&Tree, &OwnedFd)>,
        path: &Path,
        look: &mut dyn FnMut(&Path, &Entry) -> Attributes,
    ) -> Result<(), CasError> {
        for (name, entry) in tree.iter() {
            let below = path.join(name);
            let attributes = look(&below, entry);
            let beside = near.and_then(|(tree, directory)| tree.get(name).map(|entry| (entry, directory)));
            match entry {
                Entry::File { digest, .. } => {
                    // A file with too many names, or one that somebody removed meanwhile, is written after all.
                    let equal = beside.filter(|(other, _)| *other == entry);
                    if equal.is_none_or(|(_, from)| linkat(from, name, into, name, AtFlags::empty()).is_err()) {
                        self.export_file(digest, into, name.as_ref(), &below, &attributes)?;
                    }
                }
                Entry::Directory { digest, .. } => {
                    mkdirat(into, name, Mode::RWXU).during("making", &below)?;
                    let inner = beneath::directory(into, name).during("opening", &below)?;
                    let beside = match beside {
                        Some((Entry::Directory { digest, .. }, from)) => {
                            beneath::directory(from, name).ok().map(|from| self.tree(digest).map(|tree| (tree, from))).transpose()?
                        }
                        _ => None,
                    };
                    self.export_tree(&self.tree(digest)?, &inner, beside.as_ref().map(|(tree, from)| (tree, from)), &below, look)?;
                    attributes.apply(&inner).during("finishing", &below)?;
                }
                Entry::Link { target } => export_link(target, into, name, &attributes).during("making", &below)?,
            }
        }
        Ok(())
    }

    /// Writes one blob as a new file `name` in a directory.
    ///
    /// # Errors
    /// As [`Store::export`]; `EEXIST` if the name is taken.
    pub fn export_file(&self, digest: &Digest, into: &OwnedFd, name: &Path, shown: &Path, attributes: &Attributes) -> Result<(), CasError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(into, name, flags, Mode::RUSR | Mode::WUSR).during("making", shown)?);
        let mut blob = self.blob(digest, Check::Verify)?;
        std::io::copy(&mut blob, &mut file).map_err(|e| damage(e, digest)).and_then(|_| attributes.apply(&file).during("finishing", shown))
    }
}

fn export_link(target: &OsStr, into: &OwnedFd, name: &OsStr, attributes: &Attributes) -> Result<(), rustix::io::Errno> {
    symlinkat(target, into, name)?;
    if let Some((user, group)) = attributes.owner {
        chownat(into, name, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    attributes.times().map_or(Ok(()), |times| utimensat(into, name, &times, AtFlags::SYMLINK_NOFOLLOW))
}

/// The error that was wrapped to go through [`std::io::Read`].
fn damage(error: std::io::Error, digest: &Digest) -> CasError {
    let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
    match error.into_inner().map(|inner| inner.downcast::<CasError>()) {
        Some(Ok(inner)) => *inner,
        _ => CasError::System { doing: "copying", path: digest.place().into(), errno },
    }
}
