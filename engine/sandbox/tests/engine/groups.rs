//! Sandboxes of a template have control groups that others have used before them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enclos_sandbox::spec::{Policy, Report, Verdict};
use enclos_sandbox::{Launcher, Stdio, Template};

use crate::warm::launcher;

const LIMITS: &str = "memory = '64MiB'\nprocesses = 24\nwall = '20s'\ncpu = '10s'\n";
/// Burns CPU, holds 30 MB, and has ten processes at once.
const BUSY: &str = "head -c 30000000 /dev/zero | tail -c 30000000 | wc -c; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; \
                    for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done; wait";

/// A template with limits, and what it needs to live; `None`, and said so: this host cannot hold them.
fn template(test: &str) -> Option<(Launcher, Template)> {
    let policy = Policy::from_toml(LIMITS).unwrap();
    if let Err(error) = enclos_sandbox::Command::new("true").policy(&policy).explain() {
        println!("SKIP: {test}: {error}");
        return None;
    }
    let launcher = launcher();
    let template = launcher.template(&policy).unwrap();
    Some((launcher, template))
}

fn run(template: &Template, script: &str) -> Report {
    let mut command = template.command("sh");
    command.args(["-c", script]).stdout(Stdio::Null).stderr(Stdio::Null).status().unwrap().report
}

fn value(report: &Report, name: &str) -> Option<u64> {
    report.figure(name).map(|figure| figure.value)
}

/// Directories of control groups with this name.
fn directories(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == *name {
                found.push(entry.path());
            } else {
                left.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn the_next_sandbox_is_charged_for_nothing_of_the_one_before() {
    let Some((_launcher, template)) = template("the_next_sandbox_is_charged_for_nothing_of_the_one_before") else { return };
    for (before, verdict) in [(BUSY, Verdict::Ok), ("exec tail /dev/zero", Verdict::OutOfMemory), ("exit 0", Verdict::Ok)] {
        assert_eq!(run(&template, before).verdict, verdict, "{before}");
        // Time for its group to be made ready for the next.
        std::thread::sleep(Duration::from_millis(100));
        let report = run(&template, "exit 0");
        assert_eq!(report.verdict, Verdict::Ok, "{before}: {report:?}");
        assert!(value(&report, "cpu").is_none_or(|us| us < 500_000), "{before}: {report:?}");
        assert!(value(&report, "memory-peak").is_none_or(|bytes| bytes < 12 << 20), "{before}: {report:?}");
        assert!(value(&report, "processes-peak").is_none_or(|count| count <= 2), "{before}: {report:?}");
        assert_eq!(value(&report, "processes-refused").unwrap_or(0), 0, "{before}: {report:?}");
        let full = run(&template, "exec tail /dev/zero");
        assert_eq!(full.verdict, Verdict::OutOfMemory, "{before}: the limit holds again: {full:?}");
    }
}

/// The name of the control group that a sandbox's command is in, and its report.
fn group_of(template: &Template) -> (Option<String>, Report) {
    let mut child = template.command("sleep").arg("0.3").stdin(Stdio::Null).spawn().unwrap();
    let mine = format!("enclos-{}-", std::process::id());
    let mut name = None;
    // It enters a moment after it was born.
    for _ in 0..100 {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap_or_default();
        name = groups.lines().flat_map(|line| line.split('/')).find(|part| part.starts_with(&mine)).map(str::to_owned);
        if name.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    (name, child.wait().unwrap().report)
}

#[test]
fn a_group_serves_one_sandbox_after_another() {
    let Some((_launcher, template)) = template("a_group_serves_one_sandbox_after_another") else { return };
    let (first, report) = group_of(&template);
    // v2 cannot set its counts back; there every sandbox has a new one.
    let again = report.figure("memory-peak").is_some_and(|figure| figure.source.contains("v1"));
    std::thread::sleep(Duration::from_millis(200));
    let (second, _) = group_of(&template);
    assert_eq!(first.is_some() && first == second, again && first.is_some(), "{first:?}, {second:?}: {report:?}");
}

#[test]
fn spare_groups_are_removed_soon_and_with_their_template() {
    for drops in [false, true] {
        let Some((_launcher, template)) = template("spare_groups_are_removed_soon_and_with_their_template") else { return };
        let (Some(name), _) = group_of(&template) else {
            println!("SKIP: spare_groups_are_removed_soon_and_with_their_template: no control group is needed here");
            return;
        };
        let kept = (!drops).then_some(template);
        let started = Instant::now();
        while !directories(&name).is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", directories(&name));
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(kept);
    }
}
