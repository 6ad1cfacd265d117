//! The agent face: sandboxes that live, hold a workspace, run commands and shells, and whose changes are looked at, kept or thrown away.
//!
//! - [`api`]: the seam between the face and its transports.
//! - [`LocalAgent`]: the face on this host. - [`settings`]: its keys. - [`figures`]: what it counts.
//! - [`keeper`]: what outlives the server.
//! - [`sandbox_v1`]: the interface that clients of AgentFense speak, as gRPC and as JSON over HTTP.
//! - `agent_v1`: commands and terminals to talk to, beside it.
//! - [`cli`]: the words after `enclos agent`.
//! - [`image`]: root file systems that an operator registered.
//! - [`native`]: its own interface, JSON over HTTP.

#![forbid(unsafe_code)]

mod agent_v1;
pub mod api;
mod audit;
pub mod cli;
mod core;
mod exec;
pub mod figures;
pub mod image;
pub mod keeper;
pub mod native;
mod outbox;
pub mod sandbox_v1;
mod session;
pub mod settings;
mod state;
mod terminal;
mod watch;

pub use core::LocalAgent;
