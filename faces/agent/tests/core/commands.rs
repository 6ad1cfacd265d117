//! Commands: exact bytes, both streams, clocks, and what becomes of what they started.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, AgentError, Cancel, Exec, NewSandbox, NoWatcher, Stream, Verdict, Watcher};

use crate::world::{World, is_root};

fn sh(command: &str) -> Exec {
    Exec { command: command.to_owned(), ..Exec::default() }
}

#[test]
fn w30_w31_bytes_streams_input_directory_and_variables_are_exact() {
    let world = World::new();
    let env = [("OWN".to_owned(), "sandbox".to_owned()), ("BOTH".to_owned(), "sandbox".to_owned())].into();
    let id = world.start(&NewSandbox { env, ..NewSandbox::default() });
    let every: Vec<u8> = (0..=255).collect();
    let result = world.exec(&id, &Exec { stdin: every.clone(), ..sh("cat; cat /dev/null; printf 'no newline' >&2") });
    assert_eq!((result.stdout, result.stderr.as_slice(), result.exit_code), (every, &b"no newline"[..], 0));
    let result = world.sh(&id, "echo out; echo err >&2; exit 42");
    assert_eq!((result.stdout.as_slice(), result.stderr.as_slice(), result.exit_code), (&b"out\n"[..], &b"err\n"[..], 42));
    assert_eq!(result.verdict, Verdict::Ended);
    let result = world.sh(&id, "kill -SEGV $$");
    assert_eq!((result.exit_code, result.signal, result.verdict), (139, Some(11), Verdict::Signaled));
    world.says(&id, "mkdir -p deep/er");
    for (workdir, wanted) in [("deep/er", "/workspace/deep/er\n"), ("/usr/bin", "/usr/bin\n"), ("/workspace/deep", "/workspace/deep\n")] {
        let result = world.exec(&id, &Exec { workdir: Some(workdir.to_owned()), ..sh("pwd") });
        assert_eq!(String::from_utf8_lossy(&result.stdout), wanted);
    }
    let env = [("CALL".to_owned(), "call".to_owned()), ("BOTH".to_owned(), "call".to_owned())].into();
    let result = world.exec(&id, &Exec { env, ..sh("echo $OWN $BOTH $CALL") });
    assert_eq!(result.stdout, b"sandbox call call\n");
    let argv = ["printf", "%s|", "a b", "$HOME", ""].map(str::to_owned).to_vec();
    assert_eq!(world.exec(&id, &Exec { argv, ..Exec::default() }).stdout, b"a b|$HOME||");
    let argv = vec!["no-such-program".to_owned()];
    assert_eq!(world.exec(&id, &Exec { argv, ..Exec::default() }).exit_code, 127);
    assert!(result.wall_us > 0 && result.cpu_us.is_some());
}

#[test]
fn w05_only_what_was_given_is_in_the_environment() {
    let world = World::new();
    let id = world.empty();
    assert_eq!(world.says(&id, "env | cut -d= -f1 | sort | tr '\\n' ' '"), "HOME LANG LOGNAME PATH PWD SHELL TERM USER ");
    assert_eq!(world.says(&id, "cat /proc/1/environ 2>/dev/null | wc -c"), "0\n");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    let world = World::new();
    let id = world.empty();
    let told = |exec: &Exec| world.agent.exec(&world.caller, &id, exec, &Cancel::new(), &NoWatcher).unwrap_err().to_string();
    let cases = [
        (Exec::default(), "command: it is empty"),
        (Exec { argv: vec!["x".to_owned()], ..sh("x") }, "argv: name a command line or"),
        (sh("a\0b"), "command: a command has no zero byte"),
        (sh(&"x".repeat(200_000)), "command: 200000 bytes: 131071 are the most"),
        (Exec { workdir: Some("nowhere".to_owned()), ..sh("true") }, "workdir: /workspace/nowhere: "),
        (Exec { workdir: Some("/etc/passwd".to_owned()), ..sh("true") }, "workdir: /etc/passwd: "),
        (Exec { timeout_ms: Some(3_600_000), ..sh("true") }, "timeout: 3600000 ms: 600000 ms is the most"),
        (Exec { env: [(String::new(), String::new())].into(), ..sh("true") }, "env: "),
    ];
    for (exec, start) in cases {
        let error = told(&exec);
        assert!(error.starts_with(start) && !error.contains('\n'), "{error}");
    }
    let nothing = world.agent.exec(&world.caller, "sb_0123456789abcdef", &sh("true"), &Cancel::new(), &NoWatcher);
    assert_eq!(nothing.unwrap_err(), AgentError::not_found("sandbox", "sb_0123456789abcdef"));
}

