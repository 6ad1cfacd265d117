//! Past a limit: processes, CPU, time, memory in every shape, output, disk.

use std::time::Duration;

use enclos_spec::Verdict;
use enclos_testkit::Outcome;

use crate::attempt::{held_if, tries_among, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

const MEMORY_HELD: &str = "OUT_OF_MEMORY, peak at the limit; without a controller refused by name";

macro_rules! memory {
    ($name:ident, $threat:literal, [$($argument:literal),+]) => {
        Attempt {
            name: stringify!($name),
            threat: $threat,
            expected: MEMORY_HELD,
            control: Control::Weak,
            attempt: |stage| memory(stage, "48M", &[$($argument),+]),
        }
    };
}

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "fork_bomb",
        threat: "H1",
        expected: "EAGAIN at 20 processes, the program's own exit code 7",
        control: Control::Weak,
        attempt: |stage| bomb(stage, "forks"),
    },
    Attempt {
        name: "thread_bomb",
        threat: "H1",
        expected: "EAGAIN at 20 threads, the program's own exit code 7",
        control: Control::Weak,
        attempt: |stage| bomb(stage, "threads"),
    },
    Attempt {
        name: "fork_exit_storm",
        threat: "H2: processes too short-lived to be seen",
        expected: "TIMED_OUT: CPU time of dead children counts; without a cgroup's clock the report says that it may not",
        control: Control::Weak,
        attempt: |stage| cpu(stage, &["storm", "MS"]),
    },
    Attempt {
        name: "storm_of_siblings",
        threat: "H2: CLONE_PARENT makes children of init, which wait4 of the command never sees",
        expected: "TIMED_OUT",
        control: Control::Weak,
        attempt: |stage| cpu(stage, &["storm", "MS", "parent"]),
    },
    Attempt {
        name: "busy_loop",
        threat: "H11",
        expected: "TIMED_OUT, CPU near the limit",
        control: Control::Weak,
        attempt: |stage| cpu(stage, &["spin", "MS", "1", "1"]),
    },
    Attempt {
        name: "busy_children",
        threat: "H11: each below the limit, together above it",
        expected: "TIMED_OUT on the total",
        control: Control::Weak,
        attempt: |stage| cpu(stage, &["spin", "MS", "3", "1"]),
    },
    Attempt {
        name: "busy_threads",
        threat: "H11",
        expected: "TIMED_OUT on the total",
        control: Control::Weak,
        attempt: |stage| cpu(stage, &["spin", "MS", "1", "20"]),
    },
    Attempt {
        name: "sleep_for_ever",
        threat: "H9",
        expected: "IDLENESS at the wall limit",
        control: Control::Weak,
        attempt: |stage| verdict_among(&stage.probe(&["--wall", "300ms"], &["sleep", "3000"]), &[Verdict::Idleness]),
    },
    Attempt {
        name: "fall_silent",
        threat: "H9: some output first",
        expected: "IDLENESS at the idle limit, long before the wall limit",
        control: Control::Without("would sleep for half a minute"),
        attempt: |stage| {
            let outcome = stage.probe(&["--idle", "600ms", "--wall", "20s"], &["idle", "300"]);
            verdict_among(&outcome, &[Verdict::Idleness])
                .and(|| held_if(outcome.elapsed < Duration::from_secs(10), format!("after {:?}", outcome.elapsed)))
        },
    },
    memory!(memory_touched, "H3", ["touch", "256"]),
    memory!(memory_in_pieces, "H4: five children, and the parent ends with 0", ["children", "5", "40"]),
    memory!(memory_in_memfd, "H5", ["memfd", "256"]),
    memory!(memory_in_shared_memory, "H5: System V", ["sysv", "256"]),
    memory!(memory_in_pipes, "H5: pipe buffers", ["pipes", "100"]),
    memory!(memory_in_sockets, "H5: socket buffers", ["sockets", "128"]),
    Attempt {
        name: "memory_in_tmp",
        threat: "H5, W-09: a tmpfs is memory",
        expected: MEMORY_HELD,
        control: Control::Weak,
        attempt: |stage| memory_file(stage, "/tmp/hog"),
    },
    Attempt {
        name: "memory_in_dev_shm",
        threat: "H5, W-09",
        expected: "OUT_OF_MEMORY, or ENOSPC before that; without a controller refused by name",
        control: Control::Without("the weak wall has the host's /dev/shm"),
        attempt: |stage| memory_file(stage, "/dev/shm/hog"),
    },
    Attempt {
        name: "memory_locked",
        threat: "H5: mlock",
        expected: "no more than RLIMIT_MEMLOCK allows, or OUT_OF_MEMORY",
        control: Control::Without("RLIMIT_MEMLOCK is the host's too"),
        attempt: |stage| {
            let outcome = stage.probe(&["--memory", "48M"], &["mlock", "256"]);
            stage.refused_limit(&outcome, "memory").unwrap_or_else(|| {
                held_if(
                    outcome.verdict() == Verdict::OutOfMemory || outcome.try_of("mlock").is_some_and(|result| result != "ok"),
                    outcome.describe(),
                )
            })
        },
    },
    Attempt {
        name: "memory_reserved_only",
        threat: "H6: a terabyte that is never touched",
        expected: "OK: what counts is what is used",
        control: Control::Without("nothing to escape from"),
        attempt: |stage| {
            let outcome = stage.probe(&["--memory", "48M"], &["noreserve", "1024"]);
            stage.refused_limit(&outcome, "memory").unwrap_or_else(|| verdict_among(&outcome, &[Verdict::Ok]))
        },
    },
    Attempt {
        name: "stack_overflow",
        threat: "H39",
        expected: "SIGNALED 11",
        control: Control::Without("the same without a sandbox"),
        attempt: |stage| {
            let outcome = stage.probe(&["--stack", "1M"], &["stack"]);
            verdict_among(&outcome, &[Verdict::Signaled]).and(|| held_if(outcome.code == Some(139), format!("exit {:?}", outcome.code)))
        },
    },
    Attempt {
        name: "output_flood",
        threat: "H7",
        expected: "OUTPUT_LIMIT, the first MiB kept, not a byte more",
        control: Control::Weak,
        attempt: |stage| flood(stage, "1"),
    },
    Attempt {
        name: "message_flood",
        threat: "H7: the same on stderr",
        expected: "OUTPUT_LIMIT, the first MiB kept",
        control: Control::Weak,
        attempt: |stage| flood(stage, "2"),
    },
    Attempt {
        name: "output_flood_into_a_file",
        threat: "H7: --stdout FILE fills the host's disk",
        expected: "OUTPUT_LIMIT, the file no larger than the limit",
        control: Control::Without("--stdout is ours"),
        attempt: |stage| {
            let file = stage.world.text("out/flood");
            let outcome = stage.probe(&["--output", "1M", "--stdout", &file], &["flood", "1", "64"]);
            let size = std::fs::metadata(&file).map_or(0, |meta| meta.len());
            verdict_among(&outcome, &[Verdict::OutputLimit])
                .and(|| held_if(size <= 1 << 20 && size > 0, format!("{size} bytes in the file")))
        },
    },
    Attempt {
        name: "disk_filled",
        threat: "H16, W-09",
        expected: "ENOSPC at 16 MiB, DISK_LIMIT",
        control: Control::Weak,
        attempt: |stage| {
            let outcome = stage.probe(&["--disk", "16M"], &["write", "/tmp/enclos-fill", "64"]);
            let _ = std::fs::remove_file("/tmp/enclos-fill");
            let kib = outcome.try_of("write").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
            verdict_among(&outcome, &[Verdict::DiskLimit])
                .and(|| held_if(kib.is_some_and(|kib| kib <= 16 << 10), format!("{kib:?} KiB written")))
        },
    },
    Attempt {
        name: "every_writable_place_filled",
        threat: "W-09: a bound on one place only",
        expected: "all writable places together hold no more than --disk",
        control: Control::Without("would fill the host's disk"),
        attempt: fill_everything,
    },
    Attempt {
        name: "inodes_exhausted",
        threat: "H17",
        expected: "ENOSPC at 1000 files",
        control: Control::Weak,
        attempt: |stage| {
            let dir = if stage.is_real() { "/tmp".to_owned() } else { stage.world.make_dir("out/inodes").display().to_string() };
            if !stage.is_real() {
                let _ = std::process::Command::new("chmod").args(["777", &dir]).status();
            }
            let outcome = stage.probe(&["--inodes", "1000"], &["inodes", "4000", &dir]);
            let made = outcome.try_of("inodes").and_then(|text| text.split(',').next()?.parse::<u64>().ok());
            // The directories the sandbox itself consists of are the engine's own affair: a few either way.
            held_if(made.is_some_and(|made| made <= 1024 && made > 900), outcome.describe())
        },
    },
    Attempt {
        name: "sparse_file",
        threat: "H16: a terabyte of nothing",
        expected: "EFBIG with --file-size",
        control: Control::Weak,
        attempt: |stage| sizes(stage, "sparse"),
    },
    Attempt {
        name: "preallocated_file",
        threat: "H16: fallocate of 100 GiB",
        expected: "EFBIG or ENOSPC",
        control: Control::Without("would fill the host's disk"),
        attempt: |stage| sizes(stage, "fallocate"),
    },
    Attempt {
        name: "counts_of_the_user_exhausted",
        threat: "H46: inotify, timers, message queues, priorities: counted for the user on the host, whose other programs need them",
        expected: "64 instances, 8192 watches, 1024 timers, one queue; no priority; no user namespace, without the filter too",
        control: Control::Without("would take the host's own"),
        attempt: counts_of_the_user,
    },
    Attempt {
        name: "real_time_of_the_caller",
        threat: "sched(7): a caller's real-time policy is inherited, whatever RLIMIT_RTPRIO says, and one such loop takes a CPU from everybody",
        expected: "SCHED_OTHER",
        control: Control::Without("would take a CPU of the host"),
        attempt: real_time,
    },
    Attempt {
        name: "limits_that_cannot_be",
        threat: "W-08: a limit silently dropped",
        expected: "exit 125, one line naming the limit, nothing run",
        control: Control::Without("about refusals"),
        attempt: hidden_controllers,
    },
];

