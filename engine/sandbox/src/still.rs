//! Stopping everything in a sandbox where no control group can freeze it: an ordinary user's, as a rule.
//!
//! Each process is stopped by SIGSTOP, which none can block; init first, so that it starts nothing new. A process forks or wakes another until it has stopped
//! itself, so they are looked through until two looks in a row find nobody new and nobody running. Nobody inside can wake them then, for nobody runs.
//!
//! A parent that waits for stopped children (`WUNTRACED`) can notice, which with a freezer it cannot; children go on before their parents, so that it seldom does.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::time::Duration;

use enclos_sys::signal;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::command::tree::{self, Below};
use crate::error::{Error, Result};
use crate::sandbox::Inner;
use crate::watch::now;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Processes that were stopped and are to go on.
#[derive(Debug, Default)]
pub struct Stopped(HashMap<i32, Member>);

#[derive(Debug)]
struct Member {
    handle: OwnedFd,
    /// From init.
    depth: usize,
}

/// Stops everything.
///
/// # Errors
/// When it is gone, or its processes keep each other going.
pub fn stop(sandbox: &Inner, patience: Duration) -> Result<Stopped> {
    let mut stopped = Stopped::default();
    let until = now() + patience;
    let mut quiet = 0;
    let init = tree::init_of(sandbox)?;
    if let Some(handle) = Pid::from_raw(init).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
        stopped.take(init, handle, 0);
    }
    while quiet < 2 {
        let all = tree::by_depth(sandbox)?;
        let waited_for: HashSet<i32> = all.iter().filter(|process| has_stopped(process.pid, false)).map(|process| process.parent).collect();
        let is_still = |pid: i32| has_stopped(pid, waited_for.contains(&pid));
        let mut running = stopped.again(init, is_still(init));
        for Below { pid, handle, depth, .. } in all {
            let still = is_still(pid);
            if stopped.0.contains_key(&pid) {
                running |= stopped.again(pid, still);
            } else if !still {
                // One that had stopped before is to stay so.
                stopped.take(pid, handle, depth);
                running = true;
            }
        }
        quiet = if running { 0 } else { quiet + 1 };
        if now() > until {
            stopped.go_on();
            let missing = "no control group tree that this user may use, and its processes keep each other from being stopped".to_owned();
            return Err(Error::Unenforceable { field: "freeze", missing });
        }
        if running {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(stopped)
}

impl Stopped {
    fn take(&mut self, pid: i32, handle: OwnedFd, depth: usize) {
        // One that has ended need not be stopped.
        let _ = signal::send(&handle, Signal::STOP.as_raw());
        self.0.insert(pid, Member { handle, depth });
    }

    /// Stops one that was woken; whether it ran.
    fn again(&self, pid: i32, still: bool) -> bool {
        let Some(member) = self.0.get(&pid).filter(|_| !still) else { return false };
        let _ = signal::send(&member.handle, Signal::STOP.as_raw());
        true
    }

    /// Lets them go on, the youngest first.
    pub fn go_on(self) {
        let mut members: Vec<Member> = self.0.into_values().collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.depth));
        for member in members {
            let _ = signal::send(&member.handle, Signal::CONT.as_raw());
        }
    }
}

/// Whether no thread of a process runs: each has stopped or ended (proc_pid_stat(5), field 3). One that waits for a child to execute (vfork(2)) stops only then;
/// while that child has stopped it does not run either.
fn has_stopped(pid: i32, waits: bool) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    tasks.flatten().all(|task| std::fs::read_to_string(task.path().join("stat")).map_or(true, |stat| is_still(&stat, waits)))
}

fn is_still(stat: &str, waits: bool) -> bool {
    // The name, in brackets, may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']) || (waits && rest.starts_with('D')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_behind_any_name() {
        for (stat, still) in [
            ("7 (a) T 1 ", true),
            ("7 (a) R) S 1 ", false),
            ("7 (x) T) R 1", false),
            ("7 (z) Z 1 ", true),
            ("", false),
            ("7 (d) D 1", false),
        ] {
            assert_eq!(is_still(stat, false), still, "{stat}");
        }
        assert!(is_still("7 (d) D 1", true) && !is_still("7 (d) S 1", true));
    }
}
