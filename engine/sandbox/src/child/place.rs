//! A path inside the new root, prepared by the launcher so that the child can find it, or make it, without allocating.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use enclos_sys::Errno;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};

/// A prepared path: its text, and every step from the root to it.
#[derive(Debug)]
pub struct Place {
    /// Relative to the root; `.` for the root itself.
    pub path: CString,
    /// Directory and name of every component, from the top; the last one is the place itself.
    steps: Vec<(CString, CString)>,
    parent_mode: u32,
}

/// What to make where nothing is.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// A directory with these permission bits.
    Directory(u32),
    /// An empty file with these permission bits.
    File(u32),
}

/// Where every lookup of a place ends if it tries to leave: the links of the new root lead into it, never out.
pub const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Place {
    /// Prepares `path`, absolute or relative to the new root. `..` is resolved by the child, inside the root.
    ///
    /// # Errors
    /// `EINVAL` for a zero byte.
    pub fn new(path: &Path, parent_mode: u32) -> Result<Place, Errno> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::INVAL);
        let mut steps = Vec::new();
        let mut so_far: Vec<u8> = Vec::new();
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
                Component::ParentDir => &b".."[..],
                Component::Normal(name) => name.as_bytes(),
            };
            let parent = if so_far.is_empty() { text(b".")? } else { text(&so_far)? };
            steps.push((parent, text(name)?));
            if !so_far.is_empty() {
                so_far.push(b'/');
            }
            so_far.extend(name);
        }
        let path = if so_far.is_empty() { text(b".")? } else { text(&so_far)? };
        Ok(Place { path, steps, parent_mode })
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// The directory it lies in and its name there; `None` for the root itself.
    pub fn last(&self) -> Option<(&CString, &CString)> {
        self.steps.last().map(|(parent, name)| (parent, name))
    }

    /// Opens what is there (`O_PATH`). Child-safe.
    pub fn open(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        openat2(root, &self.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), IN_ROOT)
    }

    /// The same, if no link lies on the way. Child-safe.
    pub fn open_exact(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(root, &self.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Opens the directory the last component lies in, making missing ones, and gives the last name. Child-safe.
    pub fn open_parent(&self, root: BorrowedFd<'_>) -> Result<(OwnedFd, &CString), Errno> {
        let Some(((parent, name), above)) = self.steps.split_last() else { return Err(Errno::EXIST) };
        let open = || openat2(root, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), IN_ROOT);
        match open() {
            Err(Errno::NOENT) => {}
            other => return other.map(|fd| (fd, name)),
        }
        for (directory, name) in above {
            let directory = openat2(root, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), IN_ROOT)?;
            match mkdirat(&directory, name, Mode::from_raw_mode(self.parent_mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        open().map(|fd| (fd, name))
    }

    /// Opens what is there, making it and its parents where nothing is. Child-safe.
    ///
    /// Most places are new, so making comes first: it needs the fewest calls.
    pub fn open_or_make(&self, root: BorrowedFd<'_>, make: Make) -> Result<OwnedFd, Errno> {
        if self.is_root() {
            return self.open(root);
        }
        let made = self.open_parent(root).and_then(|(parent, name)| match make {
            Make::Directory(mode) => {
                mkdirat(&parent, name, Mode::from_raw_mode(mode))?;
                openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            }
            Make::File(mode) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(&parent, name, flags, Mode::from_raw_mode(mode))
            }
        });
        match made {
            // There already, perhaps on a file system where nothing can be made: what is there counts, if it is there.
            Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS | Errno::PERM) => match self.open(root) {
                Err(Errno::NOENT) => made,
                other => other,
            },
            made => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (dir, fd)
    }

    #[test]
    fn missing_parents_are_made_once() {
        let (dir, fd) = root();
        let place = Place::new(Path::new("/a/b/c"), 0o755).unwrap();
        place.open_or_make(fd.as_fd(), Make::Directory(0o700)).unwrap();
        place.open_or_make(fd.as_fd(), Make::Directory(0o700)).unwrap();
        assert!(dir.path().join("a/b/c").is_dir());
    }

    #[test]
    fn links_cannot_lead_out() {
        let (dir, fd) = root();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../../../../../../..", dir.path().join("up")).unwrap();
        let place = Place::new(Path::new("/link/x"), 0o755).unwrap();
        assert!(place.open_or_make(fd.as_fd(), Make::File(0o644)).is_err());
        let place = Place::new(Path::new("/up/y"), 0o755).unwrap();
        place.open_or_make(fd.as_fd(), Make::File(0o644)).unwrap();
        assert!(dir.path().join("y").is_file());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_root_is_itself() {
        let (_dir, fd) = root();
        let place = Place::new(Path::new("/"), 0o755).unwrap();
        assert!(place.is_root());
        place.open(fd.as_fd()).unwrap();
    }
}
