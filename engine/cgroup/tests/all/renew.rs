//! A group used again is one in which nobody can tell that it was used.

use std::path::PathBuf;

use enclos_cgroup::{Controller, Group, Host, Limits, Meters, Pool, Stall, Version};

use crate::real::{Shell, hosts, make};

/// Burns CPU, holds 20 MB, and has many tasks at once.
const BUSY: &str = "head -c 20000000 /dev/zero | tail -c 20000000 | tail -n 1 | wc -c; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; \
                    i=0; while [ $i -lt 9 ]; do sleep 0.1 & i=$((i+1)); done; wait";
/// Asks for more memory than it may have.
const HOG: &str = "head -c 90000000 /dev/zero | tail -n 1 | wc -c";

fn limits(host: &Host) -> Limits {
    let can = |controller| host.place(controller).is_ok();
    Limits {
        memory: can(Controller::Memory).then_some(64 << 20),
        pids: can(Controller::Pids).then_some(20),
        freeze: can(Controller::Freezer),
        meters: Meters::ALL,
        ..Limits::default()
    }
}

/// v2 does not set its highest count of memory or tasks back.
fn can_renew(host: &Host) -> bool {
    [Controller::Memory, Controller::Pids].iter().all(|c| host.place(*c).map_or(true, |place| place.version == Version::V1))
}

fn run(group: &Group, script: &str) {
    Shell::within(group, script).wait();
}

#[test]
fn nothing_of_those_before_is_counted() {
    for host in hosts("nothing_of_those_before_is_counted", &[Controller::CpuAcct, Controller::Memory, Controller::Pids]) {
        for before in [BUSY, HOG, "exit 0"] {
            let mut group = make(&host, &limits(&host));
            run(&group, before);
            let renewed = group.renew().unwrap();
            assert_eq!(renewed, can_renew(&host), "{before} on a host of kind {}", host.kind());
            if !renewed {
                group.remove().unwrap();
                continue;
            }
            let usage = group.usage().unwrap();
            assert_eq!(usage.cpu.map(|r| r.value), Some(0), "{usage:?}");
            assert!(usage.memory_peak.is_some_and(|r| r.value <= 1 << 20), "{usage:?}");
            assert_eq!((usage.oom_kills.map(|r| r.value), usage.memory_limit_hits.map(|r| r.value)), (Some(0), Some(0)), "{usage:?}");
            assert!(usage.pids_peak.is_some_and(|r| r.value <= 2), "{usage:?}");
            assert_eq!((usage.pids_current.map(|r| r.value), usage.pids_limit_hits.map(|r| r.value)), (Some(0), Some(0)), "{usage:?}");
            let pressure = group.pressure().unwrap();
            let stalls: Vec<Stall> = [pressure.cpu, pressure.memory, pressure.io].into_iter().flatten().collect();
            assert!(stalls.iter().all(|stall| stall.some == 0 && stall.full == 0), "{pressure:?}");
            // And it counts.
            run(&group, BUSY);
            let usage = group.usage().unwrap();
            assert!(usage.cpu.is_some_and(|r| r.value > 10_000) && usage.pids_peak.is_some_and(|r| r.value >= 9), "{usage:?}");
            group.remove().unwrap();
        }
    }
}

#[test]
fn its_limits_hold_again() {
    for host in hosts("its_limits_hold_again", &[Controller::Memory, Controller::Pids]) {
        if !can_renew(&host) {
            continue;
        }
        let mut group = make(&host, &limits(&host));
        // Changed while it lived: the next one has what it was made with.
        group.set_memory(None).unwrap();
        group.set_pids(None).unwrap();
        run(&group, "exit 0");
        for _ in 0..3 {
            assert!(group.renew().unwrap());
            run(&group, HOG);
            let usage = group.usage().unwrap();
            assert!(usage.oom_kills.is_some_and(|r| r.value >= 1), "{usage:?}");
            let paths: Vec<PathBuf> = group.paths().collect();
            let pids = paths.iter().find_map(|path| std::fs::read_to_string(path.join("pids.max")).ok());
            assert_eq!(pids.as_deref(), Some("20\n"));
        }
        group.remove().unwrap();
    }
}

#[test]
fn one_that_is_in_use_or_known_by_its_name_is_not_used_again() {
    for host in hosts("one_that_is_in_use_or_known_by_its_name_is_not_used_again", &[Controller::CpuAcct]) {
        let mut group = make(&host, &limits(&host));
        let shell = Shell::within(&group, "sleep 60");
        assert!(!group.renew().unwrap(), "a process is in it");
        drop(shell);
        group.kill().unwrap();

        let inside = group.paths().next().unwrap().join("enclos-inside");
        std::fs::create_dir(&inside).unwrap();
        assert!(!group.renew().unwrap(), "a group is in it");
        std::fs::remove_dir(&inside).unwrap();

        let _held = group.keep().unwrap();
        assert!(!group.renew().unwrap(), "somebody keeps it");
        group.remove().unwrap();
    }
}

#[test]
fn a_pool_gives_what_was_put_in_and_leaves_nothing() {
    for host in hosts("a_pool_gives_what_was_put_in_and_leaves_nothing", &[Controller::CpuAcct]) {
        let (pool, limits) = (Pool::new(2), limits(&host));
        let groups: Vec<Group> = (0..3).map(|_| make(&host, &limits)).collect();
        let paths: Vec<PathBuf> = groups.iter().flat_map(Group::paths).collect();
        groups.into_iter().for_each(|group| pool.put(group));
        let kept = if can_renew(&host) { 2 } else { 0 };
        assert_eq!(pool.len(), kept, "no more than it may hold");
        assert!(pool.take(&Limits { pids: Some(7), ..limits.clone() }).is_none(), "with other limits there is none");
        let taken = pool.take(&limits);
        assert_eq!(taken.is_some(), kept > 0);
        pool.close().unwrap();
        // It takes no more.
        taken.into_iter().for_each(|group| pool.put(group));
        assert!(pool.is_empty());
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    }
}
