//! Attempts to get out of a sandbox, past a limit, or to leave something behind: one named test each.
//!
//! An [`Attempt`] states what should be seen; a try of it says what was. It runs as `root::NAME` and `user::NAME` through
//! `enclos run`, and where it can be proved to notice an escape, as `control::NAME` against a wall that does not hold
//! ([`Control`]): there the attempt must succeed, or the test would be one that cannot fail.
//!
//! After every try behind the real wall the host is compared with what it was: no process, cgroup, mount, key, System V object
//! or file may be left.
//!
//! Threats named `H` and a number are rows of the list of hostile programs this project set out with, `W` those of the list of
//! weaknesses seen in other sandboxes; the others are public advisories.

#![forbid(unsafe_code)]

pub mod attempt;
mod channels;
mod faults;
mod files;
mod host;
mod kernel;
mod limits;
mod mounts;
mod planted;
mod policies;
mod processes;
pub mod runner;
mod secrets;
mod streams;
pub mod warm;
mod workspaces;

pub use attempt::{Attempt, Control, Seen, Stage};

/// Every attempt, by subject.
pub const ATTEMPTS: &[&[Attempt]] = &[
    kernel::ATTEMPTS,
    processes::ATTEMPTS,
    limits::ATTEMPTS,
    files::ATTEMPTS,
    secrets::ATTEMPTS,
    mounts::ATTEMPTS,
    channels::ATTEMPTS,
    faults::ATTEMPTS,
    planted::ATTEMPTS,
    streams::ATTEMPTS,
    warm::ATTEMPTS,
    workspaces::ATTEMPTS,
    host::ATTEMPTS,
    policies::ATTEMPTS,
];
