//! Warm sandboxes: what one command leaves for the next one of the same slot, and the parked process that shares init's memory until it executes.
//!
//! They are the library's, as is a directory that is handed over at the end; so this program runs itself anew, as the attempt's user, to be their
//! caller: `--warm TOOL POLICY WORD… @ WORD… @ …`, `--collect POLICY DIRECTORY WORD…`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Files, Launcher, collect};

use crate::attempt::held_if;
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about slots of ours");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "left_in_the_slot",
        threat: "H31: System V, queues, files, descriptors, names, priorities, for the next command of the same slot",
        expected: "each command finds nothing of the one before",
        control: OURS,
        attempt: left_in_the_slot,
    },
    Attempt {
        name: "port_left_in_the_slot",
        threat: "H31: a port of the loopback that the kernel remembers for a minute (TIME_WAIT)",
        expected: "the next command can bind it, and sees no socket but its own",
        control: OURS,
        attempt: port_left,
    },
    Attempt {
        name: "parked_process_reaches_init",
        threat: "H13: a parked command's process shares init's memory until it executes",
        expected: "no door into init, the slot or the launcher afterwards",
        control: OURS,
        attempt: parked_reaches_init,
    },
    Attempt {
        name: "daemon_left_in_the_slot",
        threat: "H10: a process of the first command alive beside the second",
        expected: "dead before the next one starts",
        control: OURS,
        attempt: daemon_left,
    },
    Attempt {
        name: "collected_directory_lies",
        threat: "H15, CVE-2024-28185: links, names twice, FIFOs, closed directories and a link in the directory's own place, for the host that collects",
        expected: "only plain files of the command's own are read; nothing of the host's, no hang",
        control: OURS,
        attempt: collected_lies,
    },
    Attempt {
        name: "collected_directory_still_written",
        threat: "H15: a daemon that goes on writing while the host collects",
        expected: "dead before the directory is handed over: what is read twice is the same",
        control: OURS,
        attempt: collected_still_written,
    },
    Attempt {
        name: "files_written_through_links",
        threat: "H15: files that go in, where a link in a shown directory leads out of the place they are for",
        expected: "nothing on the host is written but what the command could have written",
        control: OURS,
        attempt: files_through_links,
    },
];

/// What this program does as a caller of the library, with the words after the first.
pub type Caller = fn(Vec<String>) -> ExitCode;

/// What makes it one: the first word.
pub const CALLERS: [(&str, Caller); 3] =
    [("--warm", warm_caller), ("--collect", collecting_caller), ("--workspace", crate::workspaces::workspace_caller)];

/// Ends as a caller whose library call failed, with its words on stdout.
#[expect(clippy::print_stdout, reason = "the attempt reads it")]
pub(crate) fn ended(result: Result<(), enclos_sandbox::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs commands one after another in one template; prints what each wrote, with a line `--` after it.
#[expect(clippy::print_stdout, reason = "the attempt reads it")]
fn warm_caller(arguments: Vec<String>) -> ExitCode {
    let [tool, policy, words @ ..] = &arguments[..] else { return ExitCode::from(2) };
    let run = || -> Result<(), enclos_sandbox::Error> {
        let template = Launcher::start(Path::new(&tool))?.template(&Policy::from_toml(policy)?)?;
        for words in words.split(|word| word == "@") {
            let output = template.command(&words[0]).args(&words[1..]).output()?;
            println!("{}{}--", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // The slot serves again when what is left of its sandbox is gone.
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    };
    ended(run())
}

/// Runs a command with a file brought along, and prints everything that can be collected from the directory: a line `PATH = CONTENT` each.
#[expect(clippy::print_stdout, reason = "the attempt reads it")]
fn collecting_caller(arguments: Vec<String>) -> ExitCode {
    let [policy, directory, program, words @ ..] = &arguments[..] else { return ExitCode::from(2) };
    let run = || -> Result<(), enclos_sandbox::Error> {
        let files = Files::builder().file("brought", b"brought", 0o644).seal()?;
        let mut command = enclos_sandbox::Command::new(program);
        command.args(words).policy(&Policy::from_toml(policy)?).files(directory, &files).collect(directory);
        let output = command.output()?;
        print!("{}", String::from_utf8_lossy(&output.stderr));
        let Some(directory) = output.directory else {
            println!("nothing handed over");
            return Ok(());
        };
        // What is listed, and what somebody might think of asking for.
        let listed = collect::list(&directory, 1000).map_err(|error| println!("listing: {error}")).unwrap_or_default();
        let asked = ["link", "hard", "fifo", "rootlink/etc/passwd", "../brought", "closed/file", "."].map(Into::into);
        for path in listed.into_iter().map(|entry| entry.path).chain(asked) {
            let read = || collect::read(&directory, &path, 1 << 16);
            match (read(), std::thread::sleep(Duration::from_millis(30)), read()) {
                (Ok(one), (), Ok(two)) if one == two => println!("{} = {}", path.display(), String::from_utf8_lossy(&one)),
                (Ok(_), (), Ok(_)) => println!("{} changes", path.display()),
                (one, (), _) => {
                    println!("{} is not read: {}", path.display(), one.map(|_| String::new()).unwrap_or_else(|e| e.to_string()))
                }
            }
        }
        Ok(())
    };
    ended(run())
}

/// This program as the attempt's user, with these arguments: whether it ended well, and what it printed.
pub(crate) fn call(stage: &Stage, arguments: &[String]) -> Result<(bool, String), String> {
    let copy = stage.world.path("caller");
    if !copy.exists() {
        std::fs::copy(std::env::current_exe().map_err(|e| e.to_string())?, &copy).map_err(|e| e.to_string())?;
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
    }
    let mut command = Command::new(&copy);
    command.args(arguments).env("ENCLOS_TEST_MARK", &stage.world.mark).current_dir(stage.world.path("work")).stdin(Stdio::null());
    if let Some(uid) = stage.world.who.switch_to() {
        command.uid(uid).gid(uid);
    }
    let output = command.output().map_err(|e| e.to_string())?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), text))
}

