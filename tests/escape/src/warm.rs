//! Warm sandboxes: what one command leaves for the next one of the same slot, and the parked process that shares init's memory until it executes.
//!
//! They are the library's, so this program runs itself anew, as the attempt's user, to be their caller: `--warm TOOL POLICY WORD… @ WORD… @ …`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use enclos_sandbox::Launcher;
use enclos_sandbox::spec::Policy;

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
];

/// The word that makes this program a caller of warm sandboxes.
pub const FLAG: &str = "--warm";

/// Runs commands one after another in one template; prints what each wrote, with a line `--` after it.
#[expect(clippy::print_stdout, reason = "the attempt reads it")]
pub fn caller(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(tool), Some(policy)) = (arguments.next(), arguments.next()) else { return ExitCode::from(2) };
    let words: Vec<String> = arguments.collect();
    let run = || -> Result<(), enclos_sandbox::Error> {
        let template = Launcher::start(Path::new(&tool))?.template(&Policy::from_toml(&policy)?)?;
        for words in words.split(|word| word == "@") {
            let output = template.command(&words[0]).args(&words[1..]).output()?;
            println!("{}{}--", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // The slot serves again when what is left of its sandbox is gone.
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What each of the commands printed; or why there is nothing.
fn warm(stage: &Stage, policy: &str, commands: &[&[&str]]) -> Result<Vec<String>, String> {
    let copy = stage.world.path("caller");
    if !copy.exists() {
        std::fs::copy(std::env::current_exe().map_err(|e| e.to_string())?, &copy).map_err(|e| e.to_string())?;
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
    }
    let policy = format!("ro = [{:?}]\nworkdir = {0:?}\n{policy}", stage.world.text("work"));
    let mut command = Command::new(&copy);
    command.args([FLAG, &enclos_testkit::run::program(&stage.world).display().to_string(), &policy]);
    command.args(commands.join(&"@"));
    command.env("ENCLOS_TEST_MARK", &stage.world.mark).current_dir(stage.world.path("work")).stdin(Stdio::null());
    if let Some(uid) = stage.world.who.switch_to() {
        command.uid(uid).gid(uid);
    }
    let output = command.output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts: Vec<String> = text.split("--\n").map(str::to_owned).collect();
    if !output.status.success() || parts.len() != commands.len() + 1 {
        return Err(format!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(parts)
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
