//! The tool killed, starved or left alone at the worst moment: nothing may stay, nothing may run unconfined.

use std::time::Duration;

use enclos_spec::Verdict;
use enclos_testkit::{Outcome, Who};
use rustix::process::Signal;

use crate::attempt::{held_if, verdict_among};
use crate::{Attempt, Control, Seen, Stage};

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "tool_killed",
        threat: "kill -9 of the tool with a tree of processes running",
        expected: "no process of the sandbox alive, nothing left",
        control: Control::OpenAsUser,
        attempt: |stage| {
            // A command of two processes: without a wall the second outlives the first.
            let live = stage.run(&[]).sh(&with_sleep(stage, "SLEEP & SLEEP; true")).start();
            killed(stage, live, Signal::KILL)
        },
    },
    Attempt {
        name: "tool_killed_with_daemons",
        threat: "kill -9 of the tool with a daemon in a session of its own",
        expected: "no process of the sandbox alive, nothing left",
        control: Control::OpenAsUser,
        attempt: |stage| {
            let live = stage.run(&[]).sh(&with_sleep(stage, "setsid sh -c 'trap \"\" HUP TERM INT; SLEEP' & SLEEP; true")).start();
            killed(stage, live, Signal::KILL)
        },
    },
    Attempt {
        name: "tool_terminated",
        threat: "W-38: a stop that leaves commands running",
        expected: "no process of the sandbox alive, nothing left",
        control: Control::OpenAsUser,
        attempt: |stage| {
            let live = stage.run(&[]).sh(&with_sleep(stage, "setsid SLEEP & SLEEP; true")).start();
            killed(stage, live, Signal::TERM)
        },
    },
    Attempt {
        name: "killed_while_being_made",
        threat: "kill -9 at every moment of the first milliseconds",
        expected: "nothing left, forty times",
        control: Control::Without("the same as tool_killed, earlier"),
        attempt: |stage| {
            for step in 0..40 {
                let live = stage.run(&["--tmpfs", "/mnt"]).sh(&with_sleep(stage, "SLEEP; true")).without_report().start();
                std::thread::sleep(Duration::from_micros(step * 400));
                live.signal(Signal::KILL);
                let _ = live.wait();
            }
            stage.settled().map_or_else(|left| Seen::Escaped(left.join("; ")), |()| Seen::Held("40 times".into()))
        },
    },
    Attempt {
        name: "output_nobody_reads",
        threat: "H37: the reader is gone, or never reads",
        expected: "the command ends by SIGPIPE or EPIPE, the tool with it",
        control: Control::Without("about our own relays"),
        attempt: |stage| {
            let outcome = stage
                .run(&[])
                .under(["sh", "-c", "\"$@\" | head -c 10 >/dev/null", "sh"])
                .command(["/usr/bin/yes"])
                .within(Duration::from_secs(15))
                .output();
            held_if(!outcome.stuck, outcome.describe())
        },
    },
    Attempt {
        name: "input_nobody_reads",
        threat: "H37: 50 MB of stdin that is never read",
        expected: "OK",
        control: Control::Without("about our own relays"),
        attempt: |stage| {
            let outcome = stage.run(&[]).command(["/bin/true"]).stdin(&vec![b'x'; 50 << 20]).output();
            verdict_among(&outcome, &[Verdict::Ok])
        },
    },
    Attempt {
        name: "unconfined_on_failure",
        threat: "W-11: where a wall cannot be built the command runs without it",
        expected: "exit 125, one line, nothing run",
        control: Control::Without("about refusals"),
        attempt: unconfined_on_failure,
    },
    Attempt {
        name: "too_few_descriptors",
        threat: "EMFILE in the middle of set-up",
        expected: "exit 125 in one line, or a full run; never half a wall",
        control: Control::Without("about refusals"),
        attempt: |stage| {
            let mut seen = Vec::new();
            for limit in [3, 4, 5, 6, 8, 10, 12, 16, 24, 32] {
                let script = format!("ulimit -n {limit}; exec \"$@\"");
                let outcome = stage
                    .run(&[])
                    .under(["sh", "-c", &script, "sh"])
                    .sh("grep -c . /proc/self/status; grep Seccomp: /proc/self/status")
                    .without_report()
                    .output();
                match sound(&outcome) {
                    Seen::Held(how) => seen.push(format!("{limit}: {how}")),
                    other => return other,
                }
            }
            Seen::Held(seen.join(", "))
        },
    },
    Attempt {
        name: "no_more_processes",
        threat: "EAGAIN from clone",
        expected: "exit 125 in one line, nothing left",
        control: Control::Without("about refusals"),
        attempt: |stage| {
            if stage.world.who == Who::Root {
                return Seen::Held("RLIMIT_NPROC does not bind root; the user's run shows it".into());
            }
            let outcome = stage.run(&[]).under(["bash", "-c", "ulimit -u 1; exec \"$@\"", "bash"]).command(["/bin/echo", "ran"]).output();
            held_if(outcome.code == Some(125) && outcome.err().trim().lines().count() == 1 && outcome.stdout.is_empty(), outcome.describe())
        },
    },
    Attempt {
        name: "host_without_proc",
        threat: "a missing /proc",
        expected: "exit 125 in one line, or a full run",
        control: Control::Without("about refusals"),
        attempt: |stage| {
            let namespaces = if stage.world.who == Who::Root { "-m" } else { "-rm" };
            let script = "mount -t tmpfs none /proc && exec \"$@\"";
            let run = stage.run(&[]).under(["unshare", namespaces, "sh", "-c", script, "sh"]);
            sound(&run.sh("grep -c . /proc/self/status; grep Seccomp: /proc/self/status").without_report().output())
        },
    },
    Attempt {
        name: "crowd_of_hostile_programs",
        threat: "H47: bombs of every kind beside honest programs",
        expected: "honest verdicts unchanged",
        control: Control::Without("about neighbours"),
        attempt: crowd,
    },
];

