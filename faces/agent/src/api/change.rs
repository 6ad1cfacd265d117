//! What was changed in a workspace, and what becomes of it.

/// One path that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Without a leading slash.
    pub path: String,
    /// `added`, `modified`, `deleted`.
    pub kind: &'static str,
    /// `file`, `directory`, `link`, or what cannot be kept (`fifo`, `socket`, `device`).
    pub what: &'static str,
    /// Bytes it has now.
    pub size: Option<u64>,
    /// Permission bits it has now.
    pub mode: Option<u32>,
    /// Why a commit would hold it back: the rule, in words.
    pub denied: Option<String>,
}

/// A path that somebody else changed too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Without a leading slash.
    pub path: String,
    /// In words: what it was, what they made of it, what we did.
    pub why: String,
}

/// How to commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Leave out what the rules forbid, instead of refusing all of it.
    pub drop_denied: bool,
    /// Written into the version as its author; empty: the caller's name.
    pub author: String,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// A version was made.
    Made {
        /// Its number.
        version: u64,
        /// What is new in it.
        changes: Vec<Change>,
        /// What was left out.
        dropped: Vec<Change>,
    },
    /// There was nothing to commit.
    Nothing,
    /// Some changes may not be. Nothing was done.
    Denied(Vec<Change>),
    /// Somebody else changed the same paths. Nothing was done.
    Conflicts(Vec<Conflict>),
}

/// A copy of a workspace's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `sn_…`.
    pub id: String,
    /// The sandbox it was taken of; it may be gone.
    pub sandbox_id: String,
    /// The version it stands on.
    pub version: u64,
    /// Milliseconds since 1970.
    pub created_at: i64,
}
