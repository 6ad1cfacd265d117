//! What a run did and what it cost: the document behind `--report`.

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// Version of the report's shape; raised when a field changes meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// Everything Enclos can say about one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// The command's exit status, where it exited by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// One line of evidence for the verdict: the limit, the measured value, the source.
    pub evidence: Option<String>,
    /// Every figure measured, with unit and source.
    pub figures: Vec<Figure>,
    /// Every limit in force: its value, who enforces it, who measures it.
    pub limits: Vec<LimitReport>,
    /// Every layer of isolation and whether it was active.
    pub layers: Vec<Layer>,
    /// What was asked for and is weaker than asked, one line each; empty unless the policy said `best-effort`, or a default limit has no enforcer here.
    pub weakened: Vec<String>,
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// E.g. `wall`, `cpu`, `memory-peak`, `stdout`.
    pub name: String,
    /// The value, in `unit`.
    pub value: u64,
    /// `us`, `bytes`, `count`.
    pub unit: String,
    /// Where it was read, e.g. `cgroup v2 cpu.stat usage_usec`.
    pub source: String,
}

/// One limit in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    /// The policy's key, e.g. `memory`.
    pub name: String,
    /// The bound, in `unit`.
    pub value: u64,
    /// `us`, `bytes`, `count`.
    pub unit: String,
    /// Who enforces it, e.g. `cgroup v1 memory.limit_in_bytes`.
    pub enforcer: String,
    /// Who measures it, e.g. `cgroup v1 memory.max_usage_in_bytes`.
    pub meter: String,
    /// Whether this limit ended or failed the run.
    pub hit: bool,
}

/// One layer of isolation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// E.g. `user namespace`, `seccomp`, `landlock`.
    pub name: String,
    /// Whether it was in force.
    pub state: LayerState,
    /// What exactly, e.g. `ABI 7: file system, tcp, scopes`.
    pub detail: String,
}

/// Whether a layer was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerState {
    /// In force as designed.
    Active,
    /// In force, but less than designed (an older kernel); the detail says what is missing.
    Weakened,
    /// The policy turned it off.
    Off,
    /// This host does not have it.
    Missing,
}

impl Report {
    /// The figure called `name`.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.name == name)
    }
    /// The limit called `name`.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<&LimitReport> {
        self.limits.iter().find(|l| l.name == name)
    }
    /// The layer called `name`.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|l| l.name == name)
    }
}
