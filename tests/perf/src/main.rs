//! The promises of SPECIFICATION.md that are numbers, measured side by side in one run. `cargo xtask perf` builds and starts it.
//!
//! Every measurement is in [`MEASUREMENTS`]; what cannot be measured on a machine has a row that says why.

#![forbid(unsafe_code)]

mod agent;
mod beside;
mod bubblewrap;
mod clocks;
mod cold;
mod judge;
mod leftovers;
mod live;
mod lives;
mod race;
mod server;
mod setup;
mod table;
mod walls;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use setup::Setup;
use table::Row;

/// One promise: its id, and how it is measured in that many rounds.
type Measurement = (&'static str, fn(&Setup, usize) -> Result<Vec<Row>>);

const MEASUREMENTS: [Measurement; 11] = [
    ("P1", cold::run),
    ("P2", warm::template),
    ("P3", warm::parked),
    ("P4", lives::sustained),
    ("P5", live::parked),
    ("P6", lives::leave_nothing),
    ("P7", walls::toll),
    ("P8", judge::jobs),
    ("P9", agent::lives),
    ("B1", cold::front),
    ("C1", clocks::lateness),
];

/// What the caller asks for.
#[derive(Debug)]
struct Options {
    enclos: PathBuf,
    server: Option<PathBuf>,
    python: Option<PathBuf>,
    json: Option<PathBuf>,
    only: Vec<String>,
    rounds: usize,
}

/// The document `--json` writes.
#[derive(Serialize)]
struct Document<'a> {
    kernel: String,
    processors: usize,
    rounds: usize,
    rows: &'a [Row],
}

fn main() -> ExitCode {
    match measure(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("perf: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every promise that was measured was held.
fn measure(arguments: &[String]) -> Result<bool> {
    let options = parse(arguments)?;
    let setup = Setup::new(&options.enclos, options.server.as_deref(), options.python.as_deref())?;
    // Before any contender starts: they inherit it.
    std::env::set_current_dir(setup.directory())?;
    let mut rows = Vec::new();
    for (id, measurement) in MEASUREMENTS.iter().filter(|(id, _)| options.only.is_empty() || options.only.iter().any(|only| only == id)) {
        eprintln!("perf: {id}");
        rows.extend(measurement(&setup, options.rounds).with_context(|| (*id).to_owned())?);
    }
    print!("{}", table::text(&rows));
    if let Some(file) = &options.json {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let document = Document { kernel, processors, rounds: options.rounds, rows: &rows };
        std::fs::write(file, serde_json::to_vec_pretty(&document)?).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(rows.iter().all(|row| row.held != Some(false)))
}

fn parse(arguments: &[String]) -> Result<Options> {
    let (mut enclos, mut server, mut python, mut json, mut only, mut rounds) = (None, None, None, None, Vec::new(), 300);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--enclos" => enclos = Some(PathBuf::from(value()?)),
            "--server" => server = Some(std::path::absolute(value()?)?),
            "--python" => python = Some(std::path::absolute(value()?)?),
            // Made absolute now: the current directory changes.
            "--json" => json = Some(std::path::absolute(value()?)?),
            "--only" => only = value()?.split(',').map(str::to_owned).collect(),
            "--rounds" => rounds = value()?.parse().context("--rounds needs a whole number")?,
            other => bail!("unknown argument {other}; known are --only P1,P3, --rounds N, --json FILE"),
        }
    }
    ensure!(rounds > 0, "--rounds needs at least 1");
    let ids = MEASUREMENTS.map(|(id, _)| id);
    if let Some(unknown) = only.iter().find(|id| !ids.contains(&id.as_str())) {
        bail!("{unknown} is not measured; measured are {}", ids.join(", "));
    }
    Ok(Options { enclos: enclos.context("--enclos FILE is missing: the program to measure")?, server, python, json, only, rounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Options> {
        parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_read_or_named() {
        let options = of(&["--enclos", "/e", "--only", "P1,B1", "--rounds", "7"]).unwrap();
        assert_eq!((options.enclos, options.only, options.rounds), ("/e".into(), vec!["P1".to_owned(), "B1".to_owned()], 7));
        for bad in [&["--only", "P0"][..], &["--rounds", "0"], &["--rounds", "many"], &["--json"], &["P1"]] {
            let arguments = [&["--enclos", "/e"][..], bad].concat();
            assert!(of(&arguments).is_err(), "{bad:?}");
        }
        assert!(of(&[]).is_err(), "the program to measure has no default");
    }

    #[test]
    fn ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = MEASUREMENTS.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), MEASUREMENTS.len());
    }
}
