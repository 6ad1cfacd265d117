//! Asking cargo to build, and where the programs are that it built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::cargo;

/// A program that cargo built.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name of its target, e.g. `enclos` or `escape`.
    pub name: String,
    /// Whether it is a libtest program.
    pub test: bool,
    /// Where it lies.
    pub path: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<MessageTarget>,
    profile: Option<MessageProfile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

#[derive(Deserialize)]
struct MessageProfile {
    test: bool,
}

/// Runs `cargo ARGS`, compiler messages on our stderr, and returns every program it built or found built.
///
/// # Errors
/// When cargo fails.
pub fn build(args: &[&str]) -> Result<Vec<Program>> {
    let mut command = Command::new(cargo());
    command.args(args).arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("running cargo {}", args.join(" ")))?;
    if !output.status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    programs(&String::from_utf8_lossy(&output.stdout))
}

/// The programs of a package's tests, the unit tests of its library and programs among them.
///
/// # Errors
/// When cargo fails.
pub fn tests_of(package: &str) -> Result<Vec<Program>> {
    Ok(build(&["test", "--locked", "--no-run", "--package", package, "--tests"])?.into_iter().filter(|program| program.test).collect())
}

fn programs(messages: &str) -> Result<Vec<Program>> {
    let mut found = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Message = serde_json::from_str(line).context("reading cargo's messages")?;
        if let ("compiler-artifact", Some(path), Some(target)) = (message.reason.as_str(), message.executable, message.target) {
            found.push(Program { name: target.name, test: message.profile.is_some_and(|p| p.test), path });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"escape"},"profile":{"test":true},"executable":"/t/escape-1"}
{"reason":"compiler-artifact","target":{"name":"enclos"},"profile":{"test":false},"executable":"/t/enclos"}
{"reason":"build-finished","success":true}"#;
        let found: Vec<_> = programs(messages).unwrap().into_iter().map(|p| (p.name, p.test)).collect();
        assert_eq!(found, [("escape".to_owned(), true), ("enclos".to_owned(), false)]);
    }
}
