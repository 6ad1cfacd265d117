//! Ahead of demand and behind it: sandboxes parked before they are asked for, and cleared away after they have answered.

use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use enclos_cgroup::Pool as Groups;
use rustix::event::{PollFd, PollFlags, poll};

use super::client::{Retired, Template, TemplateInner};
use crate::command::Command;
use crate::error::Result;

/// How long spare groups are kept with nobody asking for one: between the jobs of a busy server, and not beside an idle one.
const SPARE: Duration = Duration::from_secs(1);

/// Makes the control groups of sandboxes that end ready for the next ones, off the request's path, until the template is gone. What is not used again soon is removed.
pub(super) fn retire(retired: &Receiver<Retired>, groups: &Groups) {
    loop {
        let next = if groups.is_empty() { retired.recv().map_err(|_| RecvTimeoutError::Disconnected) } else { retired.recv_timeout(SPARE) };
        match next {
            Ok(Retired { pidfd, group }) => {
                // Init has been told to end, or has; with it everything in its pid namespace.
                while let Err(enclos_sys::Errno::INTR) = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None) {}
                groups.put(group);
            }
            // One that cannot be removed is a leftover, which the next start of a launcher looks for.
            Err(RecvTimeoutError::Timeout) => drop(groups.clear()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// How long a taken sandbox is not replaced while another is left.
///
/// Making one takes a CPU for a millisecond, and the kernel's locks: right then whoever took the last one needs both.
const QUIET: Duration = Duration::from_millis(4);

/// Keeps `count` sandboxes parked, until the template is gone.
pub(super) fn park_ahead(template: &Weak<TemplateInner>, woken: &Receiver<()>, count: usize) {
    let parked = || template.upgrade().map(|inner| Template { inner }.parked());
    while woken.recv().is_ok() {
        // Every taken one begins the pause anew, but there are only so many to take.
        while parked().is_some_and(|left| left > 0) && woken.recv_timeout(QUIET).is_ok() {}
        let Some(inner) = template.upgrade() else { return };
        let template = Template { inner };
        // One that cannot be made now is made by whoever needs it, who is also told why.
        let _ = template.park(count.saturating_sub(template.parked()));
    }
}

/// A template with sandboxes parked ahead of demand: a command then costs a message and an execution.
///
/// Each sandbox serves one command and is destroyed. [`Pool::refill`] parks new ones; call it when there is time, e.g. after an answer was sent.
#[derive(Clone, Debug)]
pub struct Pool {
    template: Template,
    depth: usize,
}

impl Pool {
    /// Parks `depth` sandboxes of a template.
    ///
    /// # Errors
    /// As for running a command.
    pub fn new(template: Template, depth: usize) -> Result<Pool> {
        let pool = Pool { template, depth };
        pool.refill()?;
        Ok(pool)
    }

    /// A command in a parked sandbox, or in one made for it when none is left.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.template.command(program)
    }

    /// Parks as many as are missing.
    ///
    /// # Errors
    /// As for running a command.
    pub fn refill(&self) -> Result<()> {
        self.template.park(self.depth.saturating_sub(self.template.parked()))
    }

    /// How many are parked now.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.template.parked()
    }
}
