//! P7: what filter and Landlock cost a program that runs.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::race::{Contender, Pace, race};
use crate::setup::{Setup, quiet};
use crate::table::{Bound, Row};

const WITH: &str = "default";
const WITHOUT: &str = "no filter, no Landlock";

/// Kinds of work of `payload/toll.c`: (kind, how many times, what the table calls it, what is promised).
const KINDS: [(&str, u32, &str, Option<Bound>); 5] = [
    ("cpu", 150_000, "CPU-bound: 64 steps of xorshift", Some(Bound::AtMost(1.02))),
    ("calls", 10_000, "bound by system calls: getpid, read, open, close", Some(Bound::AtMost(1.05))),
    ("getpid", 150_000, "only getpid", None),
    ("read", 100_000, "only read of a page", None),
    ("open", 10_000, "only open and close", None),
];

/// The same program under `enclos run` with and without both; it measures its own CPU time, so that starting does not count.
///
/// # Errors
/// When the program fails.
pub fn toll(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    let pace = Pace { warm_up: 2, rounds: rounds.div_ceil(10), rest: Duration::ZERO };
    let mut rows = Vec::new();
    for (kind, count, what, promise) in KINDS {
        let contender = |name, options: &[&str]| {
            let mut command = quiet(&setup.enclos);
            command.arg("run").args(options).arg("--").arg(&setup.toll).args([kind, &count.to_string()]);
            command.stdout(Stdio::piped()).stderr(Stdio::inherit());
            Contender::told(name, move || own_time(&mut command))
        };
        let mut contenders = [contender(WITH, &[]), contender(WITHOUT, &["--seccomp", "none", "--landlock", "off"])];
        let race = race(&mut contenders, pace).context(kind)?;
        rows.push(Row::times("P7", what, &race, [WITH, WITHOUT], promise)?);
    }
    Ok(rows)
}

fn own_time(command: &mut Command) -> Result<f64> {
    let output = command.output()?;
    ensure!(output.status.success(), "ended with {}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().parse().context("toll printed no number")
}
