//! What the tool keeps on the host while a sandbox lives: control groups, the table of ids, a guardian, an init. Somebody else takes, plants or kills it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use enclos_spec::Verdict;
use enclos_testkit::{Live, Who};
use rustix::process::{Pid, Signal, kill_process};

use crate::attempt::{held_if, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

const OURS: Control = Control::Without("about what is ours on the host");

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "group_name_taken",
        threat: "H42: a control group of the very name that the tool will use is there already, with somebody's limits in it",
        expected: "refused in one line, or another name; never adopted",
        control: OURS,
        attempt: group_name_taken,
    },
    Attempt {
        name: "groups_of_others",
        threat: "H42: another user makes groups beside the tool's, or moves processes into them",
        expected: "EACCES",
        control: OURS,
        attempt: groups_of_others,
    },
    Attempt {
        name: "id_table_taken",
        threat: "H42: every range of ids locked; the table a link; the table another user's to open",
        expected: "refused in one line; the link not followed; closed to others",
        control: OURS,
        attempt: id_table_taken,
    },
    Attempt {
        name: "guardian_killed",
        threat: "H42: the guardian killed or stopped while the command runs",
        expected: "the run ends as it would have, nothing left",
        control: OURS,
        attempt: |stage| guardian(stage, Signal::KILL).and(|| guardian(stage, Signal::STOP)),
    },
    Attempt {
        name: "init_killed_from_outside",
        threat: "H42: kill -9 of the sandbox's init by somebody on the host",
        expected: "INTERNAL_ERROR in the report, exit 125, one line; nothing alive, nothing left",
        control: OURS,
        attempt: init_killed,
    },
    Attempt {
        name: "init_stopped_from_outside",
        threat: "H42: SIGSTOP of init, so that it can neither report nor kill",
        expected: "the wall clock ends it all the same, nothing left",
        control: OURS,
        attempt: init_stopped,
    },
    Attempt {
        name: "ids_of_a_user",
        threat: "H42: /etc/subuid gives a user ids in which root's sandboxes would live",
        expected: "no sandbox of root's gets them",
        control: OURS,
        attempt: ids_of_a_user,
    },
];

/// Directories below which the tool makes its groups: one for each hierarchy it uses here.
fn hierarchies() -> Vec<PathBuf> {
    let below = |dir: &str| Path::new("/sys/fs/cgroup").join(dir);
    [below("pids"), below("memory"), below("unified"), below("")].into_iter().filter(|dir| dir.join("cgroup.procs").exists()).collect()
}

fn group_name_taken(stage: &Stage) -> Seen {
    if stage.world.who == Who::User || !crate::attempt::has_controller("pids") {
        return Seen::Held("no groups of its own are made here; root's run shows it where there is a controller".into());
    }
    // The name is made of what a process keeps when it executes another program: its number, its start, its pid namespace, and a counter.
    let script = "set -- $$ \"$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)\" \"$(readlink /proc/$$/ns/pid | tr -dc 0-9)\" \"$@\"; \
                  name=enclos-$1-$2-$3-0; shift 3; for dir in /sys/fs/cgroup/pids /sys/fs/cgroup/memory /sys/fs/cgroup/unified /sys/fs/cgroup; do \
                  own=$(sed -n \"s|^[0-9]*:[^:]*$(basename $dir | sed 's/unified//;s/cgroup//')[^:]*:||p\" /proc/self/cgroup | tail -1); \
                  test -e $dir/cgroup.procs && mkdir $dir$own/$name 2>/dev/null && echo $dir$own/$name >> \"$MADE\"; done; exec \"$@\"";
    let made = stage.world.text("out/made");
    let outcome = stage.run(&["--processes", "20"]).env("MADE", &made).under(["sh", "-c", script, "sh"]).sh("echo ran").output();
    let names = std::fs::read_to_string(&made).unwrap_or_default();
    let still: Vec<&str> = names.lines().filter(|dir| std::fs::remove_dir(dir).is_ok()).collect();
    let refused = outcome.code == Some(125) && outcome.err().trim().lines().count() == 1 && outcome.stdout.is_empty();
    held_if(
        !names.is_empty() && still.len() == names.lines().count() && (refused || outcome.out() == "ran\n"),
        format!("{} planted, {} still there; {}", names.lines().count(), still.len(), outcome.err().trim()),
    )
}

