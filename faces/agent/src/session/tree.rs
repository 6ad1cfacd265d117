//! The processes below one process, as the host sees them, and their end.
//!
//! Pids are read from `/proc` while nothing in the sandbox runs, and turned into descriptors at once, so that none can become somebody else's.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::core::life::Life;

/// Rounds on a host where nothing can be stopped: who forks faster than this is stopped by the bound on processes.
const ROUNDS: usize = 8;

/// Children of a process, by all its threads.
fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// When a process was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// The moment, in the same ticks.
pub fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * per_second + u64::try_from(now.tv_nsec).unwrap_or(0) * per_second / 1_000_000_000
}

/// Everything below `root` that is not older than `since`; below what is older nothing is looked at.
fn below(root: i32, since: u64) -> Vec<i32> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        for child in children(pid) {
            if seen.insert(child) && started(child).is_some_and(|started| started >= since) {
                found.push(child);
                waiting.push(child);
            }
        }
    }
    found
}

/// A descriptor of a process.
pub fn descriptor(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Kills everything below `root` that was started at `since` or later. How many that were.
pub fn kill_below(life: &Life, root: i32, since: u64) -> usize {
    let kill = || {
        let found: Vec<OwnedFd> = below(root, since).into_iter().filter_map(descriptor).collect();
        // One that has ended since has.
        found.iter().filter(|process| pidfd_send_signal(process, Signal::KILL).is_ok()).count()
    };
    if let Ok(count) = life.stilled(|| Ok(kill())) {
        return count;
    }
    let mut all = 0;
    for _ in 0..ROUNDS {
        let count = kill();
        all += count;
        if count == 0 {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_found_and_what_is_older_is_spared() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut older = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40));
        let since = ticks();
        let mut younger = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let mut found = below(own, since);
        for _ in 0..1000 {
            if found.len() == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
            found = below(own, since);
        }
        assert!(found.len() == 2 && found.contains(&pid(&younger)) && !found.contains(&pid(&older)), "{found:?}");
        for pid in found {
            pidfd_send_signal(descriptor(pid).unwrap(), Signal::KILL).unwrap();
        }
        older.kill().unwrap();
        older.wait().unwrap();
        younger.wait().unwrap();
    }
}
