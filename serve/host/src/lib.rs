//! The server kit: what every face that is reached over a network shares.
//!
//! - [`settings`]: one record for each key of the configuration; parser, flags, checks and the page of the guide are made from the records.
//! - [`listen`]: addresses, and which of them need keys.
//! - [`connections`]: takes connections, bounds them, ends gracefully.
//! - [`body`]: bounds on how large and how slow a request may be.
//! - [`flow`]: bodies of any size in constant memory.
//! - [`threads`]: threads for calls that block for long.
//! - [`cancel`]: ends a piece of work from outside.
//! - [`hosts`]: names of a server without keys, so that no web page makes use of it.
//! - [`keys`]: who calls, and how much of everything that is worth. - [`tls`]: whom nobody on the way can overhear, and certificates of callers.
//! - [`health`], [`metrics`], [`log`]: what an operator sees.
//! - [`outbound`]: requests to addresses that a client chose, where they cannot reach the inside of a network.
//! - [`stop`]: the end, first asked for, then insisted on.
//! - [`wire`]: JSON, read strictly, and exact bytes in it.
//! - [`state`]: where state lies. - [`table`]: what a face's command line prints.
//!
//! Only `serve/*` and `server` name the asynchronous runtime; a face takes it from here ([`axum`], [`tokio`]). Nothing here runs a program.

#![forbid(unsafe_code)]

mod authority;
pub mod body;
pub mod cancel;
pub mod connections;
pub mod flow;
pub mod health;
pub mod hosts;
pub mod keys;
pub mod listen;
pub mod log;
pub mod metrics;
mod opening;
pub mod outbound;
mod patient;
pub mod settings;
pub mod state;
pub mod stop;
pub mod table;
pub mod threads;
pub mod tls;
pub mod wire;

pub use axum;
pub use bytes;
pub use http_body_util;
pub use hyper;
pub use prometheus_client;
pub use tokio;
pub use tracing;
