//! Groups come and go, and nothing stays behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use enclos_cgroup::{CgroupError, Controller, Group, Host, Limits, Meters, Name, Pool};

use crate::real::{Shell, hosts, make};

/// As many limits and meters as the host can do.
fn all_it_can(host: &Host) -> Limits {
    let can = |controller| host.place(controller).is_ok();
    Limits {
        memory: can(Controller::Memory).then_some(64 << 20),
        pids: can(Controller::Pids).then_some(20),
        cpus: can(Controller::CpuSet).then(|| vec![0]),
        freeze: can(Controller::Freezer),
        cpu_quota: can(Controller::Cpu).then_some(50_000),
        cpu_shares: can(Controller::Cpu).then_some(512),
        meters: Meters::ALL,
    }
}

fn paths(group: &Group) -> Vec<PathBuf> {
    group.paths().collect()
}

#[test]
fn removing_takes_every_directory_away() {
    for host in hosts("removing_takes_every_directory_away", &[Controller::CpuAcct]) {
        let mut group = make(&host, &all_it_can(&host));
        let paths = paths(&group);
        assert!(!paths.is_empty() && paths.iter().all(|path| path.is_dir()), "{paths:?}");
        let mut shell = Shell::within(&group, "sleep 60 & sleep 60");
        group.kill().unwrap();
        // At once: the processes are still on their way out, and not waited for.
        group.remove().unwrap();
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
        assert!(group.is_nowhere());
        group.remove().unwrap();
        shell.wait();
    }
}

#[test]
fn two_hundred_groups_leave_no_directory() {
    for host in hosts("two_hundred_groups_leave_no_directory", &[Controller::CpuAcct]) {
        let limits = all_it_can(&host);
        let mut made = Vec::new();
        for _ in 0..200 {
            let mut group = make(&host, &limits);
            made.extend(paths(&group));
            group.remove().unwrap();
        }
        assert!(made.len() >= 200);
        let left: Vec<_> = made.iter().filter(|path| path.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn only_the_hierarchies_that_are_needed_are_entered() {
    for host in hosts("only_the_hierarchies_that_are_needed_are_entered", &[Controller::Memory, Controller::Pids]) {
        let mut nothing = make(&host, &Limits::default());
        assert!(nothing.is_nowhere());
        nothing.remove().unwrap();
        let hierarchies: std::collections::HashSet<PathBuf> =
            [Controller::Memory, Controller::Pids].map(|c| host.place(c).unwrap().mount_point).into();
        let mut group = make(&host, &Limits { memory: Some(1 << 24), pids: Some(9), ..Limits::default() });
        assert_eq!(group.paths().count(), hierarchies.len());
        group.remove().unwrap();
    }
}

#[test]
fn a_name_is_used_once() {
    for host in hosts("a_name_is_used_once", &[Controller::CpuAcct]) {
        let limits = Limits { meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() };
        let name = Name::fresh().unwrap();
        let mut group = host.create(&name, &limits).unwrap();
        let error = host.create(&name, &limits).unwrap_err();
        assert_eq!(error.errno(), Some(rustix::io::Errno::EXIST), "{error}");
        assert!(error.to_string().contains(name.as_str()), "{error}");
        assert!(paths(&group).iter().all(|path| path.exists()), "the failure took nothing of the first away");
        group.remove().unwrap();
    }
}

#[test]
fn a_group_with_processes_is_not_removed_and_the_wait_has_an_end() {
    for host in hosts("a_group_with_processes_is_not_removed_and_the_wait_has_an_end", &[Controller::CpuAcct]) {
        let mut group = make(&host, &all_it_can(&host));
        let paths = paths(&group);
        let mut shell = Shell::within(&group, "sleep 60");
        assert!(!group.wait_empty(Duration::from_millis(20)).unwrap());
        let begin = Instant::now();
        let error = group.remove().unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(matches!(error, CgroupError::Io { action: "remove", .. }) && error.errno() == Some(rustix::io::Errno::BUSY), "{error}");
        assert!(paths.iter().any(|path| error.to_string().contains(path.to_str().unwrap())), "{error} names the directory");
        group.kill().unwrap();
        shell.wait();
        group.remove().unwrap();
        assert!(paths.iter().all(|path| !path.exists()));
    }
}

#[test]
fn dropping_kills_and_removes() {
    for host in hosts("dropping_kills_and_removes", &[Controller::CpuAcct]) {
        let group = make(&host, &all_it_can(&host));
        let paths = paths(&group);
        let mut shell = Shell::within(&group, "sleep 60 & sleep 60");
        drop(group);
        assert!(!shell.wait().success());
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    }
}

#[test]
fn groups_made_inside_a_group_go_with_it() {
    for host in hosts("groups_made_inside_a_group_go_with_it", &[Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { meters: Meters { cpu: true, ..Meters::default() }, ..Limits::default() });
        let path = group.paths().next().unwrap();
        std::fs::create_dir_all(path.join("enclos-a/enclos-b")).unwrap();
        std::fs::create_dir(path.join("enclos-c")).unwrap();
        group.remove().unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn hosts_groups_and_pools_go_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Host>();
    check::<Group>();
    check::<Pool>();
}