/// What each of the commands printed; or why there is nothing.
fn warm(stage: &Stage, policy: &str, commands: &[&[&str]]) -> Result<Vec<String>, String> {
    let policy = format!("ro = [{:?}]\nworkdir = {0:?}\n{policy}", stage.world.text("work"));
    let tool = enclos_testkit::run::program(&stage.world).display().to_string();
    let words = commands.join(&"@").into_iter().map(str::to_owned);
    let (fine, text) = call(stage, &["--warm".to_owned(), tool, policy].into_iter().chain(words).collect::<Vec<_>>())?;
    let parts: Vec<String> = text.split("--\n").map(str::to_owned).collect();
    if !fine || parts.len() != commands.len() + 1 { Err(text) } else { Ok(parts) }
}

/// Runs them, and looks at what they printed.
fn look(stage: &Stage, policy: &str, commands: &[&[&str]], judge: impl FnOnce(&[String]) -> Seen) -> Seen {
    warm(stage, policy, commands).map_or_else(Seen::Escaped, |parts| judge(&parts))
}

fn left_in_the_slot(stage: &Stage) -> Seen {
    // What names the slot comes first: two slots would prove nothing.
    let script = "readlink /proc/self/ns/net; ./probe leave 77 | grep found; ls /tmp /dev/shm /var/tmp ~ | grep -c x-left; hostname; \
                  nice; cat /proc/self/oom_score_adj; ulimit -a | md5sum; ls /proc | grep -c '^[0-9]'; ls /proc/self/fd | wc -l; \
                  grep -c . /proc/net/unix; touch /tmp/x-left /dev/shm/x-left /var/tmp/x-left ~/x-left; echo 900 > /proc/self/oom_score_adj; \
                  ulimit -n 50; renice 10 $$ >/dev/null 2>&1; hostname changed 2>/dev/null; setsid sleep 100 & true";
    let run: &[&str] = &["/bin/sh", "-c", script];
    look(stage, "", &[run, run, run], |parts| {
        let found = parts[..3].iter().any(|part| part.lines().any(|line| line.starts_with("found-") && line.ends_with("ok")));
        held_if(
            parts[0] == parts[1] && parts[1] == parts[2] && !found && parts[0].lines().count() > 12,
            format!("one after another: {:?}", parts[..3].iter().map(|part| part.replace('\n', " ")).collect::<Vec<_>>()),
        )
    })
}

fn port_left(stage: &Stage) -> Seen {
    let run: &[&str] = &["./probe", "linger", "8080"];
    look(stage, "net = \"loopback\"", &[run, run, run], |parts| {
        let free = parts[..3].iter().all(|part| part.contains("bind = ok") && part.contains("left = ok") && part.contains("sockets = 1\n"));
        held_if(free, format!("{:?}", parts[..3].iter().map(|part| part.replace('\n', " ")).collect::<Vec<_>>()))
    })
}

fn parked_reaches_init(stage: &Stage) -> Seen {
    let attach: &[&str] = &["./probe", "attach", "1"];
    let parent: &[&str] = &["/bin/sh", "-c", "exec ./probe attach $PPID"];
    let doors: &[&str] = &["./probe", "open", "r", "/proc/1/mem", "/proc/1/maps", "/proc/1/environ", "/proc/1/root/etc/passwd"];
    look(stage, "", &[attach, parent, doors], |parts| {
        let tries: Vec<&str> = parts[..3].iter().flat_map(|part| part.lines()).filter(|line| line.contains(" = ")).collect();
        let through: Vec<&&str> = tries.iter().filter(|line| line.contains("= ok")).collect();
        held_if(tries.len() >= 18 && through.is_empty(), format!("{} tries, through: {through:?}", tries.len()))
    })
}

