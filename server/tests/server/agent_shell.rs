//! `enclos agent shell` and `enclos agent image`: what a user sees, on a terminal and off it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::world::PROGRAM;

/// A project, and state of its own.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(files: &[(&str, &str)]) -> World {
        let world = World { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.project("")).unwrap();
        for (path, text) in files {
            let path = world.project(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        world
    }

    fn project(&self, path: &str) -> PathBuf {
        self.directory.path().join("project").join(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.project(path)).unwrap_or_else(|error| error.kind().to_string())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "shell"]).arg(self.project("")).arg("--state").arg(self.directory.path().join("state"));
        if !rustix::process::geteuid().is_root() {
            // An ordinary user may have no control group of its own.
            command.arg("--best-effort");
        }
        command.args(words);
        command
    }

    fn run(&self, words: &[&str], stdin: &str) -> Output {
        let mut child = self.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        self.nothing_stays();
        output
    }

    fn on_terminal(&self, words: &[&str]) -> Screen {
        Screen::of(self.command(words))
    }

    /// The directory of the run is gone.
    fn nothing_stays(&self) {
        let home = self.directory.path().join("state/agent-shell");
        let left = std::fs::read_dir(&home).unwrap().flatten().filter(|entry| entry.file_name() != "kept").count();
        assert_eq!(left, 0, "{home:?}");
    }
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A terminal with the program on it.
pub struct Screen {
    master: OwnedFd,
    terminal: File,
    child: Child,
    seen: String,
}

