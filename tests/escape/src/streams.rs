//! Through what the command holds: a log, an output file, the caller's terminal.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use enclos_spec::Verdict;

use crate::attempt::{held_if, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "log_overwritten_through_its_descriptor",
        threat: "H13: a log given to append to: O_APPEND taken off by fcntl, then pwrite and ftruncate on the descriptor itself",
        expected: "the command holds a pipe; what stood there before still stands",
        control: Control::OpenAsUser,
        attempt: log_overwritten,
    },
    Attempt {
        name: "output_file_opened_to_others",
        threat: "H26: fchmod of the caller's output file to 0666 or 04755, a lock on it, another time",
        expected: "mode, times and locks of the file are out of reach, for stdout and stderr, with and without the filter",
        control: Control::OpenAsUser,
        attempt: output_opened,
    },
    Attempt {
        name: "input_file_changed",
        threat: "H26: the same on a file given as stdin",
        expected: "content unchanged; as root the mode too; with the caller's own id the mode is the command's to change, but for set-id bits (see \"The caller's own id\")",
        control: Control::Without("states what is not claimed"),
        attempt: input_changed,
    },
    Attempt {
        name: "limits_of_a_file_hold_behind_the_pipe",
        threat: "H7: --file-size, where not the command but the tool writes the file",
        expected: "OUTPUT_LIMIT, the file no larger than the limit",
        control: Control::Without("about our own relays"),
        attempt: |stage| {
            let file = stage.world.text("out/flood");
            let outcome = stage.probe(&["--file-size", "1M", "--stdout", &file], &["flood", "1", "64"]);
            let size = std::fs::metadata(&file).map_or(0, |meta| meta.len());
            verdict_among(&outcome, &[Verdict::OutputLimit]).and(|| held_if(size <= 1 << 20 && size > 0, format!("{size} bytes")))
        },
    },
    Attempt {
        name: "output_flood_into_a_terminal",
        threat: "H7: --output, where the output is a private terminal",
        expected: "OUTPUT_LIMIT, no more shown than the limit",
        control: Control::Without("would flood the control run's terminal"),
        attempt: terminal_flooded,
    },
    Attempt {
        name: "terminal_held_as_output",
        threat: "H27: whoever holds the caller's terminal can read what is typed there",
        expected: "stdout and stderr are pipes where the caller has a terminal, without a private one too",
        control: Control::OpenAsUser,
        attempt: |stage| {
            let text = in_terminal(stage, &["--no-tty"], "", &["readlink", "/proc/self/fd/1", "/proc/self/fd/2"]);
            let links: Vec<&str> = text.lines().filter_map(|line| line.split_once("-> ").map(|(_, target)| target.trim())).collect();
            held_if(links.len() == 2 && links.iter().all(|link| link.starts_with("pipe:")), format!("{links:?} {}", text.trim()))
        },
    },
    Attempt {
        name: "terminal_left_changed",
        threat: "H27: --no-tty: raw, without echo, another size, for itself alone, not blocking",
        expected: "as it was, when the run is over",
        control: Control::OpenAsUser,
        attempt: terminal_changed,
    },
    Attempt {
        name: "terminal_stopped",
        threat: "H27: --no-tty: tcflow(TCOOFF) stops the terminal's output, and the tool with it",
        expected: "the wall clock ends it, and what was written is shown",
        control: Control::Without("would stop the control run for ever"),
        attempt: terminal_stopped,
    },
];

/// What is printed when the tool is run in a terminal made by script(1), followed by `after`, a shell command.
fn in_terminal(stage: &Stage, flags: &[&str], after: &str, arguments: &[&str]) -> String {
    let run = stage.run(flags).probe(arguments).without_report();
    let quoted: Vec<String> = run.words().iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut command = Command::new("timeout");
    if let Some(uid) = stage.world.who.switch_to() {
        use std::os::unix::process::CommandExt;
        command.uid(uid).gid(uid);
    }
    let line = format!("stty -a; stty rows 40 cols 100; {}; echo ended $?; {after}", quoted.join(" "));
    let output = command
        .args(["-k", "2", "30", "script", "-q", "-e", "-c", &line, "/dev/null"])
        .current_dir(stage.world.path("work"))
        .env("SHELL", "/bin/sh")
        .env("ENCLOS_TEST_MARK", &stage.world.mark)
        .stdin(Stdio::null())
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).replace('\r', "")).unwrap_or_default()
}

fn no_script() -> Option<Seen> {
    let missing = ["script", "stty", "timeout"].into_iter().find(|name| enclos_testkit::find_program(&[name]).is_none())?;
    Some(Seen::Cannot(format!("no {missing}(1) to make and to look at a terminal")))
}

