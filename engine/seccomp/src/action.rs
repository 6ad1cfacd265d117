//! What a filter answers, as words and as the 32 bits the kernel reads (`seccomp(2)`).

use std::fmt;

/// The largest errno the kernel passes on (`MAX_ERRNO`); a filter's larger one is cut to it.
pub const MAX_ERRNO: u16 = 4095;

/// Numbers of the errors the built-in policies answer with (the same on every architecture here).
pub mod errno {
    /// Operation not permitted.
    pub const EPERM: u16 = 1;
    /// Invalid argument.
    pub const EINVAL: u16 = 22;
    /// Function not implemented: what an older kernel says, so that programs take their way round.
    pub const ENOSYS: u16 = 38;
    /// Protocol not supported.
    pub const EPROTONOSUPPORT: u16 = 93;
    /// Address family not supported.
    pub const EAFNOSUPPORT: u16 = 97;
}

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is carried out.
    Allow,
    /// It is carried out, and the kernel writes a line to the audit log (`SECCOMP_RET_LOG`).
    Log,
    /// It waits for the answer of the process that holds the listener (`SECCOMP_RET_USER_NOTIF`).
    Notify,
    /// It is not carried out and fails with this error, 0 to [`MAX_ERRNO`].
    Errno(u16),
    /// It is not carried out and the thread gets SIGSYS.
    Trap,
    /// The whole process dies of SIGSYS.
    KillProcess,
}

/// The upper half of an answer: what to do. The lower half is data.
const ACTION_MASK: u32 = 0xffff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

impl Action {
    /// The kernel's encoding (`SECCOMP_RET_*`).
    #[must_use]
    pub const fn encode(self) -> u32 {
        match self {
            Action::Allow => ALLOW,
            Action::Log => LOG,
            Action::Notify => USER_NOTIF,
            Action::Errno(errno) => ERRNO | errno as u32,
            Action::Trap => TRAP,
            Action::KillProcess => KILL_PROCESS,
        }
    }

    /// Reads the kernel's encoding; `None` for an action this type has no word for (tracing, killing one thread, unknown ones).
    #[must_use]
    pub const fn decode(answer: u32) -> Option<Action> {
        match answer & ACTION_MASK {
            ALLOW => Some(Action::Allow),
            LOG => Some(Action::Log),
            USER_NOTIF => Some(Action::Notify),
            ERRNO => Some(Action::Errno((answer & !ACTION_MASK) as u16)),
            TRAP => Some(Action::Trap),
            KILL_PROCESS => Some(Action::KillProcess),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Allow => f.write_str("allow"),
            Action::Log => f.write_str("log"),
            Action::Notify => f.write_str("notify"),
            Action::Errno(errno::EPERM) => f.write_str("EPERM"),
            Action::Errno(errno::EINVAL) => f.write_str("EINVAL"),
            Action::Errno(errno::ENOSYS) => f.write_str("ENOSYS"),
            Action::Errno(errno::EPROTONOSUPPORT) => f.write_str("EPROTONOSUPPORT"),
            Action::Errno(errno::EAFNOSUPPORT) => f.write_str("EAFNOSUPPORT"),
            Action::Errno(other) => write!(f, "errno {other}"),
            Action::Trap => f.write_str("trap"),
            Action::KillProcess => f.write_str("kill"),
        }
    }
}

/// The answer of several filters on one process, given newest first: the strictest wins, and of equal ones the newest (`seccomp(2)`).
///
/// No filter at all allows everything.
#[must_use]
pub fn strictest(newest_first: &[u32]) -> u32 {
    // The kernel compares the action as a signed number, so that KILL_PROCESS, the only negative one, is the lowest.
    let rank = |answer: u32| (answer & ACTION_MASK) as i32;
    newest_first.iter().copied().reduce(|held, next| if rank(next) < rank(held) { next } else { held }).unwrap_or(ALLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_survives_its_encoding() {
        for action in
            [Action::Allow, Action::Log, Action::Notify, Action::Errno(0), Action::Errno(MAX_ERRNO), Action::Trap, Action::KillProcess]
        {
            assert_eq!(Action::decode(action.encode()), Some(action));
        }
        assert_eq!(Action::decode(0), None, "killing one thread is never what we ask for");
    }

    #[test]
    fn the_strictest_answer_wins_and_the_newest_of_equal_ones() {
        let [allow, log, perm, nosys, kill] =
            [Action::Allow, Action::Log, Action::Errno(1), Action::Errno(38), Action::KillProcess].map(Action::encode);
        assert_eq!(strictest(&[]), allow);
        assert_eq!(strictest(&[allow, log]), log);
        assert_eq!(strictest(&[log, perm, allow]), perm);
        assert_eq!(strictest(&[nosys, perm]), nosys);
        assert_eq!(strictest(&[perm, kill]), kill);
    }
}
