//! Processes that reach for others, for more rights, or for a life after the sandbox.

use std::time::{Duration, Instant};

use enclos_spec::Verdict;
use enclos_testkit::Who;

use crate::attempt::{held_if, tries_among, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "rights_held",
        threat: "W-01",
        expected: "no capability in any set, NoNewPrivs 1, Seccomp 2, securebits locked, no foreign group",
        control: Control::Weak,
        attempt: |stage| rights(stage, &[]),
    },
    Attempt {
        name: "rights_held_as_root_inside",
        threat: "W-01",
        expected: "the same with --uid 0",
        control: Control::Weak,
        attempt: |stage| rights(stage, &["--uid", "0", "--gid", "0"]),
    },
    Attempt {
        name: "more_rights",
        threat: "H26: ask for what was not given",
        expected: "EPERM, EINVAL or EACCES",
        control: Control::Weak,
        attempt: |stage| {
            let outcome = stage.probe(&[], &["gain"]);
            tries_among(&outcome, 12, &["EPERM", "EINVAL", "EACCES", "ENOSYS", "EROFS"])
        },
    },
    Attempt {
        name: "host_identity",
        threat: "W-01, W-10: root on the host behind the uid inside",
        expected: "root: a high id of the host for every id inside; user: own id or its sub-ids, never 0",
        control: Control::Without("the weak wall is an ordinary user's already"),
        attempt: host_identity,
    },
    Attempt {
        name: "ids_of_neighbours",
        threat: "W-10: sandboxes alive together share a uid",
        expected: "root: ranges that do not meet",
        control: Control::Without("needs two sandboxes"),
        attempt: ids_of_neighbours,
    },
    Attempt {
        name: "signals_to_everyone",
        threat: "H19: kill(-1), kill(1), kill(parent), with everything",
        expected: "the sandbox goes on, verdict OK",
        control: Control::Without("the kernel shields pid 1 of any pid namespace as well"),
        attempt: |stage| {
            let outcome = stage.probe(&[], &["signals"]);
            verdict_among(&outcome, &[Verdict::Ok]).and(|| held_if(outcome.out().contains("survived"), outcome.out().trim()))
        },
    },
    Attempt {
        name: "signals_to_the_host",
        threat: "H19: processes of the host by number",
        expected: "ESRCH",
        control: Control::Open,
        attempt: |stage| {
            // Numbers far above any that a fresh pid namespace has given out yet.
            let host = [std::process::id().to_string(), std::os::unix::process::parent_id().to_string()];
            let high: Vec<&str> = host.iter().map(String::as_str).filter(|pid| pid.parse::<u32>().is_ok_and(|pid| pid > 64)).collect();
            if high.is_empty() {
                return Seen::Cannot("this test's own pid is too small to tell apart".into());
            }
            let mut arguments = vec!["nudge"];
            arguments.extend(&high);
            tries_among(&stage.probe(&[], &arguments), high.len(), &["ESRCH"])
        },
    },
    Attempt {
        name: "into_init",
        threat: "H20: ptrace, memory, descriptors and limits of pid 1",
        expected: "EPERM, EACCES, ESRCH, ENOENT or ENOSYS",
        control: Control::Weak,
        attempt: into_init,
    },
    Attempt {
        name: "orphan_daemon",
        threat: "H12, W-38: double fork, setsid, every signal ignored, streams kept open",
        expected: "OK at once; the daemon is dead and never writes its file",
        control: Control::OpenAsUser,
        attempt: orphan_daemon,
    },
    Attempt {
        name: "zombies",
        threat: "orphans that end and are never reaped fill the table",
        expected: "init reaps every one",
        control: Control::Without("any reaper on the host would do"),
        attempt: |stage| {
            let outcome = stage.probe(&[], &["zombies", "200"]);
            held_if(outcome.out().trim() == "zombies = 0", outcome.describe())
        },
    },
    Attempt {
        name: "misreported_signal",
        threat: "a payload that is pid 1 shrugs off its own SIGTERM",
        expected: "SIGNALED 15, exit 143",
        control: Control::Without("about the report"),
        attempt: |stage| {
            let outcome = stage.probe(&[], &["raise", "15"]);
            verdict_among(&outcome, &[Verdict::Signaled]).and(|| held_if(outcome.code == Some(143), format!("exit {:?}", outcome.code)))
        },
    },
    Attempt {
        name: "stopped_for_ever",
        threat: "SIGSTOP to itself holds the caller",
        expected: "the wall clock ends it: IDLENESS",
        control: Control::Without("would stop the control run too"),
        attempt: |stage| {
            let run = stage.run(&["--wall", "500ms"]).probe(&["raise", "19"]).within(Duration::from_secs(10));
            verdict_among(&run.output(), &[Verdict::Idleness])
        },
    },
    Attempt {
        name: "filter_killed",
        threat: "a call that kills must not be taken for a crash of ours",
        expected: "SIGNALED or SECURITY, never INTERNAL_ERROR",
        control: Control::Without("about the report"),
        attempt: |stage| verdict_among(&stage.probe(&[], &["raise", "31"]), &[Verdict::Signaled, Verdict::Security]),
    },
];