fn groups_of_others(stage: &Stage) -> Seen {
    if stage.world.who == Who::Root && !rustix::process::geteuid().is_root() {
        return Seen::Cannot("needs root".into());
    }
    let live = stage.run(&["--processes", "20"]).probe(&["sleep", "1500"]).without_report().start();
    std::thread::sleep(Duration::from_millis(400));
    let mut tried = 0;
    let mut through = Vec::new();
    for dir in hierarchies() {
        let ours = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let ours: Vec<PathBuf> =
            ours.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("enclos-"))).collect();
        let mut places = vec![dir.join(format!("enclos-{}", stage.world.mark))];
        places.extend(ours.iter().map(|group| group.join("below")));
        let mut script: Vec<String> = places.iter().map(|place| format!("mkdir {} && echo through", place.display())).collect();
        script.extend(ours.iter().map(|group| format!("echo $$ > {}/cgroup.procs && echo through", group.display())));
        tried += script.len();
        let output = as_stranger(&script.join("; ")).output().map(|output| output.stdout).unwrap_or_default();
        if String::from_utf8_lossy(&output).contains("through") {
            through.push(dir.clone());
        }
        places.iter().for_each(|place| drop(std::fs::remove_dir(place)));
    }
    let outcome = live.wait();
    held_if(through.is_empty() && outcome.code == Some(0), format!("{tried} tries, through: {through:?}, {:?}", outcome.code))
}

/// A shell of a user who is nobody here, neither the tool's nor a sandbox's.
fn as_stranger(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stderr(Stdio::null()).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(61_777).gid(61_777);
    }
    command
}

fn id_table_taken(stage: &Stage) -> Seen {
    if stage.world.who == Who::User {
        let closed = Path::new("/run/enclos").metadata().map_or(true, |meta| meta.uid() == 0 && meta.mode() & 0o022 == 0);
        let open = as_stranger("cat /run/enclos/ids && echo through").output().map(|output| output.stdout).unwrap_or_default();
        return held_if(closed && open.is_empty(), "not a user's to open");
    }
    // In a mount namespace with a /run of its own; the real table is left alone.
    let canary = stage.world.make_file("out/canary", b"canary").display().to_string();
    let mount = "mount -t tmpfs none /run && mkdir -m 700 /run/enclos";
    let planted = format!("{mount} && ln -s {canary} /run/enclos/ids && exec \"$@\"");
    let lock = "import fcntl,os,sys; f=open('/run/enclos/ids','w'); os.chmod('/run/enclos/ids',0o600); fcntl.lockf(f,fcntl.LOCK_EX); \
                r=os.spawnvp(os.P_WAIT,sys.argv[1],sys.argv[1:]); sys.exit(r)";
    let full = format!("{mount} && exec python3 -c \"{lock}\" \"$@\"");
    let mut seen = Vec::new();
    for (script, what) in [(planted, "a link"), (full, "every range locked")] {
        if what != "a link" && enclos_testkit::find_program(&["python3"]).is_none() {
            continue;
        }
        let outcome = stage.run(&[]).under(["unshare", "-m", "sh", "-c", &script, "sh"]).sh("echo ran").without_report().output();
        let same = std::fs::read(&canary).is_ok_and(|bytes| bytes == b"canary");
        if outcome.code != Some(125) || !outcome.stdout.is_empty() || outcome.err().trim().lines().count() != 1 || !same {
            return Seen::Escaped(format!("{what}: {}", outcome.describe()));
        }
        seen.push(outcome.err().trim().to_owned());
    }
    Seen::Held(seen.join("; "))
}

/// Processes made by the tool, with what they are: pid, name, whether first of a pid namespace.
fn made_by(live: &Live) -> Vec<(i32, String, bool)> {
    let pid = live.pid();
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let one = |pid: &str| -> Option<(i32, String, bool)> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or("").to_owned();
        let levels: Vec<String> = field("NSpid:").split_whitespace().map(str::to_owned).collect();
        Some((pid.parse().ok()?, field("Name:"), levels.len() > 1 && levels.last().is_some_and(|last| last == "1")))
    };
    list.split_whitespace().filter_map(one).collect()
}

