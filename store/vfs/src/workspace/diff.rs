//! What a workspace's upper says was changed.
//!
//! The upper was written by the command, so nothing in it is believed: it is walked below one descriptor, through no link and no mount; what is
//! not file, directory or link is named and never taken; every path is judged by the rules again. Call this only when nothing runs in the
//! workspace: a walk beside a writer would see neither the state before nor the one after.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use enclos_cas::{Digest, Entry, MODE_BITS, Store, Tree, beneath};
use rustix::fs::{FileType, Stat, fstat, readlinkat};
use rustix::io::Errno;

use super::files::Marks;
use crate::edit::DIRECTORY_MODE;
use crate::error::During;
use crate::layers::Ownership;
use crate::layers::look;
use crate::{Explanation, Level, Rules, TreePath, VfsError};

/// Something at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A regular file.
    File {
        /// Of its bytes.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link, never followed.
    Link {
        /// Where it says.
        target: std::ffi::OsString,
    },
    /// A directory; what it holds are changes of their own.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A FIFO, socket or device, or something that cannot be read.
    Special(&'static str),
}

impl From<&Entry> for What {
    fn from(entry: &Entry) -> What {
        match entry {
            Entry::File { digest, size, mode } => What::File { digest: *digest, size: *size, mode: *mode },
            Entry::Directory { mode, .. } => What::Directory { mode: *mode },
            Entry::Link { target } => What::Link { target: target.clone() },
        }
    }
}

/// Why a change is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The rules give the path less than `write`.
    Rules(Box<Explanation>),
    /// It would take something along that the rules protect.
    Protects(Box<Explanation>),
    /// It cannot be stored.
    Kind(&'static str),
    /// A change above it is held back.
    Above(TreePath),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Rules(why) => write!(f, "the rules forbid it: {why}"),
            Denied::Protects(why) => write!(f, "it would remove what the rules protect: {why}"),
            Denied::Kind(kind) => write!(f, "a {kind} cannot be stored"),
            Denied::Above(path) => write!(f, "the change of {path} above it is held back"),
        }
    }
}

/// One change. A rename is a removal and an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: TreePath,
    /// What was there in the version; `None`: it is new.
    pub before: Option<What>,
    /// What is there now; `None`: it is gone, with all below it.
    pub after: Option<What>,
    /// Why a commit would hold it back.
    pub denied: Option<Denied>,
}

impl Change {
    /// Whether only the bits of a directory change.
    pub(crate) fn stays_a_directory(&self) -> bool {
        matches!((&self.before, &self.after), (Some(What::Directory { .. }), Some(What::Directory { .. })))
    }
}

/// `A`, `M` or `D`, and the path, as version control shows changes.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match (&self.before, &self.after) {
            (None, _) => 'A',
            (Some(_), Some(_)) => 'M',
            (Some(_), None) => 'D',
        };
        write!(f, "{letter} {}", self.path)?;
        self.denied.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

/// Bounds of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files in the upper.
    pub bytes: u64,
    /// Names in the upper.
    pub names: u64,
    /// Directories in each other.
    pub depth: usize,
}

impl Default for Bounds {
    /// 16 GiB, a million names, 128 levels.
    fn default() -> Bounds {
        Bounds { bytes: 16 << 30, names: 1_000_000, depth: 128 }
    }
}

/// How an upper is to be read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The rules the command worked under.
    pub rules: &'a Rules,
    /// Who owns what in the upper.
    pub ownership: Ownership,
    /// How it was mounted.
    pub marks: Marks,
    /// How much of it is read.
    pub bounds: Bounds,
}

/// Takes a file's bytes, at most as many as it is told, and names them.
pub(crate) type Take<'t> = dyn FnMut(File, u64) -> Result<(Digest, u64), VfsError> + 't;

pub(crate) struct Walk<'a, 't> {
    pub store: &'a Store,
    pub view: View<'a>,
    pub promised: Vec<TreePath>,
    pub take: &'t mut Take<'t>,
    pub changes: Vec<Change>,
    pub bytes: u64,
    pub names: u64,
}

