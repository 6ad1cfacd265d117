//! Reading what a command left, from outside, when nothing inside is left that could change it.
//!
//! Names are the command's: every one is looked up with openat2(2) below the directory that was handed over, through no symbolic link, no magic link
//! and no mount point, and only regular files with one name are read.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use enclos_sys::Errno;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

/// Why a file was not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CollectError {
    /// Not there, or behind a link, or not readable.
    #[error("{path}: {errno}")]
    Open {
        /// Below the directory.
        path: PathBuf,
        /// The kernel's answer; `ELOOP`: a symbolic link is on the way.
        errno: Errno,
    },
    /// Something else than a regular file with one name.
    #[error("{path}: not a regular file with one name")]
    NotRegular {
        /// Below the directory.
        path: PathBuf,
    },
    /// More bytes than asked for.
    #[error("{path}: {size} bytes, {max} at most")]
    TooLarge {
        /// Below the directory.
        path: PathBuf,
        /// Bytes.
        size: u64,
        /// Bytes.
        max: u64,
    },
    /// More entries or levels than asked for.
    #[error("{path}: more than {max} entries, or nested too deeply")]
    TooMany {
        /// Below the directory.
        path: PathBuf,
        /// How many entries at most.
        max: usize,
    },
}

/// A regular file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the directory.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Most levels [`list`] goes down.
const DEPTH: usize = 32;

/// Reads one file. `path` is relative to the directory.
///
/// # Errors
/// Anything but a regular file with one name and at most `max` bytes, reached without a link.
pub fn read(directory: impl AsFd, path: impl AsRef<Path>, max: u64) -> Result<Vec<u8>, CollectError> {
    let path = path.as_ref();
    let failed = |errno| CollectError::Open { path: path.to_owned(), errno };
    let file = open(directory, path, OFlags::NONBLOCK).map_err(failed)?;
    let stat = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
        return Err(CollectError::NotRegular { path: path.to_owned() });
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > max {
        return Err(CollectError::TooLarge { path: path.to_owned(), size, max });
    }
    let mut contents = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut done = 0;
    while done < contents.len() {
        match rustix::io::pread(&file, &mut contents[done..], done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    contents.truncate(done);
    Ok(contents)
}

/// Regular files with one name below the directory, breadth first; everything else is passed over.
///
/// # Errors
/// More than `max` entries of any kind, more than 32 levels, or a directory that cannot be read.
pub fn list(directory: impl AsFd, max: usize) -> Result<Vec<Entry>, CollectError> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut waiting = VecDeque::from([(PathBuf::from("."), 0)]);
    while let Some((path, depth)) = waiting.pop_front() {
        let failed = |errno| CollectError::Open { path: path.clone(), errno };
        let opened = open(&directory, &path, OFlags::DIRECTORY).map_err(failed)?;
        for entry in Dir::read_from(&opened).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            seen += 1;
            let below = if path == Path::new(".") { PathBuf::from(name) } else { path.join(name) };
            if seen > max || depth >= DEPTH {
                return Err(CollectError::TooMany { path: below, max });
            }
            match entry.file_type() {
                FileType::Directory => waiting.push_back((below, depth + 1)),
                FileType::RegularFile => found.extend(regular(&directory, below)),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn regular(directory: impl AsFd, path: PathBuf) -> Option<Entry> {
    let file = open(directory, &path, OFlags::PATH).ok()?;
    let stat = fstat(&file).ok()?;
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
    plain.then(|| Entry { path, size: u64::try_from(stat.st_size).unwrap_or(0), mode: stat.st_mode & 0o7777 })
}

fn open(directory: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::RDONLY | OFlags::NOCTTY };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    openat2(directory, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/plain"), b"plain").unwrap();
        std::fs::write(at("twice"), b"two names").unwrap();
        std::fs::hard_link(at("twice"), at("again")).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        symlink("sub", at("by")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        let fd = rustix::fs::open(directory.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (directory, fd)
    }

    #[test]
    fn only_plain_files_come_out() {
        let (_directory, fd) = tree();
        assert_eq!(read(&fd, "sub/plain", 5).unwrap(), b"plain");
        assert_eq!(list(&fd, 100).unwrap().into_iter().map(|e| (e.path, e.size)).collect::<Vec<_>>(), [("sub/plain".into(), 5)]);
        for (path, errno) in [("link", Errno::LOOP), ("by/plain", Errno::LOOP), ("../x", Errno::XDEV), ("/etc/passwd", Errno::XDEV)] {
            assert_eq!(read(&fd, path, 1 << 20), Err(CollectError::Open { path: path.into(), errno }), "{path}");
        }
        for path in ["twice", "fifo", "sub"] {
            assert_eq!(read(&fd, path, 1 << 20), Err(CollectError::NotRegular { path: path.into() }));
        }
        assert_eq!(read(&fd, "sub/plain", 4), Err(CollectError::TooLarge { path: "sub/plain".into(), size: 5, max: 4 }));
    }

    #[test]
    fn a_listing_is_bounded() {
        let (_directory, fd) = tree();
        assert!(matches!(list(&fd, 3), Err(CollectError::TooMany { max: 3, .. })));
    }
}
