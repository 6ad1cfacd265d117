//! What is known about codebases, and the names they go by.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use enclos_cas::Digest;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::VfsError;
use crate::error::Metadata;

/// Version of the tables (`PRAGMA user_version`).
const SCHEMA: i64 = 2;
/// From version 1, which knew no publishing.
const FROM_1: &str = "ALTER TABLE workspace ADD COLUMN published TEXT; ALTER TABLE snapshot ADD COLUMN published TEXT;";

/// A codebase: a name for a line of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codebase {
    /// `cb_` and 16 hexadecimal digits.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Its newest version.
    pub head: Version,
}

/// One state of a codebase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// From 0, the empty one; higher is newer.
    pub number: u64,
    /// The one it was made from.
    pub parent: Option<u64>,
    /// Its files.
    pub tree: Digest,
    /// Who made it, in the caller's words.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub created: i64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Files and links.
    pub files: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Asks for the next page; `None`: this was the last.
    pub next: Option<String>,
}

/// Which page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Entries at most; 0 means 100, and 1000 are the most.
    pub size: usize,
    /// [`Page::next`] of the page before; empty for the first.
    pub token: String,
}

impl PageRequest {
    pub(crate) fn size(&self) -> usize {
        if self.size == 0 { 100 } else { self.size.min(1000) }
    }

    pub(crate) fn after(&self) -> Result<i64, VfsError> {
        if self.token.is_empty() {
            return Ok(-1);
        }
        self.token.parse().map_err(|_| invalid("page_token", &self.token, "it must be one that a listing gave"))
    }
}

impl<T> Page<T> {
    /// Of `size + 1` entries at most, each with the number it is sorted by.
    pub(crate) fn of(mut found: Vec<(i64, T)>, size: usize) -> Page<T> {
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|(number, _)| number.to_string());
        Page { items: found.into_iter().map(|(_, item)| item).collect(), next }
    }
}

pub(crate) fn invalid(field: &'static str, value: &str, why: &'static str) -> VfsError {
    VfsError::Invalid { field, value: value.chars().take(80).collect(), why }
}

/// A new name of this kind that nobody can guess: prefix, `_`, 16 hexadecimal digits.
pub(crate) fn new_id(prefix: &str) -> Result<String, VfsError> {
    let mut bytes = [0u8; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(8) => Ok(format!("{prefix}_{:016x}", u64::from_ne_bytes(bytes))),
        Ok(_) => Err(VfsError::System { doing: "asking for", path: "random numbers".into(), errno: rustix::io::Errno::IO }),
        Err(errno) => Err(VfsError::System { doing: "asking for", path: "random numbers".into(), errno }),
    }
}

/// Whether a name is of this kind. Names become parts of paths: nothing else may.
pub(crate) fn check_id(field: &'static str, prefix: &str, id: &str) -> Result<(), VfsError> {
    let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    let good = digits.is_some_and(|d| d.len() == 16 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    if good { Ok(()) } else { Err(invalid(field, id, "an id is its prefix, `_` and 16 lower-case hexadecimal digits")) }
}

/// The database: one connection that writes, and one for reading, so that who asks does not wait for who waits for the disk.
#[derive(Debug)]
pub(crate) struct Records {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// The writing connection, whose transactions are on the disk when they are done; without it they survive the end of this process, but the machine's
/// only once something else is made durable (`synchronous = NORMAL` in a write-ahead log, whose order is kept). Versions, and every step from
/// one upper to another, are durable: files are removed after them. That a workspace was made or is gone need not be: it lives no longer than
/// the machine runs.
pub(crate) struct Durable<'a>(MutexGuard<'a, Connection>);

impl std::ops::Deref for Durable<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl std::ops::DerefMut for Durable<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Drop for Durable<'_> {
    fn drop(&mut self) {
        // Failing, it costs time only.
        let _ = self.0.execute_batch("PRAGMA synchronous = NORMAL");
    }
}

impl Records {
    pub fn open(path: &Path) -> Result<Records, VfsError> {
        let mut connection = plain(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).metadata("opening")?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
            .metadata("opening")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).metadata("opening")?;
        let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).metadata("reading")?;
        match found {
            0 => transaction.execute_batch(include_str!("schema.sql")).metadata("making")?,
            1 => transaction.execute_batch(FROM_1).metadata("making")?,
            SCHEMA => {}
            _ => return Err(invalid("metadata version", &found.to_string(), "this program knows versions 1 and 2 only")),
        }
        transaction.pragma_update(None, "user_version", SCHEMA).metadata("making")?;
        transaction.commit().metadata("making")?;
        let reader = plain(path)?;
        reader.execute_batch("PRAGMA query_only = ON").metadata("opening")?;
        reader.busy_timeout(std::time::Duration::from_secs(10)).metadata("opening")?;
        Ok(Records { writer: Mutex::new(connection), reader: Mutex::new(reader) })
    }

    /// For reading. Sees all that was written before.
    pub fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic cut off was rolled back when it was dropped.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For writing what must be on the disk.
    pub fn durable(&self) -> Result<Durable<'_>, VfsError> {
        let durable = Durable(self.lock());
        durable.execute_batch("PRAGMA synchronous = FULL").metadata("writing")?;
        Ok(durable)
    }
}

