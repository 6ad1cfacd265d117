//! Each limit: enforced, told apart, and in the report with who enforces and who measures it.
//!
//! What needs a cgroup controller may be refused by name where this user or host has none; that is checked, not skipped.

use std::time::Duration;

use enclos_spec::Verdict;
use enclos_testkit::{Outcome, Run, Who, World};
use enclos_tests_e2e::{assert_refused, both, printed, sh};

/// True if the run was refused because nobody here can enforce `limit`; then the refusal itself is checked.
fn refused_here(world: &World, outcome: &Outcome, limit: &str) -> bool {
    let refused = outcome.code == Some(125);
    if refused {
        assert_refused(outcome, limit);
        assert_eq!(world.who, Who::User, "root can, where the host has the controller: {}", outcome.describe());
    }
    refused
}

fn assert_hit(outcome: &Outcome, verdict: Verdict, limit: &str) {
    assert_eq!(outcome.verdict(), verdict, "{}", outcome.describe());
    let report = outcome.report.as_ref().expect("a report was asked for");
    let found = report.limit(limit).unwrap_or_else(|| panic!("{limit} is not among the limits: {:?}", report.limits));
    assert!(found.hit && !found.enforcer.is_empty() && !found.meter.is_empty(), "{found:?}");
    assert!(report.limits.iter().filter(|other| other.hit).count() == 1, "one limit ended it: {:?}", report.limits);
    assert!(report.evidence.is_some());
}

/// Runs until one try meets `good`; on a noisy machine a clock may be late now and then, but not three times.
fn one_of_three(run: impl Fn() -> Outcome, good: impl Fn(&Outcome) -> bool) {
    let tries: Vec<Outcome> = (0..3).map(|_| run()).collect();
    assert!(tries.iter().any(good), "{}", tries.iter().map(Outcome::describe).collect::<Vec<_>>().join("\n"));
}

