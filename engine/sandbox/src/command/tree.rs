//! A command of a living sandbox with everything that descends from it, killed while the rest of the sandbox lives on.
//!
//! Only the host sees all of it: inside, a process may hide from init. The sandbox is frozen meanwhile, so that nothing forks, ends or changes its parent; on a host that
//! cannot freeze it, what belongs to the tree is stopped, process after process, until no new one appears. Each is killed by its pidfd, opened before it was looked at:
//! a number that was reused meanwhile hits nobody.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use enclos_sys::signal;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::error::{Error, Result};
use crate::sandbox::Inner;
use crate::watch::now;

/// How long the members of a tree are looked for where nothing can be frozen, and how long after each other.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);
/// Rounds of killing there: who forks faster than this is stopped by the bound on processes.
const ROUNDS: usize = 8;

/// A process of the sandbox, as the host sees it.
struct Process {
    handle: OwnedFd,
    parent: i32,
    /// Its number inside.
    inside: i32,
}

/// Kills the command that is `inside` in the sandbox, and everything below it.
///
/// # Errors
/// When the sandbox is gone.
pub fn kill(sandbox: &Inner, inside: i32) -> Result<()> {
    let frozen = sandbox.freeze().is_ok();
    let found = if frozen { Ok(members(sandbox, inside)?.into_values().collect()) } else { stopped(sandbox, inside) };
    let found: Result<Vec<Process>> = found;
    if let Ok(found) = &found {
        for process in found {
            let _ = signal::send(&process.handle, Signal::KILL.as_raw());
        }
    }
    if frozen {
        sandbox.thaw()?;
    }
    found.map(drop)
}

/// Kills everything in the sandbox but its init and these, by the host's numbers.
///
/// # Errors
/// When the sandbox is gone.
pub fn kill_but(sandbox: &Inner, spared: &[u32]) -> Result<()> {
    let frozen = sandbox.freeze().is_ok();
    let rounds = if frozen { 1 } else { ROUNDS };
    let mut done = Ok(());
    for _ in 0..rounds {
        let found = match below_init(sandbox) {
            Ok(found) => found,
            Err(error) => {
                done = Err(error);
                break;
            }
        };
        let mut killed = 0;
        for (_, process) in found.iter().filter(|(pid, _)| !spared.contains(&pid.unsigned_abs())) {
            killed += usize::from(signal::send(&process.handle, Signal::KILL.as_raw()).is_ok());
        }
        if killed == 0 {
            break;
        }
    }
    if frozen {
        sandbox.thaw()?;
    }
    done
}

/// Lets everything go on that was stopped, whoever stopped it.
pub fn wake(sandbox: &Inner) {
    // What is gone need not.
    let _ = signal::send(sandbox.pidfd(), Signal::CONT.as_raw());
    for (_, process) in below_init(sandbox).into_iter().flatten() {
        let _ = signal::send(&process.handle, Signal::CONT.as_raw());
    }
}

/// One process, as whoever stops all of them needs it.
pub struct Below {
    /// The host's number.
    pub pid: i32,
    /// A descriptor of it.
    pub handle: OwnedFd,
    /// The host's number of its parent.
    pub parent: i32,
    /// How far below init it is.
    pub depth: usize,
}

/// Everything in the sandbox but its init.
///
/// # Errors
/// When the sandbox is gone.
pub fn by_depth(sandbox: &Inner) -> Result<Vec<Below>> {
    let found = below_init(sandbox)?;
    let depth = |mut pid: i32| {
        let mut depth = 0;
        while let Some(process) = found.get(&pid).filter(|_| depth <= found.len()) {
            (pid, depth) = (process.parent, depth + 1);
        }
        depth
    };
    let depths: Vec<usize> = found.keys().map(|pid| depth(*pid)).collect();
    let below = |((pid, process), depth): ((i32, Process), usize)| Below { pid, handle: process.handle, parent: process.parent, depth };
    Ok(found.into_iter().zip(depths).map(below).collect())
}

/// The host's numbers of everything in the sandbox but its init.
///
/// # Errors
/// When the sandbox is gone.
pub fn numbers(sandbox: &Inner) -> Result<Vec<u32>> {
    Ok(below_init(sandbox)?.into_keys().map(i32::unsigned_abs).collect())
}

