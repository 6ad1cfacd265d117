//! What is kept of a sandbox and of a session.

use std::collections::BTreeMap;

use enclos_vfs::Rule;
use serde::{Deserialize, Serialize};

use crate::api::{self, Network, Resources, Runtime, SandboxStatus, SessionStatus};

/// Where a sandbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, never started.
    Pending,
    /// Alive.
    Running,
    /// Not alive; its files are kept.
    Stopped,
    /// It ended by itself.
    Error,
}

/// A sandbox. Fields may be added with a default; none may change its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sandbox {
    /// `sb_…`.
    pub id: String,
    /// The caller who made it.
    pub owner: String,
    /// Its workspace in the store.
    pub workspace: String,
    /// The codebase of its workspace, also where the caller named none.
    pub codebase: String,
    /// The caller named a codebase.
    pub named: bool,
    /// The version the workspace stands on.
    pub version: u64,
    /// As given.
    pub rules: Vec<Rule>,
    /// As given.
    pub labels: BTreeMap<String, String>,
    /// As given.
    pub env: BTreeMap<String, String>,
    /// `unspecified`, `bwrap`, `docker`.
    pub runtime: String,
    /// As given.
    pub image: Option<String>,
    /// What holds.
    pub limits: Limits,
    /// `none`, `loopback`, `host`.
    pub network: String,
    /// See [`api::NewSandbox::shared`].
    pub shared: bool,
    /// Where it stands.
    pub status: Status,
    /// Why it ended by itself.
    pub problem: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub stopped_at: Option<i64>,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Limits that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Limits {
    /// See [`Resources`].
    pub memory: Option<u64>,
    /// See [`Resources`].
    pub cpu_quota: Option<u64>,
    /// See [`Resources`].
    pub cpu_shares: Option<u64>,
    /// See [`Resources`].
    pub processes: Option<u64>,
    /// See [`Resources`].
    pub disk: Option<u64>,
    /// See [`Resources`].
    pub workspace: Option<u64>,
}

impl From<&Resources> for Limits {
    fn from(asked: &Resources) -> Limits {
        Limits {
            memory: asked.memory_bytes,
            cpu_quota: asked.cpu_quota,
            cpu_shares: asked.cpu_shares,
            processes: asked.pids_limit,
            disk: asked.disk_bytes,
            workspace: asked.workspace_bytes,
        }
    }
}

impl From<&Limits> for Resources {
    fn from(kept: &Limits) -> Resources {
        Resources {
            memory_bytes: kept.memory,
            cpu_quota: kept.cpu_quota,
            cpu_shares: kept.cpu_shares,
            pids_limit: kept.processes,
            disk_bytes: kept.disk,
            workspace_bytes: kept.workspace,
        }
    }
}

/// The word that is kept for a runtime.
#[must_use]
pub fn runtime_word(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Unspecified => "unspecified",
        Runtime::Bwrap => "bwrap",
        Runtime::Docker => "docker",
    }
}

/// The word that is kept for a network.
#[must_use]
pub fn network_word(network: Network) -> &'static str {
    match network {
        Network::None => "none",
        Network::Loopback => "loopback",
        Network::Host => "host",
    }
}

impl Sandbox {
    /// The network.
    #[must_use]
    pub fn network(&self) -> Network {
        match self.network.as_str() {
            "loopback" => Network::Loopback,
            "host" => Network::Host,
            _ => Network::None,
        }
    }

    /// As a caller sees it.
    #[must_use]
    pub fn shown(&self) -> api::Sandbox {
        api::Sandbox {
            id: self.id.clone(),
            codebase_id: if self.named { self.codebase.clone() } else { String::new() },
            version: self.version,
            rules: self.rules.clone(),
            status: match self.status {
                Status::Pending => SandboxStatus::Pending,
                Status::Running => SandboxStatus::Running,
                Status::Stopped => SandboxStatus::Stopped,
                Status::Error => SandboxStatus::Error,
            },
            problem: self.problem.clone(),
            labels: self.labels.clone(),
            created_at: self.created_at,
            started_at: self.started_at,
            stopped_at: self.stopped_at,
            expires_at: self.expires_at,
            runtime: match self.runtime.as_str() {
                "bwrap" => Runtime::Bwrap,
                "docker" => Runtime::Docker,
                _ => Runtime::Unspecified,
            },
            image: self.image.clone(),
            resources: (&self.limits).into(),
            network: self.network(),
            owner: self.owner.clone(),
        }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Session {
    /// `sess_…`.
    pub id: String,
    /// Its sandbox.
    pub sandbox: String,
    /// Path of the shell inside.
    pub shell: String,
    /// It has a terminal.
    pub terminal: bool,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub closed_at: Option<i64>,
    /// What the shell ended with.
    pub exit_code: Option<i32>,
}

impl Session {
    /// As a caller sees it.
    #[must_use]
    pub fn shown(&self) -> api::Session {
        api::Session {
            id: self.id.clone(),
            sandbox_id: self.sandbox.clone(),
            status: if self.closed_at.is_some() { SessionStatus::Closed } else { SessionStatus::Active },
            shell: self.shell.clone(),
            created_at: self.created_at,
            closed_at: self.closed_at,
            exit_code: self.exit_code,
            terminal: self.terminal,
        }
    }
}
