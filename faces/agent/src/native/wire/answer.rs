//! What a client is told.

use std::collections::BTreeMap;

use enclos_vfs::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Bytes, Network, Resources, Rule, rfc3339};
use crate::api;

/// Why a request was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Why.
    pub error: ErrorInfo,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorInfo {
    /// For programs; does not change.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// For people; one line.
    pub message: String,
    /// The field of the request that is wrong, as a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whether the same request may be answered later.
    pub retryable: bool,
    /// Changes that the rules keep from being committed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub denied: Vec<Change>,
    /// Paths that somebody else changed too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub conflicts: Vec<Conflict>,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident { $items:ident: $item:ident }),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, ToSchema)]
        pub struct $name {
            /// This page of them.
            pub $items: Vec<$item>,
            /// Asks for the next page; null: this was the last.
            pub next_page_token: Option<String>,
        }

        impl<T: Into<$item>> From<Page<T>> for $name {
            fn from(page: Page<T>) -> Self {
                Self { $items: page.items.into_iter().map(Into::into).collect(), next_page_token: page.next }
            }
        }
    )+ };
}

pages! {
    /// Codebases.
    Codebases { codebases: Codebase },
    /// Versions, oldest first.
    Versions { versions: Version },
    /// Files of a version.
    Tree { entries: TreeEntry },
    /// Sandboxes, in the order in which they were made.
    Sandboxes { sandboxes: Sandbox },
    /// Snapshots.
    Snapshots { snapshots: Snapshot },
    /// Sessions.
    Sessions { sessions: Session },
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident { $items:ident: $item:ident }),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, ToSchema)]
        pub struct $name {
            /// All of them.
            pub $items: Vec<$item>,
        }

        impl<T: Into<$item>> From<Vec<T>> for $name {
            fn from(items: Vec<T>) -> Self {
                Self { $items: items.into_iter().map(Into::into).collect() }
            }
        }
    )+ };
}

lists! {
    /// What was changed and not committed.
    Changes { changes: Change },
    /// A directory.
    Entries { entries: Entry },
    /// Root file systems.
    Images { images: Image },
    /// Ready-made lists of rules.
    Presets { presets: Preset },
}

/// A codebase: a line of versions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Codebase {
    /// `cb_…`.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The owner, in words of whoever made it.
    pub owner_id: String,
    /// Bytes of all files of the newest version.
    pub size: u64,
    /// Files and links of the newest version.
    pub file_count: u64,
    /// Number of the newest version.
    pub version: u64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl From<api::Codebase> for Codebase {
    fn from(from: api::Codebase) -> Self {
        let api::Codebase { id, name, owner_id, size, file_count, version, created_at, updated_at } = from;
        Self { id, name, owner_id, size, file_count, version, created_at: rfc3339(created_at), updated_at: rfc3339(updated_at) }
    }
}

/// A version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Version {
    /// From 0, the empty one.
    pub number: u64,
    /// The one it was made from.
    pub parent: Option<u64>,
    /// SHA-256 of its tree.
    pub tree: String,
    /// Who made it.
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
    /// Bytes of all its files.
    pub size: u64,
    /// Files and links.
    pub file_count: u64,
}

impl From<api::Version> for Version {
    fn from(from: api::Version) -> Self {
        let api::Version { number, parent, tree, author, created_at, size, file_count } = from;
        Self { number, parent, tree, author, created_at: rfc3339(created_at), size, file_count }
    }
}

/// A file that went in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// The version it made.
    pub version: u64,
    /// Where it is.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl From<api::Uploaded> for Uploaded {
    fn from(from: api::Uploaded) -> Self {
        let api::Uploaded { version, path, size, sha256, .. } = from;
        Self { version, path, size, sha256 }
    }
}

/// A file that was written into a running sandbox.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Written {
    /// Where it is.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

/// One entry of a version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TreeEntry {
    /// From the top, without a leading slash.
    pub path: String,
    /// Last part of the path.
    pub name: String,
    /// `file`, `directory` or `link`.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// Where a link leads.
    pub link: Option<String>,
    /// Bytes; of a directory, of everything below it.
    pub size: u64,
    /// Permission bits in octal.
    pub mode: String,
    /// RFC 3339.
    pub modified_at: String,
}

