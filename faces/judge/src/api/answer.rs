//! What came of a job.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a step, a test or a whole run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Ended with status 0 and, where somebody compared, was right.
    Ok,
    /// Not run, because a test before it did not pass or the program was not compiled.
    Skipped,
    /// Right in part.
    Partial,
    /// Ran well, printed something else.
    WrongAnswer,
    /// Ended by itself with a status other than 0.
    RuntimeError,
    /// Ended by a signal that no limit caused.
    Signaled,
    /// The writable places ran full, or a file grew past its limit, and the program failed.
    DiskLimit,
    /// Too many bytes on standard output or error.
    OutputLimit,
    /// The wall clock or the idle clock reached its limit.
    Idleness,
    /// CPU time reached its limit.
    TimedOut,
    /// The kernel killed at the memory limit.
    OutOfMemory,
    /// The system call filter killed.
    Security,
    /// Not compiled.
    CompileError,
    /// The checker or the interactor of the problem failed; nothing is known about the answer.
    CheckerFailed,
    /// Enclos failed; nothing is known about the program.
    InternalError,
}

impl Verdict {
    /// Every verdict, mildest first.
    pub const ALL: [Verdict; 15] = [
        Verdict::Ok,
        Verdict::Skipped,
        Verdict::Partial,
        Verdict::WrongAnswer,
        Verdict::RuntimeError,
        Verdict::Signaled,
        Verdict::DiskLimit,
        Verdict::OutputLimit,
        Verdict::Idleness,
        Verdict::TimedOut,
        Verdict::OutOfMemory,
        Verdict::Security,
        Verdict::CompileError,
        Verdict::CheckerFailed,
        Verdict::InternalError,
    ];

    /// The wire word, e.g. `WRONG_ANSWER`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Skipped => "SKIPPED",
            Verdict::Partial => "PARTIAL",
            Verdict::WrongAnswer => "WRONG_ANSWER",
            Verdict::RuntimeError => "RUNTIME_ERROR",
            Verdict::Signaled => "SIGNALED",
            Verdict::DiskLimit => "DISK_LIMIT",
            Verdict::OutputLimit => "OUTPUT_LIMIT",
            Verdict::Idleness => "IDLENESS",
            Verdict::TimedOut => "TIMED_OUT",
            Verdict::OutOfMemory => "OUT_OF_MEMORY",
            Verdict::Security => "SECURITY",
            Verdict::CompileError => "COMPILE_ERROR",
            Verdict::CheckerFailed => "CHECKER_FAILED",
            Verdict::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// One line.
    pub text: String,
    /// The limit that was hit, by its name in [`Limits`](super::Limits).
    pub limit: Option<&'static str>,
    /// Its value, in `unit`.
    pub allowed: Option<u64>,
    /// What was measured, in `unit`.
    pub measured: Option<u64>,
    /// `us`, `bytes` or `count`.
    pub unit: Option<&'static str>,
    /// Who measured, e.g. `cgroup v2 cpu.stat usage_usec`.
    pub source: Option<String>,
}

/// A file given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// As asked for.
    pub name: String,
    /// Exact bytes, or why there are none (missing, no regular file, too large).
    pub contents: Result<Vec<u8>, String>,
}

/// One command that was run in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// How it ended, before anybody compared.
    pub verdict: Verdict,
    /// Why, for every verdict but `Ok`.
    pub evidence: Option<Evidence>,
    /// Exit status, where it exited by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did (also one of ours).
    pub signal: Option<i32>,
    /// Whether the sandbox killed it.
    pub killed: bool,
    /// Exact bytes, at most the output limit.
    pub stdout: Vec<u8>,
    /// Exact bytes, at most the output limit.
    pub stderr: Vec<u8>,
    /// More was written to standard output than is kept.
    pub stdout_truncated: bool,
    /// More was written to standard error than is kept.
    pub stderr_truncated: bool,
    /// CPU time of the whole tree.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Highest memory of the whole tree, bytes; `None` where this host has no meter.
    pub memory: Option<u64>,
    /// Largest resident set of one process, bytes.
    pub max_rss: Option<u64>,
    /// How often the kernel killed for memory.
    pub oom_kills: u64,
    /// Most processes at once.
    pub processes: Option<u64>,
    /// Context switches the program asked for; `None`: not measured.
    pub switches_voluntary: Option<u64>,
    /// Context switches forced on it; `None`: not measured.
    pub switches_forced: Option<u64>,
    /// Bytes in writable places at the end.
    pub disk: Option<u64>,
    /// Files given back ([`Test::files_out`](super::Test::files_out)).
    pub files: Vec<OutputFile>,
    /// What this host could not hold as asked, one line each.
    pub weakened: Vec<String>,
}

/// What the checker said.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// `Ok`, `Partial`, `WrongAnswer` or `CheckerFailed`.
    pub verdict: Verdict,
    /// Share of the points, 0 to 1.
    pub share: f64,
    /// One line, e.g. where the first difference is; for a program, what it printed on standard error (bounded).
    pub message: String,
    /// For a program: its run.
    pub step: Option<StepReport>,
}

/// Figures of one of several runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFigures {
    /// How this run ended, compared.
    pub verdict: Verdict,
    /// CPU time.
    pub cpu: Duration,
    /// Wall clock.
    pub wall: Duration,
    /// Highest memory, bytes.
    pub memory: Option<u64>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// How it ended, compared.
    pub verdict: Verdict,
    /// Points earned (of a test in a subtask: its share, before the group is looked at).
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
    /// Its group.
    pub subtask: Option<String>,
    /// The program's run; `None` when skipped.
    pub step: Option<StepReport>,
    /// What the checker or interactor said; `None` when nobody compared.
    pub check: Option<CheckReport>,
    /// Every run, when there were several; else empty.
    pub runs: Vec<RunFigures>,
}

/// Points of one group of tests.
#[derive(Clone, Debug, PartialEq)]
pub struct SubtaskScore {
    /// Its name.
    pub name: String,
    /// Worst verdict of its tests.
    pub verdict: Verdict,
    /// Points earned.
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
}

/// A whole job.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// `CompileError`, or the verdict of the first test that did not pass (`CheckerFailed` and `InternalError` first), or `Ok`.
    pub verdict: Verdict,
    /// Points earned.
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
    /// Groups, in order of their first test.
    pub subtasks: Vec<SubtaskScore>,
    /// The compiler's run (of a pipeline, the last stage's that was run); `None` for languages that are not compiled.
    pub compile: Option<StepReport>,
    /// Whether `compile` tells of an earlier run whose result was used again.
    pub compile_cached: bool,
    /// One for each test of the job, in order; empty when not compiled.
    pub tests: Vec<TestReport>,
}