/// The script with `SLEEP` written out as a long sleep that carries the world's mark, so that it is found from the host.
fn with_sleep(stage: &Stage, script: &str) -> String {
    script.replace("SLEEP", &format!("{} sleep 20000 mark={}", stage.world.text("work/probe"), stage.world.mark))
}

fn killed(stage: &Stage, mut live: enclos_testkit::Live, signal: Signal) -> Seen {
    std::thread::sleep(Duration::from_millis(400));
    if !live.running() {
        return Seen::Escaped(format!("it had ended before it was killed: {}", live.wait().describe()));
    }
    live.signal(signal);
    let started = std::time::Instant::now();
    let outcome = live.wait();
    let left = loop {
        let left = enclos_testkit::host::pids_marked(&stage.world.mark);
        if left.is_empty() || started.elapsed() > Duration::from_secs(5) {
            break left;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    for pid in left.iter().filter_map(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    held_if(
        left.is_empty() && !outcome.stuck,
        format!("{} processes left; code {:?}, signal {:?}", left.len(), outcome.code, outcome.signal),
    )
}

/// Either refused in one line with nothing run, or run behind a whole wall.
fn sound(outcome: &Outcome) -> Seen {
    let refused = outcome.code == Some(125) && outcome.err().trim().lines().count() == 1 && outcome.stdout.is_empty();
    let ran = outcome.code == Some(0) && outcome.out().contains("Seccomp:\t2");
    // With no descriptor to spare the loader or the shell itself may fail, before or inside the sandbox.
    let not_started = matches!(outcome.code, Some(1 | 2 | 126 | 127)) && !outcome.out().contains("Seccomp:\t0");
    let how = if refused {
        "refused"
    } else if ran {
        "ran"
    } else {
        "not started"
    };
    if refused || ran || not_started { Seen::Held(how.into()) } else { Seen::Escaped(outcome.describe()) }
}

fn unconfined_on_failure(stage: &Stage) -> Seen {
    let marker = stage.world.text("out/ran");
    // In a user namespace of its own the count of further ones can be set to none.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let outcome = stage.run(&[]).under(["unshare", "-rm", "sh", "-c", script, "sh"]).sh(&format!("echo ran; touch {marker}")).output();
    if outcome.err().contains("unshare:") {
        return Seen::Cannot("this host lets nobody make user namespaces".into());
    }
    held_if(
        outcome.code == Some(125)
            && outcome.stdout.is_empty()
            && outcome.err().trim().lines().count() == 1
            && !std::path::Path::new(&marker).exists(),
        outcome.describe(),
    )
}

fn crowd(stage: &Stage) -> Seen {
    let hostile: &[&[&str]] = &[
        &["forks", "200"],
        &["touch", "200"],
        &["flood", "1", "64"],
        &["storm", "1500"],
        &["spin", "1500", "2", "2"],
        &["signals"],
        &["pipes", "60"],
    ];
    let flags: &[&str] = &["--cpu", "1s", "--wall", "10s", "--output", "1M", "--best-effort", "--memory", "64M", "--processes", "64"];
    let honest: Vec<Outcome> = std::thread::scope(|scope| {
        let bad: Vec<_> =
            (0..14).map(|i| scope.spawn(move || stage.run(flags).probe(hostile[i % hostile.len()]).without_report().output())).collect();
        let mut honest = Vec::new();
        for i in 0..8 {
            honest.push((i, stage.run(&["--output", "1M"]).sh(&format!("sleep 0.05; echo honest {i}; exit {i}")).output()));
        }
        for thread in bad {
            let _ = thread.join();
        }
        honest.into_iter().map(|(_, outcome)| outcome).collect()
    });
    for (i, outcome) in honest.iter().enumerate() {
        if outcome.out() != format!("honest {i}\n") || outcome.code != Some(i32::try_from(i).unwrap_or(-1)) {
            return Seen::Escaped(format!("honest program {i}: {}", outcome.describe()));
        }
    }
    Seen::Held("8 honest programs, 8 right answers".into())
}
