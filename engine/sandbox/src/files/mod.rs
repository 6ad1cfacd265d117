//! Files that go into a sandbox with a command, and files that come out of it.

pub mod collect;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::Arc;

use enclos_sys::Errno;
use rustix::fs::{FileType, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::error::{Failure, Result, Stage};
use crate::init::files::{MAX_PATH, RECORD};

/// A sealed set of files and directories, made once and put into any number of sandboxes ([`Command::files`](crate::Command::files)). Cheap to clone.
///
/// ```
/// # fn main() -> Result<(), enclos_sandbox::Error> {
/// use enclos_sandbox::{Command, Files, collect, spec::Policy};
///
/// let policy = Policy::from_toml("tmpfs = [\"/box\"]\nworkdir = \"/box\"")?;
/// let files = Files::builder().directory("sub", 0o755).file("sub/name", b"world", 0o644).seal()?;
/// let mut command = Command::new("sh");
/// command.args(["-c", "echo hello $(cat sub/name) > greeting"]).policy(&policy).files("/box", &files).collect("/box");
/// let outcome = command.status()?;
/// let directory = outcome.directory.expect("the directory is there");
/// assert_eq!(collect::read(&directory, "greeting", 1 << 10).unwrap(), b"hello world\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    memory: Arc<OwnedFd>,
    bytes: u64,
}

/// Collects what a set holds.
#[derive(Clone, Debug, Default)]
pub struct FilesBuilder {
    records: Vec<u8>,
    fault: Option<(Errno, String)>,
}

impl Files {
    /// An empty set to be filled.
    #[must_use]
    pub fn builder() -> FilesBuilder {
        FilesBuilder::default()
    }

    /// Bytes of memory the set takes: contents, names, and a few more.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl FilesBuilder {
    /// Adds a directory with these permission bits. `path` is relative and has no `..`; directories above it come first.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>, mode: u32) -> Self {
        self.record(path.as_ref(), FileType::Directory.as_raw_mode() | (mode & 0o777), &[]);
        self
    }

    /// Adds a regular file with these permission bits (set-id bits are dropped). `path` is relative and has no `..`; directories above it come first.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        self.record(path.as_ref(), FileType::RegularFile.as_raw_mode() | (mode & 0o777), contents.as_ref());
        self
    }

    fn record(&mut self, path: &Path, mode: u32, contents: &[u8]) {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_))) && !path.as_os_str().is_empty();
        let name = path.as_os_str().as_bytes();
        let errno = match (plain && !name.contains(&0), name.len() < MAX_PATH) {
            (true, true) => None,
            (true, false) => Some(Errno::NAMETOOLONG),
            (false, _) => Some(Errno::INVAL),
        };
        if let Some(errno) = errno {
            self.fault.get_or_insert((errno, path.display().to_string()));
            return;
        }
        self.records.reserve(RECORD + name.len() + 1 + contents.len());
        self.records.extend(mode.to_le_bytes());
        self.records.extend((name.len() as u32).to_le_bytes());
        self.records.extend((contents.len() as u64).to_le_bytes());
        self.records.extend(name);
        self.records.push(0);
        self.records.extend(contents);
    }

    /// Makes the set.
    ///
    /// # Errors
    /// A path that is absolute, has `..` or a zero byte (`EINVAL`), or is longer than 1023 bytes; memory that cannot be had.
    pub fn seal(self) -> Result<Files> {
        if let Some((errno, path)) = self.fault {
            return Err(Failure::about(Stage::WriteFiles, errno, path).into());
        }
        let failed = |errno: Errno| Failure::about(Stage::WriteFiles, errno, "memory file");
        let memory = memfd_create(c"enclos-files", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(failed)?;
        let mut rest = &self.records[..];
        while !rest.is_empty() {
            match rustix::io::write(&memory, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno).into()),
            }
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&memory, seals).map_err(failed)?;
        Ok(Files { memory: Arc::new(memory), bytes: self.records.len() as u64 })
    }
}

/// A directory inside, as a request carries it.
pub(crate) fn directory_inside(path: &Path) -> Result<CString> {
    let failed = |errno| Failure::about(Stage::WriteFiles, errno, path.display().to_string());
    if !path.is_absolute() {
        return Err(failed(Errno::INVAL).into());
    }
    CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_are_refused() {
        for path in ["/etc/x", "../x", "a/../../x", "", ".", "a\0b"] {
            assert!(Files::builder().file(path, b"", 0o644).seal().is_err(), "{path:?}");
        }
        assert!(Files::builder().file("x".repeat(MAX_PATH), b"", 0o644).seal().is_err());
        assert!(Files::builder().file("a/b", b"", 0o644).seal().is_ok());
    }

    #[test]
    fn a_set_is_sealed() {
        let files = Files::builder().file("a", b"contents", 0o600).seal().unwrap();
        assert_eq!(rustix::io::pwrite(&files, b"x", 0), Err(Errno::PERM));
        assert_eq!(files.size(), (RECORD + 2 + 8) as u64);
    }
}
