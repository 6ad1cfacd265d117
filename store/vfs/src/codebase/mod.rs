//! Codebases: lines of versions, each a tree with a parent, an author and a time. Metadata are in SQLite, files in the store of contents.
//!
//! A change makes a version, in one transaction, after its files are durable: what a reply says is done survives, and what was cut off leaves no
//! trace but objects that the next [`Vfs::collect`] removes. Versions never change; who reads one is not disturbed by who writes the next.

mod archive;
mod md5;
pub(crate) mod records;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use enclos_cas::{Blob, Check, Collected, Digest, Entry, Found, Import, MODE_BITS, Session, Tree};
use rusqlite::{TransactionBehavior, params};
use rustix::fs::FileType;

use crate::edit::{self, Edit};
use crate::error::Metadata;
use crate::{TreePath, Vfs, VfsError};
use records::{check_id, insert_version, invalid, list_codebases, list_versions, new_id, read_codebase, read_version, roots};

pub use archive::{Exported, Unpacked};
pub use md5::Md5;
pub use records::{Codebase, Page, PageRequest, Version};

/// Bounds for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Codebases of one owner.
    pub codebases_per_owner: u64,
    /// Bytes of one version.
    pub bytes: u64,
    /// Files and links of one version.
    pub files: u64,
    /// Versions of one codebase.
    pub versions: u64,
}

impl Default for Limits {
    /// 1000 codebases, 64 GiB, a million files, 100 000 versions.
    fn default() -> Limits {
        Limits { codebases_per_owner: 1000, bytes: 64 << 30, files: 1_000_000, versions: 100_000 }
    }
}

/// A file that went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The version it made.
    pub version: Version,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where.
    pub path: TreePath,
    /// What.
    pub entry: Entry,
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// In the caller's words.
    pub author: &'a str,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// Longest name, owner and author, in bytes.
const TEXT_MAX: usize = 256;

fn check_text(field: &'static str, text: &str) -> Result<(), VfsError> {
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(invalid(field, text, "write 1 to 256 bytes without control characters"));
    }
    Ok(())
}

