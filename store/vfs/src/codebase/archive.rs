//! Codebases from tar archives, and as tar archives: streams, in memory that does not grow with the files.
//!
//! An archive is what somebody hostile sent, so only what has one clear meaning is taken: files, directories, symbolic links (kept as what they say,
//! and never followed), and hard links to files that came before, which become files of their own. Names are relative and without `..`; none occurs
//! twice but a directory's; nothing stands below a file or link. Long names are read in both usual forms (GNU, POSIX), and bounded. All else is
//! refused, by the name of the entry. Owners and times are not kept.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;

use enclos_cas::{Blob, CasError, Check, Entry, Found, Import, MODE_BITS, Quantity, Session, Tree};
use tar::{Archive, EntryType, Header};

use super::{By, Version, Vfs, invalid};
use crate::edit::{self, DIRECTORY_MODE, Edit};
use crate::layers::look;
use crate::{TreePath, VfsError};

/// What an archive's files do to those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// They are put over them: a file in place of whatever has its name.
    Over,
    /// They replace them all.
    Instead,
}

/// Longest extended header: names and a few attributes.
const EXTENDED_MOST: u64 = 64 << 10;
/// Unit of an archive, in bytes.
const BLOCK: usize = 512;

impl Vfs {
    /// Makes a version of a tar archive, not compressed.
    ///
    /// # Errors
    /// [`VfsError::Invalid`] with the entry that is refused, and why; [`VfsError::Quota`]; a stream that is no archive or ends early.
    pub fn import_archive(
        &self,
        codebase: &str,
        from: impl Read,
        unpacked: Unpacked,
        bounds: &Import,
        by: By<'_>,
    ) -> Result<(Version, Found), VfsError> {
        super::check_text("author", by.author)?;
        self.codebase(codebase)?;
        let mut session = self.store().session();
        let mut reading = Reading { session: &mut session, bounds, edits: BTreeMap::new(), found: Found::default() };
        reading.archive(from)?;
        let Reading { edits, found, .. } = reading;
        if unpacked == Unpacked::Over {
            return Ok((self.change(&mut session, codebase, &edits, by)?, found));
        }
        let empty = session.put_tree(&Tree::default())?;
        session.settle()?;
        let tree = edit::apply(&mut session, self.store(), empty, &edits)?;
        session.settle()?;
        loop {
            let head = self.version(codebase, None)?;
            let version = self.next_version(&head, tree, by)?;
            if self.record(codebase, &head, &version, |_| Ok(()))? {
                return Ok((version, found));
            }
        }
    }

    /// A version as a tar archive, to be read from: sorted by path, so that equal versions are equal archives.
    ///
    /// # Errors
    /// The store's. Reading verifies every file, and fails at one that is damaged.
    pub fn export_archive(&self, version: &Version) -> Result<Exported<'_>, VfsError> {
        let mut exported = Exported { vfs: self, waiting: Vec::new(), ready: Cursor::default(), blob: None, padding: 0, ended: false };
        exported.enter(&TreePath::top(), &version.tree)?;
        Ok(exported)
    }
}

struct Reading<'a, 's> {
    session: &'a mut Session<'s>,
    bounds: &'a Import,
    edits: BTreeMap<TreePath, Edit>,
    found: Found,
}

fn refused(name: &[u8], why: &'static str) -> VfsError {
    invalid("archive entry", &String::from_utf8_lossy(name), why)
}

fn stream(source: std::io::Error) -> VfsError {
    CasError::Stream { doing: "reading", source }.into()
}

