//! Commands, as they are told.

use enclos_host::wire::{Encoding, Output};
use serde::Serialize;
use utoipa::ToSchema;

use super::ErrorInfo;
use crate::api;

/// How a command ended, and what it wrote.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExecResult {
    /// Exact bytes, up to the server's bound.
    pub stdout: Output,
    /// Exact bytes, up to the server's bound.
    pub stderr: Output,
    #[serde(flatten)]
    /// How it ended.
    pub end: ExecEnd,
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExecEnd {
    /// 0 to 255; 128 + n after signal n; -1 when it was ended at its timeout.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `ended`, `signaled`, `timed_out`, `out_of_memory`, `disk_limit`, `truncated`, `cancelled` or `lost`.
    #[schema(value_type = String)]
    pub verdict: &'static str,
    /// The limit that ended it, with a verdict of `disk_limit`.
    pub evidence: Option<Evidence>,
    /// Bytes that were thrown away because there were too many.
    pub dropped: Dropped,
    /// What it used.
    pub usage: Usage,
}

/// A limit, and what was measured.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Evidence {
    /// `workspace` (bytes), `workspace-files` (names) or `workspace-levels` (directories in each other).
    #[schema(value_type = String)]
    pub limit: &'static str,
    /// Most that there may be.
    pub allowed: u64,
    /// What there was.
    pub measured: u64,
    /// `bytes` or `count`, of both.
    #[schema(value_type = String)]
    pub unit: &'static str,
    /// Where that was read.
    #[schema(value_type = String)]
    pub source: &'static str,
}

/// Bytes that were thrown away.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dropped {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

/// What a command used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// Wall clock, microseconds.
    pub wall_us: u64,
    /// CPU time, microseconds, where it is known.
    pub cpu_us: Option<u64>,
    /// Most memory of the whole sandbox, bytes, where it is known.
    pub memory_peak: Option<u64>,
}

impl Evidence {
    fn of(from: &api::Evidence) -> Self {
        let api::Evidence { limit, allowed, measured, unit, source } = from.clone();
        Self { limit, allowed, measured, unit, source }
    }
}

impl ExecEnd {
    fn of(from: &api::ExecResult) -> Self {
        Self {
            exit_code: from.exit_code,
            signal: from.signal,
            verdict: match from.verdict {
                api::Verdict::Ended => "ended",
                api::Verdict::Signaled => "signaled",
                api::Verdict::TimedOut => "timed_out",
                api::Verdict::OutOfMemory => "out_of_memory",
                api::Verdict::DiskLimit => "disk_limit",
                api::Verdict::Truncated => "truncated",
                api::Verdict::Cancelled => "cancelled",
                api::Verdict::Lost => "lost",
            },
            evidence: from.evidence.as_ref().map(Evidence::of),
            dropped: Dropped { stdout: from.truncated[0], stderr: from.truncated[1] },
            usage: Usage { wall_us: from.wall_us, cpu_us: from.cpu_us, memory_peak: from.memory_peak },
        }
    }
}

impl From<api::ExecResult> for ExecResult {
    fn from(from: api::ExecResult) -> Self {
        let end = ExecEnd::of(&from);
        let (out, err) = (from.truncated[0] > 0, from.truncated[1] > 0);
        Self { stdout: Output::new(from.stdout, out), stderr: Output::new(from.stderr, err), end }
    }
}

/// What a command wrote just now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Told {
    /// Bytes of this stream before it.
    pub offset: u64,
    /// The bytes, written as the encoding says: a character may be split between two events, and both are then base64.
    pub data: String,
    /// `utf-8` where the bytes are that, else `base64`.
    pub encoding: Encoding,
}

impl Told {
    /// As text where the bytes are text.
    #[must_use]
    pub fn new(offset: u64, bytes: &[u8]) -> Self {
        let Output { data, encoding, .. } = Output::new(bytes.to_vec(), false);
        Self { offset, data, encoding }
    }
}

/// What happens with a command, as it happens. Exactly one `exit` or `error` comes, and it is the last.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It runs.
    Started,
    /// It wrote on standard output.
    Stdout(Told),
    /// It wrote on standard error.
    Stderr(Told),
    /// It ended.
    Exit(ExecEnd),
    /// It was not carried out.
    Error {
        /// Why.
        error: ErrorInfo,
    },
}

impl Event {
    /// The end of a command that was told of.
    #[must_use]
    pub fn exit(result: &api::ExecResult) -> Self {
        Event::Exit(ExecEnd::of(result))
    }

    /// The word of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Started => "started",
            Event::Stdout(_) => "stdout",
            Event::Stderr(_) => "stderr",
            Event::Exit(_) => "exit",
            Event::Error { .. } => "error",
        }
    }
}
