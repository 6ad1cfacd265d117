//! The newer system calls that set-up stands on.

use enclos_sys::Errno;
use enclos_sys::clone::NamespaceFlags as N;
use rustix::fs::{CWD, Mode, OFlags, openat2};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::acts;
use super::attempt::{Refusal, attempt};
use super::finding::Finding;
use super::ground::Ground;
use crate::child::place::IN_ROOT;

/// The kernel, and one line for each call.
pub fn findings(ground: &Ground) -> Vec<Finding> {
    let new_mounts = N::USER.and(N::MOUNT);
    let tried = |answer: Result<(), Errno>| answer.map_err(Refusal::Act);
    let pidfd = || enclos_sys::signal::send(pidfd_open(getpid(), PidfdFlags::empty())?, 0);
    let open_beneath = || openat2(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), IN_ROOT).map(drop);
    vec![
        kernel(ground),
        call("clone3", "processes in new namespaces, with a pidfd", "5.3", attempt(N::NONE, acts::nothing), ground),
        call("pidfd", "pidfd_open, pidfd_send_signal", "5.3", tried(pidfd()), ground),
        call("openat2", "lookups that cannot leave a tree", "5.6", tried(open_beneath()), ground),
        call("close_range", "closing what was inherited", "5.11", attempt(N::NONE, acts::close_range), ground),
        call("mount API", "fsopen, fsconfig, fsmount, move_mount", "5.2", attempt(new_mounts, acts::tmpfs), ground),
        call("mount_setattr", "attributes of a whole mount tree at once", "5.12", attempt(new_mounts, acts::separate_mounts), ground),
    ]
}

/// What is needed of the kernel by its number; a vendor's may have more, which the lines below tell.
fn kernel(ground: &Ground) -> Finding {
    let detail = if ground.release.is_empty() { "of an unknown release" } else { &ground.release };
    match ground.version() {
        version if version >= (5, 14) => Finding::ok("kernel", detail),
        version if version >= (5, 12) => Finding::weak(
            "kernel",
            detail,
            "without a pids controller the bound on processes counts all processes of the user, not those of the sandbox",
            "run Linux 5.14 or later",
        ),
        _ => Finding::missing(
            "kernel",
            detail,
            "sandboxes need calls of Linux 5.12; a vendor's kernel may have them: see the lines below",
            "run Linux 5.14 or later",
        ),
    }
}

fn call(subject: &str, what: &str, since: &str, tried: Result<(), Refusal>, ground: &Ground) -> Finding {
    match tried {
        Ok(()) => Finding::ok(subject, format!("usable: {what}")),
        Err(refusal) if refusal.errno() == Some(Errno::NOSYS) || matches!(refusal, Refusal::Killed(_)) => {
            Finding::missing(subject, format!("{what}: {refusal}"), "no sandbox can be made", ground.missing_call(since))
        }
        // The namespace it needs was refused, or it was in it: that line says why.
        Err(refusal) => Finding::missing(
            subject,
            format!("{what}: cannot be tried: {refusal}"),
            "no sandbox can be made",
            format!("as for user and mount namespaces, below; {}", ground.missing_call(since)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;

    #[test]
    fn the_kernel_is_judged_by_its_number() {
        let of = |release: &str| kernel(&Ground { release: release.to_owned(), ..Ground::default() }).state;
        assert_eq!(of("6.1.0-18-amd64"), State::Ok);
        assert_eq!(of("5.14.0-427.el9.x86_64"), State::Ok);
        assert_eq!(of("5.13.0-52-generic"), State::Weak);
        assert_eq!(of("5.4.0-150-generic"), State::Missing);
        assert_eq!(of("4.4.0"), State::Missing);
        assert_eq!(of(""), State::Missing);
    }

    #[test]
    fn a_call_that_is_not_there_asks_for_its_kernel() {
        let found = call("openat2", "x", "5.6", Err(Refusal::Act(Errno::NOSYS)), &Ground::default());
        assert_eq!((found.state, found.remedy.as_str()), (State::Missing, "run Linux 5.6 or later"));
        let filtered = Ground { filtered: true, ..Ground::default() };
        let found = call("openat2", "x", "5.6", Err(Refusal::Act(Errno::NOSYS)), &filtered);
        assert!(found.remedy.contains("--security-opt seccomp=unconfined"), "{}", found.remedy);
    }
}
