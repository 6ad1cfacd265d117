//! `cargo xtask test`: every check and test there is, lane by lane, and one line of counts at the end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{build, tests_of};
use crate::stage::{NOBODY, Stage};
use crate::tally::{Tally, from_junit, from_libtest};
use crate::workspace::{Workspace, cargo};
use crate::{checks, install, languages, schemathesis, suite, vm};

/// Packages whose tests need `enclos` itself and are lanes of their own.
const SUITES: [&str; 3] = ["enclos-tests-e2e", "enclos-tests-escape", "enclos-tests-compat"];

/// Packages whose tests need compilers, or AgentFense's client.
const SERVERS: [&str; 3] = ["enclos-agent", "enclos-judge", "enclos-server"];

/// Programs of PyPI that call `bwrap`.
const PROGRAMS: [&str; 2] = ["BuildStream==2.8.1", "asv-bwrap==0.1"];

/// The client of `sandbox.v1`, and what it needs.
const CLIENT: [&str; 5] =
    ["agentfense==0.2.1", "grpcio>=1.76,<2", "grpcio-tools>=1.76,<2", "protobuf>=6.31.1,<7", "googleapis-common-protos"];

/// Name of the tests that read the sources they were compiled from.
const NEEDS_SOURCES: &str = "every_file_is_a_module";

/// One part of the test command.
struct Lane {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Run) -> Result<Tally>,
}

const LANES: [Lane; 14] = [
    Lane { name: "fmt", what: "every file is formatted", run: |_| check("fmt", &["--all", "--check", "--", "-l"]) },
    Lane { name: "clippy", what: "no warning in any target", run: |_| clippy() },
    Lane { name: "checks", what: "tiers, invariants, documents (cargo xtask check)", run: |run| checks::run(&run.workspace) },
    Lane { name: "unit", what: "the tests inside the crates", run: unit },
    Lane { name: "judge", what: "the judge and the servers, with every language Debian has and the agent face's client", run: judge },
    Lane { name: "schemathesis", what: "the judge's server against its OpenAPI document", run: |run| schemathesis::lane(&run.workspace) },
    Lane { name: "doc", what: "the examples in the documentation", run: |_| doc() },
    Lane { name: "e2e", what: "the program, as root", run: |run| run.suite("e2e", None) },
    Lane { name: "escape", what: "attempts to break out, as root", run: |run| run.suite("escape", None) },
    Lane { name: "compat", what: "bubblewrap's command line against bubblewrap", run: Run::compat },
    Lane { name: "e2e-user", what: "the program, as a user without rights", run: |run| run.suite("e2e", Some(NOBODY)) },
    Lane { name: "escape-user", what: "attempts to break out, as a user without rights", run: |run| run.suite("escape", Some(NOBODY)) },
    Lane { name: "agent-user", what: "the agent face, as a user without rights", run: agent_user },
    Lane {
        name: "vm",
        what: "pure cgroup v2 on Debian's kernel, in a virtual machine",
        run: |run| vm::lane(&run.workspace, Run::stage(&mut run.stage)?),
    },
];

/// What lanes share.
struct Run {
    workspace: Workspace,
    /// Made by the first lane that needs it.
    stage: Option<Stage>,
    /// A Python environment with the client of `sandbox.v1`, once it is there.
    client: Option<PathBuf>,
}

/// `cargo xtask test [--list] [--lane NAME]…`. Whether everything held.
///
/// # Errors
/// On a bad argument, or when the workspace cannot be read or what the tests need cannot be installed.
pub fn test(arguments: &[String]) -> Result<bool> {
    let lanes = match parse(arguments)? {
        Some(lanes) => lanes,
        None => {
            LANES.iter().for_each(|lane| println!("{:<12} {}", lane.name, lane.what));
            return Ok(true);
        }
    };
    println!("What the tests need");
    install::install(&install::TESTS)?;
    let mut run = Run { workspace: Workspace::load()?, stage: None, client: None };
    let mut rows = Vec::new();
    for (index, lane) in lanes.iter().enumerate() {
        println!("\n[{}/{}] {}: {}", index + 1, lanes.len(), lane.name, lane.what);
        let started = Instant::now();
        let tally = (lane.run)(&mut run).unwrap_or_else(|error| {
            println!("    FAIL {}: {error:#}", lane.name);
            Tally::one(false)
        });
        println!("  {tally}");
        rows.push((lane.name, tally, started.elapsed().as_secs()));
    }
    let total = summary(&rows);
    Ok(total.is_success())
}

/// The table of lanes, and the closing line.
fn summary(rows: &[(&str, Tally, u64)]) -> Tally {
    println!("\n{:<12} {:>7} {:>7} {:>8} {:>8}", "lane", "passed", "failed", "skipped", "seconds");
    let mut total = Tally::default();
    for (name, tally, seconds) in rows {
        println!("{name:<12} {:>7} {:>7} {:>8} {seconds:>8}", tally.passed, tally.failed, tally.skipped);
        total += *tally;
    }
    println!("\n{total}");
    total
}

