//! Files of a running sandbox, as its commands would see and change them.
//!
//! The store reaches them from the descriptor of the mounted workspace, while nothing in the sandbox runs (ARCHITECTURE.md, invariant 6). The calling
//! thread has the command's own ids meanwhile, so that the kernel decides by the owners and bits that the rules have made, and with them by the rules. A
//! server that is no root has one id for both: there the rules themselves are asked.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use enclos_vfs::{Files, Level, Ownership, TreePath, VfsError};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::codebases::tree_path;
use super::entry::{Entry, Known};
use super::life::Life;
use super::{Inner, fault};
use crate::api::{AgentError, Cancel, Entry as Listed, EntryKind, FilePart, FileRange, Result, WatchEvent};
use crate::watch;

/// Permission bits of a file that names none, and of directories that are made on the way.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;
/// Most bytes that one call reads.
const MOST_READ: u64 = 64 << 20;
/// Entries of one listing.
const MOST_ENTRIES: usize = 100_000;
/// User and group of commands, inside.
pub(super) const COMMAND: u32 = 1000;

impl Inner {
    /// Does something with the files of a sandbox, as its commands would, while nothing in it runs.
    fn inside<T>(&self, entry: &Entry, act: impl FnOnce(&Files<'_>) -> Result<T, VfsError>) -> Result<T> {
        let life = entry.living()?;
        let top = life.workspace()?;
        life.stilled(|| self.as_command(&life, || act(&Files::below(top)).map_err(refused)))
    }

    /// Does something as a command of the sandbox would.
    pub(super) fn as_command<T>(&self, life: &Life, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.ownership {
            // It is the server's own user.
            Ownership::One => act(),
            Ownership::Two { .. } => life.with_ids(COMMAND, COMMAND, act)?,
        }
    }

    /// Checks that a path may be changed, where owners cannot tell.
    fn check_write(&self, known: &Known, path: &TreePath) -> Result<()> {
        if self.ownership == Ownership::One && known.rules.level(path) != Level::Write {
            return Err(AgentError::Denied { path: path.to_string(), why: known.rules.explain(path).to_string() });
        }
        Ok(())
    }

    /// Reads a file. What is written to it meanwhile may or may not be in what is read.
    pub fn read_inside(&self, entry: &Entry, path: &str, range: FileRange) -> Result<FilePart> {
        let path = inside_path(path)?;
        let (file, status) = self.inside(entry, |files| files.read(&path))?;
        let most = range.length.unwrap_or(MOST_READ).min(MOST_READ);
        let mut bytes = Vec::new();
        let read = At { file: &file, offset: range.offset }.take(most).read_to_end(&mut bytes);
        read.map_err(|error| fault::internal("reading a file of a sandbox", &error))?;
        Ok(FilePart { bytes, size: status.size, mode: status.mode })
    }

    /// Writes a file. What comes is kept aside first: the sandbox stands still only while it is put in place.
    pub fn write_inside(&self, entry: &Entry, path: &str, mode: Option<u32>, from: &mut dyn Read) -> Result<u64> {
        let path = inside_path(path)?;
        if let Some(mode) = mode.filter(|mode| *mode > 0o777) {
            return Err(AgentError::invalid("mode", format!("{mode:o}: permission bits are 0 to 777")));
        }
        // A caller whose sandbox does not run is told before it sends.
        entry.living()?;
        let known = entry.known();
        self.check_write(&known, &path)?;
        let most = known.record.limits.workspace.unwrap_or(u64::MAX);
        let (file, size) = self.spool(from, most)?;
        self.room(entry, &entry.living()?, size)?;
        self.inside(entry, |files| {
            if let Some(parent) = path.parent() {
                files.make_directories(&parent, DIRECTORY_MODE)?;
            }
            match files.write(&path, &file, mode.unwrap_or(FILE_MODE), most) {
                // Its directory was not to be written, and then there was no file to write either.
                Err(VfsError::NotThere(_)) => {
                    Err(VfsError::System { doing: "making", path: path.as_path().to_owned(), errno: Errno::ACCESS })
                }
                other => other,
            }?;
            if let Some(mode) = mode {
                // One that was there has kept its own.
                let (written, _) = files.read(&path)?;
                let changed = rustix::fs::fchmod(&written, rustix::fs::Mode::from_raw_mode(mode));
                changed.map_err(|errno| VfsError::System { doing: "finishing", path: path.as_path().to_owned(), errno })?;
            }
            Ok(())
        })?;
        entry.touch();
        Ok(size)
    }

    /// Lists a directory.
    pub fn list_inside(&self, entry: &Entry, path: &str) -> Result<Vec<Listed>> {
        let path = inside_path(path)?;
        let (found, more) = self.inside(entry, |files| files.list(&path, None, MOST_ENTRIES))?;
        if more {
            return Err(AgentError::Quota { what: format!("entries of {path}"), limit: MOST_ENTRIES as u64 });
        }
        let shown = |(name, status): (std::ffi::OsString, enclos_vfs::Status)| Listed {
            name: name.to_string_lossy().into_owned(),
            kind: match status.kind {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Directory,
                FileType::Symlink => EntryKind::Link,
                _ => EntryKind::Other,
            },
            size: status.size,
            mode: status.mode,
            modified_at: status.changed,
            link: status.target.map(|target| target.to_string_lossy().into_owned()),
        };
        Ok(found.into_iter().map(shown).collect())
    }

    /// Removes something.
    pub fn remove_inside(&self, entry: &Entry, path: &str, recursive: bool) -> Result<()> {
        let path = inside_path(path)?;
        self.check_write(&entry.known(), &path)?;
        entry.touch();
        self.inside(entry, |files| files.remove(&path, recursive))
    }

    /// Tells of changes.
    pub fn watch_inside(&self, entry: &Entry, path: &str, cancel: &Cancel, receive: &mut dyn FnMut(WatchEvent) -> bool) -> Result<()> {
        let path = inside_path(path)?;
        let life = entry.living()?;
        let top = life.workspace()?;
        let stilled = |act: &mut dyn FnMut() -> Result<()>| life.stilled(|| self.as_command(&life, act));
        let alive = || entry.life().is_some_and(|now| std::sync::Arc::ptr_eq(&now, &life));
        watch::watch(top, &path, cancel, &stilled, &alive, receive)
    }

    /// Keeps a stream in a file that has no name.
    fn spool(&self, from: &mut dyn Read, most: u64) -> Result<(File, u64)> {
        let failed = |error: std::io::Error| fault::internal("keeping a file aside", &error);
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::CLOEXEC;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let opened = rustix::fs::open(&self.settings.state, flags, mode).map_err(|errno| failed(errno.into()))?;
        let mut file = File::from(opened);
        let mut buffer = vec![0; 64 << 10];
        let mut size = 0u64;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AgentError::invalid("data", error.to_string())),
            };
            size += count as u64;
            if size > most {
                return Err(AgentError::Quota { what: "bytes in the workspace".to_owned(), limit: most });
            }
            file.write_all(&buffer[..count]).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok((file, size))
    }
}