/// The host's number of the command that is `inside`.
pub fn host_pid(sandbox: &Inner, inside: i32) -> Option<u32> {
    let all = processes(sandbox).ok()?;
    let init = sandbox.pid()?.as_raw_nonzero().get();
    all.iter().find(|(_, process)| process.inside == inside && process.parent == init).map(|(pid, _)| pid.unsigned_abs())
}

/// Stops the tree bit by bit; gives all of it.
fn stopped(sandbox: &Inner, inside: i32) -> Result<Vec<Process>> {
    let mut known: HashMap<i32, Process> = HashMap::new();
    let until = now() + PATIENCE;
    loop {
        let fresh: Vec<(i32, Process)> = members(sandbox, inside)?.into_iter().filter(|(pid, _)| !known.contains_key(pid)).collect();
        if fresh.is_empty() || now() > until {
            return Ok(known.into_values().collect());
        }
        for (pid, process) in fresh {
            let _ = signal::send(&process.handle, Signal::STOP.as_raw());
            known.insert(pid, process);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The host's number of init.
///
/// # Errors
/// When the sandbox is gone.
pub fn init_of(sandbox: &Inner) -> Result<i32> {
    let gone = || Error::InitLost("nothing is left of the sandbox".to_owned());
    Ok(sandbox.pid().ok_or_else(gone)?.as_raw_nonzero().get())
}

/// All of them but init itself.
fn below_init(sandbox: &Inner) -> Result<HashMap<i32, Process>> {
    let init = init_of(sandbox)?;
    let mut found = below(processes(sandbox)?, init);
    found.remove(&init);
    Ok(found)
}

/// The command and all its descendants.
fn members(sandbox: &Inner, inside: i32) -> Result<HashMap<i32, Process>> {
    let all = processes(sandbox)?;
    let init = init_of(sandbox)?;
    // Commands are init's own children.
    let Some(root) = all.iter().find(|(_, process)| process.inside == inside && process.parent == init).map(|(pid, _)| *pid) else {
        return Ok(HashMap::new());
    };
    Ok(below(all, root))
}

/// One of them and its descendants.
fn below(mut all: HashMap<i32, Process>, root: i32) -> HashMap<i32, Process> {
    let is_below = |mut pid: i32| {
        for _ in 0..=all.len() {
            if pid == root {
                return true;
            }
            match all.get(&pid) {
                Some(process) => pid = process.parent,
                None => return false,
            }
        }
        false
    };
    let below: Vec<i32> = all.keys().copied().filter(|pid| is_below(*pid)).collect();
    below.into_iter().filter_map(|pid| all.remove(&pid).map(|process| (pid, process))).collect()
}

/// The processes of a sandbox; of the whole host where it has no control group.
fn processes(sandbox: &Inner) -> Result<HashMap<i32, Process>> {
    let numbers: Vec<i32> = match sandbox.group().filter(|group| !group.is_nowhere()) {
        Some(group) => group.procs()?.into_iter().filter_map(|pid| i32::try_from(pid).ok()).collect(),
        None => std::fs::read_dir("/proc")
            .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
            .unwrap_or_default(),
    };
    let look = |number: i32| {
        let handle = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
        let (parent, inside) = read_status(&std::fs::read_to_string(format!("/proc/{number}/status")).ok()?)?;
        Some((number, Process { handle, parent, inside }))
    };
    Ok(numbers.into_iter().filter_map(look).collect())
}

/// Parent, and number in the innermost pid namespace (proc_pid_status(5)); `None` for one that has ended.
fn read_status(text: &str) -> Option<(i32, i32)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if field("State")?.starts_with(['Z', 'X']) {
        return None;
    }
    Some((field("PPid")?.parse().ok()?, field("NSpid")?.split_ascii_whitespace().last()?.parse().ok()?))
}

/// Waits a little for a command that is just being started.
pub fn await_pid(started: &OnceLock<i32>, has_ended: impl Fn() -> bool) -> Option<i32> {
    let until = now() + PATIENCE;
    loop {
        match started.get() {
            Some(pid) => return Some(*pid),
            None if has_ended() || now() > until => return None,
            None => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_inside_is_the_last_one() {
        let text = "Name:\tx\nState:\tS (sleeping)\nPPid:\t41\nNSpid:\t42\t9\t3\nNSpgid:\t1\n";
        assert_eq!(read_status(text), Some((41, 3)));
        assert_eq!(read_status(&text.replace("S (", "Z (")), None);
        assert_eq!(read_status("Name:\tx\n"), None);
    }
}
