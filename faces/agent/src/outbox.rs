//! From a command's thread to a client that may take nothing: the thread never waits.
//!
//! ```text
//!   thread ── hand ──► short queue ──────────────────────► the client
//!               └─ it is full ─► held ── a task, in order ──┘
//! ```
//!
//! While something is held the thread reads nothing more of what its command writes ([`Watcher::held_up`](crate::api::Watcher::held_up)), so the
//! command is held up, and what is held stays small: what was read in one round, and what was in the pipes at the end. The clock of the command,
//! what is said to it and its end need no client that reads. A client that takes nothing for its patience is gone.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use enclos_host::tokio::runtime::Handle;
use enclos_host::tokio::sync::mpsc::error::TrySendError;
use enclos_host::tokio::sync::mpsc::{self, WeakSender};
use enclos_host::tokio::time::timeout;
use rustix::event::{EventfdFlags, eventfd};

use crate::api::{AgentError, Result};

/// The end of a command's thread.
pub struct Outbox<T> {
    inner: Arc<Inner<T>>,
    /// Of the runtime that serves.
    runtime: Handle,
}

struct Inner<T> {
    sender: mpsc::Sender<T>,
    /// For a client to take something; `None`: its connection has a bound of its own.
    patience: Option<Duration>,
    state: Mutex<State<T>>,
    /// Readable when nothing is held any more.
    moved: OwnedFd,
}

struct State<T> {
    /// Not empty: a task is at work.
    held: VecDeque<T>,
    gone: bool,
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is held.
    async fn forward(&self) {
        loop {
            let room = match self.patience {
                Some(patience) => timeout(patience, self.sender.reserve()).await.ok(),
                None => Some(self.sender.reserve().await),
            };
            let mut state = self.lock();
            match (room, state.held.pop_front()) {
                (Some(Ok(room)), Some(piece)) => room.send(piece),
                (Some(Ok(_)), None) => {}
                (Some(Err(_)) | None, _) => {
                    state.gone = true;
                    state.held.clear();
                }
            }
            if state.held.is_empty() {
                drop(state);
                // A counter that is full is readable already.
                let _ = rustix::io::write(&self.moved, &1u64.to_ne_bytes());
                return;
            }
        }
    }
}

impl<T: Send + 'static> Outbox<T> {
    /// A queue of `waiting` pieces, and the other end of it; for a thread that is started by a task of the runtime.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn channel(waiting: usize, patience: Option<Duration>) -> Result<(Outbox<T>, mpsc::Receiver<T>)> {
        let moved = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| AgentError::Unavailable(format!("an event descriptor: {errno}; try again")))?;
        let (sender, receiver) = mpsc::channel(waiting);
        let state = Mutex::new(State { held: VecDeque::new(), gone: false });
        Ok((Outbox { inner: Arc::new(Inner { sender, patience, state, moved }), runtime: Handle::current() }, receiver))
    }

    /// The same way for a task, as long as the thread has it.
    pub fn to_client(&self) -> WeakSender<T> {
        self.inner.sender.downgrade()
    }

    /// Hands a piece over, now or when there is room; `false`: the client is gone, or takes nothing.
    pub fn hand(&self, piece: T) -> bool {
        let mut state = self.inner.lock();
        if state.gone {
            return false;
        }
        if !state.held.is_empty() {
            state.held.push_back(piece);
            return true;
        }
        match self.inner.sender.try_send(piece) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => {
                state.gone = true;
                false
            }
            Err(TrySendError::Full(piece)) => {
                state.held.push_back(piece);
                let mut counter = [0u8; 8];
                // It is empty the first time.
                let _ = rustix::io::read(&self.inner.moved, &mut counter);
                drop(state);
                let inner = Arc::clone(&self.inner);
                self.runtime.spawn(async move { inner.forward().await });
                true
            }
        }
    }

    /// Something is held: what becomes readable when nothing is any more.
    pub fn held_up(&self) -> Option<BorrowedFd<'_>> {
        let held = !self.inner.lock().held.is_empty();
        held.then(|| self.inner.moved.as_fd())
    }

    /// Whether the client is known to be gone.
    pub fn is_gone(&self) -> bool {
        self.inner.lock().gone
    }
}

#[cfg(test)]
mod tests {
    use enclos_host::tokio::runtime::Runtime;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn moves(outbox: &Outbox<u32>) -> bool {
        let Some(held) = outbox.held_up() else { return true };
        poll(&mut [PollFd::from_borrowed_fd(held, PollFlags::IN)], Some(&Timespec { tv_sec: 10, tv_nsec: 0 })) == Ok(1)
    }

    #[test]
    fn what_does_not_fit_is_held_and_comes_in_order() {
        let runtime = Runtime::new().unwrap();
        let (outbox, mut receiver) = runtime.block_on(async { Outbox::channel(2, None) }).unwrap();
        for round in 0..3 {
            assert!((0..2).all(|n| outbox.hand(n)) && outbox.held_up().is_none(), "{round}");
            assert!((2..5).all(|n| outbox.hand(n)) && outbox.held_up().is_some(), "{round}");
            let came: Vec<_> = (0..5).map(|_| receiver.blocking_recv().unwrap()).collect();
            assert_eq!(came, [0, 1, 2, 3, 4]);
            assert!(moves(&outbox) && !outbox.is_gone());
        }
        // What is held arrives though the thread has ended.
        assert!((0..5).all(|n| outbox.hand(n)));
        drop(outbox);
        let came: Vec<_> = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        assert_eq!(came, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_takes_nothing_or_leaves_is_gone() {
        let runtime = Runtime::new().unwrap();
        let (outbox, receiver) = runtime.block_on(async { Outbox::channel(1, Some(Duration::from_millis(50))) }).unwrap();
        assert!(outbox.hand(0) && outbox.hand(1) && moves(&outbox));
        assert!(outbox.is_gone() && outbox.held_up().is_none() && !outbox.hand(2));
        drop(receiver);
        let (outbox, receiver) = runtime.block_on(async { Outbox::channel(1, None) }).unwrap();
        assert!(outbox.hand(0) && outbox.hand(1));
        drop(receiver);
        assert!(moves(&outbox) && outbox.is_gone());
        let (outbox, receiver) = runtime.block_on(async { Outbox::channel(1, None) }).unwrap();
        drop(receiver);
        assert!(!outbox.hand(0) && outbox.is_gone());
    }
}
