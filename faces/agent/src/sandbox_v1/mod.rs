//! The interface `sandbox.v1`, which clients of AgentFense speak: gRPC, and the same as JSON over HTTP.
//!
//! ```text
//!  gRPC ── access (key → caller) ── grpc ─┐
//!                                         ├─ service (fields checked, calls on threads, words for what is wrong) ── api::Agent
//!  JSON ── access ── rest (17 routes) ────┘
//! ```
//!
//! A short call runs on the runtime's blocking threads; a command, upload or download has a thread of [`Threads`] for itself, so that hundreds
//! of commands at once keep nobody waiting who only asks. A client that goes away cancels its command.
//!
//! The words and codes are those that clients know, with these exceptions, each because the original loses something there:
//!
//! - An id that no server can have given, an unknown number of an enum, a negative span or size is INVALID_ARGUMENT and names the field.
//! - Output that is no UTF-8 is replaced, not an error; what is more than a client takes (4 MiB) is cut in the middle. The header
//!   `x-enclos-truncated` tells how many bytes are missing.
//! - `stderr` is there when a command succeeds, too. Streams have both outputs.
//! - A command that is killed at its timeout is DEADLINE_EXCEEDED on streams, too; the end of what it wrote is in the trailers
//!   `x-enclos-stdout-bin` and `x-enclos-stderr-bin`.
//! - A stream ends with the trailer `x-enclos-exit-code`. One that is not 0 still makes it INTERNAL, `failed to execute command: exit status N`:
//!   the published client reads no trailers, and would take anything else for success.
//! - Listing a missing directory recursively is NOT_FOUND, not INTERNAL.

mod access;
pub(crate) mod commands;
pub(crate) mod convert;
mod files;
pub(crate) mod grpc;
pub(crate) mod output;
mod rest;
pub(crate) mod service;
mod settings;
pub(crate) mod status;

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::{Router, middleware};
use enclos_host::body::Bodies;
use enclos_host::keys::Keys;
use enclos_host::stop::Stop;
use enclos_host::threads::Threads;
use enclos_proto::{agent_v1, sandbox_v1, server};

pub use settings::{Options, SETTINGS};

use crate::agent_v1 as interactive;
use crate::api::Agent;
use service::Service;

/// Names of the services.
const NAMES: &[&str] = &["sandbox.v1.SandboxService", "sandbox.v1.CodebaseService", interactive::NAME];

/// What the interface needs.
#[derive(Clone)]
pub struct Parts {
    /// Carries the calls out.
    pub agent: Arc<dyn Agent>,
    /// Who may call.
    pub keys: Arc<Keys>,
    /// Reads bodies of the JSON interface.
    pub bodies: Bodies,
    /// For long calls.
    pub threads: Arc<Threads>,
    /// For a client to send the next piece of what it sends, or to take the next piece of what it gets.
    pub patience: Duration,
    /// Whether the server is to end.
    pub stop: Stop,
    /// Bounds.
    pub options: Options,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("threads", &self.threads).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The gRPC interface, with `enclos.agent.v1` beside it, reflection and health, for a listener that speaks HTTP/2. Everything but health needs a key where there are keys.
///
/// # Errors
/// One line, when reflection cannot be made: a fault of the program.
pub fn grpc(parts: &Parts) -> Result<Router, String> {
    let service = Arc::new(Service::new(parts));
    let descriptors = [sandbox_v1::DESCRIPTORS, agent_v1::DESCRIPTORS];
    let routes = server::reflection(grpc::routes(&service), NAMES, &descriptors).map_err(|error| format!("reflection: {error}"))?;
    let guarded = routes.into_axum_router().reset_fallback().fallback(server::unknown);
    let guarded = guarded.layer(middleware::from_fn_with_state((Arc::clone(&parts.keys), parts.patience), access::grpc));
    let lasting = interactive::routes(&service).into_axum_router().reset_fallback();
    let lasting = lasting.layer(middleware::from_fn_with_state(Arc::clone(&parts.keys), access::lasting));
    Ok(server::health(NAMES, parts.stop.clone()).reset_fallback().merge(guarded).merge(lasting))
}

/// The JSON interface.
pub fn rest(parts: &Parts) -> Router {
    rest::router(parts)
}
