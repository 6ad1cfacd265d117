//! A server of the program under test, for one test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use enclos_testkit::http::{PATIENCE, Response, request};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_enclos-server");

/// A server that runs. Dropped, it is ended and must end well.
pub struct World {
    pub address: String,
    pub state: TempDir,
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
}

/// `enclos-server serve`, on a free port, with state of its own.
pub fn command(state: &TempDir, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--set"]).arg(format!("server.state={}", state.path().display()));
    // Ports of its own, and none where nobody asks for one: tests run beside each other.
    command.args(["--set", "agent.grpc=", "--set", "agent.rest="]);
    if !rustix::process::geteuid().is_root() {
        // An ordinary user may have no control group of its own.
        command.args(["--set", "judge.best-effort=true"]);
    }
    command.args(more);
    command
}

impl World {
    pub fn new() -> World {
        World::with(&[])
    }

    /// With further flags.
    pub fn with(more: &[&str]) -> World {
        World::start(TempDir::new().unwrap(), more)
    }

    /// With the state of an earlier one.
    pub fn start(state: TempDir, more: &[&str]) -> World {
        let log = state.path().join("log");
        let mut command = command(&state, more);
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").and_then(|rest| rest.strip_prefix("http://").or(rest.strip_prefix("https://")));
        let Some(address) = address else {
            panic!("{line:?}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        World { address: address.to_owned(), state, child, stdout, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The next line it announces.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request(&self.address, method, path, headers, body)
    }

    /// What camisole's `/run` answers to a job; it is 200.
    pub fn run(&self, job: &Value) -> Value {
        let response = self.request("POST", "/run", &[("content-type", "application/json")], job.to_string().as_bytes());
        assert_eq!(response.status, 200, "{}\n{}", String::from_utf8_lossy(&response.body), self.log());
        response.json()
    }

    /// The first test of a Python program with these further fields.
    pub fn python(&self, source: &str, more: Value) -> Value {
        let mut job = json!({"lang": "python", "source": source});
        job.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.run(&job)["tests"][0].take()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, or `None` if it did not within the time.
    pub fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if start.elapsed() > patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as the kernel would, and gives its state for the next one.
    pub fn kill(mut self) -> TempDir {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
        std::mem::replace(&mut self.state, TempDir::new().unwrap())
    }

    pub fn until(&self, holds: impl Fn(&World) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A figure of `/metrics`.
    pub fn figure(&self, name: &str) -> u64 {
        let response = self.request("GET", "/metrics", &[], b"");
        let line = response.text().lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", response.text()));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        self.signal(Signal::TERM);
        let ended = self.ended(PATIENCE);
        if ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", self.log());
            assert_eq!(groups(self.pid()), Vec::<PathBuf>::new(), "control groups are left: {}", self.log());
        }
    }
}

/// Processes of this host, other than threads of `pid`, that descend from it.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(of) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Control groups that a process made.
pub fn groups(pid: u32) -> Vec<PathBuf> {
    let (start, mut found, mut open) = (format!("enclos-{pid}-"), Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(directory) = open.pop() {
        // Groups come and go while we look.
        for entry in
            std::fs::read_dir(directory).into_iter().flatten().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        {
            if entry.file_name().to_string_lossy().starts_with(&start) {
                found.push(entry.path());
            } else {
                open.push(entry.path());
            }
        }
    }
    found
}