fn real_time(stage: &Stage) -> Seen {
    // Field 41 of proc_pid_stat(5): the scheduling policy.
    let outcome = stage.run(&[]).under(["chrt", "-f", "1"]).sh("cut -d ' ' -f 41 /proc/self/stat").without_report().output();
    if String::from_utf8_lossy(&outcome.stderr).contains("failed to set") {
        return Seen::Cannot("this user may not have a real-time policy".to_owned());
    }
    held_if(outcome.stdout == b"0\n", format!("policy {}", outcome.describe()))
}

fn bomb(stage: &Stage, kind: &str) -> Seen {
    let outcome = stage.probe(&["--processes", "20"], &[kind, "200"]);
    if let Some(refused) = stage.refused_limit(&outcome, "pids") {
        return refused;
    }
    let made = outcome.try_of(kind).and_then(|text| text.split(',').next()?.parse::<u32>().ok());
    let told = outcome.try_of(kind).unwrap_or_default();
    held_if(
        made.is_some_and(|made| (5..=20).contains(&made)) && told.ends_with("EAGAIN") && outcome.code == Some(7),
        format!("{told}; exit {:?}; {}", outcome.code, if made.is_some() { String::new() } else { outcome.describe() }),
    )
}

fn cpu(stage: &Stage, arguments: &[&str]) -> Seen {
    // Long enough for half a second of CPU on a busy machine; a control run only has to outlive the limit.
    let span = if stage.is_real() { "6000" } else { "1200" };
    let arguments: Vec<&str> = arguments.iter().map(|word| if *word == "MS" { span } else { word }).collect();
    let outcome = stage.probe(&["--cpu", "500ms", "--wall", "30s"], &arguments);
    // Nobody but a cgroup sees the time of children whose parent ignores SIGCHLD: they leave no account behind.
    let weaker = outcome.report.as_ref().and_then(|report| report.weakened.iter().find(|line| line.contains("cpu")).cloned());
    if let (Verdict::Ok, Some(line), true) = (outcome.verdict(), weaker, arguments[0] == "storm") {
        return Seen::Held(format!("the report says: {line}"));
    }
    verdict_among(&outcome, &[Verdict::TimedOut]).and(|| {
        // How near is the benchmark's business; a report that is far off means that somebody's time was not counted.
        let cpu = outcome.figure("cpu").unwrap_or(0);
        held_if((450_000..2_000_000).contains(&cpu), format!("{cpu} us of CPU"))
    })
}

