//! The host runs out of something in the middle of it.

use enclos_cgroup::{CgroupError, Controller, Limits, Meters, Missing, Name};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::delegated::{in_place, run_in_place};
use crate::real::hosts;

/// Runs `work` while at most `count` more descriptors can be opened, in a process that does nothing else meanwhile.
fn with_descriptors<T>(count: usize, work: impl FnOnce() -> T) -> T {
    let open: Vec<u64> =
        std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let limit = (0..).filter(|number| !open.contains(number)).nth(count).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..before }).unwrap();
    let result = work();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

#[test]
fn running_out_of_descriptors_leaves_nothing_behind() {
    const TEST: &str = "faults::running_out_of_descriptors_leaves_nothing_behind";
    if !in_place() {
        if !hosts(TEST, &[Controller::CpuAcct]).is_empty() {
            run_in_place(TEST, &["sh", "-c", "exec \"$@\"", "sh"]);
        }
        return;
    }
    let mut failures = 0;
    for kind in hosts(TEST, &[Controller::CpuAcct]).into_iter().map(|host| host.kind()) {
        for count in 0..24 {
            // A host of its own each time, so that looking about fails too.
            let host = hosts(TEST, &[]).into_iter().find(|host| host.kind() == kind).unwrap();
            let limits = Limits { memory: Some(1 << 24), pids: Some(8), meters: Meters::ALL, ..Limits::default() };
            let limits = match host.place(Controller::Memory) {
                Ok(_) => limits,
                Err(_) => Limits { memory: None, pids: None, ..limits },
            };
            let fresh = hosts(TEST, &[]).into_iter().find(|host| host.kind() == kind).unwrap();
            let name = Name::fresh().unwrap();
            let parents: Vec<_> = Controller::ALL.into_iter().filter_map(|c| host.place(c).ok()).map(|place| place.parent).collect();
            match with_descriptors(count, || fresh.create(&name, &limits)) {
                Ok(mut group) => group.remove().unwrap(),
                Err(error) => {
                    failures += 1;
                    let errno = match &error {
                        CgroupError::MissingController { reason: Missing::Unreadable { errno, .. }, .. } => Some(*errno),
                        other => other.errno(),
                    };
                    assert_eq!(errno, Some(Errno::MFILE), "{error}");
                }
            }
            let left: Vec<_> = parents.iter().map(|parent| parent.join(name.as_str())).filter(|path| path.exists()).collect();
            assert!(left.is_empty(), "{count} descriptors: {left:?}");
            // What failed for want of descriptors is not remembered as missing.
            let mut group = fresh.create(&Name::fresh().unwrap(), &limits).unwrap();
            group.remove().unwrap();
        }
    }
    assert!(failures >= 3, "{failures}");
}
