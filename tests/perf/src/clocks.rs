//! How late a limit is hit.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enclos_sandbox::spec::{Policy, Verdict};
use enclos_sandbox::{Command, Stdio};

use crate::setup::Setup;
use crate::table::{Bound, Figure, Row, Unit};

const LIMIT: Duration = Duration::from_millis(100);
/// Milliseconds.
const PROMISE: Bound = Bound::AtMost(20.0);

/// C1: what the report says was used beyond the limit: of the wall clock, until init has killed and reaped everything; of CPU time, by two busy
/// processes together.
///
/// # Errors
/// When a command cannot be run, or ends in another way than by its limit.
pub fn lateness(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    let rounds = rounds.div_ceil(6).max(4);
    let wall = (0..rounds).map(|_| hit(setup, "wall", "exec sleep 9", Verdict::Idleness));
    let cpu = (0..rounds).map(|_| hit(setup, "cpu", "while :; do :; done & while :; do :; done", Verdict::TimedOut));
    Ok(vec![
        late("wall limit of 100 ms: time until everything was dead, beyond the limit", wall.collect::<Result<_>>()?),
        late("cpu limit of 100 ms, two busy processes: CPU time beyond the limit", cpu.collect::<Result<_>>()?),
    ])
}

/// Runs a script into a limit; gives what was used beyond it.
fn hit(setup: &Setup, limit: &str, script: &str, verdict: Verdict) -> Result<Duration> {
    let policy = Policy { current_directory: setup.policy().current_directory, ..Policy::from_toml(&format!("{limit} = \"100ms\""))? };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).policy(&policy).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    let outcome = command.status()?;
    ensure!(outcome.report.verdict == verdict, "{limit}: {:?}", outcome.report.verdict);
    let used = outcome.report.figure(limit).with_context(|| format!("no figure {limit}"))?.value;
    Ok(Duration::from_micros(used).saturating_sub(LIMIT))
}

/// The promise is about every run: the 95th percentile is judged, and the rest is noted.
fn late(what: &str, mut each: Vec<Duration>) -> Row {
    each.sort_unstable();
    let at = |share: usize| each[(each.len() * share / 100).min(each.len() - 1)].as_secs_f64() * 1e3;
    let row = Row::alone("C1", what, Figure::exactly("95th percentile", Unit::Milliseconds, at(95)), Some(PROMISE));
    row.noting(format!("quartiles {:.1} {:.1} {:.1} ms, worst {:.1} ms of {}", at(25), at(50), at(75), at(100), each.len()))
}