fn terminal_changed(stage: &Stage) -> Seen {
    if let Some(cannot) = no_script() {
        return cannot;
    }
    let text = in_terminal(stage, &["--no-tty"], "stty size; stty -a", &["tty", "raw"]);
    if !text.contains("tcsetattr = ok") {
        return Seen::Escaped(format!("it could not even try: {}", text.trim()));
    }
    let after = text.rsplit("ended ").next().unwrap_or("");
    let good =
        after.contains("40 100") && [" echo", " icanon", " isig", " opost"].iter().all(|mode| after.replace('\n', " ").contains(mode));
    held_if(good, format!("afterwards: {}", after.trim()))
}

fn terminal_flooded(stage: &Stage) -> Seen {
    if let Some(cannot) = no_script() {
        return cannot;
    }
    let report = stage.world.text("out/terminal.json");
    let text = in_terminal(stage, &["--tty", "--output", "20K", &format!("--report={report}")], "", &["flood", "1", "4"]);
    let shown = text.matches('x').count();
    let told = std::fs::read_to_string(&report).unwrap_or_default();
    held_if(
        shown > 10_000 && shown <= (20 << 10) + 200 && text.contains("ended 137") && told.contains("OUTPUT_LIMIT"),
        format!("{shown} bytes shown; {}", text.chars().filter(|c| *c != 'x').take(300).collect::<String>().replace('\n', " ")),
    )
}

fn terminal_stopped(stage: &Stage) -> Seen {
    if let Some(cannot) = no_script() {
        return cannot;
    }
    let started = std::time::Instant::now();
    let text = in_terminal(stage, &["--no-tty", "--wall", "700ms"], "", &["tty", "stop"]);
    let shown = text.matches("stopped").count();
    held_if(
        text.contains("ended 137") && shown > 100,
        format!("{shown} words shown, after {:?}: {}", started.elapsed(), text.rsplit('\n').take(3).collect::<Vec<_>>().join(" ")),
    )
}

fn log_overwritten(stage: &Stage) -> Seen {
    let path = stage.world.make_file("out/log", b"EARLIER\n");
    let log = path.display().to_string();
    let mut seen = Vec::new();
    for way in [&[][..], &["--seccomp", "none"], &["--landlock", "off"]] {
        let outcome = stage.run(way).under(["sh", "-c", "exec \"$@\" >>\"$0\"", &log]).probe(&["held", "1"]).output();
        let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        if !content.starts_with("EARLIER\n") || !outcome.err().contains("ftruncate") {
            return Seen::Escaped(format!("{way:?}: the log holds {content:?}; {}", outcome.err()));
        }
        seen.push(
            outcome.err().lines().filter(|line| line.starts_with("pwrite") || line.starts_with("ftruncate")).collect::<Vec<_>>().join(", "),
        );
        if !stage.is_real() {
            break;
        }
    }
    Seen::Held(seen.join("; "))
}

fn output_opened(stage: &Stage) -> Seen {
    let mut seen = Vec::new();
    for (number, way) in [("1", &[][..]), ("2", &[]), ("1", &["--seccomp", "none"])] {
        let path = stage.world.make_file("out/private", b"");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our own file");
        let file = path.display().to_string();
        let redirect = format!("exec \"$@\" {number}>\"$0\"");
        let outcome = stage.run(way).under(["sh", "-c", &redirect, &file]).probe(&["held", number]).output();
        let mode = path.metadata().map_or(0, |meta| meta.mode() & 0o7777);
        let lock = OpenOptions::new().read(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
        let xattr = rustix::fs::getxattr(&path, "user.enclos", &mut [0u8; 8][..]).is_ok();
        if mode != 0o600 || !lock || xattr {
            return Seen::Escaped(format!(
                "descriptor {number} {way:?}: mode {mode:o}, lock free {lock}, xattr {xattr}; {}",
                outcome.describe()
            ));
        }
        seen.push(number);
        if !stage.is_real() {
            break;
        }
    }
    held_if(seen.len() == 3 || !stage.is_real(), format!("mode 600 for {}", seen.join(", ")))
}

fn input_changed(stage: &Stage) -> Seen {
    let path = stage.world.make_file("out/private", b"content");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our own file");
    let mut seen = Vec::new();
    for way in [&[][..], &["--seccomp", "none"]] {
        let file = std::fs::File::open(&path).expect("our own file");
        let outcome = stage.run(way).probe(&["held", "0"]).stdin_from(file).output();
        let same = std::fs::read(&path).is_ok_and(|bytes| bytes == b"content");
        let mode = path.metadata().expect("our own file").mode() & 0o7777;
        let may = stage.world.who == enclos_testkit::Who::User;
        if !same || mode & 0o6000 != 0 || !(may || mode == 0o600) || !outcome.err().contains("ftruncate") {
            return Seen::Escaped(format!("{way:?}: content same {same}, mode {mode:o}; {}", outcome.err().replace('\n', ", ")));
        }
        seen.push(format!("mode {mode:o}"));
    }
    Seen::Held(seen.join(", "))
}