fn daemon_left(stage: &Stage) -> Seen {
    let leave: &[&str] = &["/bin/sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; ./probe sleep 60000' & sleep 0.1"];
    let count: &[&str] = &["/bin/sh", "-c", "ls /proc | grep -c '^[0-9]'"];
    look(stage, "", &[leave, count, leave, count], |parts| {
        // The shell, and what it runs to count.
        let alive: Vec<_> = [1, 3].iter().filter_map(|i| parts[*i].trim().lines().last()?.parse::<u32>().ok()).collect();
        held_if(alive.len() == 2 && alive.iter().all(|count| *count <= 3), format!("{alive:?} processes: {}", parts[1].replace('\n', " ")))
    })
}

/// What is collected from a directory of a private tmpfs after this script, which starts in it.
fn collected(stage: &Stage, policy: &str, directory: &str, script: &str) -> Result<String, String> {
    let policy = format!("tmpfs = [\"/box\"]\nworkdir = {directory:?}\n{policy}");
    let words = ["--collect", &policy, directory, "/bin/sh", "-c", script].map(str::to_owned);
    match call(stage, &words)? {
        (true, text) => Ok(text),
        (false, text) => Err(text),
    }
}

fn collected_lies(stage: &Stage) -> Seen {
    let canary = stage.world.make_file("out/canary", b"canary").display().to_string();
    let traps = format!(
        "echo own > plain; ln -s {canary} link; ln -s / rootlink; mkfifo fifo; echo twice > one; ln one hard; mkdir closed; echo x > closed/file; \
         chmod 0 closed; mkdir deep; echo below > deep/file; ln -s /etc deep/etc; ln -s /proc/self/fd/0 magic; head -c 100000 /dev/zero > large; true"
    );
    let mut seen = Vec::new();
    for script in [
        traps.clone(),
        traps.replace("chmod 0 closed", "true"),
        format!("{traps}; cd /; rm -rf /box/*; ln -s {canary} /box/plain"),
        format!("cd /tmp; mkdir x; mount -t tmpfs none /box; rmdir /box; mv /box /tmp/x; ln -s {canary} /box/link"),
    ] {
        match collected(stage, "", "/box", &script) {
            Ok(text) if text.contains("canary") && text.contains("= canary") => return Seen::Escaped(text),
            Ok(text) if text.contains("root:") || text.contains("= twice") => return Seen::Escaped(text),
            Ok(text) => seen.push(text.matches(" = ").count()),
            Err(text) => return Seen::Escaped(text),
        }
    }
    // plain, brought and deep/file, where the closed directory does not end the listing.
    held_if(seen[1] >= 3, format!("files read: {seen:?}"))
}

fn collected_still_written(stage: &Stage) -> Seen {
    let script = "setsid sh -c 'trap \"\" TERM HUP INT; while :; do date +%N > busy; done' & for i in 1 2 3 4 5 6 7 8; do setsid sh -c \
                  'while :; do echo x >> more; done' & done; \
                  until test -e busy && test -s more; do sleep 0.05; done; sleep 0.2";
    match collected(stage, "", "/box", script) {
        Ok(text) => held_if(
            text.contains("busy = ") && !text.contains("changes"),
            text.lines().take(3).collect::<Vec<_>>().join(", ").chars().take(90).collect::<String>(),
        ),
        Err(text) => Seen::Escaped(text),
    }
}

fn files_through_links(stage: &Stage) -> Seen {
    let shared = stage.world.make_dir("out/shared");
    let _ = std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o777));
    let victim = stage.world.make_file("out/victim", b"canary");
    std::os::unix::fs::symlink(&victim, shared.join("brought")).expect("our own directory");
    let directory = shared.display().to_string();
    let through = collected(stage, &format!("rw = [{directory:?}]"), &directory, "true");
    let _ = std::fs::remove_file(shared.join("brought"));
    let out = stage.world.make_dir("out/elsewhere");
    std::os::unix::fs::symlink(&out, shared.join("sub")).expect("our own directory");
    let below = collected(stage, &format!("rw = [{directory:?}]"), &format!("{directory}/sub"), "true");
    let same = std::fs::read(&victim).is_ok_and(|bytes| bytes == b"canary");
    let empty = std::fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_none());
    held_if(same && empty, format!("{through:?}, {below:?}"))
}