impl From<api::TreeEntry> for TreeEntry {
    fn from(from: api::TreeEntry) -> Self {
        let api::TreeEntry { path, name, is_dir, link, size, mode, modified_at } = from;
        let kind = if is_dir {
            "directory"
        } else if link.is_some() {
            "link"
        } else {
            "file"
        };
        Self { path, name, kind, link, size, mode: octal(mode), modified_at: rfc3339(modified_at) }
    }
}

/// One entry of a directory of a running sandbox.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// `file`, `directory`, `link` or `other`.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// Bytes.
    pub size: u64,
    /// Permission bits in octal.
    pub mode: String,
    /// RFC 3339.
    pub modified_at: String,
    /// Where a link leads.
    pub link: Option<String>,
}

impl From<api::Entry> for Entry {
    fn from(from: api::Entry) -> Self {
        let api::Entry { name, kind, size, mode, modified_at, link } = from;
        let kind = match kind {
            api::EntryKind::File => "file",
            api::EntryKind::Directory => "directory",
            api::EntryKind::Link => "link",
            api::EntryKind::Other => "other",
        };
        Self { name, kind, size, mode: octal(mode), modified_at: rfc3339(modified_at), link }
    }
}

/// Something changed in a running sandbox.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WatchEvent {
    /// From the top of the workspace, without a leading slash.
    pub path: String,
    /// `added`, `modified` or `deleted`.
    #[schema(value_type = String)]
    pub kind: &'static str,
}

impl From<api::Rule> for Rule {
    fn from(from: api::Rule) -> Self {
        Self { pattern: from.pattern, kind: from.kind.into(), level: from.level.into(), priority: from.priority }
    }
}

/// A sandbox.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sandbox {
    /// `sb_…`.
    pub id: String,
    /// Its codebase; null without one.
    pub codebase_id: Option<String>,
    /// The version its workspace stands on.
    pub version: u64,
    /// `pending`, `running`, `stopped` or `error`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Why, where the status is `error`.
    pub problem: Option<String>,
    /// Its rules, those of a preset written out.
    pub rules: Vec<Rule>,
    /// Your words about it.
    pub labels: BTreeMap<String, String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub stopped_at: Option<String>,
    /// RFC 3339; null: never.
    pub expires_at: Option<String>,
    /// `bwrap` or `docker`; null: not said.
    #[schema(value_type = Option<String>)]
    pub runtime: Option<&'static str>,
    /// The root file system, where it is a registered one.
    pub image: Option<String>,
    /// The limits that hold.
    pub resources: Resources,
    /// What of the network is seen.
    pub network: Network,
    /// The name of the key that made it.
    pub owner: String,
}

/// The word of a state.
pub fn status_word(status: api::SandboxStatus) -> &'static str {
    match status {
        api::SandboxStatus::Pending => "pending",
        api::SandboxStatus::Running => "running",
        api::SandboxStatus::Stopped => "stopped",
        api::SandboxStatus::Error => "error",
    }
}

impl From<api::Resources> for Resources {
    fn from(from: api::Resources) -> Self {
        let api::Resources { memory_bytes, cpu_quota, cpu_shares, pids_limit, disk_bytes, workspace_bytes } = from;
        let (memory, disk, workspace) = (memory_bytes.map(Bytes), disk_bytes.map(Bytes), workspace_bytes.map(Bytes));
        Self { memory, cpu_quota, cpu_shares, pids: pids_limit, disk, workspace }
    }
}

impl From<api::Sandbox> for Sandbox {
    fn from(from: api::Sandbox) -> Self {
        Self {
            id: from.id,
            codebase_id: Some(from.codebase_id).filter(|id| !id.is_empty()),
            version: from.version,
            status: status_word(from.status),
            problem: from.problem,
            rules: from.rules.into_iter().map(Into::into).collect(),
            labels: from.labels,
            created_at: rfc3339(from.created_at),
            started_at: from.started_at.map(rfc3339),
            stopped_at: from.stopped_at.map(rfc3339),
            expires_at: from.expires_at.map(rfc3339),
            runtime: match from.runtime {
                api::Runtime::Unspecified => None,
                api::Runtime::Bwrap => Some("bwrap"),
                api::Runtime::Docker => Some("docker"),
            },
            image: from.image,
            resources: from.resources.into(),
            network: from.network.into(),
            owner: from.owner,
        }
    }
}

