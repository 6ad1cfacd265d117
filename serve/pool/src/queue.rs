//! The one trait behind which work waits, and its words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Metrics;

/// A piece of work in a queue; unique while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(crate) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Called when running work is to stop: from the thread that cancels, at most once, never while the queue is locked.
pub type OnCancel = Arc<dyn Fn() + Send + Sync>;

/// Work that asks for a place.
pub struct Entry<W> {
    /// Between whom the queue is fair: the name of an API key, or any other word for one caller.
    pub key: String,
    /// Cores the work can use; it is given between one and this many.
    pub weight: usize,
    /// Bytes of memory that it holds while it waits.
    pub size: usize,
    /// What the handler gets. It is dropped, unhandled, when the entry is cancelled while it waits.
    pub work: W,
    /// How to stop it once it runs.
    pub on_cancel: OnCancel,
}

impl<W> fmt::Debug for Entry<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).field("weight", &self.weight).field("size", &self.size).finish_non_exhaustive()
    }
}

/// What a handler is told beside its work.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The work's name in the queue.
    pub id: Id,
    /// Cores that are its own until the handler returns; at least one.
    pub cores: usize,
    /// How long it waited.
    pub waited: Duration,
}

/// Why work got no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All places, or all the memory for what waits, are taken.
    #[error("the queue is full: {waiting} jobs wait; try again in {} s", .retry_after.as_secs())]
    Full {
        /// Jobs that wait.
        waiting: usize,
        /// Estimate of the time until there are places; at least a second.
        retry_after: Duration,
    },
    /// This key's places are taken; others may still have some.
    #[error("this key's share of the queue is full: {waiting} of its jobs wait, and that is the limit; try again in {} s", .retry_after.as_secs())]
    KeyFull {
        /// Jobs of this key that wait.
        waiting: usize,
        /// Estimate of the time until there are places; at least a second.
        retry_after: Duration,
    },
    /// The server is going down.
    #[error("the server is shutting down and takes no more jobs; try again in {} s", .retry_after.as_secs())]
    Draining {
        /// When another server may be there.
        retry_after: Duration,
    },
}

impl Refusal {
    /// When to try again; at least a second.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Refusal::Full { retry_after, .. } | Refusal::KeyFull { retry_after, .. } | Refusal::Draining { retry_after } => *retry_after,
        }
    }
}

/// Where work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// It waits.
    Waiting {
        /// Jobs of the same key that are before it.
        ahead: usize,
        /// Jobs of all keys that wait.
        waiting: usize,
        /// Estimate of the time until it starts.
        estimate: Duration,
    },
    /// A worker has it.
    Running {
        /// For how long.
        since: Duration,
    },
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited; it left the queue, and its work was dropped.
    Waiting,
    /// It ran; its `on_cancel` was called.
    Running,
    /// It is not here: it ended, or it never was.
    Unknown,
}

/// What a drain left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Jobs that ended by themselves while the queue drained.
    pub finished: u64,
    /// Jobs that still waited when patience ended; their work was dropped.
    pub dropped: u64,
    /// Jobs that still ran then, and were cancelled.
    pub cancelled: u64,
}

/// A bounded queue of work, fair between keys.
///
/// [`Local`](crate::Local) keeps it in this process. A queue that many machines share would implement the same trait over a broker
/// (NATS JetStream is the one named by the design): `submit` publishes the work and remembers who waits, `cancel` publishes the id, and
/// the handler runs wherever a worker takes the message. That is why work is a value given to one handler, not a closure, and why
/// nothing here borrows from the caller.
pub trait Queue<W>: Send + Sync {
    /// Takes a place in the lane of the entry's key.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with the time after which to try again. The work is dropped.
    fn submit(&self, entry: Entry<W>) -> Result<Id, Refusal>;

    /// Takes a place for work that was accepted before this process started, bounds or not: it was promised to somebody.
    ///
    /// # Errors
    ///
    /// [`Refusal::Draining`] alone.
    fn readmit(&self, entry: Entry<W>) -> Result<Id, Refusal>;

    /// Stops work, wherever it is.
    fn cancel(&self, id: Id) -> Cancelled;

    /// Where work is; `None`: it ended, or never was.
    fn position(&self, id: Id) -> Option<Position>;

    /// Figures of this moment.
    fn metrics(&self) -> Metrics;

    /// Takes no more work, waits for what there is to end, and after `patience` drops what waits and cancels what runs, for whose end it
    /// waits again. Blocks.
    fn drain(&self, patience: Duration) -> Drained;
}
