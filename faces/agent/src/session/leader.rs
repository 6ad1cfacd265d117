//! The process that a session stands for, whoever has started it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use enclos_sandbox::{Child, Ending};
use rustix::process::Signal;

use super::shell::Reins;

/// What a session's process ended with; `None`: nobody can say.
pub type End = Option<i32>;

/// For init to tell of the end of a process that has ended: it may have to be thawed first.
const WORD: Duration = Duration::from_secs(2);

/// A session's process.
#[derive(Debug)]
pub enum Leader {
    /// This server has started it.
    Own(Box<Child>),
    /// Another has; with what init tells of its end, if that was kept.
    Adopted(Option<Ending>),
}

impl Leader {
    /// Whether it has ended.
    pub fn has_ended(&self, reins: &Reins) -> bool {
        match self {
            Leader::Own(child) => child.has_ended(),
            Leader::Adopted(_) => reins.has_ended(),
        }
    }

    /// What it has ended with.
    pub fn exit_code(&mut self) -> End {
        match self {
            // Its sandbox was ended under it.
            Leader::Own(child) => Some(child.wait().map_or(128 + Signal::KILL.as_raw(), |outcome| code(outcome.status))),
            Leader::Adopted(ending) => ending.as_ref().and_then(|ending| ending.wait(WORD)).map(code),
        }
    }

    /// What tells another server of its end.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Leader::Own(child) => child.ending().ok(),
            // It is kept already.
            Leader::Adopted(_) => None,
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
