//! `cargo xtask perf`: the promises of SPECIFICATION.md that are ratios, measured side by side in one run.
//!
//! To add one: write its contenders in [`contenders`], and a [`Measurement`] here. What is not measured has no row.

mod contenders;
mod harness;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::install;
use crate::workspace::cargo;
use contenders::Setup;
use harness::{Contender, Quartiles, race};

/// One line of SPECIFICATION.md.
struct Measurement {
    id: &'static str,
    what: &'static str,
    /// The first is ours.
    contenders: fn(&Setup) -> Vec<Contender<'static>>,
    promises: &'static [Promise],
}

/// How our time relates to another's.
struct Promise {
    /// The other's name.
    against: &'static str,
    /// Ours divided by theirs; `None`: shown for orientation, nothing is promised.
    at_most: Option<f64>,
}

const MEASUREMENTS: [Measurement; 1] = [Measurement {
    id: "P1",
    what: "no-op, cold, all defaults, report",
    contenders: |setup| vec![setup.enclos_run(), setup.bubblewrap(), setup.floor()],
    promises: &[Promise { against: "bubblewrap", at_most: Some(0.5) }, Promise { against: "posix_spawn", at_most: None }],
}];

/// Ids of what is measured.
pub fn ids() -> impl Iterator<Item = &'static str> {
    MEASUREMENTS.iter().map(|m| m.id)
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    what: &'static str,
    a: &'static str,
    /// Nanoseconds.
    a_ns: Quartiles,
    b: &'static str,
    /// Nanoseconds.
    b_ns: Quartiles,
    ratio: Quartiles,
    at_most: Option<f64>,
    held: Option<bool>,
}

/// The document `--json` writes.
#[derive(Serialize)]
struct Document<'a> {
    kernel: String,
    processors: usize,
    rounds: usize,
    rows: &'a [Row],
}

struct Options {
    json: Option<String>,
    only: Vec<String>,
    rounds: usize,
}

/// Rounds before the first that counts: caches, page tables and frequency settle.
const WARM_UP: usize = 20;

/// `cargo xtask perf [--only P1,P3] [--rounds N] [--json FILE]`. Whether every promise measured was held.
///
/// # Errors
/// On a bad argument, when something needed cannot be built, or when a contender fails.
pub fn perf(arguments: &[String]) -> Result<bool> {
    let options = parse(arguments)?;
    if cfg!(debug_assertions) {
        return in_release(arguments);
    }
    install::install(&install::TESTS)?;
    let setup = Setup::new()?;
    // Before any contender starts: they inherit it.
    std::env::set_current_dir(setup.directory())?;
    let mut rows = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|m| options.only.is_empty() || options.only.iter().any(|id| id == m.id)) {
        rows.extend(measurement.rows(&setup, options.rounds)?);
    }
    print!("{}", table(&rows));
    if let Some(file) = &options.json {
        let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let document = Document { kernel, processors, rounds: options.rounds, rows: &rows };
        std::fs::write(file, serde_json::to_vec_pretty(&document)?).with_context(|| format!("writing {file}"))?;
    }
    Ok(rows.iter().all(|row| row.held != Some(false)))
}

/// Runs the same command again, optimised: part of what is measured is this program.
fn in_release(arguments: &[String]) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.args(["run", "--quiet", "--locked", "--release", "--package", "xtask", "--", "perf"]).args(arguments).stdin(Stdio::null());
    Ok(command.status().context("running cargo run --release")?.success())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { json: None, only: Vec::new(), rounds: 300 };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--json" => options.json = Some(std::path::absolute(value()?)?.to_string_lossy().into_owned()),
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--rounds" => options.rounds = value()?.parse().context("--rounds needs a whole number")?,
            other => bail!("unknown argument {other}; known are --only P1,P3, --rounds N, --json FILE"),
        }
    }
    ensure!(options.rounds > 0, "--rounds needs at least 1");
    if let Some(unknown) = options.only.iter().find(|id| ids().all(|known| known != id.as_str())) {
        bail!("{unknown} is not measured; measured are {}", ids().collect::<Vec<_>>().join(", "));
    }
    Ok(options)
}

impl Measurement {
    fn rows(&self, setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
        let mut contenders = (self.contenders)(setup);
        let a = contenders.first().context("a measurement without a contender")?.name;
        let race = race(&mut contenders, WARM_UP, rounds).with_context(|| self.id)?;
        let row = |promise: &Promise| -> Result<Row> {
            let ratio = race.ratio(a, promise.against)?;
            Ok(Row {
                id: self.id,
                what: self.what,
                a,
                a_ns: race.nanoseconds(a)?,
                b: promise.against,
                b_ns: race.nanoseconds(promise.against)?,
                ratio,
                at_most: promise.at_most,
                held: promise.at_most.map(|most| ratio.median <= most),
            })
        };
        self.promises.iter().map(row).collect()
    }
}

/// The table, in microseconds; quartiles in brackets.
fn table(rows: &[Row]) -> String {
    let mut lines = vec![["id", "what", "A", "µs", "B", "µs", "A/B", "promise", "held"].map(str::to_owned)];
    for row in rows {
        let micros = |q: Quartiles| format!("{:.0} [{:.0} {:.0}]", q.median / 1e3, q.q1 / 1e3, q.q3 / 1e3);
        lines.push([
            row.id.to_owned(),
            row.what.to_owned(),
            row.a.to_owned(),
            micros(row.a_ns),
            row.b.to_owned(),
            micros(row.b_ns),
            format!("{:.3} [{:.3} {:.3}]", row.ratio.median, row.ratio.q1, row.ratio.q3),
            row.at_most.map_or("-".to_owned(), |most| format!("≤ {most}")),
            row.held.map_or("-", |held| if held { "yes" } else { "NO" }).to_owned(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Options> {
        parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_read_or_named() {
        let options = of(&["--only", "P1", "--rounds", "7"]).unwrap();
        assert_eq!((options.only, options.rounds), (vec!["P1".to_owned()], 7));
        for bad in [&["--only", "P0"][..], &["--rounds", "0"], &["--rounds", "many"], &["--json"], &["P1"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_unique_and_every_promise_is_a_ratio() {
        let mut seen = std::collections::BTreeSet::new();
        for measurement in &MEASUREMENTS {
            assert!(seen.insert(measurement.id), "{} twice", measurement.id);
            assert!(measurement.promises.iter().any(|p| p.at_most.is_some_and(|most| most > 0.0)), "{} promises nothing", measurement.id);
        }
    }

    #[test]
    fn a_broken_promise_shows() {
        let q = |median| Quartiles { q1: median, median, q3: median };
        let row = |ratio: f64| Row {
            id: "P1",
            what: "x",
            a: "ours",
            a_ns: q(1500.0),
            b: "theirs",
            b_ns: q(2000.0),
            ratio: q(ratio),
            at_most: Some(0.5),
            held: Some(ratio <= 0.5),
        };
        let text = table(&[row(0.75), row(0.5)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("≤ 0.5    NO") && lines[2].ends_with("≤ 0.5    yes"), "{text}");
    }
}
