//! What commands of living sandboxes have beside their streams: terminals, extra descriptors, limits of their own, and an end for all of a command's descendants.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use enclos_sandbox::spec::{Policy, Verdict};
use enclos_sandbox::{Command, Sandbox, Stdio};

use crate::warm::launcher;

/// The same in a sandbox made from the start, and in one of a template.
fn in_both(act: impl Fn(&Sandbox)) {
    act(&Sandbox::create(&Policy::default()).unwrap());
    let launcher = launcher();
    act(&launcher.living_template(&Policy::default(), None).unwrap().sandbox(None).unwrap());
}

fn says(sandbox: &Sandbox, script: &str) -> String {
    String::from_utf8_lossy(&sandbox.command("sh").args(["-c", script]).output().unwrap().stdout).into_owned()
}

/// Reads until this text has come.
fn until(file: &mut impl Read, wanted: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0; 256];
    while !seen.contains(wanted) {
        let read = file.read(&mut piece).unwrap_or(0);
        assert!(read > 0, "{wanted:?} never came: {seen:?}");
        seen += &String::from_utf8_lossy(&piece[..read]);
    }
    seen
}

#[test]
fn the_caller_holds_the_other_end_of_a_private_terminal() {
    in_both(|sandbox| {
        let mut command = sandbox.command("sh");
        let mut child = command.args(["-i"]).env("PS1", "ready> ").terminal(30, 90).spawn().unwrap();
        let mut screen = child.terminal().unwrap();
        until(&mut screen, "ready> ");
        screen.write_all(b"stty size; tty\n").unwrap();
        let shown = until(&mut screen, "/dev/pts/");
        assert!(shown.contains("30 90"), "{shown}");
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&screen, size).unwrap();
        screen.write_all(b"stty size; sleep 60\n").unwrap();
        until(&mut screen, "40 120");
        // Ctrl-C ends the program in front, not the shell.
        std::thread::sleep(Duration::from_millis(200));
        screen.write_all(b"\x03").unwrap();
        screen.write_all(b"echo $?-still-here\n").unwrap();
        until(&mut screen, "130-still-here");
        screen.write_all(b"exit 5\n").unwrap();
        assert_eq!(child.wait().unwrap().status.code(), Some(5));
    });
    assert!(Command::new("sh").terminal(24, 80).spawn().unwrap_err().to_string().contains("terminal"));
}

#[test]
fn a_command_that_is_not_there_has_no_terminal() {
    in_both(|sandbox| {
        assert_eq!(sandbox.command("no-such").terminal(24, 80).spawn().unwrap_err().exit_code(), 127);
    });
}

#[test]
fn extra_descriptors_begin_at_three() {
    in_both(|sandbox| {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        // Once by the process that may be parked, once by another.
        for _ in 0..2 {
            let ((first, first_end), (second, second_end)) = (pipe(), pipe());
            let mut command = sandbox.command("sh");
            command.args(["-c", "echo three >&3; echo four >&4; ls /proc/self/fd | wc -l"]).descriptor(first_end).descriptor(second_end);
            let output = command.output().unwrap();
            drop(command);
            // Three streams, two more, and the directory that ls reads.
            assert_eq!(String::from_utf8_lossy(&output.stdout), "6\n");
            let read = |fd: OwnedFd| {
                let mut text = String::new();
                std::fs::File::from(fd).read_to_string(&mut text).unwrap();
                text
            };
            assert_eq!((read(first), read(second)), ("three\n".to_owned(), "four\n".to_owned()));
        }
        let mut many = sandbox.command("true");
        for _ in 0..3 {
            many.descriptor(pipe().0);
        }
        assert!(many.output().unwrap_err().to_string().contains("at most"));
    });
}

const DAEMONS: &str = "(setsid sh -c 'sleep 60 & sleep 60; :' > /dev/null 2>&1 &) ; sh -c 'sleep 60 & :' ; echo up; wait; sleep 60";

#[test]
fn a_tree_dies_and_its_neighbours_do_not() {
    in_both(|sandbox| {
        let mut neighbour = sandbox.command("sleep").arg("50").spawn().unwrap();
        let mut command = sandbox.command("sh");
        let mut child = command.args(["-c", DAEMONS]).stdout(Stdio::Piped).subreaper(true).spawn().unwrap();
        until(child.stdout.as_mut().unwrap(), "up");
        let host = child.host_pid().unwrap();
        assert!(std::fs::read_to_string(format!("/proc/{host}/status")).unwrap().contains("NSpid:"));
        assert_ne!(says(sandbox, "grep -l '^sleep' /proc/[0-9]*/comm | wc -l"), "1\n");
        child.kill_tree().unwrap();
        child.wait().unwrap();
        let left = "i=0; while [ $(grep -l '^sleep' /proc/[0-9]*/comm | wc -l) != 1 ]; do i=$((i+1)); [ $i -lt 100 ] || break; sleep 0.02; done; grep -h sleep /proc/[0-9]*/comm | wc -l";
        assert_eq!(says(sandbox, left), "1\n");
        assert!(!neighbour.has_ended());
        neighbour.kill_tree().unwrap();
        neighbour.wait().unwrap();
    });
}

#[test]
fn a_command_has_a_wall_clock_of_its_own() {
    in_both(|sandbox| {
        let start = Instant::now();
        let mut command = sandbox.command("sh");
        let output = command.args(["-c", DAEMONS]).wall(Duration::from_millis(300)).subreaper(true).output().unwrap();
        assert_eq!(output.report.verdict, Verdict::Idleness);
        assert_eq!(output.stdout, b"up\n");
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(says(sandbox, "sleep 0.3; grep -l '^sleep' /proc/[0-9]*/comm | wc -l"), "0\n");
    });
}
