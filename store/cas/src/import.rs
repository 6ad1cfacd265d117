//! Reading a directory that somebody hostile may have written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, readlinkat};

use crate::error::During;
use crate::tree::MODE_BITS;
use crate::{CasError, Digest, Entry, Quantity, Session, Tree, beneath};

/// What to do with FIFOs, sockets and devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The import fails and names the first.
    Refuse,
    /// They are left out and named in [`Found::left_out`].
    LeaveOut,
}

/// Bounds of an import.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// Directories in each other; each costs a descriptor and some stack while it is read.
    pub depth: usize,
    /// FIFOs, sockets and devices.
    pub special: Special,
}

impl Default for Import {
    /// 16 GiB, a million entries, 128 levels; special files are refused.
    fn default() -> Import {
        Import { bytes: 16 << 30, entries: 1_000_000, depth: 128, special: Special::Refuse }
    }
}

/// What an import found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files, directories and links stored.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Special files that were left out, and what each was.
    pub left_out: Vec<(PathBuf, &'static str)>,
}

impl Session<'_> {
    /// Stages a directory with all below it. Symbolic links are stored as what they say and never followed; a file with several names is stored
    /// under each; other file systems are not entered; `filter` is asked for each path below the directory, and what it declines is left out.
    ///
    /// # Errors
    /// [`CasError::Special`], [`CasError::Quota`], or the kernel's with the path.
    pub fn import(
        &mut self,
        directory: impl AsFd,
        bounds: &Import,
        filter: &mut dyn FnMut(&Path, FileType) -> bool,
    ) -> Result<(Digest, Found), CasError> {
        let mut import = Importing { session: self, bounds, filter, found: Found::default() };
        let top = beneath::directory(directory, ".").during("opening", ".")?;
        let tree = import.directory(&top, Path::new(""), 0)?;
        let found = import.found;
        Ok((self.put_tree(&tree)?, found))
    }
}

struct Importing<'a, 's> {
    session: &'a mut Session<'s>,
    bounds: &'a Import,
    filter: &'a mut dyn FnMut(&Path, FileType) -> bool,
    found: Found,
}

impl Importing<'_, '_> {
    fn directory(&mut self, directory: &OwnedFd, path: &Path, depth: usize) -> Result<Tree, CasError> {
        if depth > self.bounds.depth {
            return Err(CasError::Quota { quantity: Quantity::Depth, limit: self.bounds.depth as u64 });
        }
        let mut tree = Tree::default();
        for name in beneath::names(directory).during("reading", path)? {
            let below = path.join(&name);
            let stat = beneath::stat(directory, &name).during("reading", &below)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            if !(self.filter)(&below, kind) {
                continue;
            }
            if let Some(entry) = self.entry(directory, &name, &below, kind, &stat, depth)? {
                self.found.entries += 1;
                if self.found.entries > self.bounds.entries {
                    return Err(CasError::Quota { quantity: Quantity::Entries, limit: self.bounds.entries });
                }
                tree.insert(&name, entry).map_err(|_| rustix::io::Errno::INVAL).during("storing", &below)?;
            }
        }
        Ok(tree)
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        below: &Path,
        kind: FileType,
        stat: &Stat,
        depth: usize,
    ) -> Result<Option<Entry>, CasError> {
        match kind {
            FileType::RegularFile => self.file(directory, name, below).map(Some),
            FileType::Directory => {
                let inner = beneath::directory(directory, name).during("opening", below)?;
                let tree = self.directory(&inner, below, depth + 1)?;
                let digest = self.session.put_tree(&tree)?;
                Ok(Some(tree.as_entry(digest, stat.st_mode & MODE_BITS)))
            }
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new()).during("reading", below)?;
                Ok(Some(Entry::Link { target: OsString::from_vec(target.into_bytes()) }))
            }
            other => match self.bounds.special {
                Special::Refuse => Err(CasError::Special { path: below.to_owned(), kind: beneath::kind_name(other) }),
                Special::LeaveOut => {
                    self.found.left_out.push((below.to_owned(), beneath::kind_name(other)));
                    Ok(None)
                }
            },
        }
    }

    fn file(&mut self, directory: &OwnedFd, name: &OsStr, below: &Path) -> Result<Entry, CasError> {
        // The kind is asked again of what was opened: between both calls the name may have come to mean something else.
        let (file, stat) = beneath::file(directory, name).during("opening", below)?;
        let left = self.bounds.bytes - self.found.bytes;
        let (digest, size) = self.session.put(File::from(file), left).map_err(|error| match error {
            CasError::Quota { quantity: Quantity::Bytes, .. } => CasError::Quota { quantity: Quantity::Bytes, limit: self.bounds.bytes },
            other => other,
        })?;
        self.found.bytes += size;
        Ok(Entry::File { digest, size, mode: stat.st_mode & MODE_BITS })
    }
}
