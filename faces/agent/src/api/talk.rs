//! What is said to a command while it runs: standard input, signals, the size of its terminal.
//!
//! One side says it, any runtime or none; the other is the thread that watches the command, which sleeps in poll(2). Signals and sizes wait for
//! nobody and pass input that is not read, as they do on a terminal. They are remembered as the kernel remembers them: each pending signal once, the
//! last size.
//!
//! All that a client says comes in one stream, so a signal is heard only when what was said before it has been taken. Therefore input that the
//! command does not read is held: [`ROOM`] bytes always, [`MOST_HELD`] while all commands together hold less than [`ALL_HELD`] beyond theirs. Who has
//! said more waits for room.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use enclos_host::bytes::Bytes;
use rustix::event::{EventfdFlags, eventfd};

use super::{AgentError, Result};

/// Bytes of input that may wait for a command to read them, however many commands there are.
pub const ROOM: usize = 256 << 10;

/// Bytes of input that may wait for a command to read them where there is memory for it; one message more may be taken.
pub const MOST_HELD: usize = 4 << 20;

/// Bytes beyond [`ROOM`] that wait for all commands of this process together.
pub const ALL_HELD: usize = 256 << 20;

/// How many do.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// How a command is talked to while it runs.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// What is said to it.
    pub talk: Talk,
    /// It has a terminal of this size (rows, columns) for all its streams; without, three pipes.
    pub terminal: Option<(u16, u16)>,
}

#[derive(Debug, Default)]
struct State {
    input: VecDeque<Bytes>,
    waiting: usize,
    ended: bool,
    /// Bit `n - 1`: signal n.
    signals: u64,
    size: Option<(u16, u16)>,
    waker: Option<Waker>,
}

impl State {
    /// So many bytes wait from now on.
    fn set_waiting(&mut self, waiting: usize) {
        let [before, now] = [self.waiting, waiting].map(|bytes| bytes.saturating_sub(ROOM));
        if now > before {
            HELD.fetch_add(now - before, Ordering::Relaxed);
        } else {
            HELD.fetch_sub(before - now, Ordering::Relaxed);
        }
        self.waiting = waiting;
    }

    fn has_room(&self) -> bool {
        self.waiting < ROOM || (self.waiting < MOST_HELD && HELD.load(Ordering::Relaxed) < ALL_HELD)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.set_waiting(0);
    }
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Readable when there is something new.
    told: OwnedFd,
}

/// What is said to one command. All clones are one.
#[derive(Clone, Debug)]
pub struct Talk {
    inner: Arc<Inner>,
}

/// What of standard input comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing yet.
    Nothing,
    /// Nothing more.
    End,
}

impl Talk {
    /// Nothing is said yet.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn new() -> Result<Talk> {
        let told = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| AgentError::Unavailable(format!("an event descriptor: {errno}; try again")))?;
        Ok(Talk { inner: Arc::new(Inner { state: Mutex::default(), told }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        // A counter that is full is readable already.
        let _ = rustix::io::write(&self.inner.told, &1u64.to_ne_bytes());
    }

    /// Standard input. What is written after its end is for nobody.
    pub fn write(&self, bytes: Bytes) {
        let mut state = self.lock();
        if state.ended || bytes.is_empty() {
            return;
        }
        let waiting = state.waiting + bytes.len();
        state.set_waiting(waiting);
        state.input.push_back(bytes);
        drop(state);
        self.tell();
    }

    /// Standard input ends. On a terminal this types its end-of-file character (Ctrl-D), once.
    pub fn end(&self) {
        self.lock().ended = true;
        self.tell();
    }

    /// A signal, 1 to 64, for the command's process group; on a terminal SIGINT, SIGQUIT and SIGTSTP are for the foreground group, as their keys are.
    pub fn signal(&self, number: i32) {
        let Some(bit) = u32::try_from(number).ok().and_then(|number| number.checked_sub(1)).filter(|bit| *bit < 64) else { return };
        self.lock().signals |= 1 << bit;
        self.tell();
    }

    /// Its terminal has another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.lock().size = Some((rows, columns));
        self.tell();
    }

    /// Ready when there is room for more input, and for what may come behind it.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.has_room() {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// For the command's thread: readable when there is something new, until [`Talk::hear`].
    #[must_use]
    pub fn told(&self) -> BorrowedFd<'_> {
        self.inner.told.as_fd()
    }

    /// For the command's thread: the signals and the size that were not taken yet.
    pub fn hear(&self) -> (Vec<i32>, Option<(u16, u16)>) {
        let mut counter = [0u8; 8];
        // It is empty when somebody else has heard.
        let _ = rustix::io::read(&self.inner.told, &mut counter);
        let mut state = self.lock();
        let signals = std::mem::take(&mut state.signals);
        ((1..=64).filter(|number| signals & (1 << (number - 1)) != 0).collect(), state.size.take())
    }

    /// For the command's thread: takes what comes next.
    pub fn next(&self) -> Next {
        let mut state = self.lock();
        let Some(bytes) = state.input.pop_front() else { return if state.ended { Next::End } else { Next::Nothing } };
        let waiting = state.waiting - bytes.len();
        state.set_waiting(waiting);
        let waker = if state.has_room() { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Next::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn input_keeps_its_order_and_nothing_comes_after_its_end() {
        let talk = Talk::new().unwrap();
        assert_eq!(talk.next(), Next::Nothing);
        talk.write(Bytes::from_static(b"a"));
        talk.write(Bytes::new());
        talk.write(Bytes::from_static(b"b"));
        talk.end();
        talk.write(Bytes::from_static(b"c"));
        let heard = [talk.next(), talk.next(), talk.next(), talk.next()];
        assert_eq!(heard, [Next::Bytes(Bytes::from_static(b"a")), Next::Bytes(Bytes::from_static(b"b")), Next::End, Next::End]);
    }

    #[test]
    fn who_says_more_than_there_is_room_for_waits_and_is_woken() {
        let (talk, woken) = (Talk::new().unwrap(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        talk.write(Bytes::from(vec![0; MOST_HELD - 1]));
        assert!(talk.poll_room(&mut context).is_ready());
        talk.write(Bytes::from_static(b"x"));
        assert!(talk.poll_room(&mut context).is_pending());
        // Signals and sizes pass.
        for number in [2, 15, 2, 0, -1, 65, 64] {
            talk.signal(number);
        }
        talk.resize(1, 2);
        talk.resize(3, 4);
        assert!(
            rustix::event::poll(&mut [rustix::event::PollFd::from_borrowed_fd(talk.told(), rustix::event::PollFlags::IN)], None).is_ok()
        );
        assert_eq!(talk.hear(), (vec![2, 15, 64], Some((3, 4))));
        assert_eq!(talk.hear(), (vec![], None));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        assert!(matches!(talk.next(), Next::Bytes(_)));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(talk.poll_room(&mut context).is_ready());
    }
}
