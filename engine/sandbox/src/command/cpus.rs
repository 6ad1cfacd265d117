//! The CPUs of one command, chosen when it starts: a template's sandboxes are made before anybody knows which will be free.
//!
//! What a process starts inherits its CPUs (sched_setaffinity(2)), and the filter of a policy with `cpus` lets nobody inside change them. So it is enough
//! to set those of the two processes that a parked sandbox consists of, before the command's request reaches it.

use std::path::PathBuf;

use enclos_sys::Errno;
use rustix::process::Pid;
use rustix::thread::sched_setaffinity;

use crate::error::{Error, Failure, Result, Stage};
use crate::forkserver::Born;
use crate::launch::cpu_set;
use crate::launch::idmap::errno_of;

/// Whether this host lets us find the processes of a sandbox ([`Command::cpus`](super::Command::cpus)).
///
/// # Errors
/// [`Error::Unenforceable`], with what is missing.
pub fn can_choose() -> Result<()> {
    match std::fs::metadata("/proc/thread-self/children") {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Unenforceable {
            field: "cpus",
            missing: format!(
                "this host's /proc does not list the children of a process (proc_pid_children(5), CONFIG_PROC_CHILDREN): {error}"
            ),
        }),
    }
}

/// Puts a sandbox whose command is parked on these CPUs.
///
/// # Errors
/// When the policy does not say `cpus`, or not all of these; when the sandbox has ended, or the host refuses.
pub fn choose(born: &mut Born, cpus: &[usize]) -> Result<()> {
    if let Some(other) = cpus.iter().find(|cpu| !born.planned.plan.cpus.contains(cpu)) {
        return Err(Error::Unenforceable {
            field: "cpus",
            missing: format!("the template's policy does not have CPU {other} among its cpus"),
        });
    }
    // Until then the command's process is not there yet.
    born.wait_ready()?;
    let gone = || Failure::about(Stage::Cpus, Errno::SRCH, "the sandbox has ended");
    let init = born.pid().ok_or_else(gone)?;
    let set = cpu_set(cpus).ok_or_else(|| Failure::about(Stage::Cpus, Errno::INVAL, "no CPU was named"))?;
    let parked = children(init)?;
    if parked.is_empty() {
        return Err(gone().into());
    }
    for pid in std::iter::once(init).chain(parked) {
        sched_setaffinity(Some(pid), &set).map_err(|errno| Failure::about(Stage::Cpus, errno, format!("{cpus:?}")))?;
    }
    Ok(())
}

/// The children of a process with one thread.
fn children(parent: Pid) -> Result<Vec<Pid>> {
    let number = parent.as_raw_nonzero();
    let path = PathBuf::from(format!("/proc/{number}/task/{number}/children"));
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::about(Stage::Cpus, errno_of(&e), path.display().to_string()))?;
    Ok(text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect())
}
