//! Carrying out a job.
//!
//! ```text
//! validate ─► compile (cached) ─► prepare checkers and interactor (cached) ─► tests, several at once ─► score
//! ```
//!
//! A sandbox that runs holds a [turn](turns): there are as many as the host has cores, whoever asks, and each comes with CPUs of its own ([`seats`]). The calling thread runs tests itself;
//! helpers come only while there are tests left for them. Reports are given out when no earlier test can take them back ([`board`]).

mod board;
mod judge;
mod score;
mod seats;
mod test;
mod turns;
mod validate;

pub use judge::{LocalJudge, Settings};
pub(crate) use turns::Turn;
