//! Warm sandboxes: a launcher process, templates it prepares, and pools that park sandboxes ahead of demand.
//!
//! # Theory of operation
//!
//! ```text
//! caller (may have threads)
//!   │ starts `enclos launch` before anything else; one SEQPACKET socket, descriptors by SCM_RIGHTS
//!   ▼
//! launcher      single-threaded, tiny                                             server.rs
//!   │ clone3 for each slot of a template: user, mount, ipc, uts, net namespaces
//!   ▼
//! slot          the plan's lasting part: root built and entered, wide filter on      slot.rs
//!   │ clone3 for each sandbox: fresh pid, mount, ipc, uts, cgroup namespaces
//!   ▼
//! sandbox       the plan's fresh part: /proc, one private tmpfs; then confined; its first command's
//!               process is parked: a message is all that stands before the execution
//! ```
//!
//! A slot has one sandbox at a time: its range of ids and its network namespace are that sandbox's alone. What ran untrusted code is destroyed;
//! only the slot, which nothing ever entered, serves again. Launcher, slots and sandboxes die with the caller: sockets close, parents' death
//! signals follow.

mod client;
mod pool;
mod server;
mod slot;

pub(crate) use client::pid_of;
pub use client::{Born, Launcher, Template};
pub use pool::Pool;
pub use server::serve;
