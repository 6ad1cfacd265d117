//! `cargo xtask perf`: the promises of SPECIFICATION.md that are numbers, measured side by side in one run.
//!
//! What is measured and how is in `tests/perf`; here it is built, optimised, and started.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::build;
use crate::install;
use crate::lanes::published_client;
use crate::workspace::Workspace;

/// What is measured.
const IDS: [&str; 11] = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "B1", "C1"];

/// Exit status of the measuring program when a promise was broken; any other that is not 0 is a failure to measure.
const BROKEN: i32 = 1;

/// Ids of what is measured.
pub fn ids() -> impl Iterator<Item = &'static str> {
    IDS.into_iter()
}

/// Whether an id is measured: named, or with all.
fn asks_for(id: &str, arguments: &[String]) -> bool {
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    only.is_none_or(|only| only.split(',').any(|named| named == id))
}

/// `cargo xtask perf [--only P1,P3] [--rounds N] [--json FILE]`. Whether every promise measured was held.
///
/// # Errors
/// On a bad argument, when something needed cannot be built, or when a contender fails.
pub fn perf(arguments: &[String]) -> Result<bool> {
    install::install(&install::TESTS)?;
    let packages = ["build", "--locked", "--release", "--package", "enclos", "--package", "enclos-tests-perf", "--bins"];
    let server = ["build", "--locked", "--profile", "server", "--package", "enclos-server", "--bins"];
    let programs = [build(&packages)?, build(&server)?].concat();
    let path = |name: &str| {
        let found = programs.iter().find(|program| program.name == name);
        found.map(|program| &program.path).with_context(|| format!("cargo built no {name}"))
    };
    let mut command = Command::new(path("enclos-perf")?);
    command.arg("--enclos").arg(path("enclos")?).arg("--server").arg(path("enclos-server")?).args(arguments).stdin(Stdio::null());
    if asks_for("P9", arguments) {
        command.arg("--python").arg(published_client(&Workspace::load()?)?.join("bin/python3"));
    }
    // All of them by name: one that the program does not know is refused.
    if !arguments.iter().any(|argument| argument == "--only") {
        command.args(["--only", &IDS.join(",")]);
    }
    let status = command.status().context("running enclos-perf")?;
    ensure!(status.success() || status.code() == Some(BROKEN), "enclos-perf ended with {status}");
    Ok(status.success())
}
