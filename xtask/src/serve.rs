//! `cargo xtask serve`: builds the programs, starts the server with its embedded defaults, and sends one job through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cargo::build;
use crate::install;
use crate::lanes::cache;
use crate::workspace::Workspace;

/// Where the server listens when nobody says otherwise.
const ADDRESS: &str = "127.0.0.1:42920";
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
const SAMPLE: &str = "names = input().split()\nprint('hello', *sorted(names))\n";

/// `cargo xtask serve [--listen ADDRESS] [--once]`. Serves until it is ended (Ctrl-C); with `--once` only until the job is answered. Whether the
/// answer was the right one.
///
/// # Errors
/// When something cannot be installed, built or started, or the job is not answered.
pub fn serve(arguments: &[String]) -> Result<bool> {
    let (mut address, mut once) = (ADDRESS.to_owned(), false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--listen" => address.clone_from(rest.next().context("--listen needs an address")?),
            "--once" => once = true,
            other => bail!("unknown argument {other}; known are --listen ADDRESS and --once"),
        }
    }
    let at: SocketAddr = address.parse().with_context(|| format!("--listen {address}: not an address such as {ADDRESS}"))?;
    if TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok() {
        bail!("something listens on {address} already; choose another address with --listen");
    }
    install::install(&install::SAMPLE)?;
    let programs = build(&["build", "--profile", "server", "--locked", "--package", "enclos", "--package", "enclos-server", "--bins"])?;
    let enclos = programs.iter().find(|program| program.name == "enclos").context("cargo built no enclos")?;
    let state = cache(&Workspace::load()?, "serve")?;
    println!("starting: enclos serve --listen {address}");
    let mut server = Server(start(&enclos.path, &address, &state)?);
    server.wait_until_it_listens(at)?;
    let right = send(at)?;
    if !once {
        println!("\nserving on http://{address} until it is ended (Ctrl-C)");
        server.0.wait().context("waiting for the server")?;
    }
    Ok(right)
}

fn start(enclos: &Path, address: &str, state: &Path) -> Result<Child> {
    // Whoever ends us ends the server as well.
    let mut command = Command::new("/usr/bin/setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .arg(enclos)
        .args(["serve", "--listen", address])
        .arg("--set")
        .arg(format!("server.state={}", state.display()))
        .stdin(Stdio::null());
    command.spawn().with_context(|| format!("starting {}", enclos.display()))
}

/// The running server; ended when dropped.
struct Server(Child);

impl Server {
    fn wait_until_it_listens(&mut self, at: SocketAddr) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect_timeout(&at, Duration::from_millis(200)).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("the server ended ({status}) before it listened");
            }
            if started.elapsed() > PATIENCE {
                bail!("the server does not listen on {at} after {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let id = rustix::process::Pid::from_child(&self.0);
            // TERM lets it finish what it has taken.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

/// Sends the sample job and shows question and answer.
fn send(at: SocketAddr) -> Result<bool> {
    let job = json!({"lang": "python", "source": SAMPLE, "tests": [{"name": "three names", "stdin": "carol alice bob\n"}]});
    println!("\n  POST http://{at}/run\n  {job}\n");
    let answer = post(at, "/run", &job)?;
    let test = &answer["tests"][0];
    println!("  {answer}\n");
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_end().to_owned();
    println!("  {}: {}, printed {:?}", text(&test["name"]), text(&test["meta"]["status"]), text(&test["stdout"]));
    Ok(test["stdout"] == "hello alice bob carol\n")
}

/// One request, one connection.
fn post(at: SocketAddr, path: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response).context("reading the answer")?;
    answer(&response)
}

fn answer(response: &str) -> Result<Value> {
    let (head, body) = response.split_once("\r\n\r\n").context("the answer has no end of its header")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        bail!("the server answered {status}: {body}");
    }
    serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_is_read() {
        assert_eq!(answer("HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"x\":1}").unwrap(), json!({"x": 1}));
        assert!(answer("HTTP/1.1 500 Oops\r\n\r\n{}").unwrap_err().to_string().contains("500 Oops"));
        assert!(answer("HTTP/1.1 200 OK\r\n\r\nno").is_err());
        assert!(answer("nothing").is_err());
    }

    #[test]
    fn bad_arguments_are_named() {
        let bad = |arguments: &[&str]| serve(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()).unwrap_err().to_string();
        assert!(bad(&["--listen", "here"]).starts_with("--listen here: not an address"));
        assert!(bad(&["--listen"]).contains("needs an address"));
        assert!(bad(&["--twice"]).starts_with("unknown argument --twice"));
    }
}
