//! What a command reads, and what else is said to it while it runs.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};

use enclos_host::bytes::Bytes;
use enclos_sandbox::Child;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use rustix::termios::{SpecialCodeIndex, Winsize, tcgetattr, tcsetwinsize};

use crate::api::{Next, Result, Talk};
use crate::core::fault;

/// The usual key for the end of a terminal's input.
const CONTROL_D: u8 = 4;

/// What is to be written next.
#[derive(Debug)]
enum Piece<'a> {
    /// It came with the request.
    Given(&'a [u8]),
    /// It was said.
    Said(Bytes),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Given(bytes) => bytes,
            Piece::Said(bytes) => bytes,
        }
    }

    fn written(&mut self, count: usize) {
        match self {
            Piece::Given(bytes) => *bytes = &bytes[count..],
            Piece::Said(bytes) => drop(bytes.split_to(count)),
        }
    }
}

/// Standard input of a command, or the keys of its terminal.
#[derive(Debug)]
pub struct Input<'a> {
    /// `None`: it has ended, or nobody reads it.
    to: Option<File>,
    piece: Piece<'a>,
    talk: Option<&'a Talk>,
    terminal: bool,
    /// The terminal's key for the end was typed.
    ended: bool,
}

impl<'a> Input<'a> {
    /// Into this pipe, or this terminal: first what the request brought.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(to: Option<File>, given: &'a [u8], talk: Option<&'a Talk>, terminal: bool) -> Result<Input<'a>> {
        if let Some(to) = &to {
            let flags = fcntl_getfl(to).and_then(|flags| fcntl_setfl(to, flags | OFlags::NONBLOCK));
            flags.map_err(|e| fault::internal("a pipe", &e))?;
        }
        let mut input = Input { to, piece: Piece::Given(given), talk, terminal, ended: false };
        input.refill();
        Ok(input)
    }

    /// Where something is to be written now.
    pub fn waits(&self) -> Option<BorrowedFd<'_>> {
        self.to.as_ref().filter(|_| !self.piece.bytes().is_empty()).map(AsFd::as_fd)
    }

    /// What becomes readable when something new is said.
    pub fn told(&self) -> Option<BorrowedFd<'a>> {
        self.talk.map(Talk::told)
    }

    /// Writes what it can.
    pub fn serve(&mut self) {
        let Some(to) = &mut self.to else { return };
        match to.write(self.piece.bytes()) {
            Ok(count) => self.piece.written(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nobody reads it: that is the command's choice. What comes is for nobody.
            Err(_) => {
                self.to = None;
                self.piece = Piece::Given(&[]);
            }
        }
        self.refill();
    }

    /// Takes what was said.
    pub fn hear(&mut self, child: &Child) {
        let Some(talk) = self.talk else { return };
        let (signals, size) = talk.hear();
        if let (true, Some((rows, columns)), Some(master)) = (self.terminal, size, &self.to) {
            // A terminal that nobody has open any more has no size.
            let _ = tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
        }
        for number in signals {
            match &self.to {
                Some(master) if self.terminal && is_a_key(number) => drop(enclos_sys::terminal::signal_foreground(master, number)),
                // An error means that it is gone.
                _ => drop(child.signal_group(number)),
            }
        }
        self.refill();
    }

    fn refill(&mut self) {
        while self.piece.bytes().is_empty() {
            match self.talk.map_or(Next::End, Talk::next) {
                // Taken all the same when nobody reads it, so that who says it is not held up.
                Next::Bytes(bytes) => {
                    if self.to.is_some() {
                        self.piece = Piece::Said(bytes);
                    }
                }
                Next::Nothing => return,
                // A terminal has no end of its input but a key.
                Next::End if self.terminal && !self.ended => {
                    self.ended = true;
                    if let Some(master) = &self.to {
                        let key = tcgetattr(master).map_or(CONTROL_D, |modes| modes.special_codes[SpecialCodeIndex::VEOF]);
                        self.piece = Piece::Said(Bytes::copy_from_slice(&[key]));
                    }
                }
                Next::End => {
                    // The terminal's other end stays open: its size and signals go that way.
                    self.to = self.to.take().filter(|_| self.terminal);
                    return;
                }
            }
        }
    }
}

/// Whether a terminal has a key for it.
fn is_a_key(number: i32) -> bool {
    [Signal::INT, Signal::QUIT, Signal::TSTP].iter().any(|signal| signal.as_raw() == number)
}