impl Vfs {
    /// Makes an empty codebase.
    ///
    /// # Errors
    /// A name or owner that cannot be, [`VfsError::Quota`], or the store's.
    pub fn create_codebase(&self, name: &str, owner: &str, now: i64) -> Result<Codebase, VfsError> {
        check_text("name", name)?;
        check_text("owner_id", owner)?;
        let mut session = self.store().session();
        let tree = session.put_tree(&Tree::default())?;
        session.settle()?;
        let version = Version { number: 0, parent: None, tree, author: owner.to_owned(), created: now, bytes: 0, files: 0 };
        let id = new_id("cb")?;
        let mut connection = self.records().durable()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).metadata("writing")?;
        let count: u64 =
            transaction.query_row("SELECT count(*) FROM codebase WHERE owner = ?1", [owner], |row| row.get(0)).metadata("reading")?;
        let limit = self.limits().codebases_per_owner;
        if count >= limit {
            return Err(VfsError::Quota { what: "codebases of one owner", limit });
        }
        transaction
            .execute("INSERT INTO codebase (id, name, owner, created, head) VALUES (?1, ?2, ?3, ?4, 0)", params![id, name, owner, now])
            .metadata("writing")?;
        insert_version(&transaction, &id, &version)?;
        transaction.commit().metadata("writing")?;
        Ok(Codebase { id, name: name.to_owned(), owner: owner.to_owned(), created: now, head: version })
    }

    /// Reads a codebase.
    ///
    /// # Errors
    /// An id that cannot be, or [`VfsError::Unknown`].
    pub fn codebase(&self, id: &str) -> Result<Codebase, VfsError> {
        read_codebase(&self.records().read(), id)
    }

    /// Lists codebases in the order in which they were made, of one owner or of all.
    ///
    /// # Errors
    /// A page token that no listing gave.
    pub fn codebases(&self, owner: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>, VfsError> {
        list_codebases(&self.records().read(), owner, page)
    }

    /// Removes a codebase with all its versions. Their contents go at the next [`Vfs::collect`].
    ///
    /// # Errors
    /// [`VfsError::InUse`] while a workspace or snapshot stands on it (W-43), or [`VfsError::Unknown`].
    pub fn delete_codebase(&self, id: &str) -> Result<(), VfsError> {
        check_id("codebase_id", "cb", id)?;
        self.places().standing(|passing| match passing.iter().any(|(codebase, ..)| *codebase == id) {
            true => Err(VfsError::InUse { kind: "codebase", id: id.to_owned(), by: "a workspace of one mount".to_owned() }),
            false => self.delete_unused(id),
        })
    }

    fn delete_unused(&self, id: &str) -> Result<(), VfsError> {
        let mut connection = self.records().durable()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).metadata("writing")?;
        read_codebase(&transaction, id)?;
        for table in ["workspace", "snapshot"] {
            let sql = format!("SELECT id FROM {table} WHERE codebase = ?1 LIMIT 1");
            let user: Option<String> =
                rusqlite::OptionalExtension::optional(transaction.query_row(&sql, [id], |row| row.get(0))).metadata("reading")?;
            if let Some(user) = user {
                return Err(VfsError::InUse { kind: "codebase", id: id.to_owned(), by: format!("{table} {user}") });
            }
        }
        transaction.execute("DELETE FROM codebase WHERE id = ?1", [id]).metadata("writing")?;
        transaction.commit().metadata("writing")
    }

    /// Reads a version; `None`: the newest.
    ///
    /// # Errors
    /// [`VfsError::Unknown`].
    pub fn version(&self, codebase: &str, number: Option<u64>) -> Result<Version, VfsError> {
        let connection = self.records().read();
        let head = read_codebase(&connection, codebase)?.head;
        number.map_or(Ok(head), |number| read_version(&connection, codebase, number))
    }

    /// Lists versions, oldest first.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], or a page token that no listing gave.
    pub fn versions(&self, codebase: &str, page: &PageRequest) -> Result<Page<Version>, VfsError> {
        let connection = self.records().read();
        read_codebase(&connection, codebase)?;
        list_versions(&connection, codebase, page)
    }

    /// Stores one file as a new version, in constant memory. `expected`: its size as announced, if it was.
    ///
    /// # Errors
    /// A path that cannot be, [`VfsError::Quota`], a size that is not as announced, or the store's.
    pub fn upload(
        &self,
        codebase: &str,
        path: &TreePath,
        from: impl Read,
        mode: u32,
        expected: Option<u64>,
        by: By<'_>,
    ) -> Result<Uploaded, VfsError> {
        if path.is_top() {
            return Err(invalid("file_path", "/", "name a file"));
        }
        self.codebase(codebase)?;
        let mut session = self.store().session();
        let limit = self.limits().bytes;
        let (digest, size) = session.put(from, limit).map_err(|error| match error {
            enclos_cas::CasError::Quota { quantity: enclos_cas::Quantity::Bytes, .. } => {
                VfsError::Quota { what: "bytes of a codebase", limit }
            }
            other => other.into(),
        })?;
        if let Some(expected) = expected.filter(|expected| *expected != size) {
            return Err(invalid("total_size", &expected.to_string(), "it must be the number of bytes that came"));
        }
        if let Some(Entry::Directory { .. }) = edit::find(self.store(), &self.version(codebase, None)?.tree, path)? {
            return Err(VfsError::WrongKind { path: path.clone(), why: "it is a directory" });
        }
        let edits = BTreeMap::from([(path.clone(), Edit::Put(Entry::File { digest, size, mode: mode & MODE_BITS }))]);
        let version = self.change(&mut session, codebase, &edits, by)?;
        Ok(Uploaded { version, digest, size })
    }

    /// Makes a version by edits, whose files are in the session or the store.
    ///
    /// # Errors
    /// As [`edit::apply`], and [`VfsError::Quota`].
    pub fn change(
        &self,
        session: &mut Session<'_>,
        codebase: &str,
        edits: &BTreeMap<TreePath, Edit>,
        by: By<'_>,
    ) -> Result<Version, VfsError> {
        check_text("author", by.author)?;
        loop {
            let head = self.version(codebase, None)?;
            let tree = edit::apply(session, self.store(), head.tree, edits)?;
            session.settle()?;
            let version = self.next_version(&head, tree, by)?;
            if self.record(codebase, &head, &version, |_| Ok(()))? {
                return Ok(version);
            }
        }
    }

    /// Makes a version of a whole directory (see [`Session::import`]).
    ///
    /// # Errors
    /// As [`Session::import`], and [`VfsError::Quota`].
    pub fn import(
        &self,
        codebase: &str,
        directory: impl AsFd,
        bounds: &Import,
        filter: &mut dyn FnMut(&Path, FileType) -> bool,
        by: By<'_>,
    ) -> Result<(Version, Found), VfsError> {
        check_text("author", by.author)?;
        let mut session = self.store().session();
        let (tree, found) = session.import(directory, bounds, filter)?;
        session.settle()?;
        loop {
            let head = self.version(codebase, None)?;
            let version = self.next_version(&head, tree, by)?;
            if self.record(codebase, &head, &version, |_| Ok(()))? {
                return Ok((version, found));
            }
        }
    }

    pub(crate) fn next_version(&self, head: &Version, tree: Digest, by: By<'_>) -> Result<Version, VfsError> {
        let read = self.store().tree(&tree)?;
        let (bytes, files) = (read.size(), read.files());
        let limits = self.limits();
        for (what, value, limit) in [
            ("bytes of a codebase", bytes, limits.bytes),
            ("files of a codebase", files, limits.files),
            ("versions of a codebase", head.number + 1, limits.versions),
        ] {
            if value > limit {
                return Err(VfsError::Quota { what, limit });
            }
        }
        Ok(Version {
            number: head.number + 1,
            parent: Some(head.number),
            tree,
            author: by.author.to_owned(),
            created: by.now,
            bytes,
            files,
        })
    }

    /// Records a version if `head` is the newest still, together with what `also` writes; `false`: it is not.
    pub(crate) fn record(
        &self,
        codebase: &str,
        head: &Version,
        version: &Version,
        also: impl FnOnce(&rusqlite::Connection) -> Result<(), VfsError>,
    ) -> Result<bool, VfsError> {
        let mut connection = self.records().durable()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).metadata("writing")?;
        if read_codebase(&transaction, codebase)?.head.number != head.number {
            return Ok(false);
        }
        insert_version(&transaction, codebase, version)?;
        also(&transaction)?;
        transaction.commit().metadata("writing")?;
        Ok(true)
    }

    /// Opens a file of a version; its permission bits come with it. Reading verifies.
    ///
    /// # Errors
    /// [`VfsError::NotThere`], [`VfsError::WrongKind`] for a directory or link (none is followed: W-16), or the store's.
    pub fn download(&self, version: &Version, path: &TreePath) -> Result<(Blob, u32), VfsError> {
        match edit::find(self.store(), &version.tree, path)? {
            Some(Entry::File { digest, mode, .. }) => Ok((self.store().blob(&digest, Check::Verify)?, mode)),
            Some(Entry::Directory { .. }) => Err(VfsError::WrongKind { path: path.clone(), why: "it is a directory" }),
            Some(Entry::Link { .. }) => Err(VfsError::WrongKind { path: path.clone(), why: "it is a symbolic link, and none is followed" }),
            None => Err(VfsError::NotThere(path.clone())),
        }
    }

    /// Lists a directory of a version, sorted by path as names; with `recursive` everything below it, directories before what they hold.
    ///
    /// # Errors
    /// [`VfsError::NotThere`], [`VfsError::WrongKind`], a page token that no listing gave, or the store's.
    pub fn files(&self, version: &Version, path: &TreePath, recursive: bool, page: &PageRequest) -> Result<Page<Listed>, VfsError> {
        let top = match edit::find(self.store(), &version.tree, path)? {
            Some(Entry::Directory { digest, .. }) => digest,
            Some(_) => return Err(VfsError::WrongKind { path: path.clone(), why: "it is not a directory" }),
            None => return Err(VfsError::NotThere(path.clone())),
        };
        let (after, size) = (page.after()?, page.size());
        let mut found = Vec::new();
        let mut seen = -1i64;
        // A version never changes: a place in its walk is a good page token.
        self.walk(&top, path, recursive, &mut |listed| {
            seen += 1;
            if seen > after {
                found.push((seen, listed));
            }
            found.len() <= size
        })?;
        Ok(Page::of(found, size))
    }

    /// Calls `act` with each entry until it says `false`; whether it never did.
    fn walk(&self, top: &Digest, path: &TreePath, recursive: bool, act: &mut dyn FnMut(Listed) -> bool) -> Result<bool, VfsError> {
        for (name, entry) in self.store().tree(top)?.iter() {
            let below = path.join(name);
            if !act(Listed { path: below.clone(), entry: entry.clone() }) {
                return Ok(false);
            }
            if let (true, Entry::Directory { digest, .. }) = (recursive, entry)
                && !self.walk(digest, &below, recursive, act)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes versions older than the newest `keep` that no workspace or snapshot stands on. How many.
    ///
    /// # Errors
    /// [`VfsError::Unknown`].
    pub fn prune(&self, codebase: &str, keep: u64) -> Result<usize, VfsError> {
        self.places().standing(|passing| {
            let passing = passing.iter().filter(|(of, ..)| *of == codebase).map(|(_, version, _)| *version);
            self.prune_before(codebase, keep, passing.min().unwrap_or(u64::MAX))
        })
    }

    /// `needed`: from this version on all are.
    fn prune_before(&self, codebase: &str, keep: u64, needed: u64) -> Result<usize, VfsError> {
        let connection = self.records().durable()?;
        let head = read_codebase(&connection, codebase)?.head.number;
        let oldest = (head + 1).saturating_sub(keep.max(1)).min(needed);
        connection
            .execute(
                "DELETE FROM version WHERE codebase = ?1 AND number < ?2
                   AND number NOT IN (SELECT version FROM workspace WHERE codebase = ?1)
                   AND number NOT IN (SELECT version FROM snapshot WHERE codebase = ?1)",
                params![codebase, oldest],
            )
            .metadata("writing")
    }

    /// Removes contents that no version reaches. `None`: this is being done already.
    ///
    /// # Errors
    /// The store's.
    pub fn collect(&self) -> Result<Option<Collected>, VfsError> {
        self.store().collect(|| roots(&self.records().read()))
    }
}
