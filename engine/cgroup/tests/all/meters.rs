//! What is measured is what was used.

use std::time::Duration;

use enclos_cgroup::{Controller, Limits, Meters, Version};
use rustix::event::{PollFd, Timespec, poll};

use crate::real::{Shell, hosts, make};

/// Burns CPU in three children, one after the other, and tells what they used by its own account.
const THREE_CHILDREN: &str = r#"
    for n in 1 2 3; do sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; done
    times; echo end; read more"#;

/// Seconds in the form `0m1.230000s`.
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}

#[test]
fn cpu_time_counts_children_that_have_ended() {
    for host in hosts("cpu_time_counts_children_that_have_ended", &[Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() });
        let mut shell = Shell::within(&group, THREE_CHILDREN);
        let _own = shell.line();
        let children: f64 = shell.line().split(' ').map(seconds).sum();
        assert_eq!(shell.line(), "end");
        assert!(children > 0.02, "the burners used {children} s");
        let counted = group.cpu_usec().unwrap() as f64 / 1e6;
        assert!(counted > children * 0.9 && counted < children * 1.5 + 0.2, "counted {counted} s, children {children} s");

        let usage = group.usage().unwrap();
        let (total, user, system) = (usage.cpu.unwrap().value, usage.cpu_user.unwrap().value, usage.cpu_system.unwrap().value);
        assert!(total >= group.cpu_usec().unwrap() - 50_000);
        assert!((user + system).abs_diff(total) <= 1, "{usage:?}");
        drop(shell);
        group.kill().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn cpu_time_of_a_removed_group_is_an_error_not_nought() {
    for host in hosts("cpu_time_of_a_removed_group_is_an_error_not_nought", &[Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() });
        assert_eq!(group.cpu_usec().unwrap(), 0);
        for path in group.paths().collect::<Vec<_>>() {
            std::fs::remove_dir(path).unwrap();
        }
        assert!(group.cpu_usec().is_err());
        assert!(group.usage().is_err());
        group.remove().unwrap();
    }
}

#[test]
fn every_figure_names_its_source() {
    let controllers = [Controller::Memory, Controller::Pids, Controller::CpuAcct];
    for host in hosts("every_figure_names_its_source", &controllers) {
        let mut group = make(&host, &Limits { meters: Meters::ALL, ..Limits::default() });
        assert!(group.unmetered().is_empty(), "{:?}", group.unmetered());
        Shell::within(&group, "head -c 4000000 /dev/zero | tail -n 1 | wc -c").wait();
        let usage = group.usage().unwrap();
        let v = |controller| match host.place(controller).unwrap().version {
            Version::V1 => "cgroup v1 ",
            Version::V2 => "cgroup v2 ",
        };
        for (figure, controller) in [
            (usage.cpu, Controller::CpuAcct),
            (usage.cpu_user, Controller::CpuAcct),
            (usage.cpu_system, Controller::CpuAcct),
            (usage.memory_current, Controller::Memory),
            (usage.memory_peak, Controller::Memory),
            (usage.memory_limit_hits, Controller::Memory),
            (usage.oom_kills, Controller::Memory),
            (usage.pids_current, Controller::Pids),
            (usage.pids_peak, Controller::Pids),
            (usage.pids_limit_hits, Controller::Pids),
        ] {
            let figure = figure.unwrap_or_else(|| panic!("a figure of {controller} is missing: {usage:?}"));
            assert!(figure.source.starts_with(v(controller)), "{figure:?}");
        }
        assert!(usage.memory_peak.unwrap().value >= 4_000_000);
        assert_eq!(usage.pids_limit_hits.unwrap().value, 0);
        group.remove().unwrap();
    }
}

#[test]
fn the_watch_wakes_when_memory_runs_out() {
    for host in hosts("the_watch_wakes_when_memory_runs_out", &[Controller::Memory]) {
        let mut group = make(&host, &Limits { memory: Some(24 << 20), ..Limits::default() });
        let watch = group.oom_watch().unwrap().unwrap();
        assert_eq!(watch.kills().unwrap(), 0);
        let ready = |milliseconds: i64| {
            let time = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
            poll(&mut [PollFd::new(&watch, watch.interest())], Some(&time)).unwrap() == 1
        };
        assert!(!ready(20), "nothing has happened yet");
        let mut shell = Shell::within(&group, "head -c 300000000 /dev/zero | tail -n 1 | wc -c; sleep 60");
        assert!(ready(10_000), "not told");
        // v2 also wakes for reclaim at the limit, before anything is killed; v1 just before the kill.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while watch.kills().unwrap() == 0 {
            assert!(std::time::Instant::now() < deadline, "nothing was killed");
            ready(10);
        }
        group.kill().unwrap();
        shell.wait();
        group.remove().unwrap();
    }
}

#[test]
fn pressure_is_read_where_there_is_a_v2_tree() {
    for host in hosts("pressure_is_read_where_there_is_a_v2_tree", &[Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() });
        let pressure = group.pressure().unwrap();
        let measured = group.v2_dir().is_some() && std::fs::read("/proc/pressure/cpu").is_ok();
        assert_eq!(pressure.cpu.is_some(), measured, "{pressure:?}");
        assert!(group.wait_empty(Duration::ZERO).unwrap());
        group.remove().unwrap();
    }
}