impl Screen {
    /// A program on a terminal of 31 rows and 97 columns.
    pub fn of(mut command: Command) -> Screen {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&master, window(31, 97)).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).env("TERM", "dumb").spawn().unwrap();
        Screen { master, terminal, child, seen: String::new() }
    }

    pub fn type_in(&self, text: &str) {
        rustix::io::write(&self.master, text.as_bytes()).unwrap();
    }

    /// Reads until this is shown, after what was waited for before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} is not shown: {:?}", self.seen);
            let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
            if poll(&mut ready, Timespec::try_from(left).ok().as_ref()).unwrap() == 0 {
                continue;
            }
            let mut buffer = [0_u8; 4096];
            let count = rustix::io::read(&self.master, &mut buffer).unwrap();
            self.seen += &String::from_utf8_lossy(&buffer[..count]);
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit status; the terminal must be as it was.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(!self.is_raw(), "the terminal is not put back");
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it does not end: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_shell_on_a_terminal_changes_what_is_answered_with_yes() {
    let world = World::new(&[("a.txt", "one\n"), (".env", "SECRET=1\n"), ("run.sh", "#!/bin/sh\n")]);
    std::fs::set_permissions(world.project("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    let mut screen = world.on_terminal(&[]);
    screen.type_in("stty size; cat .env; echo rea''dy\n");
    screen.wait_for("31 97");
    screen.wait_for("No such file");
    screen.wait_for("ready");
    assert!(screen.is_raw());
    tcsetwinsize(&screen.master, window(40, 120)).unwrap();
    screen.signal(Signal::WINCH);
    screen
        .type_in("until stty size | grep 40; do sleep 0.05; done; echo two >> a.txt; echo true >> run.sh; echo made > made.txt; exit 4\n");
    screen.wait_for("40 120");
    screen.wait_for("[d]iff/[s]elect");
    assert!(!screen.is_raw());
    assert_eq!((world.read("a.txt"), world.read("made.txt")), ("one\n".to_owned(), "entity not found".to_owned()));
    screen.type_in("d\n");
    screen.wait_for("+two");
    screen.wait_for("[d]iff/[s]elect");
    screen.type_in("y\n");
    screen.wait_for("3 changes kept");
    assert_eq!(screen.ended(), 4);
    assert_eq!((world.read("a.txt"), world.read("made.txt")), ("one\ntwo\n".to_owned(), "made\n".to_owned()));
    assert_eq!(std::fs::metadata(world.project("run.sh")).unwrap().permissions().mode() & 0o7777, 0o755);
    world.nothing_stays();
}

#[test]
fn changes_are_chosen_one_by_one() {
    let world = World::new(&[("a", "a\n"), ("b", "b\n")]);
    let mut screen = world.on_terminal(&["--", "sh", "-c", "test -t 1 && echo A > a && echo B > b && mkdir .git && echo x > .git/config"]);
    screen.wait_for("[d]iff/[s]elect");
    screen.type_in("s\n");
    // Sorted: .git, .git/config, a, b.
    for answer in ["n\n", "n\n", "y\n", "q\n"] {
        screen.wait_for("none that follow");
        screen.type_in(answer);
    }
    assert_eq!(screen.ended(), 0);
    assert_eq!((world.read("a"), world.read("b")), ("A\n".to_owned(), "b\n".to_owned()));
    assert!(!world.project(".git").exists());
}

#[test]
fn a_terminal_is_put_back_after_a_signal_and_nothing_is_lost() {
    let world = World::new(&[("a", "a\n")]);
    let mut screen = world.on_terminal(&[]);
    screen.type_in("echo changed > a; echo rea''dy\n");
    screen.wait_for("ready");
    screen.signal(Signal::TERM);
    screen.wait_for("nobody answers: changed files lie in ");
    assert_eq!(screen.ended(), 128 + 15);
    assert_eq!(world.read("a"), "a\n");
    let kept = std::fs::read_dir(world.directory.path().join("state/agent-shell/kept")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(kept.path().join("a")).unwrap(), "changed\n");
    world.nothing_stays();
}

#[test]
fn a_command_has_our_streams_and_we_have_its_status() {
    let world = World::new(&[("a", "a\n")]);
    let output = world.run(&["--", "sh", "-c", "cat; echo oops >&2; echo changed > a; exit 7"], "typed\0in");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"typed\0in"[..]));
    assert!(stderr.starts_with("oops\n") && stderr.contains("1 changes are not kept: there is no terminal to ask on"), "{stderr}");
    assert_eq!(world.read("a"), "a\n");
    // Without a command, the shell reads its commands.
    let output = world.run(&["--accept", "all"], "echo from $PWD; echo changed > a; exit 5\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(5), &b"from /workspace\n"[..]));
    assert_eq!(world.read("a"), "changed\n");
    assert_eq!(world.run(&["--", "/does/not/exist"], "").status.code(), Some(127));
    assert_eq!(world.run(&["--timeout", "200ms", "--", "sleep", "60"], "").status.code(), Some(137));
}

#[test]
fn what_is_denied_or_acted_upon_outside_does_not_come_back() {
    let world = World::new(&[("docs/a", "a\n"), ("src/b", "b\n"), (".git/config", "x\n")]);
    let script =
        "echo no > docs/a; echo yes > src/b; echo fsmonitor > .git/config; ln -s /etc/passwd link; mkfifo pipe; rm -f docs/a; exit 0\n";
    let output = world.run(&["--accept", "all", "--rule", "docs/**=read"], script);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        (world.read("docs/a"), world.read("src/b"), world.read(".git/config")),
        ("a\n".to_owned(), "yes\n".to_owned(), "x\n".to_owned())
    );
    assert!(!world.project("link").is_symlink() && !world.project("pipe").exists());
    for part in [".git/config is held back", "link is held back", "pipe stays in the sandbox", "1 changes kept"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    // Nothing of it may be changed at all.
    let output = world.run(&["--accept", "all", "--preset", "read-only"], "echo x > src/b || exit 9\n");
    assert_eq!((output.status.code(), world.read("src/b")), (Some(9), "yes\n".to_owned()));
}

#[test]
fn images_are_added_listed_and_removed() {
    let world = World::new(&[("etc/name", "image\n")]);
    let image = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "image"]).args(words).arg("--state").arg(world.directory.path().join("state"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = image(&["add", "demo:1", world.project("").to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = image(&["ls", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&list["images"][0]["name"], &list["images"][0]["source"]), (&"demo:1".into(), &"directory".into()));
    let (code, text) = image(&["add", "demo:1", world.project("").to_str().unwrap()]);
    assert_eq!(
        (code, &text[..]),
        (Some(125), "enclos agent: image \"demo:1\" is there already: remove it first, or choose another name\n")
    );
    assert_eq!(image(&["rm", "demo:1"]), (Some(0), String::new()));
    let (code, text) = image(&["rm", "demo:1"]);
    assert_eq!((code, &text[..]), (Some(125), "enclos agent: image \"demo:1\" is not known\n"));
}

#[test]
fn what_is_wrong_is_one_line() {
    let world = World::new(&[]);
    let output = world.run_bare(&["agent", "shell", "/does/not/exist"]);
    assert_eq!(output, (Some(125), "enclos agent: /does/not/exist: No such file or directory (os error 2)\n".to_owned()));
    let output = world.run_bare(&["agent", "frobnicate"]);
    assert!(output.0 == Some(125) && output.1.lines().count() == 1, "{output:?}");
}

impl World {
    fn run_bare(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut child = Command::new(PROGRAM).args(words).stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    }
}
