//! The private terminal's other end: keys from the caller's terminal in, what the command shows out, and the window's size.

use std::os::fd::{AsFd, OwnedFd};

use enclos_sys::Errno;
use rustix::event::{PollFd, PollFlags};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Joins a private terminal's master side with the caller's input and output.
#[derive(Debug)]
pub struct Relay {
    input: Option<OwnedFd>,
    output: OwnedFd,
    master: Option<OwnedFd>,
    saved: Option<Termios>,
    to_command: Vec<u8>,
    to_caller: Vec<u8>,
    bytes: u64,
    cap: Option<u64>,
    /// The cap was passed.
    full: bool,
    ended: bool,
}

const PIECE: usize = 4096;
/// Ctrl-D, the end of input on a terminal (termios(3), VEOF).
const END_OF_INPUT: u8 = 4;

impl Relay {
    /// Relays between `input`, `output` and a terminal that comes later.
    #[must_use]
    pub fn new(input: Option<OwnedFd>, output: OwnedFd) -> Self {
        let saved = input.as_ref().filter(|fd| isatty(fd)).and_then(|fd| tcgetattr(fd).ok());
        Relay {
            input,
            output,
            master: None,
            saved,
            to_command: Vec::new(),
            to_caller: Vec::new(),
            bytes: 0,
            cap: None,
            full: false,
            ended: false,
        }
    }

    /// Shows at most so many bytes.
    pub fn cap_at(&mut self, cap: Option<u64>) {
        self.cap = cap;
    }

    /// Whether more was to be shown.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Rows and columns of the caller's terminal; (24, 80) where it has none.
    #[must_use]
    pub fn window(&self) -> (u16, u16) {
        let of = |fd: &OwnedFd| tcgetwinsize(fd).ok().filter(|w| w.ws_row > 0).map(|w| (w.ws_row, w.ws_col));
        of(&self.output).or_else(|| self.input.as_ref().and_then(of)).unwrap_or((24, 80))
    }

    /// The master side has come.
    pub fn connect(&mut self, master: OwnedFd) {
        self.master = Some(master);
        self.enter_raw();
        self.resize();
    }

    /// Keys pass as they are typed: the private terminal does the editing.
    pub fn enter_raw(&self) {
        if let (Some(input), Some(saved)) = (&self.input, &self.saved) {
            let mut raw = saved.clone();
            raw.make_raw();
            let _ = tcsetattr(input, OptionalActions::Drain, &raw);
        }
    }

    /// The caller's terminal as it was.
    pub fn leave_raw(&self) {
        if let (Some(input), Some(saved)) = (&self.input, &self.saved) {
            let _ = tcsetattr(input, OptionalActions::Drain, saved);
        }
    }

    /// Passes the window's size on; the kernel tells the command by SIGWINCH.
    pub fn resize(&self) {
        if let (Some(master), Ok(size)) = (&self.master, tcgetwinsize(&self.output)) {
            let _ = tcsetwinsize(master, size);
        }
    }

    /// Bytes shown.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The command has ended: what it has written is still shown.
    pub fn command_ended(&mut self) {
        self.ended = true;
        if self.full {
            self.master = None;
        } else if self.master.is_none() {
            self.to_caller.clear();
        }
    }

    /// Nothing is left to show.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended && self.master.is_none() && self.to_caller.is_empty()
    }

    /// What to wait for: always three places, in this order: input, master, output.
    pub fn interests<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let nothing = PollFlags::empty();
        let input = self.input.as_ref().filter(|_| self.to_command.is_empty() && self.master.is_some());
        fds.push(match input {
            Some(input) => PollFd::new(input, PollFlags::IN),
            None => PollFd::new(&self.output, nothing),
        });
        let mut flags = nothing;
        flags.set(PollFlags::IN, self.to_caller.is_empty() && !self.full);
        flags.set(PollFlags::OUT, !self.to_command.is_empty());
        fds.push(match &self.master {
            Some(master) => PollFd::new(master, flags),
            None => PollFd::new(&self.output, nothing),
        });
        fds.push(PollFd::new(&self.output, if self.to_caller.is_empty() { nothing } else { PollFlags::OUT }));
    }

    /// Moves what is ready.
    pub fn serve(&mut self, happened: &[bool]) {
        if happened.first() == Some(&true) && self.to_command.is_empty() && self.master.is_some() {
            self.read_input();
        }
        if happened.get(1) == Some(&true) {
            self.serve_master();
        }
        if happened.get(2) == Some(&true) && !self.to_caller.is_empty() {
            let piece = &self.to_caller[..self.to_caller.len().min(PIECE)];
            match rustix::io::write(&self.output, piece) {
                Ok(written) => drop(self.to_caller.drain(..written)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => self.to_caller.clear(),
            }
        }
    }

    fn read_input(&mut self) {
        let Some(input) = &self.input else { return };
        let mut piece = [0u8; PIECE];
        match rustix::io::read(input, &mut piece) {
            Ok(0) => {
                self.to_command.push(END_OF_INPUT);
                self.input = None;
            }
            Ok(read) => self.to_command.extend_from_slice(&piece[..read]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input = None,
        }
    }

    fn serve_master(&mut self) {
        let Some(master) = &self.master else { return };
        if !self.to_command.is_empty()
            && let Ok(written) = rustix::io::write(master, &self.to_command)
        {
            self.to_command.drain(..written);
        }
        if !self.to_caller.is_empty() || self.full {
            return;
        }
        let mut piece = [0u8; PIECE];
        match rustix::io::read(master, &mut piece) {
            Ok(read) if read > 0 => {
                let room = self.cap.map_or(u64::MAX, |cap| cap - self.bytes);
                let kept = usize::try_from(room).unwrap_or(read).min(read);
                // Not read on: the command waits at a full terminal for its end.
                self.full = kept < read;
                self.bytes += kept as u64;
                self.to_caller.extend_from_slice(&piece[..kept]);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // EIO: no process has the other side open any more (pty(7)).
            Ok(_) | Err(_) => self.master = None,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.leave_raw();
    }
}

/// Whether a descriptor is a terminal.
#[must_use]
pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}
