//! P8: the judge against camisole's recorded figures.
//!
//! The original cannot be run beside ours: it needs isolate, which no registry has. Its figures were taken on the reference machine (interface
//! dossier, section 5) together with the bare run time of the same program there. Here the bare program runs in turns with the judge, and the
//! recorded figure is scaled by how much slower or faster it is now.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::beside;
use crate::race::{Contender, Pace, Quartiles, Race, race};
use crate::server::{Client, Server, at_once};
use crate::setup::{Setup, ends_well, quiet};
use crate::table::{Bound, Figure, Row, Unit};

/// What was recorded of camisole 1.4 with isolate 1.10.1 and control groups, milliseconds: a Python job, and the bare interpreter beside it.
const PYTHON: (f64, f64) = (16.3, 6.4);
/// The same of a C job, and the compiler beside it.
const C: (f64, f64) = (64.2, 36.0);
/// Python jobs a second at concurrency 4.
const PYTHON_RATE: f64 = 99.0;

impl Client {
    /// Runs a program that prints `expected`.
    fn job(&mut self, language: &str, source: &str, expected: &str) -> Result<()> {
        let answer = self.request("POST", "/run", Some(&serde_json::json!({"lang": language, "source": source})))?;
        ensure!(answer["tests"][0]["stdout"] == expected, "{language}: {answer}");
        Ok(())
    }
}

/// A source nobody compiled before: with a number of its own.
fn fresh(number: &AtomicUsize) -> (String, String) {
    let number = number.fetch_add(1, Ordering::Relaxed);
    (format!("#include <stdio.h>\nint main(void) {{ printf(\"%d\\n\", {number}); return 0; }}\n"), format!("{number}\n"))
}

/// Latency, overhead, rates and memory.
///
/// # Errors
/// When the server or a job fails.
pub fn jobs(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    let server = Server::start(setup, &["--set", "agent.enabled=false"])?;
    let (mut rows, slowness) = latency(setup, &server, rounds)?;
    rows.extend(rates(&server, rounds, slowness)?);
    rows.extend(beside::hostile(&server, rounds)?);
    rows.push(Row::alone(
        "P8",
        "the server's own memory after all that",
        Figure::exactly("resident", Unit::Kibibytes, server.resident()?),
        None,
    ));
    Ok(rows)
}

/// And how many times longer the bare interpreter takes than when the original was measured.
fn latency(setup: &Setup, server: &Server, rounds: usize) -> Result<(Vec<Row>, f64)> {
    const JOB: &str = "python job";
    const BARE: &str = "bare python3 -S";
    const COMPILED: &str = "C job";
    const GCC: &str = "bare gcc, run";
    const AGAIN: &str = "C job, known source";
    let number = AtomicUsize::new(1);
    let (mut python, mut c, mut again) = (server.client()?, server.client()?, server.client()?);
    let mut interpreter = Command::new("/usr/bin/python3");
    interpreter.args(["-S", "-c", "print(42)"]).stdin(Stdio::null()).stdout(Stdio::null());
    let (known, printed) = fresh(&number);
    let directory = setup.directory().to_owned();
    let bare_c = || -> Result<()> {
        let (source, _) = fresh(&number);
        let (file, program) = (directory.join("bare.c"), directory.join("bare"));
        std::fs::write(&file, source)?;
        let mut gcc = Command::new("/usr/bin/gcc");
        gcc.args(["-std=c11", "-Wall", "-Wextra", "-O2", "-lm", "-o"]).arg(&program).arg(&file).stdin(Stdio::null());
        ends_well(&mut gcc)?;
        ends_well(&mut quiet(&program))
    };
    let mut contenders = [
        Contender::timed(JOB, || python.job("python", "print(42)", "42\n")),
        Contender::timed(BARE, || ends_well(&mut interpreter)),
        Contender::timed(COMPILED, || {
            let (source, printed) = fresh(&number);
            c.job("c", &source, &printed)
        }),
        Contender::timed(GCC, bare_c),
        Contender::timed(AGAIN, || again.job("c", &known, &printed)),
    ];
    let pace = Pace { warm_up: 5, rounds: rounds.div_ceil(4).max(5), rest: Duration::from_millis(5) };
    let race = race(&mut contenders, pace)?;
    let slowness = race.nanoseconds(BARE)?.median / 1e6 / PYTHON.1;
    let rows = vec![
        against_recorded("python job: latency", &race, (JOB, BARE), PYTHON, 0.55)?,
        against_recorded("C job, new source: latency", &race, (COMPILED, GCC), C, 0.75)?,
        against_recorded("C job, known source: latency", &race, (AGAIN, GCC), C, 0.25)?,
        overhead(&race, (JOB, BARE), slowness)?,
    ];
    Ok((rows, slowness))
}

/// Ours against the recorded figure, scaled by what the bare program takes now.
fn against_recorded(what: &'static str, race: &Race, (ours, bare): (&str, &str), (original, beside): (f64, f64), most: f64) -> Result<Row> {
    // (ours / bare now) divided by (original / bare then).
    let ratio = race.ratio(ours, bare)?.map(|ratio| ratio / (original / beside));
    let now = race.nanoseconds(bare)?.median / 1e6;
    let row = Row::times("P8", what, race, [ours, bare], None)?;
    let note = format!("against camisole's {original} ms, recorded with {beside} ms bare, scaled to {now:.1} ms bare");
    Ok(row.against(ratio, Bound::AtMost(most)).noting(note))
}

fn overhead(race: &Race, (ours, bare): (&str, &str), slowness: f64) -> Result<Row> {
    let value = race.difference(ours, bare)?.map(|ns| ns / 1e6 / slowness);
    Ok(Row::alone(
        "P8",
        "python job: beyond the bare run, scaled as well",
        Figure { name: "overhead".to_owned(), unit: Unit::Milliseconds, value },
        Some(Bound::AtMost(1.5)),
    ))
}

/// Python jobs a second at several concurrencies, and how long the slowest hundredth waited.
fn rates(server: &Server, rounds: usize, slowness: f64) -> Result<Vec<Row>> {
    let jobs = (rounds * 2).clamp(100, 1000);
    [1, 4, 16, 64].into_iter().map(|clients| rate(server, clients, jobs, slowness)).collect()
}

fn rate(server: &Server, clients: usize, jobs: usize, slowness: f64) -> Result<Row> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<f64>> {
        let mut client = server.client()?;
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return Ok(took);
            }
            let started = Instant::now();
            client.job("python", &format!("print({number})"), &format!("{number}\n"))?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
    };
    let started = Instant::now();
    let mut took = at_once(clients, work)?;
    let rate = jobs as f64 / started.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let (median, slow) = (Quartiles::of(&took).median, took[took.len() * 99 / 100]);
    let what = match clients {
        1 => "python jobs, 1 client",
        4 => "python jobs, 4 clients",
        16 => "python jobs, 16 clients",
        _ => "python jobs, 64 clients",
    };
    let row = Row::alone("P8", what, Figure::exactly("rate", Unit::PerSecond, rate), None);
    let note = format!("median {median:.1} ms, p99 {slow:.1} ms of {jobs}");
    if clients != 4 {
        return Ok(row.noting(note));
    }
    // At concurrency 4 the original's rate is known: 180/s is promised where it had 99/s.
    let original = PYTHON_RATE / slowness;
    let row = row.against(Quartiles::exactly(rate / original), Bound::AtLeast(180.0 / PYTHON_RATE));
    Ok(row.noting(format!("{note}; against camisole's {PYTHON_RATE}/s, scaled to {original:.0}/s")))
}
