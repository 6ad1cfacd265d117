//! The lane `schemathesis`: a program of PyPI that makes requests of every kind from the judge's OpenAPI document, and looks whether the server
//! keeps to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::build;
use crate::install;
use crate::lanes::cache;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The program, from PyPI.
const PROGRAM: &str = "schemathesis==4.32.5";
/// What counts as a fault, and what does not.
const CONFIG: &str = "faces/judge/schemathesis.toml";
/// Seconds that it makes requests for.
const BUDGET: &str = "90";
/// Seconds after which it hangs.
const PATIENCE: &str = "300";
/// Exit status of `timeout` when the time is over.
const TOO_LONG: i32 = 124;

/// The server, ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Starts a server of this checkout and has it tried. One test: no fault is found.
///
/// # Errors
/// When something cannot be installed, built or started, or does not come to an end.
pub fn lane(workspace: &Workspace) -> Result<Tally> {
    let room = cache(workspace, "schemathesis")?;
    let venv = room.join("venv");
    install::from_pypi(&venv, &[PROGRAM], "tries the judge's OpenAPI document")?;
    let programs = build(&["build", "--locked", "--package", "enclos-server", "--bins"])?;
    let program = programs.iter().find(|program| program.name == "enclos-server").context("cargo built no enclos-server")?;
    let state = tempfile::Builder::new().prefix("enclos-schemathesis-").tempdir()?;
    let mut command = Command::new(&program.path);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--set", "agent.grpc=", "--set", "agent.rest=", "--set"])
        .arg(format!("server.state={}", state.path().display()));
    if !rustix::process::geteuid().is_root() {
        // An ordinary user may have no control group of its own.
        command.args(["--set", "judge.best-effort=true"]);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting enclos-server")?;
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().context("the server's output")?).read_line(&mut line)?;
    let url = line.trim().strip_prefix("listening on ").with_context(|| format!("the server does not listen: {line:?}"))?;
    let mut command = Command::new("/usr/bin/timeout");
    command.args(["--kill-after", "10", PATIENCE]).arg(venv.join("bin/schemathesis"));
    command.arg("--config-file").arg(workspace.root.join(CONFIG)).args(["run", &format!("{url}/v1/openapi.json"), "--max-time", BUDGET]);
    // What it remembers between runs belongs to none.
    let output = command.current_dir(state.path()).stdin(Stdio::null()).output().context("running schemathesis")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.code() == Some(TOO_LONG) {
        bail!("schemathesis did not come to an end within {PATIENCE} s:\n{said}");
    }
    if output.status.success() {
        said.lines().rev().take(12).collect::<Vec<_>>().iter().rev().for_each(|line| println!("  {line}"));
    } else {
        println!("{said}");
    }
    Ok(Tally::one(output.status.success()))
}