impl Walk<'_, '_> {
    /// One directory of the upper. `base`: what the version has there; `opaque`: nothing of it shows through.
    pub fn directory(&mut self, upper: &OwnedFd, path: &TreePath, base: Option<&Tree>, opaque: bool, depth: usize) -> Result<(), VfsError> {
        if depth > self.view.bounds.depth {
            return Err(VfsError::Quota { what: "levels of directories in the workspace", limit: self.view.bounds.depth as u64 });
        }
        let names = beneath::names(upper).during("reading", path.as_path())?;
        for name in &names {
            self.names += 1;
            if self.names > self.view.bounds.names {
                return Err(VfsError::Quota { what: "names in the workspace", limit: self.view.bounds.names });
            }
            let below = path.join(name);
            let stat = beneath::stat(upper, name).during("reading", below.as_path())?;
            self.name(upper, name, &below, &stat, base.and_then(|tree| tree.get(name)), opaque, depth)?;
        }
        if let (true, Some(base)) = (opaque, base) {
            for (name, entry) in base.iter().filter(|(name, _)| names.binary_search_by(|n| n.as_os_str().cmp(name)).is_err()) {
                self.removed(path.join(name), entry)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one name in two trees: each argument is another fact about it")]
    fn name(
        &mut self,
        upper: &OwnedFd,
        name: &OsStr,
        path: &TreePath,
        stat: &Stat,
        base: Option<&Entry>,
        opaque: bool,
        depth: usize,
    ) -> Result<(), VfsError> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice if stat.st_rdev == 0 => base.map_or(Ok(()), |entry| self.removed(path.clone(), entry)),
            FileType::Directory => match beneath::directory(upper, name) {
                Ok(inner) => self.subdirectory(&inner, path, base, opaque, depth),
                Err(Errno::ACCESS) => self.special(path, base, "directory that cannot be read"),
                Err(errno) => Err(errno).during("opening", path.as_path()),
            },
            FileType::RegularFile => self.file(upper, name, path, base),
            FileType::Symlink => {
                let target = readlinkat(upper, name, Vec::new()).during("reading", path.as_path())?;
                let after = What::Link { target: std::ffi::OsString::from_vec(target.into_bytes()) };
                if base.map(What::from).as_ref() == Some(&after) { Ok(()) } else { self.changed(path, base, after) }
            }
            other => self.special(path, base, beneath::kind_name(other)),
        }
    }

    fn subdirectory(&mut self, inner: &OwnedFd, path: &TreePath, base: Option<&Entry>, opaque: bool, depth: usize) -> Result<(), VfsError> {
        let marks = self.view.marks;
        let mark = |name: &str| marks.read(inner, name).during("reading", path.as_path());
        if mark("redirect")?.is_some() {
            return Err(VfsError::WrongKind {
                path: path.clone(),
                why: "it was renamed by an overlay with redirect_dir on, which is not read; mount it off",
            });
        }
        let opaque = opaque || mark("opaque")?.as_deref() == Some(b"y");
        let stat = fstat(inner).during("reading", path.as_path())?;
        let before = self.changes.len();
        let own = match base {
            Some(Entry::Directory { mode, .. }) => self.directory_mode(&stat, *mode),
            // Part of the mask: it is a change only if it holds one.
            _ if self.promised.iter().any(|p| p.is_within(path)) => None,
            // Made by a push, with the look of its level.
            _ if matches!(self.view.ownership, Ownership::Two { command, .. } if stat.st_uid != command.0) => Some(DIRECTORY_MODE),
            _ => Some(stat.st_mode & MODE_BITS),
        };
        if let Some(mode) = own {
            self.changed(path, base, What::Directory { mode })?;
        }
        let tree = match base {
            Some(Entry::Directory { digest, .. }) => Some(self.store.tree(digest)?),
            _ => None,
        };
        self.directory(inner, path, tree.as_ref(), opaque, depth + 1)?;
        let promised = base.is_none() && self.promised.contains(path) && self.view.rules.level(path) == Level::Write;
        if promised && self.changes.len() > before {
            let after = What::Directory { mode: stat.st_mode & MODE_BITS };
            self.changes.insert(before, Change { path: path.clone(), before: None, after: Some(after), denied: None });
        }
        Ok(())
    }

    /// The bits of a directory of the version, if the command changed them.
    fn directory_mode(&self, stat: &Stat, base: u32) -> Option<u32> {
        let now = stat.st_mode & 0o7777;
        let unchanged = match self.view.ownership {
            // What belongs to somebody else only came along, with the look it has.
            Ownership::Two { command, .. } => stat.st_uid != command.0 || now == base | 0o700,
            Ownership::One => [base | 0o700, 0o755, 0o555].contains(&now),
        };
        (!unchanged).then_some(now & MODE_BITS)
    }

    fn file(&mut self, upper: &OwnedFd, name: &OsStr, path: &TreePath, base: Option<&Entry>) -> Result<(), VfsError> {
        let (file, stat) = match beneath::file(upper, name) {
            Ok(opened) => opened,
            Err(Errno::ACCESS) => return self.special(path, base, "file that cannot be read"),
            Err(errno) => return Err(errno).during("opening", path.as_path()),
        };
        for mark in ["metacopy", "redirect"] {
            if self.view.marks.read(&file, mark).during("reading", path.as_path())?.is_some() {
                return Err(VfsError::WrongKind {
                    path: path.clone(),
                    why: "it is a part of a file, made by an overlay with metacopy on, which is not read; mount it off",
                });
            }
        }
        let level = self.view.rules.level(path);
        let foreign = matches!(self.view.ownership, Ownership::Two { command, .. } if stat.st_uid != command.0);
        if foreign && level == Level::View && stat.st_mode & 0o777 == 0 {
            // The placeholder, which came along with a change of its names or times, or was pushed.
            return Ok(());
        }
        let limit = self.view.bounds.bytes;
        let (digest, size) = (self.take)(file.into(), limit - self.bytes)?;
        self.bytes += size;
        let now = stat.st_mode & MODE_BITS;
        if let Some(Entry::File { digest: own, mode, .. }) = base
            && *own == digest
            && (now == look::file_mode(level, *mode, self.view.ownership) || (foreign && level < Level::Write))
        {
            return Ok(());
        }
        // Bits the command did not touch stay as the version has them, not as they were shown.
        let mode = match base {
            Some(Entry::File { mode, .. }) if now == look::file_mode(level, *mode, self.view.ownership) => *mode,
            _ => now,
        };
        self.changed(path, base, What::File { digest, size, mode })
    }

    fn special(&mut self, path: &TreePath, base: Option<&Entry>, kind: &'static str) -> Result<(), VfsError> {
        let change =
            Change { path: path.clone(), before: base.map(What::from), after: Some(What::Special(kind)), denied: Some(Denied::Kind(kind)) };
        self.changes.push(change);
        Ok(())
    }

    fn changed(&mut self, path: &TreePath, base: Option<&Entry>, after: What) -> Result<(), VfsError> {
        let explained = self.view.rules.explain(path);
        let mut denied = (explained.level != Level::Write).then(|| Denied::Rules(Box::new(explained)));
        if let (None, Some(entry @ Entry::Directory { .. }), false) = (&denied, base, matches!(after, What::Directory { .. })) {
            denied = protected(self.store, self.view.rules, path, entry)?.map(Denied::Protects);
        }
        self.changes.push(Change { path: path.clone(), before: base.map(What::from), after: Some(after), denied });
        Ok(())
    }

    fn removed(&mut self, path: TreePath, base: &Entry) -> Result<(), VfsError> {
        let explained = self.view.rules.explain(&path);
        let denied = match protected(self.store, self.view.rules, &path, base)? {
            // It was never shown: the mask's own whiteout, or what became of it.
            Some(_) if explained.level == Level::None && !self.shown(&path, base)? => return Ok(()),
            Some(why) if why.path == path => Some(Denied::Rules(why)),
            other => other.map(Denied::Protects),
        };
        self.changes.push(Change { path, before: Some(What::from(base)), after: None, denied });
        Ok(())
    }

    /// Whether this path, or something below it, is visible.
    fn shown(&self, path: &TreePath, entry: &Entry) -> Result<bool, VfsError> {
        if self.view.rules.level(path) >= Level::View {
            return Ok(true);
        }
        let shown = |name: &OsStr, entry: &Entry| self.shown(&path.join(name), entry).map(|shown| shown.then_some(()));
        below(self.store, entry, shown).map(|found| found.is_some())
    }
}

/// The first path, this one and below, that may not be removed.
pub(crate) fn protected(store: &Store, rules: &Rules, path: &TreePath, entry: &Entry) -> Result<Option<Box<Explanation>>, VfsError> {
    let own = rules.explain(path);
    if own.level != Level::Write {
        return Ok(Some(Box::new(own)));
    }
    below(store, entry, |name, entry| protected(store, rules, &path.join(name), entry))
}

fn below<T>(store: &Store, entry: &Entry, look: impl Fn(&OsStr, &Entry) -> Result<Option<T>, VfsError>) -> Result<Option<T>, VfsError> {
    if let Entry::Directory { digest, .. } = entry {
        for (name, entry) in store.tree(digest)?.iter() {
            if let Some(found) = look(name, entry)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// Holds back what stands below a change that is held back; but not below a directory that only was to get other bits.
pub(crate) fn hold_back_below(changes: &mut [Change]) {
    let mut above: Option<TreePath> = None;
    for change in changes {
        match &above {
            Some(path) if change.path.is_within(path) => {
                if change.denied.is_none() {
                    change.denied = Some(Denied::Above(path.clone()));
                }
            }
            _ => {
                above = (change.denied.is_some() && !change.stays_a_directory()).then(|| change.path.clone());
            }
        }
    }
}