/// The lanes asked for, in the order of [`LANES`]; `None`: only their list is.
fn parse(arguments: &[String]) -> Result<Option<Vec<&'static Lane>>> {
    let mut wanted = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--list" => return Ok(None),
            "--lane" => wanted.push(rest.next().context("--lane needs a name; --list shows them")?.as_str()),
            other => bail!("unknown argument {other}; known are --list and --lane NAME"),
        }
    }
    if let Some(unknown) = wanted.iter().find(|name| LANES.iter().all(|lane| lane.name != **name)) {
        bail!("unknown lane {unknown}; known are {}", LANES.map(|lane| lane.name).join(", "));
    }
    Ok(Some(LANES.iter().filter(|lane| wanted.is_empty() || wanted.contains(&lane.name)).collect()))
}

/// Whether there is a lane of this name.
#[must_use]
pub fn is_one(name: &str) -> bool {
    LANES.iter().any(|lane| lane.name == name)
}

/// One cargo command that holds or does not.
fn check(command: &str, arguments: &[&str]) -> Result<Tally> {
    let status = Command::new(cargo()).arg(command).args(arguments).stdin(Stdio::null()).status();
    Ok(Tally::one(status.with_context(|| format!("running cargo {command}"))?.success()))
}

fn clippy() -> Result<Tally> {
    check("clippy", &["--workspace", "--all-targets", "--all-features", "--locked", "--quiet", "--", "-D", "warnings"])
}

/// Tests inside the crates, by nextest; by our own runner where nextest is missing, because building it takes longer than the tests.
fn unit(run: &mut Run) -> Result<Tally> {
    tests_inside(run, |package| !SUITES.contains(&package) && !SERVERS.contains(&package))
}

/// A Python environment with the published client of `sandbox.v1`.
///
/// # Errors
/// When PyPI or Python fails.
pub fn published_client(workspace: &Workspace) -> Result<PathBuf> {
    let client = cache(workspace, "agentfense")?.join("venv");
    install::from_pypi(&client, &CLIENT, "the client whose server the agent face stands in for")?;
    Ok(client)
}

/// The tests of the judge's crates, which need compilers, and the reference program of every language that is installed.
fn judge(run: &mut Run) -> Result<Tally> {
    languages::install(&run.workspace)?;
    run.client = Some(published_client(&run.workspace)?);
    let total = tests_inside(run, |package| SERVERS.contains(&package))?;
    let mut command = Command::new(cargo());
    command.args(["run", "--quiet", "--locked", "--package", "enclos-server", "--", "judge", "test"]).stdin(Stdio::null());
    let status = command.status().context("running enclos-server judge test")?;
    Ok(total + Tally::one(status.success()))
}