fn status_field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn rights(stage: &Stage, flags: &[&str]) -> Seen {
    let outcome = stage.probe(flags, &["ids"]);
    let text = outcome.out();
    let mut wrong = Vec::new();
    for (field, wanted) in [("CapInh", 0), ("CapPrm", 0), ("CapEff", 0), ("CapBnd", 0), ("CapAmb", 0), ("NoNewPrivs", 1), ("Seccomp", 2)] {
        let value = status_field(&text, field).and_then(|value| u64::from_str_radix(value, 16).ok());
        if value != Some(wanted) {
            wrong.push(format!("{field} is {value:?}, not {wanted}"));
        }
    }
    // SECBIT_NOROOT and its lock (bits 0 and 1): uid 0 gets no capability by exec, and nothing can change that.
    let bits = text.lines().find_map(|line| line.strip_prefix("securebits = ")?.parse::<u32>().ok());
    if bits.is_none_or(|bits| bits & 0b11 != 0b11) {
        wrong.push(format!("securebits are {bits:?}"));
    }
    // As a user, supplementary groups cannot be dropped once setgroups is denied; the caller had none here, or they show as unmapped.
    let groups = status_field(&text, "Groups").unwrap_or("");
    if groups.split_whitespace().any(|group| group != "65534" && group != "1000" && group != "0") {
        wrong.push(format!("groups {groups}"));
    }
    held_if(wrong.is_empty(), if wrong.is_empty() { "all as expected".to_owned() } else { wrong.join("; ") })
}

/// The `(inside, outside, count)` lines of uid_map, as a process inside sees them.
fn id_map(text: &str) -> Vec<(u64, u64, u64)> {
    let line = |line: &str| -> Option<(u64, u64, u64)> {
        let mut numbers = line.strip_prefix("uid_map ")?.split_whitespace().map(|n| n.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    };
    text.lines().filter_map(line).collect()
}

fn host_identity(stage: &Stage) -> Seen {
    // What a process inside sees in its own uid_map is told in the ids of the parent namespace: the host's.
    let outcome = stage.probe(&[], &["ids"]);
    let map = id_map(&outcome.out());
    if map.is_empty() {
        return Seen::Escaped(outcome.describe());
    }
    let own = u64::from(stage.world.who.switch_to().unwrap_or_else(|| rustix::process::getuid().as_raw()));
    let bad = map.iter().find(|(_, outside, count)| match stage.world.who {
        Who::Root => *outside < 65_536,
        Who::User => *outside == 0 || (*outside != own && *outside < 65_536) || (*outside == own && *count != 1),
    });
    held_if(bad.is_none(), format!("uid_map {map:?}"))
}

fn ids_of_neighbours(stage: &Stage) -> Seen {
    let start = || stage.run(&[]).probe(&["ids"]).sh("cat /proc/self/uid_map | sed 's/^/uid_map /'; sleep 1").without_report().start();
    let runs: Vec<_> = (0..3).map(|_| start()).collect();
    let outcomes: Vec<_> = runs.into_iter().map(enclos_testkit::Live::wait).collect();
    let maps: Vec<_> = outcomes.iter().flat_map(|outcome| id_map(&outcome.out())).collect();
    if maps.len() < outcomes.len() {
        return Seen::Escaped(outcomes[0].describe());
    }
    if stage.world.who == Who::User && maps.iter().all(|(_, _, count)| *count == 1) {
        return Seen::Held(format!("one id each, the user's own, is all there is: {maps:?}"));
    }
    let meet = |a: &(u64, u64, u64), b: &(u64, u64, u64)| a.1 < b.1 + b.2 && b.1 < a.1 + a.2;
    let met = maps.iter().enumerate().any(|(i, a)| maps[i + 1..].iter().any(|b| meet(a, b)));
    held_if(!met, format!("uid maps {maps:?}"))
}

fn into_init(stage: &Stage) -> Seen {
    let outcome = stage.probe(&[], &["attach", "1"]);
    let doors = ["ptrace-attach", "ptrace-seize", "process_vm_readv", "pidfd_getfd", "proc-mem", "kcmp", "prlimit"];
    tries_among(&outcome, doors.len(), &["EPERM", "EACCES", "ESRCH", "ENOENT", "ENOSYS"])
}

fn orphan_daemon(stage: &Stage) -> Seen {
    let late = stage.world.text("work/late");
    let started = Instant::now();
    let rw = stage.world.text("work");
    let outcome = stage.probe(&["--rw", &rw], &["orphan", "1200", &late]);
    let took = started.elapsed();
    let left = enclos_testkit::host::pids_marked(&stage.world.mark);
    if !left.is_empty() && !stage.is_real() {
        for pid in &left {
            if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        return Seen::Escaped(format!("alive after the run: {left:?}"));
    }
    verdict_among(&outcome, &[Verdict::Ok]).and(|| {
        std::thread::sleep(Duration::from_millis(1500).saturating_sub(took));
        let alive = enclos_testkit::host::pids_marked(&stage.world.mark);
        held_if(
            !std::path::Path::new(&late).exists() && alive.is_empty() && took < Duration::from_millis(1100),
            format!("ended after {took:?}, alive: {alive:?}"),
        )
    })
}