/// What the kernel says to a command is no fault of ours.
pub(crate) fn refused(error: VfsError) -> AgentError {
    let denied = |path: &std::path::Path, why: &str| AgentError::Denied { path: path.display().to_string(), why: why.to_owned() };
    match error {
        VfsError::System { path, errno: Errno::ACCESS, .. } => denied(&path, "permission denied"),
        VfsError::System { path, errno: Errno::PERM, .. } => denied(&path, "operation not permitted"),
        VfsError::System { path, errno: Errno::ROFS, .. } => denied(&path, "read-only"),
        VfsError::System { path, errno: Errno::NOTEMPTY | Errno::EXIST, .. } => {
            AgentError::Precondition(format!("{}: it is a directory that is not empty", path.display()))
        }
        VfsError::System { errno: Errno::NAMETOOLONG, .. } => AgentError::invalid("path", "a name is too long"),
        VfsError::System { path, errno: Errno::TXTBSY, .. } => {
            AgentError::Precondition(format!("{}: it is being executed", path.display()))
        }
        other => fault::of_store(other),
    }
}

struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// A path inside the workspace: relative to it, or as commands see it, below `/workspace`.
fn inside_path(path: &str) -> Result<TreePath> {
    let inside = match path.strip_prefix(crate::exec::WORKSPACE) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    tree_path("path", if inside.is_empty() { "/" } else { inside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_workspace_however_it_is_written() {
        let cases =
            [("/workspace/a/b", "/a/b"), ("a/b", "/a/b"), ("/a", "/a"), ("/workspace", "/"), ("", "/"), ("/workspacer/x", "/workspacer/x")];
        for (given, wanted) in cases {
            assert_eq!(inside_path(given).unwrap().to_string(), wanted, "{given}");
        }
        assert!(inside_path("../x").is_err() && inside_path("/workspace/../../etc").is_err());
    }
}
