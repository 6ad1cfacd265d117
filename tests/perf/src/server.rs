//! A server to measure, and a client that does nothing but wait.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::setup::Setup;

/// A running server, and where to reach it.
pub struct Server {
    child: Child,
    socket: PathBuf,
    _directory: TempDir,
}

impl Server {
    /// Starts one with further flags.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(setup: &Setup, more: &[&str]) -> Result<Server> {
        let program = setup.server.as_ref().context("--server FILE is missing: the server to measure")?;
        let directory = tempfile::Builder::new().prefix("enclos-perf-server-").tempdir()?;
        let socket = directory.path().join("socket");
        let mut command = Command::new(program);
        command.arg("serve").arg("--listen").arg(format!("unix:{}", socket.display())).args(["--log", "error"]).args(more);
        command.arg("--set").arg(format!("server.state={}", directory.path().join("state").display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting enclos-server")?;
        let server = Server { child, socket, _directory: directory };
        let started = Instant::now();
        while UnixStream::connect(&server.socket).is_err() {
            ensure!(started.elapsed() < Duration::from_secs(20), "the server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Connects to it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn client(&self) -> Result<Client> {
        Ok(Client { stream: UnixStream::connect(&self.socket)?, bytes: Vec::new() })
    }

    /// Resident memory of the server itself, KiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// What as many clients as that bring home, each by `work`.
///
/// # Errors
/// What one of them gives.
pub fn at_once<T: Send>(clients: usize, work: impl Fn() -> Result<Vec<T>> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(&work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all)
    })
}

/// One connection that is kept.
pub struct Client {
    stream: UnixStream,
    bytes: Vec<u8>,
}

impl Client {
    /// Sends a request and gives the JSON of its answer, which is no error.
    ///
    /// # Errors
    /// A connection that breaks, a status of 400 or more.
    pub fn request(&mut self, method: &str, path: &str, body: Option<&serde_json::Value>) -> Result<serde_json::Value> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.send(method, path, "application/json", body.as_bytes())
    }

    /// The same with a body of any kind.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<serde_json::Value> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if !body.is_empty() {
            write!(request, "Content-Type: {kind}\r\n")?;
        }
        write!(request, "Content-Length: {}\r\n\r\n", body.len())?;
        self.stream.write_all(&[request.as_bytes(), body].concat())?;
        let (status, answer) = self.answer()?;
        ensure!(status < 400, "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        Ok(if answer.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&answer)? })
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        self.bytes.clear();
        let mut part = [0; 16 << 10];
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.bytes[..end]).to_ascii_lowercase();
                let status = head.split(' ').nth(1).context("no status")?.parse()?;
                // 204 has none.
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .map_or(Ok(0), |text| text.trim().parse::<usize>())?;
                if self.bytes.len() >= end + 4 + length {
                    return Ok((status, self.bytes[end + 4..].to_vec()));
                }
            }
            let read = self.stream.read(&mut part)?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            self.bytes.extend(&part[..read]);
        }
    }
}
