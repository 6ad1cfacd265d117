//! Running one command in a sandbox of its own.
//!
//! ```text
//!  Order ── policy::of ──► a warm sandbox ── files in ──► the command ──► streams::drain (this thread)
//!                                                             │                 │  output: kept, shown live
//!                     Cancel ── wakes the poll ──► kill ──────┘                 ▼
//!                                                        StepReport, and a directory to take files from
//! ```
//!
//! The thread that runs a step reads its output itself, so a step costs one thread more only for the engine's watch. Standard input is a
//! sealed file in memory: it always ends, and nobody has to feed it.

mod input;
mod policy;
mod step;
mod streams;

pub use input::Input;
pub(crate) use step::internal;
pub use step::{BOX, Heard, Order, Ran, Runner};
