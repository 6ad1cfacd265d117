//! Shells that last.

use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, AgentError, Cancel, NewSession, NoWatcher, PageRequest, SessionStatus, Verdict};

use crate::world::World;

const LONG: Duration = Duration::from_secs(20);
const SHELLS: [&str; 3] = ["/bin/sh", "/bin/bash", "/bin/busybox-sh"];

/// A session of each shell there is; busybox is called by a name of its own, so that it is the shell.
fn with_each(name: &str, act: impl Fn(&World, &str, &str)) {
    let world = World::new();
    let id = world.empty();
    world.says(&id, "mkdir bin; cp /bin/busybox bin/sh 2>/dev/null || cp /usr/bin/busybox bin/sh 2>/dev/null || true");
    for shell in SHELLS {
        let path = if shell.ends_with("busybox-sh") { "/workspace/bin/sh" } else { shell };
        if world.sh(&id, &format!("test -x {path}")).exit_code != 0 {
            println!("SKIP: {name}: no {shell}");
            continue;
        }
        let session = world.session(&id, path);
        act(&world, &session, shell);
        let closed = world.agent.destroy_session(&world.caller, &session);
        assert!(closed.is_ok(), "{shell}: {closed:?}");
    }
}

#[test]
fn w34_every_command_returns_promptly_with_exact_bytes() {
    with_each("w34_every_command_returns_promptly_with_exact_bytes", |world, session, shell| {
        let cases: &[(&str, &str, i32)] = &[
            ("printf 'no newline'", "no newline", 0),
            ("# a comment", "", 0),
            ("echo 'unclosed", "", 2),
            ("cat <<EOF\nhere\nEOF", "here\n", 0),
            ("cat <<EOF\nopen", "open", 0),
            ("read line; echo \"<$line>\"", "<>\n", 0),
            ("sleep 30 &", "", 0),
            ("echo one\necho two\n", "one\ntwo\n", 0),
            ("  printf '  white space\\t '  ", "  white space\t ", 0),
            ("if", "", 2),
            ("(exit 42)", "", 42),
            ("echo $?", "42\n", 0),
            ("false", "", 1),
            ("printf '\\377\\000x' | od -An -tx1 | tr -d ' \\n'", "ff0078", 0),
            ("for i in 1 2; do echo $i; done", "1\n2\n", 0),
            ("a() { return 7; }; a", "", 7),
            ("cat", "", 0),
            ("exec 5</etc/passwd; head -c 4 <&5", "root", 0),
            ("alias command=false printf=false; echo alias", "alias\n", 0),
            ("echo alias again", "alias again\n", 0),
            ("break; continue; echo still", "still\n", 0),
        ];
        for (command, stdout, code) in cases {
            let started = Instant::now();
            let result = world.in_session(session, command, LONG);
            let text = String::from_utf8_lossy(&result.stdout).into_owned();
            // Whether the last line of an open here-document ends is the shell's affair.
            let text = if *command == "cat <<EOF\nopen" { text.trim_end().to_owned() } else { text };
            assert_eq!(
                (text.as_str(), result.exit_code, result.verdict),
                (*stdout, *code, Verdict::Ended),
                "{shell}: {command:?}: {result:?}"
            );
            assert!(started.elapsed() < Duration::from_secs(5), "{shell}: {command:?} took {:?}", started.elapsed());
        }
        let both = world.in_session(session, "echo out; echo err >&2", LONG);
        assert_eq!((both.stdout.as_slice(), both.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]), "{shell}");
        // Last: bash 5.2.15 damages its own memory by this, and falls over some commands later.
        let result = world.in_session(session, "echo \"$(", LONG);
        assert_eq!((result.stdout.as_slice(), result.exit_code), (&b""[..], 2), "{shell}");
    });
}

#[test]
fn state_lasts_from_command_to_command() {
    with_each("state_lasts_from_command_to_command", |world, session, shell| {
        let says = |command: &str| String::from_utf8_lossy(&world.in_session(session, command, LONG).stdout).into_owned();
        assert_eq!(says("pwd"), "/workspace\n", "{shell}");
        says("mkdir -p there; cd there; export SHOWN=1; plain=2; set -- a b; f() { echo function; }");
        assert_eq!(says("pwd; echo $plain $2; f; sh -c 'echo $SHOWN$plain'"), "/workspace/there\n2 b\nfunction\n1\n", "{shell}");
        says("cd ..; rmdir there");
    });
}