both! {
    fn wall_is_hit_within_150_ms(world) {
        one_of_three(
            || sh(world, &["--wall", "300ms"], "sleep 20"),
            |outcome| {
                assert_hit(outcome, Verdict::Idleness, "wall");
                assert_eq!(outcome.code, Some(137));
                (300_000..450_000).contains(&outcome.figure("wall").unwrap_or(0))
            },
        );
    }

    fn cpu_is_hit_within_150_ms(world) {
        one_of_three(
            || sh(world, &["--cpu", "300ms"], "while :; do :; done"),
            |outcome| {
                assert_hit(outcome, Verdict::TimedOut, "cpu");
                assert_eq!(outcome.code, Some(137));
                (300_000..450_000).contains(&outcome.figure("cpu").unwrap_or(0))
            },
        );
    }

    fn cpu_counts_dead_children(world) {
        // Each child burns a little and ends; none of them alone comes near the limit.
        let outcome = sh(world, &["--cpu", "300ms", "--wall", "30s"], "while :; do (i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done); done");
        assert_hit(&outcome, Verdict::TimedOut, "cpu");
    }

    fn sleeping_costs_no_cpu(world) {
        let outcome = sh(world, &["--cpu", "500ms"], "sleep 1");
        assert_eq!(outcome.verdict(), Verdict::Ok, "{}", outcome.describe());
        assert!(outcome.figure("cpu").is_some_and(|us| us < 400_000), "{}", outcome.describe());
    }

    fn idle_is_hit_and_activity_puts_it_off(world) {
        let outcome = sh(world, &["--idle", "500ms", "--wall", "30s"], "echo x; sleep 20");
        assert_hit(&outcome, Verdict::Idleness, "idle");
        // Output every 100 ms for more than twice the limit.
        let outcome = sh(world, &["--idle", "500ms"], "i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo $i; sleep 0.1; done");
        assert_eq!(outcome.verdict(), Verdict::Ok, "{}", outcome.describe());
        // CPU without output counts as activity too.
        let outcome = sh(world, &["--idle", "500ms", "--wall", "30s"], "i=0; while [ $i -lt 700000 ]; do i=$((i+1)); done");
        assert_eq!(outcome.verdict(), Verdict::Ok, "{}", outcome.describe());
    }

    fn memory_is_hit(world) {
        let outcome = sh(world, &["--memory", "64M"], "head -c 400000000 /dev/zero | tail");
        if !refused_here(world, &outcome, "memory") {
            assert_hit(&outcome, Verdict::OutOfMemory, "memory");
            let peak = outcome.figure("memory-peak").expect("a memory limit brings a memory figure");
            assert!((32 << 20..=66 << 20).contains(&peak), "{peak}");
        }
    }

    fn memory_below_the_limit_is_no_offence(world) {
        let outcome = sh(world, &["--memory", "256M"], "head -c 50000000 /dev/zero | tail -c 40000000 | wc -c");
        if !refused_here(world, &outcome, "memory") {
            assert_eq!((outcome.verdict(), outcome.out().trim()), (Verdict::Ok, "40000000"), "{}", outcome.describe());
            assert!(outcome.figure("memory-peak").is_some_and(|peak| peak > 30 << 20), "{}", outcome.describe());
        }
    }

    fn memory_can_be_weakened_only_when_asked(world) {
        let outcome = sh(world, &["--memory", "256M", "--best-effort"], "echo ran");
        assert_eq!(outcome.out(), "ran\n", "{}", outcome.describe());
        let report = outcome.report.expect("a report was asked for");
        let limit = report.limit("memory").expect("the limit that was asked for");
        let by_cgroup = limit.enforcer.contains("cgroup");
        assert_eq!(report.weakened.is_empty(), by_cgroup, "enforced by {}, weakened: {:?}", limit.enforcer, report.weakened);
    }

    fn processes_are_counted(world) {
        let outcome = sh(world, &["--processes", "10"], "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1 & done; wait; exit 0");
        if !refused_here(world, &outcome, "processes") {
            assert_ne!(outcome.code, Some(0), "{}", outcome.describe());
            assert!(outcome.err().contains("fork"), "{}", outcome.describe());
            assert!(outcome.figure("processes-peak").is_none_or(|peak| peak <= 10), "{}", outcome.describe());
            let fine = sh(world, &["--processes", "10"], "sleep 0.1 & sleep 0.1 & wait; echo fine");
            assert_eq!(fine.out(), "fine\n", "{}", fine.describe());
        }
    }

    fn disk_is_hit(world) {
        let outcome = sh(world, &["--disk", "8M"], "head -c 20000000 /dev/zero > /tmp/file || exit 3");
        assert_hit(&outcome, Verdict::DiskLimit, "disk");
        assert_eq!(outcome.code, Some(3));
        let outcome = sh(world, &["--disk", "8M"], "head -c 6000000 /dev/zero > /tmp/file && echo fine");
        assert_eq!((outcome.verdict(), outcome.out().trim()), (Verdict::Ok, "fine"), "{}", outcome.describe());
    }

    fn disk_bounds_an_overlay(world) {
        let dir = world.make_dir("out/data");
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let d = dir.display().to_string();
        let outcome = sh(world, &["--overlay", &d, "--disk", "8M"], &format!("head -c 20000000 /dev/zero > {d}/file || exit 3"));
        assert_eq!(outcome.code, Some(3), "{}", outcome.describe());
    }

    fn inodes_are_counted(world) {
        let script = "i=0; while [ $i -lt 400 ]; do : > /tmp/$i || exit 3; i=$((i+1)); done";
        let outcome = sh(world, &["--inodes", "200"], script);
        assert!(outcome.code.is_some_and(|code| code != 0), "{}", outcome.describe());
        let outcome = sh(world, &["--inodes", "1000"], script);
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    }

    fn output_is_hit(world) {
        let outcome = sh(world, &["--output", "10000"], "yes | head -c 30000000");
        assert_hit(&outcome, Verdict::OutputLimit, "output");
        assert_eq!(outcome.stdout.len(), 10_000, "{:?}", outcome.code);
        let outcome = sh(world, &["--output", "10000"], "yes | head -c 30000000 >&2");
        assert_hit(&outcome, Verdict::OutputLimit, "output");
    }

    fn the_status_at_the_output_limit_is_that_of_a_kill(world) {
        // Not that of a SIGPIPE (141) that comes first: which of the two it is must not be a matter of luck.
        let statuses: Vec<_> = (0..20).map(|_| sh(world, &["--output", "1000"], "yes | head -c 10000000").code).collect();
        assert_eq!(statuses, [Some(137); 20]);
    }

    fn file_size_is_bounded(world) {
        let outcome = sh(world, &["--file-size", "1M"], "head -c 5000000 /dev/zero > /tmp/file; echo $?; wc -c < /tmp/file");
        let text = outcome.out();
        assert!(text.starts_with("153\n") || text.starts_with("1\n"), "{}", outcome.describe());
        assert_eq!(text.lines().nth(1), Some("1048576"), "{}", outcome.describe());
    }

    fn open_files_are_bounded(world) {
        assert_eq!(printed(world, &["--open-files", "50"], "ulimit -n; ulimit -Hn"), "50\n50");
    }

    fn stack_is_bounded(world) {
        assert_eq!(printed(world, &["--stack", "4M"], "ulimit -s; ulimit -Hs"), "4096\n4096");
    }

    fn no_core_files(world) {
        assert_eq!(printed(world, &[], "ulimit -c; ulimit -Hc"), "0\n0");
    }

    fn cpus_are_pinned(world) {
        assert_eq!(printed(world, &["--cpus", "0"], "nproc"), "1");
    }

    fn cpu_time_is_rationed(world) {
        let outcome = sh(world, &["--cpu-quota", "0.2", "--cpu-shares", "64", "--wall", "1500ms"], "while :; do :; done");
        if !refused_here(world, &outcome, "cpu") {
            // Without the quota: a whole CPU, or its half on a busy machine.
            assert!(outcome.figure("cpu").expect("a figure") < 600_000, "{}", outcome.describe());
            let report = outcome.report.clone().expect("a report was asked for");
            let limit = |name| report.limit(name).map(|limit| (limit.value, limit.unit.clone()));
            assert_eq!(limit("cpu-quota"), Some((200, "thousandths of a CPU".to_owned())));
            assert_eq!(limit("cpu-shares"), Some((64, "shares".to_owned())));
        }
    }

    fn defaults_are_in_the_report(world) {
        let outcome = sh(world, &[], "true");
        let report = outcome.report.clone().expect("a report was asked for");
        for (name, value) in [("disk", 1 << 30), ("inodes", 262_144), ("open-files", 4096)] {
            assert_eq!(report.limit(name).map(|limit| limit.value), Some(value), "{name}: {:?}", report.limits);
        }
        // A default that nobody can enforce here is not dropped in silence either.
        let processes = report.limit("processes").is_some() || report.weakened.iter().any(|line| line.contains("processes"));
        assert!(processes, "{:?} {:?}", report.limits, report.weakened);
        assert!(report.limits.iter().all(|limit| !limit.hit), "{:?}", report.limits);
    }

    fn unlimited_lifts_a_default(world) {
        let outcome = sh(world, &["--disk", "unlimited", "--inodes", "unlimited", "--processes", "unlimited"], "true");
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        let report = outcome.report.expect("a report was asked for");
        assert!(["disk", "inodes", "processes"].iter().all(|name| report.limit(name).is_none()), "{:?}", report.limits);
    }

    fn figures_have_units_and_sources(world) {
        // Bytes are seen where a limit makes them pass through us; without one the command writes straight to the caller's file or pipe.
        let outcome = sh(world, &["--output", "1M"], "echo four; sleep 0.05");
        let report = outcome.report.clone().expect("a report was asked for");
        for (name, unit) in [("wall", "us"), ("cpu", "us"), ("stdout", "bytes"), ("stderr", "bytes")] {
            let figure = report.figure(name).unwrap_or_else(|| panic!("no figure {name}: {:?}", report.figures));
            assert_eq!(figure.unit, unit);
            assert!(!figure.source.is_empty());
        }
        assert_eq!(outcome.figure("stdout"), Some(5));
        let wall = Duration::from_micros(outcome.figure("wall").unwrap_or(0));
        assert!(wall >= Duration::from_millis(50) && wall <= outcome.elapsed, "{wall:?} of {:?}", outcome.elapsed);
    }

    fn a_limit_kills_the_whole_tree(world) {
        let outcome = Run::new(world).flags(["--wall", "300ms"]).sh("setsid sleep 30 & (trap '' TERM; sleep 30) & sleep 30").within(Duration::from_secs(20)).output();
        assert!(!outcome.stuck, "{}", outcome.describe());
        assert_eq!(outcome.verdict(), Verdict::Idleness);
    }
}
