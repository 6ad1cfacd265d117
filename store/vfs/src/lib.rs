//! What files a sandbox sees.
//!
//! - [`Rules`]: four levels for paths, `none`, `view`, `read`, `write`, and the reason for each answer.
//! - [`codebase`]: lines of versions, each a tree in the content-addressed store.
//! - [`layers`]: what an overlay is made of, so that the kernel shows a version through rules at its own speed.
//! - [`files`]: files of a mounted workspace, reached from outside; and files written into it.
//! - [`workspace`]: a version, rules and a place for what is changed; diff, commit, rollback, snapshot, fork.
//!
//! ```text
//! DIR/cas/                     contents (enclos-cas)
//! DIR/vfs.sqlite               codebases, versions, workspaces, snapshots
//! DIR/checkouts/, masks/       cached layers; all of them can be made again
//! DIR/workspaces/, snapshots/  what was changed and not committed
//! DIR/boot                     since when the cached layers hold
//! DIR/building/                what is being made; emptied at the start
//! ```
//!
//! Nothing here mounts or runs anything: the engine does, and this crate tells it what. Nothing here reads a clock: callers say when.

#![forbid(unsafe_code)]

pub mod codebase;
pub mod edit;
mod error;
pub mod files;
pub mod layers;
mod path;
pub mod rules;
pub mod workspace;

use std::path::{Path, PathBuf};

use enclos_cas::{Quota, Store};

use codebase::records::Records;
use error::During;
use workspace::passing::Places;

pub use codebase::{By, Codebase, Exported, Limits, Listed, Md5, Page, PageRequest, Unpacked, Uploaded, Version};
pub use edit::Edit;
pub use error::VfsError;
pub use files::{Files, Status};
pub use layers::{Lower, Ownership, Writable};
pub use path::{PathError, TreePath};
pub use rules::{Explanation, Kind, Level, Preset, Rule, RuleError, Rules};
pub use workspace::{
    Bounds, Change, Committed, Conflict, Conflicts, Denied, HeldBack, Layers, Leftover, Marks, Snapshot, Used, View, What, Workspace,
};

/// Everything this crate keeps, in one directory. One process at a time has it open; its threads share it.
#[derive(Debug)]
pub struct Vfs {
    root: PathBuf,
    store: Store,
    records: Records,
    limits: Limits,
    places: Places,
}

impl Vfs {
    /// Opens the directory, which is made if it is missing, and clears what an earlier process left half done.
    ///
    /// # Errors
    /// Another process has it open; the kernel's or SQLite's.
    pub fn open(root: impl AsRef<Path>, quota: Quota, limits: Limits) -> Result<Vfs, VfsError> {
        let root = root.as_ref();
        match rustix::fs::mkdir(root, rustix::fs::Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno).during("making", root),
        }
        let root = std::fs::canonicalize(root).during("opening", root)?;
        let store = Store::open(root.join("cas"), quota)?;
        let records = Records::open(&root.join("vfs.sqlite"))?;
        for folder in ["building", "checkouts", "masks", "passing", "snapshots", "workspaces"] {
            workspace::make(&root.join(folder))?;
        }
        for folder in ["passing", "workspaces"] {
            workspace::passing::apart(&root.join(folder));
        }
        let vfs = Vfs { root, store, records, limits, places: Places::default() };
        vfs.drop_torn_layers()?;
        vfs.reap()?;
        Ok(vfs)
    }

    /// The store of contents.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where everything is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