#[test]
fn w34_a_shell_that_ends_closes_its_session() {
    with_each("w34_a_shell_that_ends_closes_its_session", |world, first, shell| {
        let sandbox = world.agent.session(&world.caller, first).unwrap().sandbox_id;
        let path = world.agent.session(&world.caller, first).unwrap().shell;
        for (command, code) in [("echo last; exit 7", 7), ("echo last; exec sh -c 'exit 8'", 8), ("echo last; kill -9 $$", 137)] {
            let session = world.session(&sandbox, &path);
            let started = Instant::now();
            let result = world.in_session(&session, command, LONG);
            assert_eq!((result.stdout.as_slice(), result.exit_code), (&b"last\n"[..], code), "{shell}: {command}");
            assert!(started.elapsed() < Duration::from_secs(5), "{shell}: {command}");
            let closed = world.agent.session(&world.caller, &session).unwrap();
            assert_eq!((closed.status, closed.exit_code), (SessionStatus::Closed, Some(code)), "{shell}: {command}");
            assert!(closed.closed_at.is_some());
            let refused = world.agent.session_exec(&world.caller, &session, "true", None, &Cancel::new(), &NoWatcher);
            assert_eq!(refused.unwrap_err(), AgentError::SessionClosed);
        }
        // One that ends while nobody looks is found closed.
        let session = world.session(&sandbox, &path);
        let pid = String::from_utf8_lossy(&world.in_session(&session, "printf $$", LONG).stdout).into_owned();
        world.says(&sandbox, &format!("kill -9 {pid}"));
        let until = Instant::now() + Duration::from_secs(5);
        while world.agent.session(&world.caller, &session).unwrap().status == SessionStatus::Active {
            assert!(Instant::now() < until, "{shell}");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn w35_no_program_can_say_how_a_command_ended() {
    with_each("w35_no_program_can_say_how_a_command_ended", |world, session, shell| {
        // Every descriptor there is, those of the shell above, and everything the shell wrote down.
        let attack = "history 2>/dev/null; set | grep -a __enclos
            sh -c 'for fd in /proc/self/fd/* /proc/$PPID/fd/*; do case $(readlink $fd) in socket*) echo socket $fd; echo 0 > $fd; printf \"0\\n\" >> $fd;; esac; done; for n in 3 4 5 6 7 8 9; do eval \"printf \\\"0\\\\n\\\" >&$n\"; done' 2>/dev/null
            python3 -c 'import os, glob
for path in glob.glob(\"/proc/%d/fd/*\" % os.getppid()):
    try:
        os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), b\"0\\n\") if os.readlink(path).startswith(\"socket\") else None
    except OSError: pass
for fd in range(3, 1024):
    try: os.write(fd, b\"0\\n\")
    except OSError: pass'
            echo 0; false";
        let result = world.in_session(session, attack, LONG);
        assert_eq!((result.exit_code, result.verdict), (1, Verdict::Ended), "{shell}: {result:?}");
        let after = world.in_session(session, "echo after; exit_code() { return 3; }; exit_code", LONG);
        assert_eq!((after.stdout.as_slice(), after.exit_code), (&b"after\n"[..], 3), "{shell}");
    });
}

#[test]
fn w36_commands_of_one_session_wait_for_each_other() {
    with_each("w36_commands_of_one_session_wait_for_each_other", |world, session, shell| {
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let result =
                        world.in_session(session, &format!("echo begin {number}; sleep 0.05; echo end {number}; (exit {number})"), LONG);
                    let wanted = format!("begin {number}\nend {number}\n");
                    assert_eq!((String::from_utf8_lossy(&result.stdout).as_ref(), result.exit_code), (wanted.as_str(), number), "{shell}");
                });
            }
        });
        // Who waits can give up.
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let long = scope.spawn(|| world.in_session(session, "sleep 1; echo done", LONG));
            std::thread::sleep(Duration::from_millis(200));
            let waiting = scope.spawn(|| world.agent.session_exec(&world.caller, session, "echo never", None, &cancel, &NoWatcher));
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err(), AgentError::Cancelled);
            assert_eq!(long.join().unwrap().stdout, b"done\n");
        });
    });
}

