//! Names of signals, as signal(7) has them for x86 and ARM.

const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal, e.g. `SIGKILL` for 9; `None` for a real-time signal and for what is no signal.
#[must_use]
pub fn name(number: i32) -> Option<&'static str> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|at| NAMES.get(at)).copied()
}

/// The number of a signal, e.g. 9 for `SIGKILL`; `None` for a name that is not in signal(7).
#[must_use]
pub fn number(name: &str) -> Option<i32> {
    NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!((name(9), name(31), name(0), name(32), name(-1)), (Some("SIGKILL"), Some("SIGSYS"), None, None, None));
        assert_eq!((number("SIGTERM"), number("TERM"), number("")), (Some(15), None, None));
        assert!((1..=31).all(|signal| name(signal).and_then(number) == Some(signal)));
    }
}
