//! Two programs that talk with each other.
//!
//! ```text
//!            ┌── pipe ◄── output of the interactor (through its watch) ──┐
//!  solution ─┘                                                          interactor
//!            └── output (through its watch, capped) ──► pipe ────────────┘
//! ```
//!
//! Each has a sandbox of its own and its own limits. Nobody holds an end of a pipe but the two and their watches, so the end of one is the end
//! of the other's input.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::api::{JobError, NoObserver, Step};
use crate::job::Turn;
use crate::run::{Heard, Input, Order, Ran, Runner, internal};

/// Makes an order from the ends of the pipes.
pub type MakeOrder<'a> = &'a (dyn Fn(Input<'a>, Option<OwnedFd>) -> Order<'a> + Sync);

/// Both orders.
pub struct Both<'a> {
    /// The job's program.
    pub solution: MakeOrder<'a>,
    /// The problem's.
    pub interactor: MakeOrder<'a>,
}

/// Runs both to their ends.
///
/// # Errors
/// When the job was cancelled, or Enclos fails.
pub fn together<'a>(runner: &Runner, both: &Both<'a>, turn: &Turn, heard: Heard<'_>) -> Result<(Ran, Ran), JobError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| internal("pipe", &errno.into()));
    let ((to_solution, from_interactor), (to_interactor, from_solution)) = (pipe()?, pipe()?);
    let solution = (both.solution)(Input::Pipe(to_solution), Some(from_solution));
    let interactor = (both.interactor)(Input::Pipe(to_interactor), Some(from_interactor));
    std::thread::scope(|scope| {
        let theirs =
            scope.spawn(|| runner.run(interactor, turn, Heard { cancel: heard.cancel, observer: &NoObserver, step: Step::Compile }));
        let ours = runner.run(solution, turn, heard);
        let theirs = theirs.join().unwrap_or_else(|_| Err(JobError::Internal("the interactor's thread failed".to_owned())));
        Ok((ours?, theirs?))
    })
}
