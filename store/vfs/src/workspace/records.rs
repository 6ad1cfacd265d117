//! What is known about workspaces and snapshots.

use enclos_cas::Digest;
use rusqlite::{Connection, Row, params};

use crate::codebase::records::{check_id, digest, one, read_version};
use crate::error::Metadata;
use crate::{Page, PageRequest, VfsError};

/// A workspace: a version, and a place for what is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// `ws_` and 16 hexadecimal digits.
    pub id: String,
    /// Its codebase.
    pub codebase: String,
    /// The version it stands on.
    pub version: u64,
    /// Counts its uppers: a commit or rollback begins a new one.
    pub generation: u64,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// The tree that it and its codebase agreed on last, if that is not the version's own.
    pub published: Option<Digest>,
}

/// A copy of a workspace's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `sn_` and 16 hexadecimal digits.
    pub id: String,
    /// The workspace it was taken of; it may be gone.
    pub workspace: String,
    /// Its codebase.
    pub codebase: String,
    /// The version it stands on.
    pub version: u64,
    /// When it was taken, in milliseconds since 1970.
    pub created: i64,
    /// What the workspace had published then.
    pub published: Option<Digest>,
}

const WORKSPACE: &str = "SELECT number, id, codebase, version, generation, created, published FROM workspace";
const SNAPSHOT: &str = "SELECT number, id, workspace, codebase, version, created, published FROM snapshot";

fn published(row: &Row<'_>) -> rusqlite::Result<Option<Digest>> {
    row.get::<_, Option<String>>(6)?.map(|text| digest(6, &text)).transpose()
}

fn workspace(row: &Row<'_>) -> rusqlite::Result<(i64, Workspace)> {
    let workspace = Workspace {
        id: row.get(1)?,
        codebase: row.get(2)?,
        version: row.get(3)?,
        generation: row.get(4)?,
        created: row.get(5)?,
        published: published(row)?,
    };
    Ok((row.get(0)?, workspace))
}

fn snapshot(row: &Row<'_>) -> rusqlite::Result<(i64, Snapshot)> {
    let snapshot = Snapshot {
        id: row.get(1)?,
        workspace: row.get(2)?,
        codebase: row.get(3)?,
        version: row.get(4)?,
        created: row.get(5)?,
        published: published(row)?,
    };
    Ok((row.get(0)?, snapshot))
}

pub(crate) fn read_workspace(connection: &Connection, id: &str) -> Result<Workspace, VfsError> {
    check_id("workspace_id", "ws", id)?;
    one(connection, &format!("{WORKSPACE} WHERE id = ?1"), [id], workspace)?
        .map(|(_, found)| found)
        .ok_or_else(|| VfsError::Unknown { kind: "workspace", id: id.to_owned() })
}

pub(crate) fn read_snapshot(connection: &Connection, id: &str) -> Result<Snapshot, VfsError> {
    check_id("snapshot_id", "sn", id)?;
    one(connection, &format!("{SNAPSHOT} WHERE id = ?1"), [id], snapshot)?
        .map(|(_, found)| found)
        .ok_or_else(|| VfsError::Unknown { kind: "snapshot", id: id.to_owned() })
}

pub(crate) fn list_workspaces(connection: &Connection, codebase: Option<&str>, page: &PageRequest) -> Result<Page<Workspace>, VfsError> {
    let sql = format!("{WORKSPACE} WHERE number > ?1 AND (?2 IS NULL OR codebase = ?2) ORDER BY number LIMIT ?3");
    let mut statement = connection.prepare(&sql).metadata("reading")?;
    let found = statement.query_map(params![page.after()?, codebase, page.size() + 1], workspace).metadata("reading")?;
    Ok(Page::of(found.collect::<rusqlite::Result<_>>().metadata("reading")?, page.size()))
}

pub(crate) fn list_snapshots(connection: &Connection, workspace: Option<&str>, page: &PageRequest) -> Result<Page<Snapshot>, VfsError> {
    let sql = format!("{SNAPSHOT} WHERE number > ?1 AND (?2 IS NULL OR workspace = ?2) ORDER BY number LIMIT ?3");
    let mut statement = connection.prepare(&sql).metadata("reading")?;
    let found = statement.query_map(params![page.after()?, workspace, page.size() + 1], snapshot).metadata("reading")?;
    Ok(Page::of(found.collect::<rusqlite::Result<_>>().metadata("reading")?, page.size()))
}

pub(crate) fn insert_workspace(connection: &Connection, new: &Workspace) -> Result<(), VfsError> {
    // Says which version is missing, instead of "FOREIGN KEY constraint failed".
    read_version(connection, &new.codebase, new.version)?;
    connection
        .prepare_cached("INSERT INTO workspace (id, codebase, version, generation, created, published) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .metadata("writing")?
        .execute(params![new.id, new.codebase, new.version, new.generation, new.created, text(new.published)])
        .metadata("writing")?;
    Ok(())
}

pub(crate) fn insert_snapshot(connection: &Connection, new: &Snapshot) -> Result<(), VfsError> {
    read_version(connection, &new.codebase, new.version)?;
    connection
        .execute(
            "INSERT INTO snapshot (id, workspace, codebase, version, created, published) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![new.id, new.workspace, new.codebase, new.version, new.created, text(new.published)],
        )
        .metadata("writing")?;
    Ok(())
}

fn text(digest: Option<Digest>) -> Option<String> {
    digest.map(|digest| digest.to_string())
}

/// Records what has become of a workspace, if it is still as it was read; `false`: it is not.
pub(crate) fn update(connection: &Connection, was: &Workspace, now: &Workspace) -> Result<bool, VfsError> {
    let changed = connection
        .execute(
            "UPDATE workspace SET version = ?4, generation = ?5, published = ?6 WHERE id = ?1 AND generation = ?2 AND published IS ?3",
            params![was.id, was.generation, text(was.published), now.version, now.generation, text(now.published)],
        )
        .metadata("writing")?;
    Ok(changed == 1)
}
