//! What files a sandbox sees.
//!
//! - [`Rules`]: four levels for paths, `none`, `view`, `read`, `write`, and the reason for each answer.
//! - [`codebase`]: lines of versions, each a tree in the content-addressed store.
//!
//! ```text
//! DIR/cas/            contents (enclos-cas)
//! DIR/vfs.sqlite      codebases, versions, workspaces, snapshots
//! ```

#![forbid(unsafe_code)]

pub mod codebase;
pub mod edit;
mod error;
mod path;
pub mod rules;

use std::path::{Path, PathBuf};

use enclos_cas::{Quota, Store};

use codebase::records::Records;
use error::During;

pub use codebase::{By, Codebase, Limits, Listed, Page, PageRequest, Uploaded, Version};
pub use edit::Edit;
pub use error::VfsError;
pub use path::{PathError, TreePath};
pub use rules::{Explanation, Kind, Level, Preset, Rule, RuleError, Rules};

/// Everything this crate keeps, in one directory. One process at a time has it open; its threads share it.
#[derive(Debug)]
pub struct Vfs {
    root: PathBuf,
    store: Store,
    records: Records,
    limits: Limits,
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
        Ok(Vfs { root, store, records, limits })
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

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
