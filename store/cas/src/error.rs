//! Why something was not done.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::{Digest, TreeError};

/// Why something was not done. Paths are relative to the tree in question, or to the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CasError {
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
    /// A stream that the caller gave failed.
    #[error("{doing} the caller's stream: {source}")]
    Stream {
        /// What was being done, as a participle.
        doing: &'static str,
        /// Its error.
        source: std::io::Error,
    },
    /// No such object.
    #[error("object {0} is not in the store")]
    Missing(Digest),
    /// The object's bytes are not those of its name.
    #[error("object {digest} holds the bytes of {found}: the store is damaged")]
    Damaged {
        /// What it is called.
        digest: Digest,
        /// What it should be called.
        found: Digest,
    },
    /// The object is not a tree.
    #[error("object {digest}: {source}")]
    NotATree {
        /// Which.
        digest: Digest,
        /// Why not.
        source: TreeError,
    },
    /// More than allowed.
    #[error("{quantity}: {limit} is the most, and this needs more")]
    Quota {
        /// What.
        quantity: Quantity,
        /// How much.
        limit: u64,
    },
    /// Neither file, directory nor symbolic link.
    #[error("{path}: a {kind} cannot be stored; only files, directories and symbolic links can", path = path.display())]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Another process has the store open.
    #[error("{}: another process has this store open", .0.display())]
    InUse(PathBuf),
    /// A tree is written into an empty directory only.
    #[error("the directory to write into is not empty")]
    NotEmpty,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// Bytes in the whole store.
    StoreBytes,
    /// Objects in the whole store.
    StoreObjects,
    /// Bytes of one tree or stream.
    Bytes,
    /// Files, directories and links of one tree.
    Entries,
    /// Directories in each other.
    Depth,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::StoreBytes => "bytes in the store",
            Quantity::StoreObjects => "objects in the store",
            Quantity::Bytes => "bytes",
            Quantity::Entries => "files and directories",
            Quantity::Depth => "levels of directories",
        })
    }
}

/// Says what was being done when the kernel refused.
pub(crate) trait During<T> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, CasError>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, CasError> {
        self.map_err(|errno| CasError::System { doing, path: path.as_ref().to_owned(), errno })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, CasError> {
        self.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)).during(doing, path)
    }
}
