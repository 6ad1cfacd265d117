//! The same calls by the published client of the original, over gRPC, as its users make them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::race::Quartiles;
use crate::server::Server;
use crate::setup::Setup;
use crate::table::{Figure, Row, Unit};

/// What is timed, as the script names it; what the table calls it; the original's milliseconds, where they are known.
const CALLS: [(&str, &str, Option<f64>); 4] = [
    ("life", "published client: create, start, exec true, destroy", Some(111.0)),
    ("create", "published client: create", None),
    ("exec", "published client: exec true", Some(5.8)),
    ("session", "published client: session exec true", Some(10.9)),
];

/// A row for each call. `python`: an interpreter that has the client.
///
/// # Errors
/// When the server or the client fails.
pub fn calls(setup: &Setup, rounds: usize, python: Option<&Path>) -> Result<Vec<Row>> {
    let Some(python) = python else {
        let reason = "--python names no interpreter that has agentfense; cargo xtask perf makes one";
        return Ok(vec![Row::skipped("P9", "published client", reason)]);
    };
    let socket = setup.directory().join("grpc");
    let listen = format!("agent.grpc=unix:{}", socket.display());
    let _server = Server::start(
        setup,
        &["--set", &listen, "--set", "agent.rest=", "--set", "agent.quota.sandboxes=10000", "--set", "agent.on-exit=destroy"],
    )?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/payload/published.py");
    let output = Command::new(python).arg(script).arg(format!("unix:{}", socket.display())).arg(rounds.to_string()).output()?;
    ensure!(output.status.success(), "published.py: {}", String::from_utf8_lossy(&output.stderr));
    let took: std::collections::BTreeMap<String, Vec<f64>> = serde_json::from_slice(&output.stdout).context("published.py")?;
    let row = |(name, what, original): (&str, &str, Option<f64>)| {
        let value = Quartiles::of(took.get(name).with_context(|| format!("published.py tells no {name}"))?);
        let row = Row::alone("P9", what, Figure { name: "as measured".to_owned(), unit: Unit::Milliseconds, value }, None);
        Ok(match original {
            Some(original) => row.noting(format!("the original {original} ms")),
            None => row,
        })
    };
    CALLS.into_iter().map(row).collect()
}
