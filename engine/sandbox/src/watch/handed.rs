//! The caller's terminal, where the command has it as its input: put back as it was.
//!
//! Whoever holds a terminal may change its modes and its size, close it to others, and stop its output, which would hold us up for ever. None of this can be kept from a
//! command that is given the terminal itself (`--no-tty`); a private one avoids it.

use std::os::fd::{AsFd, OwnedFd};

use enclos_sys::Errno;
use enclos_sys::signal::Blocked;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{
    Action, OptionalActions, Termios, Winsize, ioctl_tiocnxcl, tcflow, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// What the terminal was before the command had it. Dropping it puts the terminal back.
#[derive(Debug)]
pub struct Handed {
    terminal: OwnedFd,
    modes: Termios,
    size: Winsize,
    flags: OFlags,
}

impl Handed {
    /// Remembers how a terminal is.
    ///
    /// # Errors
    /// `ENOTTY` and what else the ioctls say.
    pub fn over(terminal: impl AsFd) -> Result<Handed, Errno> {
        let terminal = rustix::io::fcntl_dupfd_cloexec(terminal, 3)?;
        Ok(Handed { modes: tcgetattr(&terminal)?, size: tcgetwinsize(&terminal)?, flags: fcntl_getfl(&terminal)?, terminal })
    }

    /// Puts it back, output flowing.
    pub fn put_back(&self) {
        // With SIGTTOU blocked also from the background (termios(3)).
        let _blocked = Blocked::all();
        let _ = tcflow(&self.terminal, Action::OOn);
        let _ = ioctl_tiocnxcl(&self.terminal);
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.modes);
        let _ = fcntl_setfl(&self.terminal, self.flags);
        // Only a change is worth the signal that it sends.
        if tcgetwinsize(&self.terminal).is_ok_and(|now| now != self.size) {
            let _ = tcsetwinsize(&self.terminal, self.size);
        }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.put_back();
    }
}
