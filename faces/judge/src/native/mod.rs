//! The judge's own interface, version 1, under `/v1`.
//!
//! ```text
//!  POST /v1/runs              200 the result · 202 a token (async) · a stream of events (Accept: text/event-stream)
//!  GET  /v1/runs/stream       WebSocket: the request, then input and signals; back come the same events
//!  GET, DELETE /v1/runs/{token}        POST /v1/runs/{token}/cancel
//!  POST /v1/batches           GET, DELETE /v1/batches/{token}
//!  GET  /v1/languages         /v1/info         /v1/openapi.json
//! ```
//!
//! The types of `wire` know JSON and nothing of the judge; `build` makes jobs of them; `stored` keeps asynchronous runs; the routes join
//! these. Every error is a problem document (RFC 9457). The OpenAPI document is made from the types and one table of routes, checked in as
//! `openapi.json`, and a test compares them.

mod batches;
mod build;
mod callbacks;
mod decode;
mod events;
mod input;
pub mod openapi;
mod place;
mod problem;
mod records;
mod routes;
mod runs;
pub mod settings;
mod socket;
mod stored;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use enclos_host::body::{Bodies, Share};
use enclos_host::bytes::Bytes;
use enclos_host::keys::{Admitted, Head, Keys};
use enclos_host::outbound::Outbound;
use enclos_host::tokio;
use enclos_host::tokio::sync::{Mutex, mpsc};
use enclos_host::tokio::task::spawn_blocking;
use enclos_pool::{Store, StoreError};

use crate::api::{Checker, Job, Judge, Limits};
use crate::work::Jobs;
use problem::Problem;
pub use routes::router;
pub use settings::{Options, SETTINGS};
use stored::Stored;

/// What the routes need.
pub struct Parts {
    /// Runs the jobs.
    pub judge: Arc<dyn Judge>,
    /// Where they wait.
    pub queue: Arc<Jobs>,
    /// Who may call.
    pub keys: Arc<Keys>,
    /// Reads bodies.
    pub bodies: Bodies,
    /// Bounds.
    pub options: Options,
    /// Keeps asynchronous runs; without it they are refused.
    pub store: Option<Arc<Store>>,
    /// Makes callbacks; without it they are refused.
    pub outbound: Option<Outbound>,
}

/// The interface, ready to serve.
pub struct Native {
    judge: Arc<dyn Judge>,
    queue: Arc<Jobs>,
    keys: Arc<Keys>,
    bodies: Bodies,
    options: Options,
    stored: Option<Arc<Stored>>,
    outbound: Option<Outbound>,
    languages: Mutex<Option<(Instant, Bytes)>>,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Native {
    /// Puts the parts together, takes up the runs that earlier servers accepted and did not finish, and makes the callbacks that are due.
    /// Blocks for as long as the store takes; called inside a runtime, where callbacks are made from then on.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn start(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let Parts { judge, queue, keys, bodies, options, store, outbound } = parts;
        let stored = match store {
            None => None,
            Some(store) => {
                let told = outbound.clone().map(|outbound| {
                    let (sender, ended) = mpsc::unbounded_channel();
                    tokio::spawn(callbacks::deliver(outbound, Arc::clone(&store), ended));
                    sender
                });
                Some(Stored::start(store, Arc::clone(&queue), told)?)
            }
        };
        Ok(Arc::new(Self { judge, queue, keys, bodies, options, stored, outbound, languages: Mutex::default() }))
    }

    /// Who calls, for a request that costs something, and its body.
    async fn receive(&self, headers: &Head, body: enclos_host::axum::body::Body) -> Result<Call, Problem> {
        let admitted = self.keys.admit(headers)?;
        decode::expect_json(headers)?;
        let held = self.bodies.read(body, self.options.max_body).await?;
        Ok(Call { body: held.bytes, admitted, _share: held.share })
    }

    /// The keeper of asynchronous runs.
    fn stored(&self) -> Result<&Arc<Stored>, Problem> {
        self.stored.as_ref().ok_or_else(|| {
            let mut problem = Problem::refused("async", "asynchronous runs are switched off on this server: it has no store for them");
            problem.kind = "no-store";
            problem
        })
    }

    /// Refuses at once, by the field as the client wrote it, what the judge could not carry out.
    fn foresee(&self, job: &Job) -> Result<(), Problem> {
        self.know("language", &job.language)?;
        if let Some(program) = &job.interactor {
            self.know("interactor.language", &program.language)?;
        }
        let most = &self.judge.limits().most;
        let within = |field: &str, limits: &Limits| match limits.beyond(most).first() {
            None => Ok(()),
            Some(name) => {
                let field = format!("{field}.limits.{}", wire::Limits::wire_name(name));
                Err(Problem::refused(&field, "is greater than this server allows: GET /v1/info tells what it does"))
            }
        };
        within("compile", &job.compile.limits)?;
        within("run", &job.run.limits)?;
        for (index, test) in job.tests.iter().enumerate() {
            within(&format!("tests[{index}]"), &test.limits)?;
            if let Checker::Program(program) = &test.checker {
                self.know(&format!("tests[{index}].checker.program.language"), &program.language)?;
            }
        }
        Ok(())
    }

    /// Whether a language is defined.
    fn know(&self, field: &str, language: &str) -> Result<(), Problem> {
        self.judge.reference(language).map(drop).map_err(|error| {
            let mut problem = Problem::from(error);
            if let Some(words) = problem.detail.strip_prefix("language") {
                problem.detail = format!("{field}{words}");
                problem.field = Some(field.into());
            }
            problem
        })
    }
}

/// A request that was let in and received. What it holds is given back when this is dropped.
struct Call {
    body: Bytes,
    admitted: Admitted,
    _share: Share,
}

/// Bytes above which something is read or written on a thread of its own, so that the runtime is not held up.
const LARGE: usize = 256 << 10;

/// Does what takes long on a thread where that harms nobody.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    // An error means that it panicked, or that the runtime ends.
    spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
}
