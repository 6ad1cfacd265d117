//! Work for the servers: a bounded [`Queue`] that is fair between keys, workers up to the host's cores ([`Local`]), and the
//! [`Store`] of asynchronous runs, which survives a killed server.
//!
//! ```text
//!  faces: submit(key, weight, work) ─► Queue ─► one lane per key ─► worker threads (one a core) ─► handler(work, lease)
//!                       │ full: Refusal with retry_after                                  │
//!                       └ cancel(id): leaves its lane, or its `on_cancel` is called ◄─────┘
//!  asynchronous:  Store::accept ─► token ─► submit ─► Store::begin … Store::finish     (SQLite, WAL)
//!                 next start: Store::unfinished ─► readmit
//! ```
//!
//! Nothing here knows what the work is, and nothing here is asynchronous: handlers are blocking calls on threads of their own. Callers
//! inside an asynchronous runtime wait for a [`Pending`], a future that needs no particular runtime.

#![forbid(unsafe_code)]

mod fair;
mod local;
mod metrics;
mod pending;
mod queue;
mod store;
mod token;

pub use local::{Local, Settings};
pub use metrics::{Histogram, Metrics, WAIT_BUCKETS};
pub use pending::{Dropped, Pending, Promise, promise};
pub use queue::{Cancelled, Drained, Entry, Id, Lease, OnCancel, Position, Queue, Refusal};
pub use store::{Batch, Begun, Halted, Notice, Record, Retention, State, Store, StoreError, Unfinished};
pub use token::{BadToken, Token};
