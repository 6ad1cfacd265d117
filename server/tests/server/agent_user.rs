//! The agent face of a server that an ordinary user runs, over its own interface, from the first codebase to a `kill -9`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use enclos_testkit::http::{PATIENCE, Response, request};
use enclos_testkit::world::Who;
use serde_json::{Value, json};

use super::world::PROGRAM;

/// A directory with the program, and state that belongs to the user.
struct Place {
    directory: tempfile::TempDir,
    user: Option<u32>,
}

struct Server<'a> {
    place: &'a Place,
    child: Child,
    address: String,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let user = Who::User.switch_to();
        let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        open(directory.path());
        // A checkout may lie where the user cannot go.
        std::fs::copy(PROGRAM, directory.path().join("server")).unwrap();
        open(&directory.path().join("server"));
        let place = Place { directory, user };
        std::fs::create_dir(place.state()).unwrap();
        chown(place.state(), user, user).unwrap();
        place
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// `more`: further keys.
    fn serve(&self, more: &[&str]) -> Server<'_> {
        let mut command = Command::new("/usr/bin/setpriv");
        if let Some(user) = self.user {
            command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(self.directory.path().join("server")).args(["serve", "--listen", "127.0.0.1:0"]);
        for key in ["agent.grpc=", "agent.rest=", "judge.best-effort=true", "agent.keep=3s"].iter().chain(more) {
            command.args(["--set", key]);
        }
        command.arg("--set").arg(format!("server.state={}", self.state().display())).current_dir(self.state());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}: {}", self.log())).to_owned();
        Server { place: self, child, address }
    }
}