/// The agent face behind its seam, as a user without rights. Its tests start programs that lie beside them.
fn agent_user(run: &mut Run) -> Result<Tally> {
    if !rustix::process::geteuid().is_root() {
        println!("    SKIP agent: only root can run it as another user; the lane judge has run it without rights");
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    let stage = Run::stage(&mut run.stage)?;
    for program in build(&["build", "--locked", "--package", "enclos-agent", "--examples"])? {
        stage.put("examples", &program)?;
    }
    let programs = tests_of("enclos-agent")?;
    let core = programs.iter().find(|program| program.name == "core").context("enclos-agent has no test program called core")?;
    suite::run(&stage.suite("agent", core, Some(NOBODY))?)
}

/// The tests of the packages that `chosen` lets through.
fn tests_inside(run: &mut Run, chosen: fn(&str) -> bool) -> Result<Tally> {
    if install::nextest().is_none() {
        println!("  note: cargo-nextest is not installed; these tests run in xtask's own runner, a process per test as well");
        return without_nextest(run, chosen);
    }
    // Below the root's own target directory, whatever CARGO_TARGET_DIR says: that is nextest's rule.
    let document = run.workspace.root.join("target/nextest/xtask/junit.xml");
    // A document of an earlier run must not be counted should nextest fail before it writes one.
    if document.exists() {
        std::fs::remove_file(&document)?;
    }
    let mut command = Command::new(cargo());
    command.args(["nextest", "run", "--locked", "--profile", "xtask", "--cargo-quiet"]);
    run.workspace.crates.iter().filter(|package| chosen(&package.name)).for_each(|package| {
        command.args(["--package", &package.name]);
    });
    command.envs(run.client.iter().map(|client| ("ENCLOS_AGENTFENSE", client)));
    let status = command.stdin(Stdio::null()).status().context("running cargo nextest")?;
    let xml = std::fs::read_to_string(&document).with_context(|| format!("cargo nextest ({status}) wrote no {}", document.display()))?;
    let (tally, reasons) = from_junit(&xml);
    reasons.iter().for_each(|reason| println!("    SKIP {reason}"));
    if status.success() != (tally.failed == 0) {
        bail!("cargo nextest ended with {status}, but its document counts {tally}");
    }
    Ok(tally)
}

fn without_nextest(run: &mut Run, chosen: fn(&str) -> bool) -> Result<Tally> {
    let stage = Run::stage(&mut run.stage)?;
    let mut total = Tally::default();
    for package in run.workspace.crates.iter().filter(|package| chosen(&package.name)) {
        for program in tests_of(&package.name)? {
            let mut suite = stage.suite(&package.name, &program, None)?;
            suite.env.extend(run.client.iter().map(|client| ("ENCLOS_AGENTFENSE".to_owned(), client.to_string_lossy().into_owned())));
            total += suite::run(&suite)?;
        }
    }
    Ok(total)
}

/// Examples in the documentation; they are compiled and run by `cargo test`, which prints one line of counts per crate.
fn doc() -> Result<Tally> {
    let mut command = Command::new(cargo());
    command.args(["test", "--doc", "--workspace", "--locked", "--quiet", "--no-fail-fast"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("running cargo test --doc")?;
    let mut total = Tally::default();
    for line in BufReader::new(child.stdout.take().context("cargo's output")?).lines() {
        let line = line?;
        match from_libtest(&line) {
            Some(tally) => total += tally,
            // Progress; only what a failed example says is worth a line.
            None if line.chars().all(|c| c == '.') || line.starts_with("running ") || line.starts_with("all doctests ran") => {}
            None => println!("  {line}"),
        }
    }
    let status = child.wait().context("waiting for cargo test --doc")?;
    if status.success() != (total.failed == 0) {
        bail!("cargo test --doc ended with {status}, but counts {total}");
    }
    Ok(total)
}

impl Run {
    /// The stage, built by the first lane that needs it.
    fn stage(stage: &mut Option<Stage>) -> Result<&Stage> {
        if stage.is_none() {
            *stage = Some(Stage::new()?);
        }
        stage.as_ref().context("the stage was just made")
    }

    /// Runs `tests/compat`, which calls programs of PyPI too.
    fn compat(&mut self) -> Result<Tally> {
        let venv = cache(&self.workspace, "compat")?.join("venv");
        install::from_pypi(&venv, &PROGRAMS, "real programs that call bwrap")?;
        // Where any user can read it.
        let programs = Run::stage(&mut self.stage)?.copy("programs", &venv)?;
        self.suite_with("compat", None, Some(("ENCLOS_PROGRAMS", &programs)))
    }

    /// Runs `tests/<name>` as ourselves or as another user.
    fn suite(&mut self, name: &str, user: Option<u32>) -> Result<Tally> {
        self.suite_with(name, user, None)
    }

    /// The same with one more variable.
    fn suite_with(&mut self, name: &str, user: Option<u32>, variable: Option<(&str, &Path)>) -> Result<Tally> {
        if user.is_some() && !rustix::process::geteuid().is_root() {
            println!("    SKIP {name}: only root can run it as another user; the lane {name} has run it without rights");
            return Ok(Tally { skipped: 1, ..Tally::default() });
        }
        let stage = Run::stage(&mut self.stage)?;
        let mut total = Tally::default();
        for program in tests_of(&format!("enclos-tests-{name}"))? {
            let mut suite = stage.suite(name, &program, user)?;
            suite.env.extend(variable.map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned())));
            // The user without rights may not be able to read the checkout.
            suite.without.extend(user.map(|_| NEEDS_SOURCES.to_owned()));
            total += suite::run(&suite)?;
        }
        if total == Tally::default() {
            bail!("tests/{name} holds no test");
        }
        Ok(total)
    }
}

/// `target/xtask`, where downloads and reports live between runs.
///
/// # Errors
/// When it cannot be made.
pub fn cache(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.target_dir.join("xtask").join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Result<Option<Vec<&'static str>>> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Ok(parse(&arguments)?.map(|lanes| lanes.iter().map(|lane| lane.name).collect()))
    }

    #[test]
    fn lanes_are_chosen_by_name() {
        assert_eq!(names(&[]).unwrap().unwrap().len(), LANES.len());
        assert_eq!(names(&["--lane", "vm", "--lane", "fmt"]).unwrap().unwrap(), ["fmt", "vm"]);
        assert!(names(&["--list"]).unwrap().is_none());
        assert!(names(&["--lane", "nosuch"]).is_err());
        assert!(names(&["--lane"]).is_err());
        assert!(names(&["vm"]).is_err());
    }

    #[test]
    fn one_failed_lane_fails_the_whole() {
        assert!(!summary(&[("a", Tally::one(true), 1), ("b", Tally::one(false), 1)]).is_success());
        assert!(!summary(&[]).is_success(), "no test ran");
    }
}