#[test]
fn w32_no_byte_of_a_million_is_lost() {
    let world = World::new();
    let id = world.empty();
    world.says(&id, "head -c 1048576 /dev/urandom > data; md5sum < data > sum");
    let data = world.says(&id, "cat sum");
    for _ in 0..100 {
        let result = world.sh(&id, "exec cat data");
        assert_eq!((result.stdout.len(), result.truncated), (1 << 20, [0, 0]));
        let again = world.exec(&id, &Exec { stdin: result.stdout, ..sh("md5sum") });
        assert_eq!(String::from_utf8_lossy(&again.stdout), data);
    }
}

#[test]
fn output_beyond_the_bound_is_counted() {
    let world = World::with("[agent]\noutput = \"1M\"");
    let id = world.empty();
    let result = world.sh(&id, "head -c 3000000 /dev/zero; head -c 10 /dev/zero >&2; exit 3");
    assert_eq!((result.stdout.len(), result.stderr.len(), result.truncated), (1 << 20, 10, [3_000_000 - (1 << 20), 0]));
    assert_eq!((result.exit_code, result.verdict), (3, Verdict::Truncated));
}

/// Keeps what it hears.
#[derive(Default)]
struct Ears {
    heard: Mutex<Vec<(Stream, Vec<u8>, Instant)>>,
    most: Option<usize>,
}

impl Watcher for Ears {
    fn wrote(&self, stream: Stream, bytes: &[u8]) -> bool {
        let mut heard = self.heard.lock().unwrap();
        heard.push((stream, bytes.to_vec(), Instant::now()));
        self.most.is_none_or(|most| heard.len() < most)
    }
    fn takes_output(&self) -> bool {
        true
    }
}

#[test]
fn a_watcher_hears_while_it_runs_and_may_have_enough() {
    let world = World::new();
    let id = world.empty();
    let ears = Ears::default();
    let result = world.agent.exec(
        &world.caller,
        &id,
        &sh("echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three; exit 5"),
        &Cancel::new(),
        &ears,
    );
    let result = result.unwrap();
    assert_eq!((result.exit_code, result.stdout.len(), result.truncated), (5, 0, [0, 0]));
    let heard = ears.heard.into_inner().unwrap();
    let words: Vec<_> = heard.iter().map(|(stream, bytes, _)| (*stream, String::from_utf8_lossy(bytes).into_owned())).collect();
    assert_eq!(words, [(Stream::Stdout, "one\n".into()), (Stream::Stderr, "two\n".into()), (Stream::Stdout, "three\n".into())]);
    assert!(heard[2].2.duration_since(heard[0].2) > Duration::from_millis(400));
    let ears = Ears { most: Some(2), ..Ears::default() };
    let started = Instant::now();
    let result = world.agent.exec(&world.caller, &id, &sh("while echo x; do sleep 0.05; done"), &Cancel::new(), &ears).unwrap();
    assert_eq!(result.verdict, Verdict::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn w33_a_timeout_keeps_what_was_written_and_leaves_nothing_behind() {
    let world = World::new();
    let id = world.empty();
    // A child in a session of its own, an orphan of it, and one that closes its output.
    let command =
        "echo partial; echo problem >&2; (setsid sh -c 'sleep 1111 & sleep 1112' & ) ; setsid sleep 1113 >/dev/null 2>&1 & sleep 1114";
    let started = Instant::now();
    let result = world.exec(&id, &Exec { timeout_ms: Some(400), ..sh(command) });
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((result.stdout.as_slice(), result.stderr.as_slice()), (&b"partial\n"[..], &b"problem\n"[..]));
    assert_eq!((result.verdict, result.exit_code), (Verdict::TimedOut, -1));
    assert_eq!(world.says(&id, "ps -eo args 2>/dev/null | grep -c '[s]leep 111' || true"), "0\n");
    // A command that left somebody behind has ended all the same, and what it left lives on.
    let started = Instant::now();
    assert_eq!(world.says(&id, "sleep 2222 & echo left"), "left\n");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(world.says(&id, "ps -eo args | grep -c '[s]leep 2222'"), "1\n");
}

#[test]
fn a_command_is_cancelled() {
    let world = World::new();
    let id = world.empty();
    let cancel = Cancel::new();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| world.agent.exec(&world.caller, &id, &sh("echo begun; sleep 3333"), &cancel, &NoWatcher));
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel();
        running.join().unwrap().unwrap()
    });
    assert_eq!((result.verdict, result.stdout.as_slice()), (Verdict::Cancelled, &b"begun\n"[..]));
    let refused = world.agent.exec(&world.caller, &id, &sh("true"), &cancel, &NoWatcher);
    assert_eq!(refused.unwrap_err(), AgentError::Cancelled);
}

