//! Commands, and who watches them.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// A command to run by `/bin/sh -c`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The command line; not empty.
    pub command: String,
    /// Run this program with these arguments instead, without a shell; then `command` is empty.
    pub argv: Vec<String>,
    /// All of its standard input.
    pub stdin: Vec<u8>,
    /// Variables over the sandbox's.
    pub env: BTreeMap<String, String>,
    /// Where it starts; absolute, or below the workspace. `None`: the workspace.
    pub workdir: Option<String>,
    /// Milliseconds on the wall clock; `None`: the server's default. More than the server's most is refused.
    pub timeout_ms: Option<u64>,
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended: the words of the engine, less those of a judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ended by itself; see the exit code.
    Ended,
    /// Ended by a signal that no limit caused.
    Signaled,
    /// Killed at its timeout.
    TimedOut,
    /// Killed at the memory limit.
    OutOfMemory,
    /// Killed because the workspace holds more than it may: see [`ExecResult::evidence`].
    DiskLimit,
    /// More output than is kept; it went on, and the rest was thrown away.
    Truncated,
    /// Ended by the caller.
    Cancelled,
    /// Its sandbox or session ended under it.
    Lost,
}

/// A limit that ended a command, and what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// `workspace`, `workspace-files`, `workspace-levels`: its key in `agent.limits`, but for the last, which has none.
    pub limit: &'static str,
    /// Most that there may be.
    pub allowed: u64,
    /// What there was.
    pub measured: u64,
    /// `bytes` or `count`, of both.
    pub unit: &'static str,
    /// Where that was read.
    pub source: &'static str,
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecResult {
    /// Exact bytes, up to the server's bound.
    pub stdout: Vec<u8>,
    /// Exact bytes, up to the server's bound.
    pub stderr: Vec<u8>,
    /// 0 to 255; 128 + n after signal n; -1 when it was killed at its timeout.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How it ended.
    pub verdict: Verdict,
    /// Bytes that were thrown away on each stream.
    pub truncated: [u64; 2],
    /// Wall clock, in microseconds.
    pub wall_us: u64,
    /// CPU time, in microseconds, where it is known.
    pub cpu_us: Option<u64>,
    /// Most memory of the whole sandbox, in bytes, where it is known.
    pub memory_peak: Option<u64>,
    /// What the workspace held, where that has ended it.
    pub evidence: Option<Evidence>,
}

/// Hears of a command while it runs. Called from one thread at a time, which watches the command meanwhile: who waits here for somebody who reads
/// nothing holds up the command's clock, and says so with [`Watcher::held_up`] instead.
pub trait Watcher: Send + Sync {
    /// It runs.
    fn started(&self) {}
    /// It wrote. `false`: nobody listens any more, and the command is ended.
    fn wrote(&self, _stream: Stream, _bytes: &[u8]) -> bool {
        true
    }
    /// It can take no more output for now: what becomes readable when that has changed. Until then none is read, which holds up the command; what it
    /// is told all the same, at the end, it keeps.
    fn held_up(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Nobody listens any more, and the command is ended.
    fn is_gone(&self) -> bool {
        false
    }
    /// Whether output is only told and not kept in the result.
    fn takes_output(&self) -> bool {
        false
    }
}

/// Nobody listens; the result has everything.
#[derive(Clone, Copy, Debug)]
pub struct NoWatcher;

impl Watcher for NoWatcher {}