/// Opens the database. A statement that is kept is good for all parameters: SQLite would else make many anew for each (`SQLITE_DBCONFIG_ENABLE_QPSG`),
/// which takes longer than they do.
fn plain(path: &Path) -> Result<Connection, VfsError> {
    let connection = Connection::open(path).metadata("opening")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).metadata("opening")?;
    Ok(connection)
}

/// Reads one row; the statement is kept.
pub(crate) fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, VfsError> {
    let mut statement = connection.prepare_cached(sql).metadata("reading")?;
    statement.query_row(parameters, read).optional().metadata("reading")
}

const CODEBASE: &str =
    "SELECT c.number, c.id, c.name, c.owner, c.created, v.number, v.parent, v.tree, v.author, v.created, v.bytes, v.files
   FROM codebase c JOIN version v ON v.codebase = c.id AND v.number = c.head";

/// Reads a digest out of a column.
pub(crate) fn digest(column: usize, text: &str) -> rusqlite::Result<Digest> {
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e)))
}

fn version(row: &Row<'_>, from: usize) -> rusqlite::Result<Version> {
    let tree = digest(from + 2, &row.get::<_, String>(from + 2)?)?;
    Ok(Version {
        number: row.get(from)?,
        parent: row.get(from + 1)?,
        tree,
        author: row.get(from + 3)?,
        created: row.get(from + 4)?,
        bytes: row.get(from + 5)?,
        files: row.get(from + 6)?,
    })
}

fn codebase(row: &Row<'_>) -> rusqlite::Result<(i64, Codebase)> {
    Ok((row.get(0)?, Codebase { id: row.get(1)?, name: row.get(2)?, owner: row.get(3)?, created: row.get(4)?, head: version(row, 5)? }))
}

pub(crate) fn read_codebase(connection: &Connection, id: &str) -> Result<Codebase, VfsError> {
    check_id("codebase_id", "cb", id)?;
    one(connection, &format!("{CODEBASE} WHERE c.id = ?1"), [id], codebase)?
        .map(|(_, codebase)| codebase)
        .ok_or_else(|| VfsError::Unknown { kind: "codebase", id: id.to_owned() })
}

pub(crate) fn list_codebases(connection: &Connection, owner: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>, VfsError> {
    let sql = format!("{CODEBASE} WHERE c.number > ?1 AND (?2 IS NULL OR c.owner = ?2) ORDER BY c.number LIMIT ?3");
    let mut statement = connection.prepare(&sql).metadata("reading")?;
    let found = statement.query_map(params![page.after()?, owner, page.size() + 1], codebase).metadata("reading")?;
    Ok(Page::of(found.collect::<rusqlite::Result<_>>().metadata("reading")?, page.size()))
}

const VERSION: &str = "SELECT number, parent, tree, author, created, bytes, files FROM version WHERE codebase = ?1";

pub(crate) fn read_version(connection: &Connection, codebase: &str, number: u64) -> Result<Version, VfsError> {
    one(connection, &format!("{VERSION} AND number = ?2"), params![codebase, number], |row| version(row, 0))?
        .ok_or_else(|| VfsError::Unknown { kind: "version", id: format!("{codebase}@{number}") })
}

pub(crate) fn list_versions(connection: &Connection, codebase: &str, page: &PageRequest) -> Result<Page<Version>, VfsError> {
    let sql = format!("{VERSION} AND number > ?2 ORDER BY number LIMIT ?3");
    let mut statement = connection.prepare(&sql).metadata("reading")?;
    let found = statement.query_map(params![codebase, page.after()?, page.size() + 1], |row| version(row, 0)).metadata("reading")?;
    let found = found.map(|v| v.map(|v| (i64::try_from(v.number).unwrap_or(i64::MAX), v)));
    Ok(Page::of(found.collect::<rusqlite::Result<_>>().metadata("reading")?, page.size()))
}

pub(crate) fn insert_version(connection: &Connection, codebase: &str, version: &Version) -> Result<(), VfsError> {
    let Version { number, parent, tree, author, created, bytes, files } = version;
    connection
        .execute(
            "INSERT INTO version (codebase, number, parent, tree, author, created, bytes, files) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![codebase, number, parent, tree.to_string(), author, created, bytes, files],
        )
        .metadata("writing")?;
    connection.execute("UPDATE codebase SET head = ?2 WHERE id = ?1", params![codebase, number]).metadata("writing")?;
    Ok(())
}

/// Trees of all versions, and those published last: what a collection must keep.
pub(crate) fn roots(connection: &Connection) -> Result<Vec<Digest>, VfsError> {
    let sql = "SELECT tree FROM version UNION SELECT published FROM workspace WHERE published IS NOT NULL
               UNION SELECT published FROM snapshot WHERE published IS NOT NULL";
    let mut statement = connection.prepare(sql).metadata("reading")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0)).metadata("reading")?;
    let texts: Vec<String> = found.collect::<rusqlite::Result<_>>().metadata("reading")?;
    texts.iter().map(|text| text.parse().map_err(|_| invalid("tree", text, "the metadata are damaged"))).collect()
}
