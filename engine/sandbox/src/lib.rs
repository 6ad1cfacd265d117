//! Confine, limit and measure a process on Linux.
#![forbid(unsafe_code)]
mod child;
pub mod command;
pub mod direct;
mod error;
mod exec_request;
mod init;
mod launch;
mod meter;
pub mod plan;
pub mod probe;
mod watch;
pub use command::{Child, Command, Outcome, Output, Stdio};
pub use enclos_spec as spec;
pub use error::{Error, Failure, Result, Stage};
