//! Workspaces: a version to work on, a place for what is changed, and what can become of it.
//!
//! ```text
//! workspaces/ID/GENERATION/{upper,work}     the overlay's; closed to others
//! passing/NAME/{upper,work}                 the same, of one mount
//! snapshots/ID/upper                        copies of uppers
//! ```
//!
//! [`Vfs::layers`] says what to mount. While nothing runs in the workspace, [`Vfs::diff`] tells what was changed, [`Vfs::publish`] makes a version of
//! it and lets the workspace go on, [`Vfs::commit`] also steps onto that version, [`Vfs::rollback`] throws it away; [`Vfs::snapshot`],
//! [`Vfs::restore`] and [`Vfs::fork`] copy it. A new version and what it means for the workspace are one transaction; whatever is cut off, the
//! next [`Vfs::open`] finds one state or the other and removes the rest.
//!
//! **The caller sees to it that nothing runs in a workspace** while it is read or copied (ARCHITECTURE.md, invariant 6).

mod changed;
mod conflict;
mod diff;
pub(crate) mod files;
mod leftover;
pub(crate) mod passing;
mod publish;
mod records;
mod used;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use enclos_cas::{Digest, beneath};
use rusqlite::params;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, renameat_with, syncfs};
use rustix::io::Errno;

use crate::codebase::records::new_id;
use crate::error::{During, Metadata};
use crate::layers::Ownership;
use crate::{Page, PageRequest, Rules, TreePath, Version, Vfs, VfsError};
use records::{insert_snapshot, insert_workspace, list_snapshots, list_workspaces, read_snapshot, read_workspace, update};

pub use conflict::Conflict;
pub use diff::{Bounds, Change, Denied, View, What};
pub use files::Marks;
pub use leftover::Leftover;
pub use records::{Snapshot, Workspace};
pub use used::Used;

/// What to mount for a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Topmost first (the order of `lowerdir=`). Never written; shared by all workspaces.
    pub lower: Vec<PathBuf>,
    /// `upperdir=`.
    pub upper: PathBuf,
    /// `workdir=`.
    pub work: PathBuf,
}

/// What a commit does with changes that the rules forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBack {
    /// It makes no version and names them.
    Refuse,
    /// It makes a version without them and names them. After a commit they are gone; after publishing they are in the workspace still, and are
    /// named every time.
    Drop,
}

/// What publishing does with paths that somebody else changed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// It makes no version and names them.
    Refuse,
    /// It leaves them, and what is below them, as the codebase has them, and names them; every time, until both agree.
    Skip,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// A version holds it.
    Made {
        /// The version: a new one, or the newest if that had all of it.
        version: Version,
        /// What is in it now.
        changes: Vec<Change>,
        /// What the rules forbid.
        held_back: Vec<Change>,
        /// What was left as the codebase has it.
        conflicts: Vec<Conflict>,
    },
    /// There was nothing else to put into a version. All stays as it is.
    Nothing {
        /// What the rules forbid.
        held_back: Vec<Change>,
        /// What was left as the codebase has it.
        conflicts: Vec<Conflict>,
    },
    /// Some changes may not be. All stays as it is.
    Denied(Vec<Change>),
    /// Somebody else changed the same paths. All stays as it is.
    Conflicts(Vec<Conflict>),
}

impl Vfs {
    /// Makes a workspace on a version; `None`: the newest.
    ///
    /// # Errors
    /// [`VfsError::Unknown`].
    pub fn create_workspace(&self, codebase: &str, version: Option<u64>, now: i64) -> Result<Workspace, VfsError> {
        let version = self.version(codebase, version)?.number;
        let new = Workspace { id: new_id("ws")?, codebase: codebase.to_owned(), version, generation: 0, created: now, published: None };
        insert_workspace(&self.records().lock(), &new)?;
        Ok(new)
    }

    /// Reads a workspace.
    ///
    /// # Errors
    /// An id that cannot be, or [`VfsError::Unknown`].
    pub fn workspace(&self, id: &str) -> Result<Workspace, VfsError> {
        self.places().workspace(id).map_or_else(|| read_workspace(&self.records().read(), id), Ok)
    }