fn memory(stage: &Stage, limit: &str, arguments: &[&str]) -> Seen {
    let outcome = stage.probe(&["--memory", limit], arguments);
    stage.refused_limit(&outcome, "memory").unwrap_or_else(|| out_of_memory(&outcome))
}

fn out_of_memory(outcome: &Outcome) -> Seen {
    verdict_among(outcome, &[Verdict::OutOfMemory]).and(|| {
        let peak = outcome.figure("memory-peak");
        held_if(peak.is_some_and(|peak| peak > 16 << 20 && peak <= 50 << 20), format!("peak {peak:?} bytes"))
    })
}

fn memory_file(stage: &Stage, path: &str) -> Seen {
    let outcome = stage.probe(&["--memory", "48M"], &["write", path, "256"]);
    if !stage.is_real() {
        let _ = std::fs::remove_file(path);
    }
    let full = outcome.out().contains("ENOSPC") && outcome.verdict() != Verdict::Ok;
    stage
        .refused_limit(&outcome, "memory")
        .unwrap_or_else(|| if full && path.starts_with("/dev/shm") { Seen::Held("ENOSPC".into()) } else { out_of_memory(&outcome) })
}

fn flood(stage: &Stage, descriptor: &str) -> Seen {
    let outcome = stage.probe(&["--output", "1M"], &["flood", descriptor, "64"]);
    let bytes = if descriptor == "1" { outcome.stdout.len() } else { outcome.stderr.len() };
    verdict_among(&outcome, &[Verdict::OutputLimit]).and(|| {
        // The tool's own last line may follow on stderr.
        let room = if descriptor == "1" { 0 } else { 4096 };
        held_if(bytes >= 1 << 20 && bytes <= (1 << 20) + room, format!("{bytes} bytes came through"))
    })
}