/// Waits until such a process is there; gives its number.
fn find(live: &Live, wanted: impl Fn(&str, bool) -> bool) -> Option<Pid> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        if let Some((pid, ..)) = made_by(live).into_iter().find(|(_, name, first)| wanted(name, *first)) {
            // Past its set-up.
            std::thread::sleep(Duration::from_millis(200));
            return Pid::from_raw(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn guardian(stage: &Stage, signal: Signal) -> Seen {
    let live = stage.run(&["--cpu", "20s"]).probe(&["sleep", "1200"]).start();
    let Some(pid) = find(&live, |name, _| name == "enclos-guard") else {
        let outcome = live.wait();
        return held_if(outcome.code == Some(0), "no guardian is needed here");
    };
    let sent = kill_process(pid, signal);
    let outcome = live.wait();
    verdict_among(&outcome, &[Verdict::Ok]).and(|| held_if(sent.is_ok() && outcome.code == Some(0), format!("{signal:?}")))
}

fn is_init(_: &str, first: bool) -> bool {
    first
}

fn init_killed(stage: &Stage) -> Seen {
    let mark = format!("mark={}", stage.world.mark);
    let live = stage.run(&[]).probe(&["sleep", "20000", &mark]).start();
    let Some(pid) = find(&live, is_init) else { return Seen::Escaped(format!("no init: {}", live.wait().describe())) };
    let sent = kill_process(pid, Signal::KILL);
    let outcome = live.wait();
    let evidence = outcome.report.as_ref().and_then(|report| report.evidence.clone()).unwrap_or_default();
    verdict_among(&outcome, &[Verdict::InternalError]).and(|| {
        held_if(
            sent.is_ok() && outcome.code == Some(125) && outcome.err().trim().lines().count() == 1 && evidence.contains("killed"),
            format!("{:?}; {evidence}", outcome.code),
        )
    })
}

fn init_stopped(stage: &Stage) -> Seen {
    let live = stage.run(&["--wall", "1500ms"]).probe(&["sleep", "20000"]).start();
    let Some(pid) = find(&live, is_init) else { return Seen::Escaped(format!("no init: {}", live.wait().describe())) };
    let sent = kill_process(pid, Signal::STOP);
    let outcome = live.wait();
    verdict_among(&outcome, &[Verdict::Idleness])
        .and(|| held_if(sent.is_ok() && outcome.elapsed < Duration::from_secs(20), format!("after {:?}", outcome.elapsed)))
}

fn ids_of_a_user(stage: &Stage) -> Seen {
    if stage.world.who == Who::User {
        return Seen::Held("a user has the ranges that the administrator gave; root's run shows the others".into());
    }
    if !Path::new("/etc/subuid").exists() {
        return Seen::Cannot("no /etc/subuid here to put another in its place".into());
    }
    // All but two of the ranges root uses, given away, in a mount namespace of its own.
    let first = 0x7000_0000_u64;
    let (kept, count) = (first + 65_536 * 1_000, 65_536 * 0xe00_u64);
    let table = format!("ada:{first}:{}\nbob:{}:{}\n", kept - first, kept + 65_536 * 2, count - 65_536 * 1_002);
    let file = stage.world.make_file("out/subuid", table.as_bytes());
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("our own file");
    let script = format!("mount --bind {} /etc/subuid && exec \"$@\"", file.display());
    let run = || stage.run(&[]).under(["unshare", "-m", "sh", "-c", &script, "sh"]).sh("cat /proc/self/uid_map").without_report().output();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let outcome = run();
        let base = outcome.out().split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        if !base.is_some_and(|base| (kept..kept + 65_536 * 2).contains(&base)) {
            return Seen::Escaped(format!("ids from {base:?}: {}", outcome.describe()));
        }
        seen.push(base.unwrap_or(0) - kept);
    }
    Seen::Held(format!("only what is left over: {seen:?}"))
}
