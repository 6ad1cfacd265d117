//! Confine, limit and measure a process on Linux.
//!
//! - [`Command`] runs one command in a sandbox of its own, like [`std::process::Command`] with a policy and a report.
//! - [`Sandbox`] lives: many commands in it at a time, signals, freezing and thawing.
//! - [`Launcher`], [`Template`] and [`Pool`] are for those who start many: the common part is prepared once, sandboxes wait ahead of demand.
//! - [`direct`] carries out a plan that a front brings.
//! - [`spec`] has the words: policies, limits, verdicts, reports.
//!
//! The engine reads no environment variable and no home directory, prints nothing, and starts no thread but the ones these types name.

#![forbid(unsafe_code)]

mod child;
mod command;
pub mod direct;
mod error;
mod exec_request;
mod files;
mod forkserver;
mod init;
mod kept;
mod launch;
mod meter;
pub mod plan;
pub mod probe;
mod sandbox;
mod still;
mod watch;
mod workspace;

pub use command::cpus::can_choose as can_choose_cpus;
pub use command::{Child, Command, Ending, Outcome, Output, Stdio};
pub use enclos_spec as spec;
pub use error::{Error, Failure, Result, Stage};
pub use files::{Files, FilesBuilder, collect};
pub use forkserver::{Launcher, Pool, Template};
pub use kept::Kept;
pub use probe::doctor::{Finding, doctor, doctor_for};
pub use sandbox::Sandbox;
pub use workspace::Workspace;

/// The launcher process (`enclos launch`).
pub mod launcher {
    pub use crate::forkserver::serve;
}

/// Decodes a datagram as either side of the protocol would. For fuzzing; says nothing.
#[doc(hidden)]
pub fn decode_any_message(bytes: &[u8]) {
    use init::message::{Exec, Reply, Request};
    if let Some(Request::Exec(exec)) = Request::decode(bytes) {
        let _ = Exec::skip(exec.block, usize::from(exec.directories) + usize::from(exec.files)).and_then(Exec::first);
    }
    let _ = Reply::decode(bytes);
}

/// The guide's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/library.md")]
struct Guide;