impl Reading<'_, '_> {
    fn archive(&mut self, from: impl Read) -> Result<(), VfsError> {
        let mut archive = Archive::new(from);
        let (mut long_name, mut long_target) = (None, None);
        let mut extended = 0;
        // Raw: the crate itself would read a long name into memory, however long.
        for entry in archive.entries().map_err(stream)?.raw(true) {
            let mut entry = entry.map_err(stream)?;
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader) {
                extended += 1;
                if entry.size() > EXTENDED_MOST || extended > 4 {
                    return Err(refused(&entry.path_bytes(), "its extended headers are longer than any name needs"));
                }
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(stream)?;
                match kind {
                    EntryType::GNULongName => long_name = Some(until_zero(bytes)),
                    EntryType::GNULongLink => long_target = Some(until_zero(bytes)),
                    EntryType::XHeader => extended_header(&bytes, &mut long_name, &mut long_target)?,
                    _ => {}
                }
                continue;
            }
            extended = 0;
            let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            let target = long_target.take().or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
            let mode = entry.header().mode().map_err(|_| refused(&name, "its mode is no number"))? & MODE_BITS;
            let path = self.path(&name)?;
            match kind {
                EntryType::Directory => {
                    if !path.is_top() {
                        self.put(&name, path, Edit::Directory { mode })?;
                    }
                }
                EntryType::Regular | EntryType::Continuous => {
                    let left = self.bounds.bytes.saturating_sub(self.found.bytes);
                    let size = entry.size();
                    let (digest, read) = self.session.put(&mut entry, left).map_err(|error| match error {
                        CasError::Quota { quantity: Quantity::Bytes, .. } => {
                            VfsError::Quota { what: "bytes of an archive", limit: self.bounds.bytes }
                        }
                        other => other.into(),
                    })?;
                    if read != size {
                        return Err(refused(&name, "the archive ends in the middle of it"));
                    }
                    self.found.bytes += size;
                    self.put(&name, path, Edit::Put(Entry::File { digest, size, mode }))?;
                }
                EntryType::Symlink => {
                    let target = target.filter(|target| !target.is_empty() && target.len() < 4096 && !target.contains(&0));
                    let target = target.ok_or_else(|| refused(&name, "a symbolic link says where, in 1 to 4095 bytes"))?;
                    self.put(&name, path, Edit::Put(Entry::Link { target: OsStr::from_bytes(&target).to_owned() }))?;
                }
                EntryType::Link => {
                    let target = target.unwrap_or_default();
                    match self.edits.get(&self.path(&target)?) {
                        Some(Edit::Put(file @ Entry::File { .. })) => self.put(&name, path, Edit::Put(file.clone()))?,
                        _ => return Err(refused(&name, "a hard link must name a file that came before it")),
                    }
                }
                _ => return Err(refused(&name, "only files, directories and links are taken")),
            }
        }
        Ok(())
    }

    fn path(&self, name: &[u8]) -> Result<TreePath, VfsError> {
        if name.starts_with(b"/") {
            return Err(refused(name, "its name must be relative"));
        }
        let path = TreePath::parse(name).map_err(|error| refused(name, error.why))?;
        if path.names().count() > self.bounds.depth {
            return Err(VfsError::Quota { what: "levels of directories in an archive", limit: self.bounds.depth as u64 });
        }
        Ok(path)
    }

    fn put(&mut self, name: &[u8], path: TreePath, edit: Edit) -> Result<(), VfsError> {
        self.found.entries += 1;
        if self.found.entries > self.bounds.entries {
            return Err(VfsError::Quota { what: "entries of an archive", limit: self.bounds.entries });
        }
        if path.is_top() {
            return Err(refused(name, "the top is a directory"));
        }
        let directory = matches!(edit, Edit::Directory { .. });
        if self.edits.get(&path).is_some_and(|there| !directory || !matches!(there, Edit::Directory { .. })) {
            return Err(refused(name, "it is in the archive twice"));
        }
        // Directories above are noted, so that no file can take their place later.
        for above in path.ancestors().skip(1).filter(|above| !above.is_top()) {
            match self.edits.get(&above) {
                Some(Edit::Directory { .. }) => break,
                Some(_) => return Err(refused(name, "what is above it in the archive is no directory")),
                None => drop(self.edits.insert(above, Edit::Directory { mode: DIRECTORY_MODE })),
            }
        }
        self.edits.insert(path, edit);
        Ok(())
    }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

