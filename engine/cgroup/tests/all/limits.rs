//! Limits hold, and can be changed on a living group.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use enclos_cgroup::{Controller, Limits, Meters, Version};

use crate::real::{Shell, hosts, make};

/// Grows to 300 MB if nothing stops it: `tail` must keep a line without end.
const HOG: &str = "head -c 300000000 /dev/zero | tail -n 1 | wc -c";

#[test]
fn a_memory_hog_is_killed_at_its_limit() {
    for host in hosts("a_memory_hog_is_killed_at_its_limit", &[Controller::Memory]) {
        let limit = 32 << 20;
        let mut group = make(&host, &Limits { memory: Some(limit), ..Limits::default() });
        let mut shell = Shell::within(&group, HOG);
        let status = shell.wait();
        let usage = group.usage().unwrap();
        assert!(usage.oom_kills.unwrap().value >= 1, "{usage:?}");
        // Linux 6.18 does not count hits of v1's limit on memory and swap; then there must be no figure rather than 0.
        assert!(usage.memory_limit_hits.is_none_or(|hits| hits.value >= 1), "{usage:?}");
        let peak = usage.memory_peak.unwrap().value;
        assert!(peak <= limit && peak > limit / 2, "{usage:?}");
        if host.place(Controller::Memory).unwrap().version == Version::V2 {
            assert_eq!(status.signal(), Some(9), "v2 kills the group as one");
            assert!(usage.memory_limit_hits.is_some());
        }
        group.kill().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn memory_within_the_limit_is_left_alone() {
    for host in hosts("memory_within_the_limit_is_left_alone", &[Controller::Memory]) {
        let mut group = make(&host, &Limits { memory: Some(64 << 20), ..Limits::default() });
        let mut shell = Shell::within(&group, "head -c 8000000 /dev/zero | tail -n 1 | wc -c");
        assert_eq!(shell.line(), "8000000");
        assert!(shell.wait().success());
        let usage = group.usage().unwrap();
        assert_eq!(usage.oom_kills.unwrap().value, 0, "{usage:?}");
        assert!(usage.memory_peak.unwrap().value >= 8_000_000, "{usage:?}");
        group.remove().unwrap();
    }
}

#[test]
fn files_in_memory_count_as_memory() {
    for host in hosts("files_in_memory_count_as_memory", &[Controller::Memory]) {
        let mut group = make(&host, &Limits { memory: Some(24 << 20), ..Limits::default() });
        let file = tempfile::Builder::new().prefix("enclos-test-").tempfile_in("/dev/shm").unwrap();
        let script = format!("head -c 100000000 /dev/zero > {}", file.path().display());
        Shell::within(&group, &script).wait();
        assert!(group.usage().unwrap().oom_kills.unwrap().value >= 1, "{:?}", group.usage());
        assert!(file.as_file().metadata().unwrap().len() < 32 << 20);
        group.kill().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn no_more_tasks_than_the_limit() {
    for host in hosts("no_more_tasks_than_the_limit", &[Controller::Pids]) {
        let mut group = make(&host, &Limits { pids: Some(8), ..Limits::default() });
        // The shell ends when a fork fails.
        let mut shell = Shell::within(&group, "i=0; while [ $i -lt 20 ]; do sleep 60 >/dev/null & i=$((i+1)); done; echo made $i; wait");
        assert_eq!(shell.line(), "", "it must not have made all 20");
        shell.wait();
        let usage = group.usage().unwrap();
        assert_eq!(usage.pids_current.unwrap().value, 7, "{usage:?}");
        assert!(usage.pids_limit_hits.unwrap().value >= 1, "{usage:?}");
        if usage.pids_peak.unwrap().source.ends_with("pids.peak") {
            assert_eq!(usage.pids_peak.unwrap().value, 8, "{usage:?}");
        }
        group.kill().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn limits_of_a_living_group_can_be_raised_lowered_and_lifted() {
    for host in hosts("limits_of_a_living_group_can_be_raised_lowered_and_lifted", &[Controller::Memory, Controller::Pids]) {
        let mut group = make(&host, &Limits { memory: Some(16 << 20), pids: Some(4), ..Limits::default() });
        // On v1 each of these needs its two files written in another order.
        for memory in [Some(64 << 20), Some(8 << 20), None, Some(128 << 20)] {
            group.set_memory(memory).unwrap_or_else(|error| panic!("{memory:?}: {error}"));
        }
        group.set_pids(None).unwrap();
        group.set_pids(Some(u64::MAX)).unwrap();
        group.set_pids(Some(64)).unwrap();
        let mut shell = Shell::within(&group, "head -c 40000000 /dev/zero | tail -n 1 | wc -c");
        assert_eq!(shell.line(), "40000000", "the raised limit holds");
        shell.wait();
        group.set_memory(Some(24 << 20)).unwrap();
        Shell::within(&group, HOG).wait();
        assert!(group.usage().unwrap().oom_kills.unwrap().value >= 1, "the lowered limit holds");
        group.kill().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn a_cpuset_binds_and_a_wrong_one_is_refused_by_name() {
    for host in hosts("a_cpuset_binds_and_a_wrong_one_is_refused_by_name", &[Controller::CpuSet]) {
        let mut group = make(&host, &Limits { cpus: Some(vec![0]), ..Limits::default() });
        let mut shell = Shell::within(&group, "grep Cpus_allowed_list /proc/self/status");
        assert_eq!(shell.line().split_ascii_whitespace().last(), Some("0"));
        shell.wait();
        assert!(group.wait_empty(Duration::from_secs(2)).unwrap());
        group.remove().unwrap();

        if host.place(Controller::CpuSet).unwrap().version == Version::V1 {
            let name = enclos_cgroup::Name::fresh().unwrap();
            let error = host.create(&name, &Limits { cpus: Some(vec![1000]), ..Limits::default() }).unwrap_err().to_string();
            assert!(error.contains("cpuset.cpus") && error.contains("\"1000\""), "{error}");
        }
    }
}

#[test]
fn a_quota_of_cpu_time_slows_what_wants_more() {
    for host in hosts("a_quota_of_cpu_time_slows_what_wants_more", &[Controller::Cpu, Controller::CpuAcct]) {
        let limits =
            Limits { cpu_quota: Some(20_000), cpu_shares: Some(2), meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() };
        let mut group = make(&host, &limits);
        let mut shell = Shell::within(&group, "while :; do :; done");
        std::thread::sleep(Duration::from_millis(1500));
        // A fifth of a CPU; without the quota it would be a whole one, or a half on a busy machine.
        let used = group.cpu_usec().unwrap();
        assert!(used > 30_000 && used < 500_000, "{used}");
        group.kill().unwrap();
        shell.wait();
        group.remove().unwrap();
    }
}
