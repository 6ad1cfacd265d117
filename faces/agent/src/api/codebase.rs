//! Codebases: lines of versions.

use std::io::Read;

/// A codebase to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewCodebase {
    /// What its owner calls it: 1 to 256 bytes.
    pub name: String,
    /// The owner in the caller's words (`owner_id`): 1 to 256 bytes. Says nothing about who may see it; the caller's key does.
    pub owner_id: String,
}

/// A codebase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codebase {
    /// `cb_…`.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The owner in the caller's words.
    pub owner_id: String,
    /// Bytes of all files of the newest version.
    pub size: u64,
    /// Files and links of the newest version.
    pub file_count: u64,
    /// Number of the newest version.
    pub version: u64,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// From 0, the empty one.
    pub number: u64,
    /// The one it was made from.
    pub parent: Option<u64>,
    /// SHA-256 of its tree, in hexadecimal.
    pub tree: String,
    /// Who made it.
    pub author: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Bytes of all its files.
    pub size: u64,
    /// Files and links.
    pub file_count: u64,
}

/// A file that went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The version it made.
    pub version: u64,
    /// Where it is, without a leading slash.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// MD5 in hexadecimal, which the interface of `sandbox.v1` promises as its checksum.
    pub md5: String,
}

/// One entry of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Without a leading slash.
    pub path: String,
    /// Last part of the path.
    pub name: String,
    /// A directory.
    pub is_dir: bool,
    /// Where a symbolic link leads.
    pub link: Option<String>,
    /// Bytes; of a directory, of everything below it.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Milliseconds since 1970: when its version was made.
    pub modified_at: i64,
}

/// A file that goes out. Reading verifies it.
pub struct Download {
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its contents.
    pub from: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("size", &self.size).field("mode", &self.mode).finish_non_exhaustive()
    }
}
