//! `--tty`: a private terminal with job control and resize. The other end is driven by a Python script, `terminal.py`, which is what a
//! terminal emulator would be.

use std::process::Command;

use enclos_testkit::{Run, World};
use enclos_tests_e2e::both;

const DRIVER: &str = include_str!("terminal.py");

/// Runs the tool in a fresh terminal of 40 rows and 100 columns, does what `steps` say and gives back everything shown. `None`: no Python.
///
/// Steps, one a line: `expect TEXT` (waits until it was shown), `send TEXT` (with Python escapes), `resize ROWS COLS`, `end` (waits
/// for the end; shows `[exit N]` and `[modes same]` or `[modes changed]`).
fn in_terminal(test: &str, world: &World, flags: &[&str], command: &[&str], steps: &str) -> Option<String> {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        enclos_testkit::skip(test, "no /usr/bin/python3 to play the terminal");
        return None;
    }
    let driver = world.make_file("out/terminal.py", DRIVER.as_bytes());
    let words = Run::new(world).flags(flags.iter().copied()).command(command.iter().copied()).without_report().words();
    let mut python = Command::new("/usr/bin/python3");
    if let Some(uid) = world.who.switch_to() {
        use std::os::unix::process::CommandExt;
        python.uid(uid).gid(uid);
    }
    let output = python
        .arg(driver)
        .arg(steps)
        .args(words)
        .current_dir(world.path("work"))
        .env("ENCLOS_TEST_MARK", &world.mark)
        .env("TERM", "dumb")
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

both! {
    fn stdin_in_a_terminal_chooses_one(world) {
        let script = "test -t 0 && test -t 1 && test -t 2 && echo all three; tty; echo x > /dev/tty";
        if let Some(text) = in_terminal("stdin_in_a_terminal_chooses_one", world, &[], &["/bin/sh", "-c", script], "end") {
            assert!(text.contains("all three") && text.contains("/dev/pts/") && text.contains("[exit 0]"), "{text}");
        }
    }

    fn no_tty_refuses_one(world) {
        // The caller's terminal must not become the command's controlling one.
        if let Some(text) = in_terminal("no_tty_refuses_one", world, &["--no-tty"], &["/bin/sh", "-c", "(echo x > /dev/tty) 2>/dev/null && echo reached; echo end"], "end") {
            assert!(!text.contains("reached") && text.contains("end"), "{text}");
        }
    }

    fn tty_without_a_terminal_makes_one(world) {
        let outcome = Run::new(world).flags(["--tty"]).sh("test -t 0 && test -t 1 && echo yes").stdin(b"").output();
        assert_eq!((outcome.code, outcome.out().replace('\r', "").trim()), (Some(0), "yes"), "{}", outcome.describe());
    }

    fn size_and_resize_pass_through(world) {
        let script = "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done";
        let steps = "expect 40 100\nexpect ready\nresize 50 132\nexpect 50 132\nend";
        if let Some(text) = in_terminal("size_and_resize_pass_through", world, &["--tty"], &["/bin/sh", "-c", script], steps) {
            assert!(text.contains("[exit 5]"), "{text}");
        }
    }

    fn interrupt_and_end_of_file(world) {
        let steps = "expect ready\nsend \\x03\nend";
        if let Some(text) = in_terminal("interrupt_and_end_of_file", world, &[], &["/bin/sh", "-c", "echo ready; exec sleep 30"], steps) {
            assert!(text.contains("[exit 130]"), "{text}");
        }
        let steps = "expect ready\nsend hello\\n\nexpect hello\nsend \\x04\nend";
        if let Some(text) = in_terminal("interrupt_and_end_of_file", world, &[], &["/bin/sh", "-c", "echo ready; cat; echo after"], steps) {
            assert!(text.contains("after") && text.contains("[exit 0]"), "{text}");
        }
    }

    fn job_control(world) {
        let steps = "expect $ \nsend sleep 30\\n\nexpect sleep 30\nwait 0.4\nsend \\x1a\nexpect topped\nsend jobs\\n\nexpect topped\nsend fg\\n\nexpect sleep 30\nwait 0.4\nsend \\x03\nexpect $ \nsend echo was $?\\n\nexpect was 130\nsend exit 7\\n\nend";
        if let Some(text) = in_terminal("job_control", world, &["--tty", "--env", "PS1=$ "], &["/bin/bash", "--norc", "-i"], steps) {
            assert!(text.contains("[exit 7]") && !text.contains("no job control"), "{text}");
        }
    }

    fn the_modes_of_the_callers_terminal_come_back(world) {
        for script in ["stty raw -echo", "exit 3", "kill -9 $$"] {
            if let Some(text) = in_terminal("the_modes_of_the_callers_terminal_come_back", world, &[], &["/bin/sh", "-c", script], "end") {
                assert!(text.contains("[modes same]"), "{script}: {text}");
            }
        }
    }

    fn all_output_arrives_before_the_end(world) {
        if let Some(text) = in_terminal("all_output_arrives_before_the_end", world, &[], &["/bin/sh", "-c", "seq 1 20000"], "end") {
            assert!(text.contains("\n19999\n20000\n"), "{}", text.len());
        }
    }

    fn a_terminal_that_hangs_up_ends_the_run(world) {
        let steps = "expect ready\nhangup";
        if let Some(text) = in_terminal("a_terminal_that_hangs_up_ends_the_run", world, &[], &["/bin/sh", "-c", "echo ready; sleep 30; true"], steps) {
            assert!(text.contains("[gone]"), "{text}");
        }
    }
}
