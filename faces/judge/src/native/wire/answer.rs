//! What came of a run.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Limits, Output};
use crate::api;

pub use crate::api::Verdict;

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// One line.
    pub text: String,
    /// The limit that was hit, by its name in a request.
    pub limit: Option<String>,
    /// Its value, in `unit`.
    pub allowed: Option<u64>,
    /// What was measured, in `unit`.
    pub measured: Option<u64>,
    /// `us`, `bytes` or `count`.
    pub unit: Option<String>,
    /// Who measured, e.g. the file of a control group.
    pub source: Option<String>,
}

/// A file that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileReport {
    /// As asked for.
    pub name: String,
    /// Exact bytes; null: there are none to give.
    pub contents: Option<Output>,
    /// Why there are none: missing, no regular file, too large.
    pub missing: Option<String>,
}

/// One command that was run in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepReport {
    /// How it ended, before anybody compared.
    pub verdict: Verdict,
    /// Why, for every verdict but `OK`.
    pub evidence: Option<Evidence>,
    /// Exit status, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// Whether the sandbox killed it.
    pub killed: bool,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// CPU time of the whole process tree, microseconds.
    pub cpu_us: u64,
    /// From start to end, microseconds.
    pub wall_us: u64,
    /// Highest memory of the whole tree, bytes; null: this host has no meter.
    pub memory_bytes: Option<u64>,
    /// Largest resident set of one process, bytes.
    pub max_rss_bytes: Option<u64>,
    /// How often the kernel killed for memory.
    pub oom_kills: u64,
    /// Most processes at once.
    pub processes: Option<u64>,
    /// Context switches that the program asked for.
    pub switches_voluntary: Option<u64>,
    /// Context switches forced on it.
    pub switches_forced: Option<u64>,
    /// Bytes in writable places at the end.
    pub disk_bytes: Option<u64>,
    /// Files that were asked for.
    pub files: Vec<FileReport>,
    /// What this host could not hold as asked, one line each.
    pub weakened: Vec<String>,
}

/// What the checker or interactor said.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CheckReport {
    /// `OK`, `PARTIAL`, `WRONG_ANSWER` or `CHECKER_FAILED`.
    pub verdict: Verdict,
    /// Share of the points, 0 to 1.
    pub share: f64,
    /// One line.
    pub message: String,
    /// For a program: its run.
    pub run: Option<StepReport>,
}

/// Figures of one of several runs of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunFigures {
    /// How this run ended.
    pub verdict: Verdict,
    /// CPU time, microseconds.
    pub cpu_us: u64,
    /// Wall clock, microseconds.
    pub wall_us: u64,
    /// Highest memory, bytes.
    pub memory_bytes: Option<u64>,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// How it ended, compared.
    pub verdict: Verdict,
    /// Points earned.
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
    /// Its group.
    pub subtask: Option<String>,
    /// The program's run; null when it was skipped.
    pub run: Option<StepReport>,
    /// What the checker or interactor said; null when nobody compared.
    pub check: Option<CheckReport>,
    /// Every run, when there were several; else empty.
    pub runs: Vec<RunFigures>,
}

/// Points of one group of tests.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SubtaskReport {
    /// Its name.
    pub name: String,
    /// Worst verdict of its tests.
    pub verdict: Verdict,
    /// Points earned.
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunResult {
    /// The verdict of the first test that did not pass, or `COMPILE_ERROR`, or `OK`.
    pub verdict: Verdict,
    /// Points earned.
    pub score: f64,
    /// Points there were to earn.
    pub points: f64,
    /// Groups, in order of their first test.
    pub subtasks: Vec<SubtaskReport>,
    /// The compiler's run; null for languages that are not compiled.
    pub compile: Option<StepReport>,
    /// Whether `compile` tells of an earlier run whose result was used again.
    pub compile_cached: bool,
    /// One for each test, in order; empty when it was not compiled.
    pub tests: Vec<TestReport>,
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl From<api::Evidence> for Evidence {
    fn from(evidence: api::Evidence) -> Self {
        Self {
            text: evidence.text,
            limit: evidence.limit.map(|name| Limits::wire_name(name).to_owned()),
            allowed: evidence.allowed,
            measured: evidence.measured,
            unit: evidence.unit.map(str::to_owned),
            source: evidence.source,
        }
    }
}

impl From<api::OutputFile> for FileReport {
    fn from(file: api::OutputFile) -> Self {
        let (contents, missing) = match file.contents {
            Ok(bytes) => (Some(Output::new(bytes, false)), None),
            Err(why) => (None, Some(why)),
        };
        Self { name: file.name, contents, missing }
    }
}

impl From<api::StepReport> for StepReport {
    fn from(step: api::StepReport) -> Self {
        Self {
            verdict: step.verdict,
            evidence: step.evidence.map(Into::into),
            exit_code: step.exit_code,
            signal: step.signal,
            killed: step.killed,
            stdout: Output::new(step.stdout, step.stdout_truncated),
            stderr: Output::new(step.stderr, step.stderr_truncated),
            cpu_us: us(step.cpu),
            wall_us: us(step.wall),
            memory_bytes: step.memory,
            max_rss_bytes: step.max_rss,
            oom_kills: step.oom_kills,
            processes: step.processes,
            switches_voluntary: step.switches_voluntary,
            switches_forced: step.switches_forced,
            disk_bytes: step.disk,
            files: step.files.into_iter().map(Into::into).collect(),
            weakened: step.weakened,
        }
    }
}

impl From<api::CheckReport> for CheckReport {
    fn from(check: api::CheckReport) -> Self {
        Self { verdict: check.verdict, share: check.share, message: check.message, run: check.step.map(Into::into) }
    }
}

impl From<api::RunFigures> for RunFigures {
    fn from(run: api::RunFigures) -> Self {
        Self { verdict: run.verdict, cpu_us: us(run.cpu), wall_us: us(run.wall), memory_bytes: run.memory }
    }
}

impl From<api::TestReport> for TestReport {
    fn from(test: api::TestReport) -> Self {
        Self {
            name: test.name,
            verdict: test.verdict,
            score: test.score,
            points: test.points,
            subtask: test.subtask,
            run: test.step.map(Into::into),
            check: test.check.map(Into::into),
            runs: test.runs.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<api::SubtaskScore> for SubtaskReport {
    fn from(subtask: api::SubtaskScore) -> Self {
        Self { name: subtask.name, verdict: subtask.verdict, score: subtask.score, points: subtask.points }
    }
}

impl From<api::Answer> for RunResult {
    fn from(answer: api::Answer) -> Self {
        Self {
            verdict: answer.verdict,
            score: answer.score,
            points: answer.points,
            subtasks: answer.subtasks.into_iter().map(Into::into).collect(),
            compile: answer.compile.map(Into::into),
            compile_cached: answer.compile_cached,
            tests: answer.tests.into_iter().map(Into::into).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_word() {
        for verdict in api::Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }
}