#[test]
fn a_timeout_ends_the_command_and_not_the_shell() {
    with_each("a_timeout_ends_the_command_and_not_the_shell", |world, session, shell| {
        world.in_session(session, "kept=kept; sleep 6666 &", LONG);
        std::thread::sleep(Duration::from_millis(50));
        for command in [
            "echo begun; sleep 7777",
            "echo begun; while true; do sleep 0.01; done",
            "echo begun; while :; do :; done",
            "echo begun; (sleep 7777 | cat)",
        ] {
            let started = Instant::now();
            let result = world.in_session(session, command, Duration::from_millis(300));
            assert_eq!(
                (result.verdict, result.exit_code, result.stdout.as_slice()),
                (Verdict::TimedOut, -1, &b"begun\n"[..]),
                "{shell}: {command}"
            );
            assert!(started.elapsed() < Duration::from_secs(4), "{shell}: {command}");
            let after = world.in_session(session, "echo $kept", LONG);
            assert_eq!(after.stdout, b"kept\n", "{shell}: {command}");
        }
        let sandbox = world.agent.session(&world.caller, session).unwrap().sandbox_id;
        assert_eq!(world.says(&sandbox, "ps -eo args | grep -c '[s]leep 7777' || true"), "0\n", "{shell}");
        // What an earlier command left behind is none of this one's.
        assert_eq!(world.says(&sandbox, "ps -eo args | grep -c '[s]leep 6666'"), "1\n", "{shell}");
    });
}

#[test]
fn destroying_a_session_ends_what_its_shell_started() {
    with_each("destroying_a_session_ends_what_its_shell_started", |world, first, shell| {
        let known = world.agent.session(&world.caller, first).unwrap();
        let session = world.session(&known.sandbox_id, &known.shell);
        world.in_session(&session, "sleep 8888 & (setsid sleep 8889 &) ; sh -c 'sleep 8890 & sleep 8891 &'", LONG);
        let running = std::thread::scope(|scope| {
            let running = scope.spawn(|| world.in_session(&session, "sleep 8892", LONG));
            std::thread::sleep(Duration::from_millis(200));
            world.agent.destroy_session(&world.caller, &session).unwrap();
            running.join().unwrap()
        });
        assert_eq!(running.verdict, Verdict::Lost, "{shell}");
        assert_eq!(world.says(&known.sandbox_id, "ps -eo args | grep -c '[s]leep 88' || true"), "0\n", "{shell}");
        assert_eq!(world.agent.session(&world.caller, &session).unwrap().status, SessionStatus::Closed);
        // Again is no fault.
        world.agent.destroy_session(&world.caller, &session).unwrap();
    });
}

#[test]
fn sessions_are_listed_and_end_with_their_sandbox() {
    let world = World::new();
    let (one, two) = (world.empty(), world.empty());
    let sessions: Vec<String> = (0..3).map(|_| world.session(&one, "")).collect();
    world.session(&two, "");
    let list = |sandbox: &str| world.agent.sessions(&world.caller, sandbox, &PageRequest::default()).unwrap().items;
    assert_eq!(list(&one).iter().map(|session| session.id.clone()).collect::<Vec<_>>(), sessions);
    assert!(list(&one).iter().all(|session| session.shell == "/bin/sh" && session.status == SessionStatus::Active && !session.terminal));
    world.agent.stop(&world.caller, &one).unwrap();
    assert!(list(&one).iter().all(|session| session.status == SessionStatus::Closed));
    let bob = crate::world::caller("bob");
    assert_eq!(world.agent.session(&bob, &sessions[0]).unwrap_err(), AgentError::not_found("session", sessions[0].clone()));
    world.agent.destroy(&world.caller, &one).unwrap();
    assert_eq!(world.agent.session(&world.caller, &sessions[0]).unwrap_err(), AgentError::not_found("session", sessions[0].clone()));
}

