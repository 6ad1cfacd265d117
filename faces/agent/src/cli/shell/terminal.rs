//! The caller's terminal, joined to the one in the sandbox.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use enclos_sys::signal::{self, SignalSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::{End, Session};
use crate::api::{Agent, NewSession, SessionStatus};

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const QUIT: i32 = 3;
const TERMINATE: i32 = 15;
/// The window has another size.
pub const WINDOW: i32 = 28;

/// For the program to be known as ended once its terminal is.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where signals that end us, or tell of the window, are read from; they are blocked for everything that starts later.
pub fn signals() -> Result<OwnedFd, String> {
    let signals = SignalSet::of(&[HANGUP, INTERRUPT, QUIT, TERMINATE, WINDOW]);
    let old = signal::set_mask(SignalSet::EMPTY);
    signal::set_mask(old.and(signals));
    signal::descriptor(signals).map_err(|errno| format!("signals: {errno}"))
}

/// The next signal that ends us.
pub fn ends(signals: &OwnedFd) -> Result<Option<i32>, String> {
    loop {
        match signal::read(signals).map_err(|errno| format!("signals: {errno}"))? {
            Some(received) if received.signal == WINDOW => {}
            other => return Ok(other.map(|received| received.signal)),
        }
    }
}

/// A terminal without line editing, echo and signals of its own, until dropped.
pub struct Raw<F: AsFd> {
    terminal: F,
    saved: Termios,
}

impl<F: AsFd> Raw<F> {
    /// Sets it.
    pub fn set(terminal: F) -> Result<Raw<F>, Errno> {
        let saved = tcgetattr(&terminal)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Drain, &raw)?;
        Ok(Raw { terminal, saved })
    }
}

impl<F: AsFd> Drop for Raw<F> {
    fn drop(&mut self) {
        // What was typed and not read belongs to the program that has ended, not to the shell outside.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.saved);
    }
}

impl Session<'_> {
    /// Runs the shell, or the command, on our terminal.
    pub(super) fn on_terminal(&self, sandbox: &str, signals: &OwnedFd, deadline: Option<Instant>) -> Result<End, String> {
        let stdin = std::io::stdin();
        let size = |window: Winsize| (window.ws_row.max(1), window.ws_col.max(1));
        let window = tcgetwinsize(&stdin).map(size).unwrap_or((24, 80));
        let mut new = NewSession { terminal: Some(window), argv: self.wanted.argv.clone(), ..NewSession::default() };
        if new.argv.is_empty() {
            new.shell = self.shell();
        }
        for name in ["TERM", "COLORTERM", "LANG"] {
            if let Ok(value) = std::env::var(name) {
                new.env.insert(name.to_owned(), value);
            }
        }
        let told = |error: crate::api::AgentError| error.to_string();
        let session = self.agent.create_session(&self.caller, sandbox, &new).map_err(told)?.id;
        let terminal = self.agent.attach(&self.caller, &session).map_err(told)?;
        let raw = Raw::set(&stdin).map_err(|errno| format!("the terminal: {errno}"))?;
        let relayed = relay(&terminal.master, signals, deadline);
        drop(raw);
        let end = relayed?;
        if end != End::Exited(0) {
            self.agent.destroy_session(&self.caller, &session).map_err(told)?;
            return Ok(end);
        }
        let until = Instant::now() + LAST_WORDS;
        loop {
            let known = self.agent.session(&self.caller, &session).map_err(told)?;
            if known.status == SessionStatus::Closed || Instant::now() > until {
                let code = known.exit_code.unwrap_or(0);
                return Ok(End::Exited(u8::try_from(code).unwrap_or(1)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Carries bytes both ways until one end is gone; [`End::Exited`] of 0: the program's.
fn relay(master: &File, signals: &OwnedFd, deadline: Option<Instant>) -> Result<End, String> {
    let fail = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let flags = rustix::fs::fcntl_getfl(master).map_err(|errno| format!("the terminal: {errno}"))?;
    rustix::fs::fcntl_setfl(master, flags | rustix::fs::OFlags::NONBLOCK).map_err(|errno| format!("the terminal: {errno}"))?;
    let (stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    let (mut buffer, mut typed) = (vec![0_u8; 64 << 10], Vec::new());
    loop {
        // A program that reads nothing must still be able to write: what is typed waits here, not in a call.
        let wanted = if typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let listen = if typed.is_empty() { PollFlags::IN } else { PollFlags::empty() };
        let mut ready = [PollFd::new(master, wanted), PollFd::new(signals, PollFlags::IN), PollFd::new(&stdin, listen)];
        let patience = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match poll(&mut ready, patience.and_then(|patience| Timespec::try_from(patience).ok()).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(format!("poll: {errno}")),
        }
        let [from_master, from_signals, from_stdin] = ready.map(|ready| ready.revents());
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(End::TimedOut);
        }
        if !from_signals.is_empty() {
            while let Some(received) = signal::read(signals).map_err(|errno| format!("signals: {errno}"))? {
                if received.signal != WINDOW {
                    return Ok(End::Told(received.signal));
                }
                if let Ok(window) = tcgetwinsize(&stdin) {
                    // A program that has ended has no window.
                    let _ = tcsetwinsize(master, window);
                }
            }
        }
        if from_master.contains(PollFlags::OUT) {
            match (&*master).write(&typed) {
                Ok(count) => drop(typed.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(End::Exited(0)),
            }
        }
        if from_master.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match (&*master).read(&mut buffer) {
                Ok(0) => return Ok(End::Exited(0)),
                Ok(count) => {
                    stdout.write_all(&buffer[..count]).map_err(fail("stdout"))?;
                    stdout.flush().map_err(fail("stdout"))?;
                }
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
                // EIO: the last holder of the other end is gone.
                Err(_) => return Ok(End::Exited(0)),
            }
        }
        if !from_stdin.is_empty() && typed.is_empty() {
            match rustix::io::read(&stdin, &mut buffer[..4096]) {
                Ok(0) | Err(Errno::IO) => return Ok(End::HungUp),
                Ok(count) => typed.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(format!("stdin: {errno}")),
            }
        }
    }
}