#[test]
fn w37_w38_one_set_of_namespaces_until_it_stops() {
    let world = World::new();
    let id = world.empty();
    world.says(&id, "echo note > /tmp/note; sleep 4444 & ");
    assert_eq!(world.says(&id, "cat /tmp/note; ps -eo args | grep -c '[s]leep 4444'"), "note\n1\n");
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| world.sh(&id, "echo begun; sleep 5555"));
        std::thread::sleep(Duration::from_millis(300));
        world.agent.stop(&world.caller, &id).unwrap();
        running.join().unwrap()
    });
    assert_eq!((result.verdict, result.stdout.as_slice()), (Verdict::Lost, &b"begun\n"[..]));
    // The kernel takes a moment to end everything of a killed namespace.
    let until = Instant::now() + Duration::from_secs(10);
    while host_runs("sleep\x004444") || host_runs("sleep\x005555") {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    world.agent.start(&world.caller, &id).unwrap();
    assert_eq!(world.says(&id, "ls /tmp; ps -eo args | grep -c '[s]leep' || true"), "0\n");
}

/// Whether a process of the host has this in its command line.
fn host_runs(words: &str) -> bool {
    let holds = |entry: std::fs::DirEntry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.windows(words.len()).any(|part| part == words.as_bytes()))
    };
    std::fs::read_dir("/proc").unwrap().flatten().any(holds)
}

#[test]
fn many_commands_at_once_are_not_mixed() {
    let world = World::new();
    let id = world.empty();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (world, id) = (&world, &id);
            scope.spawn(move || {
                for round in 0..20 {
                    let result = world.sh(id, &format!("for i in 1 2 3; do echo {thread}-{round}; done; exit {thread}"));
                    assert_eq!(String::from_utf8_lossy(&result.stdout), format!("{thread}-{round}\n").repeat(3));
                    assert_eq!(result.exit_code, thread);
                }
            });
        }
    });
}

#[test]
fn w08_limits_hold() {
    use enclos_agent::api::Resources;
    let world = World::new();
    let resources = Resources { memory_bytes: Some(64 << 20), pids_limit: Some(20), disk_bytes: Some(8 << 20), ..Resources::default() };
    let id = world.start(&NewSandbox { resources, ..NewSandbox::default() });
    let result = world.sh(&id, "python3 -c 'x = bytearray(200 << 20); print(len(x))'");
    // Without control groups each process is bounded by itself, and told so by its own allocator.
    let killed = (result.verdict, result.exit_code) == (Verdict::OutOfMemory, 137);
    let refused = String::from_utf8_lossy(&result.stderr).contains("MemoryError");
    assert!(if is_root() { killed } else { killed || refused }, "{result:?}");
    assert_eq!(world.sh(&id, "false").verdict, Verdict::Ended, "what happened before is none of its");
    let result = world.sh(&id, "for i in $(seq 40); do sleep 1 & done; echo all");
    assert!(String::from_utf8_lossy(&result.stderr).to_lowercase().contains("fork"), "{result:?}");
    std::thread::sleep(Duration::from_millis(1500));
    let result = world.sh(&id, "head -c 20000000 /dev/zero > /tmp/big");
    assert_ne!(result.exit_code, 0);
    assert!(String::from_utf8_lossy(&result.stderr).contains("No space left"), "{result:?}");
}

#[test]
fn run_makes_and_destroys() {
    let world = World::new();
    let codebase = world.codebase(&[("f", "text\n")]);
    let new = NewSandbox { codebase_id: Some(codebase), rules: crate::world::all(), ..NewSandbox::default() };
    let result = world.agent.run(&world.caller, &new, &sh("cat f; exit 9"), &Cancel::new(), &NoWatcher).unwrap();
    assert_eq!((result.stdout.as_slice(), result.exit_code), (&b"text\n"[..], 9));
    let left = world.agent.sandboxes(&world.caller, &Default::default(), &Default::default()).unwrap().items;
    assert_eq!(left, []);
    let bad = world.agent.run(&world.caller, &new, &sh(""), &Cancel::new(), &NoWatcher);
    assert!(matches!(bad, Err(AgentError::Invalid { .. })));
}
