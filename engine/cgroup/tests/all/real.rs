//! What the tests on the real host share: the views of it that are worth testing, and processes in groups.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use enclos_cgroup::{Controller, Group, Host, Kind, Limits, Name, ProcView, Restrict};

/// Says that a test does not run here, past the test harness's capture; with `ENCLOS_TEST_NO_SKIP` set, that is a failure.
pub fn skip(test: &str, needs: &str) {
    assert!(std::env::var_os("ENCLOS_TEST_NO_SKIP").is_none(), "{test}: needs {needs}, and nothing may be skipped");
    // One write, so that it stays one line among those of other threads.
    let _ = std::io::stderr().write_all(format!("{test} ... skipped: needs {needs}\n").as_bytes());
}

/// This host as it is, and as lesser hosts that it contains: each kind at most once, and only those on which `controllers` are usable.
pub fn hosts(test: &str, controllers: &[Controller]) -> Vec<Host> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut usable = Vec::new();
    let mut reasons = Vec::new();
    for restrict in [Restrict::Nothing, Restrict::V1Only, Restrict::V2Only] {
        let host = Host::detect(&ProcView::read().unwrap().restricted(restrict));
        if kinds.contains(&host.kind()) {
            continue;
        }
        kinds.push(host.kind());
        match controllers
            .iter()
            .find_map(|c| host.place(*c).err().map(|missing| format!("{c} on a host of kind {}: {missing}", host.kind())))
        {
            None => usable.push(host),
            Some(reason) => reasons.push(reason),
        }
    }
    if usable.is_empty() {
        skip(test, &reasons.join("; "));
    }
    usable
}

pub fn make(host: &Host, limits: &Limits) -> Group {
    host.create(&Name::fresh().unwrap(), limits).unwrap()
}

/// A shell in the group; it runs `script` once it is in. Killed and waited for when dropped.
pub struct Shell {
    pub child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Shell {
    pub fn within(group: &Group, script: &str) -> Self {
        let script = format!("read go; {script}");
        let mut child =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        group.add(child.id()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Shell { child, lines }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
