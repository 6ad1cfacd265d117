//! A session's terminal, joined to a client, whatever that client speaks.
//!
//! One task owns both ends. It reads from the terminal only when all that was shown is sent, and holds [`ROOM`] bytes that were typed and that the
//! program does not read; then it listens no more: each side is held up by the other, and nothing piles up here. Signals and sizes pass what is
//! held. Who leaves detaches; the session lives on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::time::Duration;

use enclos_host::bytes::Bytes;
use enclos_host::tokio;
use enclos_host::tokio::net::unix::pipe::{Receiver, Sender};
use enclos_host::tokio::time::{Instant, sleep};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};

use crate::api::{ROOM, Session, SessionStatus, Signals, Terminal};

/// Largest message of a client; a terminal that is typed into needs no more, and a paste is split.
pub const MOST: usize = 1 << 20;

/// How much is read from the terminal at once.
const CHUNK: usize = 32 << 10;

/// For a shell to be known as ended once its terminal is.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a client says.
#[derive(Debug)]
pub enum Said<W> {
    /// These keys.
    Typed(Bytes),
    /// The window has this size: rows, columns.
    Size(u16, u16),
    /// A signal for the program.
    Signal(i32),
    /// Nothing that matters.
    Nothing,
    /// It is done with the terminal, when it has what was typed.
    Leaves,
    /// It is done with the session, now.
    Ends,
    /// It is gone.
    Gone,
    /// What makes no sense.
    Wrong(W),
}

/// Why a terminal was left.
#[derive(Debug)]
pub enum Left<W> {
    /// The client is gone.
    Gone,
    /// It has said that it is done.
    Leaves,
    /// The shell has ended.
    Ended,
    /// It said what makes no sense.
    Wrong(W),
    /// The terminal cannot be read or written.
    Failed(io::Error),
}

/// Who holds a terminal.
pub trait Client: Send {
    /// What is wrong with what it says.
    type Wrong: Send;

    /// Has this shown to it, by [`Client::said`]; only when all before was.
    fn show(&mut self, bytes: Bytes);

    /// Whether all that was to be shown is.
    fn has_shown(&self) -> bool;

    /// The next that it says, or that something was shown; with `listen` off nothing is taken from it, and only its going is told: so is that it takes
    /// nothing for too long. Dropping the future loses nothing.
    fn said(&mut self, listen: bool) -> impl Future<Output = Said<Self::Wrong>> + Send;
}

/// Both directions of a terminal. What the runtime has for pipes does for every descriptor that can be waited for.
struct Ends {
    master: File,
    signals: Signals,
    shows: Receiver,
    types: Sender,
}

impl Ends {
    fn new(master: File, signals: Signals) -> io::Result<Self> {
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let shows = Receiver::from_file_unchecked(master.try_clone()?)?;
        let types = Sender::from_file_unchecked(master.try_clone()?)?;
        Ok(Self { master, signals, shows, types })
    }

    /// The keys' signals reach what runs in the foreground, the others the program of the terminal.
    fn signal(&self, number: i32) {
        let is_a_key = [Signal::INT, Signal::QUIT, Signal::TSTP].iter().any(|signal| signal.as_raw() == number);
        if is_a_key {
            // An error means that nobody has the terminal open any more.
            let _ = enclos_sys::terminal::signal_foreground(&self.master, number);
        } else {
            (self.signals)(number);
        }
    }
}

/// Joins them until one of both is done. The terminal is free for the next then, who may come while the client is told goodbye.
pub async fn join<C: Client>(client: &mut C, terminal: Terminal) -> Left<C::Wrong> {
    let Terminal { master, signals, place: _place } = terminal;
    match Ends::new(master, signals) {
        Ok(ends) => talk(client, &ends).await,
        Err(error) => Left::Failed(error),
    }
}

/// What was typed and is not in the terminal yet.
#[derive(Debug, Default)]
struct Typed {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Typed {
    fn add(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.pieces.push_back(bytes);
    }

    fn next(&mut self) -> &[u8] {
        while self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
        }
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn written(&mut self, length: usize) {
        self.bytes -= length;
        if let Some(piece) = self.pieces.front_mut() {
            drop(piece.split_to(length));
        }
    }

    /// Writes what the terminal takes at once, so that what is said next comes after it where nothing holds it up.
    fn flush(&mut self, to: &Sender) {
        while self.bytes > 0 {
            // A fault is told where it is waited for.
            let Ok(length) = to.try_write(self.next()) else { return };
            self.written(length);
        }
    }
}

async fn talk<C: Client>(client: &mut C, ends: &Ends) -> Left<C::Wrong> {
    let (mut typed, mut leaves, mut over) = (Typed::default(), false, false);
    loop {
        if leaves && typed.bytes == 0 {
            return Left::Leaves;
        }
        if over && client.has_shown() {
            return Left::Ended;
        }
        tokio::select! {
            shown = shown(&ends.shows), if !over && client.has_shown() => match shown {
                Ok(bytes) if bytes.is_empty() => over = true,
                Ok(bytes) => client.show(bytes.into()),
                Err(error) => return Left::Failed(error),
            },
            written = ends.types.writable(), if typed.bytes > 0 => match written.and_then(|()| ends.types.try_write(typed.next())) {
                Ok(length) => typed.written(length),
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                // The shell has ended; what it last showed may still be there to read.
                Err(error) if ended(&error) => typed = Typed::default(),
                Err(error) => return Left::Failed(error),
            },
            said = client.said(typed.bytes < ROOM && !leaves) => match said {
                Said::Typed(bytes) => {
                    typed.add(bytes);
                    typed.flush(&ends.types);
                }
                Said::Size(ws_row, ws_col) => {
                    let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
                    if let Err(errno) = tcsetwinsize(&ends.master, size) { return Left::Failed(errno.into()) }
                }
                Said::Signal(number) => ends.signal(number),
                Said::Nothing => {}
                Said::Leaves => leaves = true,
                Said::Ends => return Left::Leaves,
                Said::Gone => return Left::Gone,
                Said::Wrong(wrong) => return Left::Wrong(wrong),
            },
        }
    }
}

/// A terminal whose other end is closed answers EIO.
fn ended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// What is shown next; nothing: the shell has ended.
async fn shown(shows: &Receiver) -> io::Result<Vec<u8>> {
    loop {
        shows.readable().await?;
        let mut bytes = vec![0; CHUNK];
        match shows.try_read(&mut bytes) {
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(error) if ended(&error) => return Ok(Vec::new()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a shell has ended with, whose terminal has: it is known as ended a moment later. `None`: it is not known, or the program lives on without
/// its terminal.
pub async fn exit_code<F: Future<Output = Option<Session>>>(look: impl Fn() -> F) -> Option<i32> {
    let until = Instant::now() + LAST_WORDS;
    loop {
        let session = look().await?;
        if session.status == SessionStatus::Closed || Instant::now() >= until {
            return session.exit_code;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
