//! Killing, freezing and thawing whole groups; entering them.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use enclos_cgroup::{Controller, Kind, Limits, Meters};

use crate::real::{Shell, hosts, make, skip};

const CPU: Meters = Meters { cpu: true, memory: false, pids: false };

#[test]
fn kill_empties_a_group_that_forks_all_the_time() {
    for host in hosts("kill_empties_a_group_that_forks_all_the_time", &[Controller::CpuAcct]) {
        let pids = host.place(Controller::Pids).is_ok().then_some(200);
        let freeze = host.place(Controller::Freezer).is_ok();
        let mut group = make(&host, &Limits { pids, freeze, meters: CPU, ..Limits::default() });
        // Each grandchild forks again for a second, so that there is always somebody between fork and its first instruction.
        let mut shell = Shell::within(
            &group,
            "storm() { n=0; while [ $n -lt 60 ]; do sleep 0.02 & wait $!; n=$((n+1)); done; sleep 60; }
             for i in 1 2 3 4 5 6 7 8; do storm & done; echo started; wait",
        );
        assert_eq!(shell.line(), "started");
        assert!(group.populated().unwrap());
        assert!(group.procs().unwrap().contains(&shell.child.id()));
        group.kill().unwrap();
        assert!(group.wait_empty(Duration::from_secs(5)).unwrap(), "left: {:?}", group.procs());
        assert!(!group.populated().unwrap());
        assert_eq!(group.procs().unwrap(), []);
        shell.wait();
        group.remove().unwrap();
    }
}

#[test]
fn a_frozen_group_uses_no_cpu_and_a_thawed_one_does() {
    for host in hosts("a_frozen_group_uses_no_cpu_and_a_thawed_one_does", &[Controller::Freezer, Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { freeze: true, meters: CPU, ..Limits::default() });
        let mut shell = Shell::within(&group, "echo on; while :; do :; done");
        assert_eq!(shell.line(), "on");
        let used = |milliseconds| {
            let before = group.cpu_usec().unwrap();
            std::thread::sleep(Duration::from_millis(milliseconds));
            group.cpu_usec().unwrap() - before
        };
        assert!(used(200) > 0);
        group.freeze(Duration::from_secs(5)).unwrap();
        assert_eq!(used(100), 0);
        group.thaw().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while used(50) == 0 {
            assert!(Instant::now() < deadline, "it does not run again");
        }
        group.freeze(Duration::from_secs(5)).unwrap();
        group.kill().unwrap();
        assert!(group.wait_empty(Duration::from_secs(5)).unwrap(), "a frozen group can be killed");
        drop(shell);
        group.remove().unwrap();
    }
}

#[test]
fn a_child_enters_v1_by_an_inherited_descriptor_even_as_another_user() {
    const TEST: &str = "a_child_enters_v1_by_an_inherited_descriptor_even_as_another_user";
    if !rustix::process::geteuid().is_root() {
        return skip(TEST, "root");
    }
    for host in hosts(TEST, &[Controller::Memory, Controller::Pids]) {
        let mut group = make(&host, &Limits { memory: Some(64 << 20), pids: Some(20), ..Limits::default() });
        let [memory, pids] = group.v1_tasks() else {
            assert_eq!(host.kind(), Kind::V2, "memory and pids are two hierarchies on v1");
            skip(TEST, "v1 memory and pids in hierarchies of their own");
            continue;
        };
        let copy = |fd: &std::os::fd::OwnedFd| Stdio::from(fd.as_fd().try_clone_to_owned().unwrap());
        let mut child = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"])
            .arg("echo 0; echo 0 >&2; exec sleep 60")
            .stdout(copy(memory))
            .stderr(copy(pids))
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let inside = loop {
            let text = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
            let inside = text.lines().filter(|line| line.ends_with(group.name().as_str())).count();
            if inside == 2 || Instant::now() > deadline {
                break inside;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(inside, 2, "in both hierarchies");
        group.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn the_v2_descriptor_is_the_directory_itself() {
    for host in hosts("the_v2_descriptor_is_the_directory_itself", &[Controller::CpuAcct]) {
        let mut group = make(&host, &Limits { meters: CPU, ..Limits::default() });
        match group.v2_dir() {
            Some(dir) => {
                let path = group.paths().next().unwrap();
                let (by_fd, by_path) = (rustix::fs::fstat(dir).unwrap(), rustix::fs::stat(&path).unwrap());
                assert_eq!((by_fd.st_dev, by_fd.st_ino), (by_path.st_dev, by_path.st_ino));
                assert!(rustix::io::fcntl_getfd(dir).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            }
            None => assert_eq!(host.kind(), Kind::V1),
        }
        group.remove().unwrap();
    }
}