#[test]
fn what_is_no_shell_is_refused() {
    let world = World::new();
    let id = world.empty();
    let told = |new: NewSession| world.agent.create_session(&world.caller, &id, &new).unwrap_err().to_string();
    for (shell, start) in [
        ("/bin/none", "shell: /bin/none: command not found"),
        ("/bin/true", "shell: \"/bin/true\" has ended at once"),
        ("/etc/passwd", "shell: /etc/passwd: cannot be executed"),
    ] {
        let error = told(NewSession { shell: shell.to_owned(), ..NewSession::default() });
        assert!(error.starts_with(start), "{error}");
    }
    let error = told(NewSession { workdir: Some("nowhere".to_owned()), ..NewSession::default() });
    assert!(error.starts_with("workdir: "), "{error}");
    let env = [("GREETING".to_owned(), "it's".to_owned())].into();
    let session = world.agent.create_session(&world.caller, &id, &NewSession { env, ..NewSession::default() }).unwrap();
    assert_eq!(world.in_session(&session.id, "echo $GREETING", LONG).stdout, b"it's\n");
}

#[test]
fn a_large_command_and_a_large_answer() {
    with_each("a_large_command_and_a_large_answer", |world, session, shell| {
        let text = "x'y\n".repeat(20_000);
        let command = format!("cat <<'END'\n{text}END\n");
        let result = world.in_session(session, &command, LONG);
        assert!(result.stdout == text.as_bytes(), "{shell}: {} bytes", result.stdout.len());
        let result = world.in_session(session, "head -c 5000000 /dev/zero", LONG);
        assert_eq!((result.stdout.len(), result.truncated), (5_000_000, [0, 0]), "{shell}");
    });
}

#[test]
fn a_terminal_is_the_callers_and_one_holder_has_it() {
    use std::io::{Read, Write};
    let world = World::new();
    let id = world.empty();
    let new = NewSession { terminal: Some((40, 123)), ..NewSession::default() };
    let session = world.agent.create_session(&world.caller, &id, &new).unwrap();
    assert!(session.terminal && session.status == SessionStatus::Active);
    let terminal = world.agent.attach(&world.caller, &session.id).unwrap();
    let refused = world.agent.attach(&world.caller, &session.id).unwrap_err();
    assert!(matches!(&refused, AgentError::Precondition(why) if why.contains("somebody is attached")), "{refused}");
    let refused = world.agent.session_exec(&world.caller, &session.id, "true", None, &Cancel::new(), &NoWatcher).unwrap_err();
    assert!(matches!(&refused, AgentError::Precondition(why) if why.contains("attach")), "{refused}");
    let mut master = &terminal.master;
    master.write_all(b"stty size; tty; echo $TERM; exit 6\n").unwrap();
    let mut shown = Vec::new();
    let mut buffer = [0; 1024];
    // The end of the terminal is EIO.
    while let Ok(count) = master.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
        if count == 0 {
            break;
        }
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("40 123\r\n") && shown.contains("/dev/pts/") && shown.contains("xterm-256color\r\n"), "{shown}");
    let until = Instant::now() + Duration::from_secs(5);
    while world.agent.session(&world.caller, &session.id).unwrap().status == SessionStatus::Active {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(world.agent.session(&world.caller, &session.id).unwrap().exit_code, Some(6));
    assert!(matches!(world.agent.attach(&world.caller, &session.id), Err(AgentError::SessionClosed)));

    let new = NewSession { terminal: Some((24, 80)), argv: vec!["cat".to_owned()], ..NewSession::default() };
    let session = world.agent.create_session(&world.caller, &id, &new).unwrap();
    drop(world.agent.attach(&world.caller, &session.id).unwrap());
    drop(world.agent.attach(&world.caller, &session.id).unwrap());
    world.agent.destroy_session(&world.caller, &session.id).unwrap();
    assert_eq!(world.says(&id, "ps -eo args | grep -c '^[c]at' || true"), "0\n");
    for (new, start) in [
        (NewSession { terminal: Some((0, 80)), ..NewSession::default() }, "terminal: "),
        (NewSession { argv: vec!["cat".to_owned()], ..NewSession::default() }, "argv: "),
        (
            NewSession { terminal: Some((24, 80)), argv: vec!["none-such".to_owned()], ..NewSession::default() },
            "shell: none-such: command not found",
        ),
    ] {
        let error = world.agent.create_session(&world.caller, &id, &new).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
}