/// Lines of `LENGTH KEY=VALUE` (POSIX.1-2017, pax, "Extended Header").
fn extended_header(bytes: &[u8], name: &mut Option<Vec<u8>>, target: &mut Option<Vec<u8>>) -> Result<(), VfsError> {
    let bad = || refused(b"(extended header)", "it is not of lines that say how long they are");
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length: usize = std::str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let line = rest.get(space + 1..length).and_then(|line| line.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = line.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        match (&line[..equals], &line[equals + 1..]) {
            (b"path", value) => *name = Some(value.to_vec()),
            (b"linkpath", value) => *target = Some(value.to_vec()),
            // Of files over 8 GiB; and sparse ones, whose parts would be taken for the whole.
            (b"size", _) => return Err(refused(bytes, "a size in an extended header is not read")),
            (key, _) if key.starts_with(b"GNU.sparse") => {
                return Err(refused(bytes, "files with holes are not read: make the archive without"));
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// A version as a tar archive.
#[derive(Debug)]
pub struct Exported<'a> {
    vfs: &'a Vfs,
    /// Reversed: the last comes next.
    waiting: Vec<(TreePath, Entry)>,
    ready: Cursor<Vec<u8>>,
    blob: Option<Blob>,
    padding: usize,
    ended: bool,
}

impl Exported<'_> {
    fn enter(&mut self, path: &TreePath, tree: &enclos_cas::Digest) -> Result<(), VfsError> {
        let tree = self.vfs.store().tree(tree)?;
        let from = self.waiting.len();
        self.waiting.extend(tree.iter().map(|(name, entry)| (path.join(name), entry.clone())));
        self.waiting[from..].reverse();
        Ok(())
    }

    /// Makes the next piece ready; `false`: there is none.
    fn step(&mut self) -> Result<bool, VfsError> {
        let Some((path, entry)) = self.waiting.pop() else {
            // Two empty blocks end an archive.
            self.ready = Cursor::new(if self.ended { Vec::new() } else { vec![0; 2 * BLOCK] });
            return Ok(!std::mem::replace(&mut self.ended, true));
        };
        let mut out = Vec::new();
        let mut name = path.as_bytes().to_vec();
        match &entry {
            Entry::Directory { digest, mode, .. } => {
                name.push(b'/');
                header(&mut out, &name, EntryType::Directory, *mode, 0, None);
                self.enter(&path, digest)?;
            }
            Entry::File { digest, size, mode } => {
                header(&mut out, &name, EntryType::Regular, *mode, *size, None);
                self.padding = (BLOCK - (*size % BLOCK as u64) as usize) % BLOCK;
                self.blob = Some(self.vfs.store().blob(digest, Check::Verify)?);
            }
            Entry::Link { target } => header(&mut out, &name, EntryType::Symlink, 0o777, 0, Some(target.as_bytes())),
        }
        self.ready = Cursor::new(out);
        Ok(true)
    }
}

impl Read for Exported<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.ready.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(blob) = &mut self.blob {
                let count = blob.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.blob = None;
                self.ready = Cursor::new(vec![0; self.padding]);
            } else if !self.step().map_err(std::io::Error::other)? {
                return Ok(0);
            }
        }
    }
}

/// One header, with what is too long for it before it, as GNU tar does.
fn header(out: &mut Vec<u8>, name: &[u8], kind: EntryType, mode: u32, size: u64, target: Option<&[u8]>) {
    const SHORT: usize = 100;
    for (text, long) in [(Some(name), EntryType::GNULongName), (target, EntryType::GNULongLink)] {
        if let Some(text) = text.filter(|text| text.len() > SHORT) {
            header(out, b"././@LongLink", long, 0o644, text.len() as u64 + 1, None);
            out.extend(text);
            // The zero byte that ends it, and the rest of the block.
            out.resize((out.len() + 1).next_multiple_of(BLOCK), 0);
        }
    }
    let mut header = Header::new_gnu();
    let fill = |field: &mut [u8; SHORT], text: &[u8]| {
        let length = text.len().min(SHORT);
        field[..length].copy_from_slice(&text[..length]);
    };
    let old = header.as_old_mut();
    fill(&mut old.name, name);
    fill(&mut old.linkname, target.unwrap_or_default());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(look::TIME.unsigned_abs());
    header.set_cksum();
    out.extend(header.as_bytes());
}