/// Why a path has its level.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The path, from the top of the workspace.
    pub path: String,
    /// What may be done with it.
    #[schema(value_type = String)]
    pub level: &'static str,
    /// The rule that decides; null: none matches.
    pub rule: Option<Rule>,
    /// The path that the rule matches: this one, or a hidden directory above it.
    pub matches: String,
    /// Rules that match too, and come after.
    pub others: Vec<Rule>,
    /// All of it in one line.
    pub text: String,
}

impl From<api::Explanation> for Explanation {
    fn from(from: api::Explanation) -> Self {
        Self {
            text: from.to_string(),
            path: from.path.to_string(),
            level: from.level.as_str(),
            rule: from.rule.map(Into::into),
            matches: from.on.to_string(),
            others: from.others.into_iter().map(Into::into).collect(),
        }
    }
}

/// One path that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// From the top, without a leading slash.
    pub path: String,
    /// `added`, `modified` or `deleted`.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// `file`, `directory`, `link`, or what cannot be kept: `fifo`, `socket`, `device`.
    #[schema(value_type = String)]
    pub what: &'static str,
    /// Bytes it has now.
    pub size: Option<u64>,
    /// Permission bits it has now, in octal.
    pub mode: Option<String>,
    /// Why a commit would hold it back.
    pub denied: Option<String>,
}

impl From<api::Change> for Change {
    fn from(from: api::Change) -> Self {
        let api::Change { path, kind, what, size, mode, denied } = from;
        Self { path, kind, what, size, mode: mode.map(octal), denied }
    }
}

/// A path that somebody else changed too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Conflict {
    /// From the top, without a leading slash.
    pub path: String,
    /// What it was, what they made of it, what we did.
    pub why: String,
}

impl From<api::Conflict> for Conflict {
    fn from(from: api::Conflict) -> Self {
        Self { path: from.path, why: from.why }
    }
}

/// What became of a commit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Committed {
    /// The version that was made; null: there was nothing to commit.
    pub version: Option<u64>,
    /// What is new in it.
    pub changes: Vec<Change>,
    /// What was left out.
    pub dropped: Vec<Change>,
}

/// A copy of a workspace's changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Snapshot {
    /// `sn_…`.
    pub id: String,
    /// The sandbox it was taken of; it may be gone.
    pub sandbox_id: String,
    /// The version it stands on.
    pub version: u64,
    /// RFC 3339.
    pub created_at: String,
}

impl From<api::Snapshot> for Snapshot {
    fn from(from: api::Snapshot) -> Self {
        Self { id: from.id, sandbox_id: from.sandbox_id, version: from.version, created_at: rfc3339(from.created_at) }
    }
}

/// A shell that lasts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// `sess_…`.
    pub id: String,
    /// Its sandbox.
    pub sandbox_id: String,
    /// `active` or `closed`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Path of the shell.
    pub shell: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub closed_at: Option<String>,
    /// What the shell ended with; 128 + n after signal n. Absent while it lives, and where nobody can say.
    pub exit_code: Option<i32>,
    /// Whether it has a terminal.
    pub terminal: bool,
}

impl From<api::Session> for Session {
    fn from(from: api::Session) -> Self {
        Self {
            id: from.id,
            sandbox_id: from.sandbox_id,
            status: if from.status == api::SessionStatus::Active { "active" } else { "closed" },
            shell: from.shell,
            created_at: rfc3339(from.created_at),
            closed_at: from.closed_at.map(rfc3339),
            exit_code: from.exit_code,
            terminal: from.terminal,
        }
    }
}

/// A root file system that the operator registered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// What it is made from.
    pub source: String,
    /// RFC 3339.
    pub registered_at: String,
}

impl From<api::Image> for Image {
    fn from(from: api::Image) -> Self {
        Self { name: from.name, source: from.source, registered_at: rfc3339(from.registered_at) }
    }
}

/// A ready-made list of rules.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Preset {
    /// Its name.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl From<api::Preset> for Preset {
    fn from(from: api::Preset) -> Self {
        Self { name: from.as_str(), rules: from.rules().into_iter().map(Into::into).collect() }
    }
}
