//! Why something was not done.

use std::path::{Path, PathBuf};

use enclos_cas::CasError;
use rustix::io::Errno;

use crate::{PathError, RuleError, TreePath};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VfsError {
    /// The store of contents.
    #[error(transparent)]
    Content(#[from] CasError),
    /// A path that names no place in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A rule that cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A value that cannot be.
    #[error("{field} {value:?}: {why}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What was given, shortened.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// No codebase, version, workspace or snapshot of this name.
    #[error("{kind} {id:?} is not known")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        id: String,
    },
    /// Nothing is at this path.
    #[error("{0}: not there")]
    NotThere(TreePath),
    /// Something else than what was asked for is at this path.
    #[error("{path}: {why}")]
    WrongKind {
        /// Where.
        path: TreePath,
        /// What it is or should be.
        why: &'static str,
    },
    /// It cannot go while something needs it.
    #[error("{kind} {id:?} is in use by {by}")]
    InUse {
        /// What should go.
        kind: &'static str,
        /// Its name.
        id: String,
        /// What needs it.
        by: String,
    },
    /// More than allowed.
    #[error("{what}: {limit} is the most")]
    Quota {
        /// What.
        what: &'static str,
        /// How much.
        limit: u64,
    },
    /// The kernel refused.
    #[error("{doing} {path}: {errno}", path = path.display())]
    System {
        /// What was being done, as a participle.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The metadata could not be read or written.
    #[error("{doing} the metadata: {source}")]
    Metadata {
        /// What was being done, as a participle.
        doing: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
}

/// Says what was being done when the kernel refused.
pub(crate) trait During<T> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, VfsError>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, VfsError> {
        self.map_err(|errno| VfsError::System { doing, path: path.as_ref().to_owned(), errno })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, VfsError> {
        self.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)).during(doing, path)
    }
}

/// Says what was being done when SQLite refused.
pub(crate) trait Metadata<T> {
    fn metadata(self, doing: &'static str) -> Result<T, VfsError>;
}

impl<T> Metadata<T> for rusqlite::Result<T> {
    fn metadata(self, doing: &'static str) -> Result<T, VfsError> {
        self.map_err(|source| VfsError::Metadata { doing, source })
    }
}