    /// Lists workspaces in the order in which they were made.
    ///
    /// # Errors
    /// A page token that no listing gave.
    pub fn workspaces(&self, codebase: Option<&str>, page: &PageRequest) -> Result<Page<Workspace>, VfsError> {
        list_workspaces(&self.records().read(), codebase, page)
    }

    /// Removes a workspace with its changes. They are out of the way at once, and removed when the [`Leftover`] is, which takes as long as they are
    /// many.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], or the kernel's.
    pub fn delete_workspace(&self, id: &str) -> Result<Leftover, VfsError> {
        if let Some(leftover) = self.places().take_back(id) {
            return Ok(leftover);
        }
        let workspace = self.workspace(id)?;
        let delete = |connection: &rusqlite::Connection| -> Result<(), VfsError> {
            let mut statement = connection.prepare_cached("DELETE FROM workspace WHERE id = ?1").metadata("writing")?;
            statement.execute([id]).metadata("writing").map(drop)
        };
        // Were it there again after the machine failed, without its files, it would seem to have removed what it published.
        if workspace.published.is_some() {
            delete(&*self.records().durable()?)?
        } else {
            delete(&self.records().lock())?
        }
        let leftover = self.root().join("building").join(new_id("b")?);
        match renameat_with(CWD, self.workspace_root(id), CWD, &leftover, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Leftover { path: Some(leftover), again: None }),
            Err(Errno::NOENT) => Ok(Leftover { path: None, again: None }),
            Err(errno) => Err(errno).during("removing", self.workspace_root(id)),
        }
    }

    /// What to mount for a workspace under these rules; made if it is missing. Other rules give other layers above the same upper.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], the store's or the kernel's.
    pub fn layers(&self, id: &str, rules: &Rules, ownership: Ownership) -> Result<Layers, VfsError> {
        let workspace = self.workspace(id)?;
        let passing = self.places().version(id);
        let version = passing.clone().map_or_else(|| self.version(&workspace.codebase, Some(workspace.version)), Ok)?;
        // The version before this one may be pruned, or checked out nowhere: then all files are written.
        let near = || version.parent.and_then(|parent| self.version(&workspace.codebase, Some(parent)).ok()).map(|parent| parent.tree);
        let below = self.lower(&version.tree, near, rules, ownership)?;
        if passing.is_some() {
            let place = self.places().give_out(id, below.top)?;
            return Ok(Layers { lower: below.lower, upper: place.join("upper"), work: place.join("work") });
        }
        let place = self.generation(&workspace);
        for folder in [self.workspace_root(id), place.clone(), place.join("upper"), place.join("work")] {
            make(&folder)?;
        }
        let upper = open(&place.join("upper"))?;
        below.top.apply(&upper).during("finishing", place.join("upper"))?;
        Ok(Layers { lower: below.lower, upper: place.join("upper"), work: place.join("work") })
    }

    /// Throws away what was changed, and stays on the version or, with `onto`, goes to another. What was published stays in the codebase. Nothing may run in the workspace.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], [`VfsError::InUse`] as in [`Vfs::commit`], or the kernel's.
    pub fn rollback(&self, id: &str, onto: Option<u64>) -> Result<Workspace, VfsError> {
        let was = self.workspace(id)?;
        let version = self.version(&was.codebase, Some(onto.unwrap_or(was.version)))?.number;
        let now = Workspace { version, generation: was.generation + 1, published: None, ..was.clone() };
        if !update(&*self.records().durable()?, &was, &now)? {
            return Err(busy(&was));
        }
        files::remove(&self.generation(&was))?;
        Ok(now)
    }

    /// Copies what was changed. Nothing may run in the workspace.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], or the kernel's.
    pub fn snapshot(&self, id: &str, marks: Marks, now: i64) -> Result<Snapshot, VfsError> {
        let workspace = self.workspace(id)?;
        let new = Snapshot {
            id: new_id("sn")?,
            workspace: workspace.id.clone(),
            codebase: workspace.codebase.clone(),
            version: workspace.version,
            created: now,
            published: workspace.published,
        };
        self.copy_upper(&self.generation(&workspace), &self.root().join("snapshots").join(&new.id), None, marks)?;
        insert_snapshot(&self.records().lock(), &new)?;
        Ok(new)
    }

    /// Lists snapshots, of one workspace or of all, in the order in which they were taken.
    ///
    /// # Errors
    /// A page token that no listing gave.
    pub fn snapshots(&self, workspace: Option<&str>, page: &PageRequest) -> Result<Page<Snapshot>, VfsError> {
        list_snapshots(&self.records().read(), workspace, page)
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], or the kernel's.
    pub fn delete_snapshot(&self, id: &str) -> Result<(), VfsError> {
        read_snapshot(&self.records().read(), id)?;
        self.records().lock().execute("DELETE FROM snapshot WHERE id = ?1", [id]).metadata("writing")?;
        files::remove(&self.root().join("snapshots").join(id))
    }

    /// Puts a snapshot of the same codebase in place of what was changed. Nothing may run in the workspace.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], [`VfsError::InUse`] as in [`Vfs::commit`], or the kernel's.
    pub fn restore(&self, id: &str, snapshot: &str, marks: Marks) -> Result<Workspace, VfsError> {
        let was = self.workspace(id)?;
        if self.places().path(id).is_some() {
            return Err(busy(&was));
        }
        let from = read_snapshot(&self.records().read(), snapshot)?;
        if from.codebase != was.codebase {
            return Err(VfsError::Invalid {
                field: "snapshot_id",
                value: snapshot.to_owned(),
                why: "it must be a snapshot of the workspace's codebase",
            });
        }
        make(&self.workspace_root(id))?;
        let next = Workspace { version: from.version, generation: was.generation + 1, published: from.published, ..was.clone() };
        self.copy_upper(&self.root().join("snapshots").join(snapshot), &self.generation(&next), None, marks)?;
        if !update(&*self.records().durable()?, &was, &next)? {
            return Err(busy(&was));
        }
        files::remove(&self.generation(&was))?;
        Ok(next)
    }

    /// Makes a second workspace with the same changes on the same version. Nothing may run in the first.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], or the kernel's.
    pub fn fork(&self, id: &str, marks: Marks, now: i64) -> Result<Workspace, VfsError> {
        let from = self.workspace(id)?;
        let new = Workspace { id: new_id("ws")?, generation: 0, created: now, ..from.clone() };
        // The files come first: a workspace that is known has all of them.
        self.copy_upper(&self.generation(&from), &self.workspace_root(&new.id), Some("0"), marks)?;
        insert_workspace(&self.records().lock(), &new)?;
        Ok(new)
    }

    fn walk_upper<'t>(
        &self,
        workspace: &Workspace,
        base: &Version,
        view: &View<'_>,
        take: &'t mut (dyn FnMut(std::fs::File, u64) -> Result<(Digest, u64), VfsError> + 't),
    ) -> Result<Vec<Change>, VfsError> {
        let upper = match open(&self.generation(workspace).join("upper")) {
            Err(VfsError::System { errno: Errno::NOENT, .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let tree = self.store().tree(&base.tree)?;
        let promised = view.rules.promised();
        let mut walk = diff::Walk { store: self.store(), view: *view, promised, take, changes: Vec::new(), bytes: 0, names: 0 };
        walk.directory(&upper, &TreePath::top(), Some(&tree), false, 0)?;
        let mut changes = walk.changes;
        changes.sort_by(|a, b| a.path.names().cmp(b.path.names()));
        diff::hold_back_below(&mut changes);
        Ok(changes)
    }

    /// Copies `from/upper` (or nothing, if there is none) to `to/inner/upper`; `to` is there complete or not at all.
    fn copy_upper(&self, from: &Path, to: &Path, inner: Option<&str>, marks: Marks) -> Result<(), VfsError> {
        let building = self.building()?;
        let place = inner.map_or(building.clone(), |inner| building.join(inner));
        let copied = (|| {
            make(&place)?;
            match open(&from.join("upper")) {
                Err(VfsError::System { errno: Errno::NOENT, .. }) => {}
                upper => {
                    make(&place.join("upper"))?;
                    let target = open(&place.join("upper"))?;
                    files::copy(&upper?, &target, marks)?;
                    syncfs(&target).during("syncing", to)?;
                }
            }
            if let Some(parent) = to.parent() {
                make(parent)?;
            }
            renameat_with(CWD, &building, CWD, to, RenameFlags::NOREPLACE).during("naming", to)
        })();
        copied.inspect_err(|_| drop(files::remove(&building)))
    }

    /// A new, empty directory that is removed at the next start.
    pub(crate) fn building(&self) -> Result<PathBuf, VfsError> {
        let path = self.root().join("building").join(new_id("b")?);
        make(&path)?;
        Ok(path)
    }

    /// Where the changes of a workspace are, and are not yet if it was never mounted.
    ///
    /// # Errors
    /// [`VfsError::Unknown`].
    pub fn upper(&self, id: &str) -> Result<PathBuf, VfsError> {
        Ok(self.generation(&self.workspace(id)?).join("upper"))
    }

    fn workspace_root(&self, id: &str) -> PathBuf {
        self.root().join("workspaces").join(id)
    }

    fn generation(&self, workspace: &Workspace) -> PathBuf {
        let recorded = || self.workspace_root(&workspace.id).join(workspace.generation.to_string());
        self.places().path(&workspace.id).unwrap_or_else(recorded)
    }

    /// Removes what an earlier process left half done: what is in no record.
    pub(crate) fn reap(&self) -> Result<(), VfsError> {
        let entries = |path: &Path| match open(path) {
            Ok(directory) => beneath::names(&directory).during("reading", path),
            Err(VfsError::System { errno: Errno::NOENT, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        for folder in ["building", "passing"] {
            for name in entries(&self.root().join(folder))? {
                files::remove(&self.root().join(folder).join(name))?;
            }
        }
        for name in entries(&self.root().join("snapshots"))? {
            if matches!(read_snapshot(&self.records().read(), &name.to_string_lossy()), Err(VfsError::Unknown { .. })) {
                files::remove(&self.root().join("snapshots").join(name))?;
            }
        }
        for name in entries(&self.root().join("workspaces"))? {
            let place = self.root().join("workspaces").join(&name);
            let known = read_workspace(&self.records().read(), &name.to_string_lossy());
            match known {
                Ok(workspace) => {
                    let current = workspace.generation.to_string();
                    for other in entries(&place)?.into_iter().filter(|generation| *generation != *current) {
                        files::remove(&place.join(other))?;
                    }
                }
                Err(VfsError::Unknown { .. }) => files::remove(&place)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes cached layers of trees that no workspace stands on. How many. Mounted ones stay readable until they are unmounted.
    ///
    /// # Errors
    /// The kernel's or SQLite's.
    pub fn drop_unused_layers(&self) -> Result<usize, VfsError> {
        self.places().standing(|passing| self.drop_layers_but(passing))
    }

    fn drop_layers_but(&self, passing: &[(&str, u64, Digest)]) -> Result<usize, VfsError> {
        let mut dropped = 0;
        for folder in ["masks", "checkouts"] {
            let place = self.root().join(folder);
            for name in beneath::names(open(&place)?).during("reading", &place)? {
                let text = name.to_string_lossy();
                let tree = text.split('-').next().unwrap_or_default();
                let connection = self.records().read();
                let sql = "SELECT EXISTS (SELECT 1 FROM workspace w JOIN version v ON v.codebase = w.codebase AND v.number = w.version WHERE v.tree = ?1)";
                let used: bool = connection.query_row(sql, params![tree], |row| row.get(0)).metadata("reading")?;
                drop(connection);
                if !used && passing.iter().all(|(_, _, standing)| standing.to_string() != tree) {
                    files::remove(&place.join(&name))?;
                    dropped += 1;
                }
            }
        }
        Ok(dropped)
    }
}

fn busy(workspace: &Workspace) -> VfsError {
    VfsError::InUse { kind: "workspace", id: workspace.id.clone(), by: "another commit or rollback".to_owned() }
}

/// A directory of ours, closed to others.
pub(crate) fn make(path: &Path) -> Result<(), VfsError> {
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).during("making", path),
    }
}

fn open(path: &Path) -> Result<OwnedFd, VfsError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).during("opening", path)
}
