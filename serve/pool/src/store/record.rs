//! What is stored of a run, and the words for what becomes of it.

use std::time::Duration;

use crate::token::Token;

/// How long ended runs are kept: until any of the three is passed, oldest first. Runs that have not ended are always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Since the end of the run.
    pub age: Duration,
    /// Ended runs.
    pub runs: u64,
    /// Bytes of requests and results of ended runs.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), runs: 10_000, bytes: 1 << 30 }
    }
}

/// Where a stored run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, not begun.
    Waiting,
    /// Begun.
    Running,
    /// It has its result.
    Finished,
    /// Cancelled before it had one.
    Cancelled,
}

/// Whether somebody is to be told of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nobody asked.
    None,
    /// Asked for; due once the run has ended.
    Due,
    /// Told.
    Delivered,
    /// Given up.
    Failed,
}

/// A stored run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub token: Token,
    /// The batch it came with.
    pub batch: Option<Token>,
    /// Where it is.
    pub state: State,
    /// What was asked, as it was given to [`Store::accept`](super::Store::accept).
    pub request: Vec<u8>,
    /// What was answered, as it was given to [`Store::finish`](super::Store::finish).
    pub result: Option<Vec<u8>>,
    /// The same in short, as it was given to [`Store::finish`](super::Store::finish).
    pub summary: Option<String>,
    /// When it was accepted; milliseconds since 1970, as the next two.
    pub created: u64,
    /// When it was begun for the last time.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// Whether somebody is to be told.
    pub notice: Notice,
}

/// A run that was accepted and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its name.
    pub token: Token,
    /// Whose it is.
    pub owner: String,
    /// What was asked.
    pub request: Vec<u8>,
}

/// What became of a request to begin a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It runs, for the how many-th time.
    Attempt(u32),
    /// It was begun [`Store::ATTEMPTS`](super::Store::ATTEMPTS) times, and each time the server died before its end.
    GivenUp,
    /// It ended or was cancelled, or is not known.
    Ended,
}

/// What became of a request to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halted {
    /// It was waiting or running, and is cancelled now.
    Now,
    /// It had ended before, this way.
    Already(State),
    /// This owner has no such run.
    Unknown,
}