fn fill_everything(stage: &Stage) -> Seen {
    let listed = stage.probe(&["--disk", "16M"], &["writable"]);
    let text = listed.out();
    let places: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("writable d ")).collect();
    if places.is_empty() {
        return Seen::Escaped(format!("no writable directory at all: {}", listed.describe()));
    }
    let mut arguments = vec!["fill", "128"];
    arguments.extend(&places);
    let outcome = stage.probe(&["--disk", "16M"], &arguments);
    let total = outcome.try_of("total").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    held_if(total.is_some_and(|kib| kib > 1024 && kib <= 17 << 10), format!("{total:?} KiB in {}: {}", places.join(" "), outcome.out()))
}

fn counts_of_the_user(stage: &Stage) -> Seen {
    let mut seen = Vec::new();
    for way in [&[][..], &["--seccomp", "none", "--landlock", "off"]] {
        let outcome = stage.probe(way, &["counts"]);
        let count = |what: &str| outcome.try_of(what).and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX);
        let taken = ["inotify-instances", "inotify-watches", "timers", "queues"].map(count);
        let wide = taken.iter().zip([64, 8192, 1024, 1]).any(|(taken, bound)| *taken > bound);
        let through: Vec<_> = outcome.tries().into_iter().filter(|(_, result)| result == "ok").collect();
        let nested = stage.run(way).sh("unshare -U true && echo made").output();
        if wide || !through.is_empty() || nested.out().contains("made") {
            return Seen::Escaped(format!("{way:?}: taken {taken:?}, {through:?}; {}", nested.describe()));
        }
        seen.push(format!("{taken:?}"));
    }
    Seen::Held(seen.join(", "))
}

fn sizes(stage: &Stage, kind: &str) -> Seen {
    let path = if stage.is_real() { "/tmp/large".to_owned() } else { stage.world.make_file("out/large", b"").display().to_string() };
    if !stage.is_real() {
        let _ = std::process::Command::new("chmod").args(["666", &path]).status();
    }
    tries_among(&stage.probe(&["--file-size", "16M"], &[kind, &path, "100"]), 1, &["EFBIG", "ENOSPC"])
}

/// The same tool, shown a host without any cgroup hierarchy: what needs one is refused, never dropped.
fn hidden_controllers(stage: &Stage) -> Seen {
    let mut seen = Vec::new();
    for (flags, name) in [(["--memory", "64M"], "memory"), (["--processes", "20"], "processes")] {
        let hide = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
        let namespaces = if stage.world.who == enclos_testkit::Who::Root { "-m" } else { "-rm" };
        let outcome = stage.run(&flags).under(["unshare", namespaces, "sh", "-c", hide, "sh"]).command(["/bin/echo", "ran"]).output();
        let message = outcome.err();
        let refused =
            outcome.code == Some(125) && message.trim().lines().count() == 1 && message.contains(name) && outcome.stdout.is_empty();
        // A private uid makes RLIMIT_NPROC an honest enforcer; then the report must say that it is the one.
        let enforcer = outcome.report.as_ref().and_then(|report| report.limit(name)).map(|limit| limit.enforcer.clone());
        let elsewhere = name == "processes" && enforcer.as_ref().is_some_and(|who| who.contains("RLIMIT_NPROC"));
        if !refused && !elsewhere {
            return Seen::Escaped(format!("{name}: {}", outcome.describe()));
        }
        seen.push(if refused { message.trim().to_owned() } else { enforcer.unwrap_or_default() });
    }
    Seen::Held(seen.join("; "))
}
