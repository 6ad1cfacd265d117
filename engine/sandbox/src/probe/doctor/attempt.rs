//! Trying a thing in a throw-away process, in namespaces of its own: the only answer that cannot be out of date.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use enclos_spec::plan::{IdRange, Identity, Mapper};
use enclos_sys::Errno;
use enclos_sys::clone::{NamespaceFlags, clone3};
use enclos_sys::signal::{self, Blocked};
use enclos_sys::wait::{How, Wait, wait_pid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::acts::Act;
use crate::error::Failure;
use crate::launch::idmap::write_maps;

/// Why an attempt did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Making the process, with its namespaces.
    Clone(Errno),
    /// Mapping its ids; with what a program that helps said.
    Maps(Failure),
    /// The thing itself.
    Act(Errno),
    /// The process was killed by this signal on the way.
    Killed(i32),
}

impl Refusal {
    /// The kernel's answer, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Refusal::Clone(errno) | Refusal::Act(errno) => Some(*errno),
            Refusal::Maps(failure) => Some(failure.errno),
            Refusal::Killed(_) => None,
        }
    }

    /// Whether it is the answer "you may not".
    pub fn is_denial(&self) -> bool {
        matches!(self.errno(), Some(Errno::PERM | Errno::ACCESS)) || matches!(self, Refusal::Killed(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Clone(errno) => write!(f, "clone3: {}", reason(*errno)),
            Refusal::Maps(failure) => write!(f, "{failure}"),
            Refusal::Act(errno) => f.write_str(&reason(*errno)),
            Refusal::Killed(number) => write!(f, "the process that tried was killed by signal {number}"),
        }
    }
}

/// An errno's text, e.g. `No such file or directory`.
pub fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Where an attempt happens.
#[derive(Debug, Default)]
pub struct Setting<'a> {
    /// Its new namespaces.
    pub namespaces: NamespaceFlags,
    /// Ids of a new user namespace; `None`: the caller's own id, as user 0.
    pub identity: Option<&'a Identity>,
    /// The v2 group it is born in.
    pub group: Option<BorrowedFd<'a>>,
}

/// Tries `act` in new `namespaces`.
pub fn attempt(namespaces: NamespaceFlags, act: Act) -> Result<(), Refusal> {
    attempt_in(&Setting { namespaces, ..Setting::default() }, act)
}

/// Tries `act` in a setting.
pub fn attempt_in(setting: &Setting<'_>, act: Act) -> Result<(), Refusal> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(Refusal::Clone)?;
    let waits = setting.namespaces.has(NamespaceFlags::USER);
    let child = {
        let _blocked = Blocked::all();
        clone3(setting.namespaces, setting.group, live, &Child { waits, reins: theirs, act }).map_err(Refusal::Clone)?
    };
    let mapped = if waits { let_go(child.pid, setting.identity, &ours) } else { Ok(()) };
    if mapped.is_err() {
        let _ = signal::kill(child.pid.as_raw_nonzero().get(), Signal::KILL.as_raw());
    }
    let ended = wait_pid(child.pid, Wait::Ended).map_err(Refusal::Clone)?;
    mapped?;
    match ended.map(|changed| changed.how) {
        Some(How::Exited(0)) => Ok(()),
        Some(How::Exited(errno)) => Err(Refusal::Act(Errno::from_raw_os_error(errno))),
        Some(How::Signaled(number)) => Err(Refusal::Killed(number)),
        Some(How::Stopped(_) | How::Continued) | None => Err(Refusal::Act(Errno::CHILD)),
    }
}

fn let_go(pid: rustix::process::Pid, identity: Option<&Identity>, reins: &OwnedFd) -> Result<(), Refusal> {
    let own = own_id();
    write_maps(pid, identity.unwrap_or(&own), rustix::process::geteuid().is_root()).map_err(|error| {
        let failure = error.failure().cloned();
        Refusal::Maps(failure.unwrap_or_else(|| Failure::about(crate::Stage::MapIds, Errno::IO, error.to_string())))
    })?;
    match send(reins, b"!", SendFlags::NOSIGNAL) {
        // It ended on its own, and its end says why.
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(errno) => Err(Refusal::Clone(errno)),
    }
}

fn own_id() -> Identity {
    let one = |outside| vec![IdRange { inside: 0, outside, count: 1 }];
    Identity {
        uid_map: one(rustix::process::geteuid().as_raw()),
        gid_map: one(rustix::process::getegid().as_raw()),
        mapper: Mapper::Launcher,
        ..Identity::default()
    }
}

struct Child {
    waits: bool,
    reins: OwnedFd,
    act: Act,
}

/// The throw-away process. Its exit status is the errno: the highest is 133.
fn live(child: &Child) -> ! {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let answer = if child.waits { await_maps(child) } else { Ok(()) };
    let status = match answer.and_then(|()| (child.act)()) {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    };
    enclos_sys::child::exit(status)
}

/// Waits for the maps, but not for ever: the maker may have died before the death signal was set.
fn await_maps(child: &Child) -> Result<(), Errno> {
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&child.reins, PollFlags::IN)], Some(&patience))? == 0 {
        return Err(Errno::TIMEDOUT);
    }
    recv(&child.reins, &mut [0u8; 1][..], RecvFlags::empty()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::acts;

    #[test]
    fn an_attempt_brings_its_errno_home() {
        assert_eq!(attempt(NamespaceFlags::NONE, acts::nothing), Ok(()));
        assert_eq!(attempt(NamespaceFlags::NONE, || Err(Errno::XDEV)), Err(Refusal::Act(Errno::XDEV)));
        assert_eq!(attempt(NamespaceFlags::NONE, acts::be_first), Err(Refusal::Act(Errno::CHILD)));
    }

    #[test]
    fn a_killed_attempt_is_told_from_a_refused_one() {
        let die = || {
            let own = rustix::process::getpid().as_raw_nonzero().get();
            signal::kill(own, Signal::KILL.as_raw())
        };
        assert_eq!(attempt(NamespaceFlags::NONE, die), Err(Refusal::Killed(9)));
    }

    #[test]
    fn maps_that_cannot_be_written_end_the_attempt() {
        let none = Identity::default();
        let setting = Setting { namespaces: NamespaceFlags::USER, identity: Some(&none), group: None };
        match attempt_in(&setting, acts::nothing) {
            Err(Refusal::Maps(failure)) => assert_eq!(failure.subject.as_deref(), Some("uid_map")),
            // A host that refuses user namespaces never comes so far.
            Err(Refusal::Clone(errno)) => assert_ne!(errno, Errno::NOSYS),
            other => panic!("{other:?}"),
        }
    }
}