impl Server<'_> {
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Response {
        request(&self.address, method, &format!("/v1/agent/{path}"), &[("content-type", kind)], body)
    }

    /// The answer, which is no error.
    #[track_caller]
    fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(method, path, "application/json", text.as_bytes());
        assert!(response.status < 300, "{method} {path}: {}\n{}", response.text(), self.place.log());
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// What a command prints, both streams.
    #[track_caller]
    fn says(&self, path: &str, command: &str) -> String {
        let result = self.json("POST", &format!("{path}/exec"), &json!({"command": command}));
        let of = |stream: &str| result[stream]["data"].as_str().unwrap().to_owned();
        of("stdout") + &of("stderr")
    }

    fn end(mut self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It has ended where the test came so far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that have this path on their command line.
fn processes_of(path: &Path) -> usize {
    let path = path.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&path)).count()
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_ordinary_user_has_all_of_the_agent_face() {
    let place = Place::new();
    let weakened = ["agent.best-effort=true"];
    let server = place.serve(&weakened);
    let codebase = id(&server.json("POST", "codebases", &json!({"name": "demo"})));
    for (path, text) in [("docs/a.txt", "a\n"), ("secrets/key", "secret\n"), ("README", "readme\n"), ("view/v", "seen")] {
        assert_eq!(
            server.send("PUT", &format!("codebases/{codebase}/files/{path}"), "application/octet-stream", text.as_bytes()).status,
            200
        );
    }
    let rules = json!([
        {"pattern": "**/*", "level": "read"}, {"pattern": "docs/**", "level": "write"}, {"pattern": "view/**", "level": "view"},
        {"pattern": "secrets/**", "level": "none"}
    ]);
    let sandbox = id(&server.json("POST", "sandboxes", &json!({"codebase_id": codebase, "rules": rules})));
    let at = format!("sandboxes/{sandbox}");
    server.json("POST", &format!("{at}/start"), &Value::Null);
    // Rights, and what the rules say.
    let status = server.says(&at, "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; id -u");
    assert_eq!(status, "CapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n1000\n");
    assert_eq!(server.says(&at, "ls -A; cat README; cat docs/a.txt"), "README\ndocs\nview\nreadme\na\n");
    for (command, told) in [
        ("cat secrets/key", "No such file"),
        ("cat view/v", "Permission denied"),
        ("echo x > README", "Permission denied"),
        ("chmod 666 README; echo x > README", "Permission denied"),
        ("rm -f README", "Permission denied"),
        ("cat /etc/shadow", "Permission denied"),
    ] {
        let said = server.says(&at, command);
        assert!(said.contains(told) || (command.contains("shadow") && said.contains("No such file")), "{command}: {said}");
    }
    assert_eq!(server.says(&at, &format!("ls {} 2>&1 | grep -c 'No such'", place.state().display())), "1\n");
    // Files, changes, a version.
    server.says(&at, "echo more >> docs/a.txt");
    assert_eq!(server.send("PUT", &format!("{at}/files/docs/b.txt"), "application/octet-stream", b"from outside").status, 200);
    assert_eq!(server.send("PUT", &format!("{at}/files/README"), "application/octet-stream", b"x").status, 403);
    assert_eq!(server.send("GET", &format!("{at}/files/docs/b.txt"), "", b"").text(), "from outside");
    assert_eq!(server.send("GET", &format!("{at}/files/secrets/key"), "", b"").status, 404);
    // Bits that one id could change are held back where a version is made.
    let denied = server.send("POST", &format!("{at}/commit"), "application/json", b"{}");
    assert!(denied.status == 403 && denied.json()["error"]["denied"][0]["path"] == "README", "{}", denied.text());
    server.json("POST", &format!("{at}/commit"), &json!({"drop_denied": true}));
    assert_eq!(server.send("GET", &format!("codebases/{codebase}/files/README"), "", b"").text(), "readme\n");
    assert_eq!(server.send("GET", &format!("codebases/{codebase}/files/docs/a.txt"), "", b"").text(), "a\nmore\n");
    // A shell, and a server that is killed.
    let session = id(&server.json("POST", &format!("{at}/sessions"), &json!({})));
    server.says(&format!("sessions/{session}"), "kept=kept; cd docs");
    server.end(rustix::process::Signal::KILL);
    let server = place.serve(&weakened);
    assert_eq!(server.json("GET", &at, &Value::Null)["status"], "running");
    assert_eq!(server.says(&format!("sessions/{session}"), "echo $kept; cat b.txt"), "kept\nfrom outside");
    // More than the workspace may hold.
    let small = id(&server.json("POST", "sandboxes", &json!({"resources": {"workspace": "8MiB"}})));
    server.json("POST", &format!("sandboxes/{small}/start"), &Value::Null);
    let runaway = "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); head -c 1000000 /dev/zero > f$i || exit 1; done";
    let result = server.json("POST", &format!("sandboxes/{small}/exec"), &json!({"command": runaway, "timeout": "60s"}));
    assert_eq!((&result["verdict"], &result["evidence"]["limit"]), (&json!("disk_limit"), &json!("workspace")), "{result}");
    // Nothing is left.
    for sandbox in [&sandbox, &small] {
        server.json("DELETE", &format!("sandboxes/{sandbox}"), &Value::Null);
    }
    server.end(rustix::process::Signal::TERM);
    let started = Instant::now();
    while processes_of(place.directory.path()) > 0 {
        assert!(started.elapsed() < PATIENCE, "{} processes are left", processes_of(place.directory.path()));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(std::fs::read_dir(place.state().join("agent/store/workspaces")).unwrap().count(), 0);
}

#[test]
fn what_an_ordinary_user_cannot_hold_is_refused_by_name() {
    let place = Place::new();
    let server = place.serve(&[]);
    // Without control groups, without being told to weaken anything: the face is off, or holds its limits.
    let made = server.send("POST", "sandboxes", "application/json", b"{}");
    if made.status != 201 {
        let log = place.log();
        assert!(log.contains("memory") && log.contains("enclos doctor"), "{log}");
        return;
    }
    let started = server.send("POST", &format!("sandboxes/{}/start", id(&made.json())), "", b"");
    assert!(started.status == 200 || (started.status == 501 && started.text().contains("this host cannot")), "{}", started.text());
}
