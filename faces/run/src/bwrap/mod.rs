//! The bubblewrap front: bubblewrap 0.11's command line, carried out by our engine.
//!
//! Nothing here mounts, clones or maps. The steps are
//! arguments → [`command_line::CommandLine`] (what was asked, pure data) → [`plan`] (the engine's plan and what belongs beside it) → the engine.
//! The policy is exactly what the command line says: no filter, limit or mask that was not asked for.
//!
//! Facts of the interface come from bubblewrap's manual and from watching its programs run; none of its code was used.

pub mod capability;
pub mod command_line;
pub mod complete;
pub mod descriptors;
mod failure;
pub mod flag;
#[cfg(test)]
mod guide;
pub mod help;
pub mod launch;
pub mod limits;
pub mod man;
pub mod message;
pub mod number;
pub mod parse;
pub mod plan;
pub mod status;
pub mod table;

pub use launch::main;

/// The version of bubblewrap whose manual this front follows.
pub const BUBBLEWRAP: &str = "0.11.1";

/// Answer to `--version`: exactly bubblewrap's, because programs take the last word of it, or the second, or all from the first digit on.
#[must_use]
pub fn version() -> String {
    format!("bubblewrap {BUBBLEWRAP}\n")
}
