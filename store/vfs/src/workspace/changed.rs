//! Whether a workspace changed one path, without a walk.

use enclos_cas::{Entry, beneath};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Marks, open, publish};
use crate::error::During;
use crate::{Bounds, TreePath, Vfs, VfsError, edit};

impl Vfs {
    /// Whether what the workspace has at this path is its own: not what it and its codebase agreed on last. Only this path and the directories
    /// above it are looked at; a directory counts as changed as soon as something in it may be. Nothing may run in the workspace meanwhile.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], the store's or the kernel's.
    pub fn changed_in(&self, id: &str, path: &TreePath, marks: Marks) -> Result<bool, VfsError> {
        let workspace = self.workspace(id)?;
        let base = self.version(&workspace.codebase, Some(workspace.version))?;
        let agreed = || edit::find(self.store(), &workspace.published.unwrap_or(base.tree), path);
        let mut at = match open(&self.generation(&workspace).join("upper")) {
            Err(VfsError::System { errno: Errno::NOENT, .. }) => return Ok(false),
            other => other?,
        };
        let mut opaque = false;
        let mut names = path.names().peekable();
        while let Some(name) = names.next() {
            let stat = match beneath::stat(&at, name) {
                // What an opaque directory does not have was taken away with the one it replaced.
                Err(Errno::NOENT) => return Ok(opaque && agreed()?.is_some()),
                other => other.during("reading", path.as_path())?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(agreed()?.is_some()),
                FileType::Directory if names.peek().is_some() => {
                    at = match beneath::directory(&at, name) {
                        Err(Errno::ACCESS) => return Ok(true),
                        other => other.during("opening", path.as_path())?,
                    };
                    opaque |= marks.read(&at, "opaque").during("reading", path.as_path())?.as_deref() == Some(b"y");
                }
                FileType::RegularFile if names.peek().is_none() => {
                    let Some(Entry::File { digest, size, .. }) = agreed()? else { return Ok(true) };
                    let (file, stat) = match beneath::file(&at, name) {
                        Err(Errno::ACCESS) => return Ok(true),
                        other => other.during("opening", path.as_path())?,
                    };
                    if u64::try_from(stat.st_size) != Ok(size) {
                        return Ok(true);
                    }
                    let bounds = Bounds { bytes: size, ..Bounds::default() };
                    return match publish::hash(&mut file.into(), size, &bounds) {
                        Ok((found, _)) => Ok(found != digest),
                        // It grew: somebody writes to it.
                        Err(VfsError::Quota { .. }) => Ok(true),
                        Err(error) => Err(error),
                    };
                }
                _ => return Ok(true),
            }
        }
        Ok(true)
    }
}
