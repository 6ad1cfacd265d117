//! The server ends, and the next one goes on (W-41, W-46).

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use enclos_agent::LocalAgent;
use enclos_agent::api::{Agent, NewSandbox, SandboxStatus, SessionStatus, Verdict};

use crate::world::{World, caller, is_root, launcher};

const LONG: Duration = Duration::from_secs(20);

fn program(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples").join(name)
}

/// A server in a process of its own, with a sandbox, a session and a terminal.
struct Server<const N: usize = 3> {
    child: Child,
    names: [String; N],
}

impl Server {
    fn start(directory: &std::path::Path) -> Server {
        Server::doing(directory, &[])
    }
}

impl<const N: usize> Server<N> {
    /// What its further words say.
    fn doing(directory: &std::path::Path, words: &[&str]) -> Server<N> {
        let mut command = Command::new(program("server"));
        let text = if is_root() { "" } else { "[agent]\nbest-effort = true" };
        command.arg(program("agent_launch")).arg(directory.join("agent")).arg(text).args(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let names: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Server { child, names: names.try_into().unwrap() }
    }
}

/// The next server, in this process.
fn next(directory: tempfile::TempDir) -> World {
    let settings = World::settings(directory.path(), "[agent]\nkeep = \"2s\"");
    let agent = LocalAgent::open(settings, launcher(), Some(&program("agent_launch"))).unwrap();
    World { agent, caller: caller("alice"), directory }
}

fn goes_on(end: impl FnOnce(&mut Child)) {
    let directory = tempfile::tempdir().unwrap();
    let Server { mut child, names: [id, session, screen] } = Server::start(directory.path());
    let command = format!("sleep\0{}\0", 100_000 + child.id());
    assert_eq!(running(&command), 1, "the sandbox of one call");
    end(&mut child);
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let world = next(directory);
    assert_eq!(world.agent.sandbox(&world.caller, &id).unwrap().status, SandboxStatus::Running);
    nothing_passing(&world, &command, &id);
    let beat = |world: &World| world.says(&id, "cat /tmp/beat").trim().parse::<u64>().unwrap_or(0);
    let first = beat(&world);
    std::thread::sleep(Duration::from_millis(200));
    assert!(first > 0 && beat(&world) > first, "what ran there runs on");
    assert_eq!(world.says(&id, "cat /workspace/note"), "before\n");
    // The shell is the one it was, and says nothing of the command of the server before.
    let result = world.in_session(&session, "pwd; echo $kept", LONG);
    assert_eq!((String::from_utf8_lossy(&result.stdout).as_ref(), result.exit_code, result.verdict), ("/tmp\nkept\n", 0, Verdict::Ended));
    let result = world.in_session(&session, "(exit 3)", LONG);
    assert_eq!(result.exit_code, 3);
    let result = world.in_session(&session, "sleep 100", Duration::from_millis(300));
    assert_eq!(result.verdict, Verdict::TimedOut);
    assert_eq!(world.in_session(&session, "echo $kept", LONG).stdout, b"kept\n");
    let terminal = world.agent.attach(&world.caller, &screen).unwrap();
    (&terminal.master).write_all(b"typed\n").unwrap();
    let mut buffer = [0; 64];
    let mut shown = String::new();
    while shown.matches("typed").count() < 2 {
        let count = (&terminal.master).read(&mut buffer).unwrap();
        shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    drop(terminal);
    world.agent.destroy_session(&world.caller, &screen).unwrap();
    assert_eq!(world.says(&id, "ps -eo args | grep -c '^[c]at$' || true"), "0\n");
    let fresh = world.session(&id, "");
    assert_eq!(world.in_session(&fresh, "echo fresh", LONG).stdout, b"fresh\n");
    world.agent.destroy_session(&world.caller, &session).unwrap();
    assert_eq!(world.agent.session(&world.caller, &session).unwrap().status, SessionStatus::Closed);
    assert_eq!(world.says(&id, "ps -eo args | grep -c '[s]leep 9991' || true"), "0\n");
    world.agent.stop(&world.caller, &id).unwrap();
    world.agent.start(&world.caller, &id).unwrap();
    assert_eq!(world.says(&id, "cat note; ls /tmp"), "before\n");
    world.agent.destroy(&world.caller, &id).unwrap();
    gone(&world.directory.path().join("agent/keeper.sock"), &world);
}

/// How many processes of the host have this command line.
fn running(command: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    lines.filter(|line| line == command).count()
}

/// Of a sandbox of one call nothing is left: no process, no record, no files.
fn nothing_passing(world: &World, command: &str, lasting: &str) {
    assert_eq!(running(command), 0);
    let all = world.agent.sandboxes(&world.caller, &Default::default(), &Default::default()).unwrap();
    assert_eq!(all.items.iter().map(|sandbox| sandbox.id.as_str()).collect::<Vec<_>>(), [lasting]);
    assert_eq!(std::fs::read_dir(world.directory.path().join("agent/store/workspaces")).unwrap().count(), 1);
}

/// The keeper ends when there is nothing to keep and no server.
fn gone(socket: &std::path::Path, world: &World) {
    assert!(socket.exists());
    world.agent.leave();
    let until = Instant::now() + LONG;
    while socket.exists() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn w46_a_killed_server_disturbs_nobody() {
    goes_on(|child| child.kill().unwrap());
}

#[test]
fn w41_a_server_that_ends_leaves_sandboxes_to_the_next() {
    goes_on(|child| child.stdin.take().unwrap().write_all(b"leave\n").unwrap());
}

#[test]
fn what_a_shell_of_another_server_ends_with_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let Server { mut child, names: [first, other, alone, screen] } = Server::<4>::doing(directory.path(), &["endings"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // One of them ends while no server is there.
    std::thread::sleep(Duration::from_millis(1500));
    let world = next(directory);
    let known = |session: &str| world.agent.session(&world.caller, session).unwrap();
    assert_eq!((known(&alone).status, known(&alone).exit_code), (SessionStatus::Closed, Some(5)));
    // The shell that was a process ahead of its command, and one that was not: an exit, and a signal.
    let result = world.in_session(&first, "exit 7", LONG);
    assert_eq!((result.exit_code, result.verdict, known(&first).exit_code), (7, Verdict::Ended, Some(7)));
    let result = world.in_session(&other, "kill -TERM $$", LONG);
    assert_eq!((result.exit_code, known(&other).exit_code), (143, Some(143)));
    let terminal = world.agent.attach(&world.caller, &screen).unwrap();
    (&terminal.master).write_all(b"go\n").unwrap();
    let until = Instant::now() + LONG;
    while known(&screen).status != SessionStatus::Closed {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(known(&screen).exit_code, Some(9));
}

#[test]
fn without_a_keeper_a_killed_server_takes_its_sandboxes_along() {
    let directory = tempfile::tempdir().unwrap();
    let Server { mut child, names: [id, session, _] } = Server::start(directory.path());
    child.kill().unwrap();
    child.wait().unwrap();
    // The next one is told to keep nothing: what the keeper holds is nobody's, and goes with it when its time is over.
    let settings = World::settings(directory.path(), "[agent]\non-exit = \"destroy\"");
    let agent = LocalAgent::open(settings, launcher(), Some(&program("agent_launch"))).unwrap();
    let world = World { agent, caller: caller("alice"), directory };
    let found = world.agent.sandbox(&world.caller, &id).unwrap();
    assert_eq!((found.status, found.problem.as_deref()), (SandboxStatus::Error, Some("the server ended and nobody kept it")));
    assert_eq!(world.agent.session(&world.caller, &session).unwrap().status, SessionStatus::Closed);
    world.agent.start(&world.caller, &id).unwrap();
    assert_eq!(world.says(&id, "cat note"), "before\n");
    // Nothing else is known of it, and new ones are as ever.
    let other = world.start(&NewSandbox::default());
    assert_eq!(world.says(&other, "ls"), "");
}
