//! `cargo xtask perf`: the promises of SPECIFICATION.md that are numbers, measured side by side in one run.
//!
//! What is measured and how is in `tests/perf`; here it is built, optimised, and started.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::build;
use crate::install;
use crate::lanes::published_client;
use crate::workspace::Workspace;

/// What is measured.
const IDS: [&str; 11] = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "B1", "C1"];

/// Words for what a face promises.
const FACES: [(&str, &str); 2] = [("judge", "P8"), ("agent", "P9")];

/// Exit status of the measuring program when a promise was broken; any other that is not 0 is a failure to measure.
const BROKEN: i32 = 1;

/// Ids of what is measured.
pub fn ids() -> impl Iterator<Item = &'static str> {
    IDS.into_iter()
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    /// Ids.
    only: Vec<String>,
    /// For the measuring program as they are.
    rest: Vec<String>,
}

/// Reads the command line before anything is built.
fn parse(arguments: &[String]) -> Result<Asked> {
    let (mut only, mut rest) = (Vec::new(), Vec::new());
    let mut left = arguments.iter();
    while let Some(word) = left.next() {
        let mut value = || left.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--only" => only.extend(value()?.split(',').map(str::to_owned)),
            "--rounds" | "--json" => rest.extend([word.clone(), value()?.clone()]),
            face => match FACES.iter().find(|(name, _)| *name == face) {
                Some((_, id)) => only.push((*id).to_owned()),
                None => bail!("unknown argument {face}; known are judge, agent, --only P1,P3, --rounds N, --json FILE"),
            },
        }
    }
    if let Some(unknown) = only.iter().find(|id| !IDS.contains(&id.as_str())) {
        bail!("--only {unknown}: known are {}", IDS.join(","));
    }
    if only.is_empty() {
        only.extend(ids().map(str::to_owned));
    }
    Ok(Asked { only, rest })
}

/// `cargo xtask perf [judge] [agent] [--only P1,P3] [--rounds N] [--json FILE]`. Whether every promise measured was held.
///
/// # Errors
/// On a bad argument, when something needed cannot be built, or when a contender fails.
pub fn perf(arguments: &[String]) -> Result<bool> {
    let asked = parse(arguments)?;
    install::install(&install::TESTS)?;
    let packages = ["build", "--locked", "--release", "--package", "enclos", "--package", "enclos-tests-perf", "--bins"];
    let server = ["build", "--locked", "--profile", "server", "--package", "enclos-server", "--bins"];
    let programs = [build(&packages)?, build(&server)?].concat();
    let path = |name: &str| {
        let found = programs.iter().find(|program| program.name == name);
        found.map(|program| &program.path).with_context(|| format!("cargo built no {name}"))
    };
    let mut command = Command::new(path("enclos-perf")?);
    command.arg("--enclos").arg(path("enclos")?).arg("--server").arg(path("enclos-server")?).stdin(Stdio::null());
    command.args(["--only", &asked.only.join(",")]).args(&asked.rest);
    if asked.only.iter().any(|id| id == "P9") {
        command.arg("--python").arg(published_client(&Workspace::load()?)?.join("bin/python3"));
    }
    let status = command.status().context("running enclos-perf")?;
    ensure!(status.success() || status.code() == Some(BROKEN), "enclos-perf ended with {status}");
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn faces_and_ids_are_named() {
        assert_eq!(
            asked("judge --rounds 3").unwrap(),
            Asked { only: vec!["P8".to_owned()], rest: vec!["--rounds".to_owned(), "3".to_owned()] }
        );
        assert_eq!(asked("agent --only P1,B1").unwrap().only, ["P9", "P1", "B1"]);
        assert_eq!(asked("").unwrap().only, IDS);
        for (line, named) in [("jugde", "jugde"), ("--only P77", "P77"), ("--json", "--json")] {
            assert!(asked(line).unwrap_err().to_string().contains(named), "{line}");
        }
    }
}
