//! Sandboxes.

use std::collections::BTreeMap;

use enclos_vfs::Rule;

/// Which runtime a caller names. There is one engine; the word says how its files come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Not named: as `Bwrap`.
    #[default]
    Unspecified,
    /// The host's system directories, read-only.
    Bwrap,
    /// A root file system that the operator registered under an image name.
    Docker,
}

/// What of the network its processes see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    #[default]
    None,
    /// A loopback of its own.
    Loopback,
    /// The host's.
    Host,
}

/// Limits of a whole sandbox. `None`: the server's default, which is never unbounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Bytes of memory of all processes, page cache, tmpfs and kernel memory included.
    pub memory_bytes: Option<u64>,
    /// Microseconds of CPU time in each 100 ms: 100000 is one whole CPU.
    pub cpu_quota: Option<u64>,
    /// Weight against other sandboxes: 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Processes and threads at once.
    pub pids_limit: Option<u64>,
    /// Bytes on everything private and writable outside the workspace.
    pub disk_bytes: Option<u64>,
    /// Bytes that the workspace's changes may have.
    pub workspace_bytes: Option<u64>,
}

/// A sandbox to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSandbox {
    /// The codebase its workspace shows. `None` (native interface only): an empty, writable workspace that nobody keeps.
    pub codebase_id: Option<String>,
    /// The version; `None`: the newest.
    pub version: Option<u64>,
    /// Rules for paths. Without any rule nothing is shown.
    pub rules: Vec<Rule>,
    /// Milliseconds after which it is destroyed; `None`: the server's default.
    pub expires_in_ms: Option<u64>,
    /// The caller's words about it.
    pub labels: BTreeMap<String, String>,
    /// How its files come to be.
    pub runtime: Runtime,
    /// Name of the root file system; needs [`Runtime::Docker`] or no word about the runtime.
    pub image: Option<String>,
    /// Limits.
    pub resources: Resources,
    /// The network.
    pub network: Network,
    /// Variables of every command and session.
    pub env: BTreeMap<String, String>,
    /// What a client of `sandbox.v1` takes for granted: files uploaded to the codebase show up in the running sandbox, and files the sandbox
    /// changed show up in the codebase when somebody looks there.
    pub shared: bool,
}

/// Where a sandbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxStatus {
    /// Made, never started.
    Pending,
    /// Alive.
    Running,
    /// Not alive; its files are kept.
    Stopped,
    /// It ended by itself: see [`Sandbox::problem`].
    Error,
}

/// A sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// `sb_…`.
    pub id: String,
    /// Its codebase; empty without one.
    pub codebase_id: String,
    /// The version its workspace stands on.
    pub version: u64,
    /// Its rules, as given.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub status: SandboxStatus,
    /// Why, where the status is an error: one line.
    pub problem: Option<String>,
    /// The caller's words about it.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub stopped_at: Option<i64>,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// As it was asked for.
    pub runtime: Runtime,
    /// As it was asked for.
    pub image: Option<String>,
    /// What holds.
    pub resources: Resources,
    /// What holds.
    pub network: Network,
    /// Who made it (the caller's name).
    pub owner: String,
}

/// Which sandboxes to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Of this codebase.
    pub codebase_id: Option<String>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// In this state.
    pub status: Option<SandboxStatus>,
}

/// Whether a call may end what runs in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endings {
    /// Refused while commands run or sessions are open ([`super::AgentError::Precondition`] names them).
    #[default]
    Refuse,
    /// They are ended.
    Allow,
}

/// A root file system that the operator registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name, e.g. `python:3.11-slim`.
    pub name: String,
    /// What it is made from, e.g. `directory` or `oci archive`.
    pub source: String,
    /// Milliseconds since 1970.
    pub registered_at: i64,
}
