//! The agent's own interface, version 1, under `/v1/agent`: JSON over HTTP.
//!
//! ```text
//!  codebases                          POST GET        codebases/{id}             GET DELETE
//!  codebases/{id}/files/{path}        PUT GET DELETE  codebases/{id}/archive     PUT GET
//!  codebases/{id}/tree, /versions     GET
//!  sandboxes                          POST GET        sandboxes/{id}             GET DELETE
//!  sandboxes/{id}/start /stop /exec /commit /rollback /restore /fork             POST
//!  sandboxes/{id}/rules /expiry       PUT             sandboxes/{id}/explain /diff /list /watch   GET
//!  sandboxes/{id}/snapshots           POST GET        snapshots/{id}             DELETE
//!  sandboxes/{id}/files/{path}        GET PUT DELETE  sandboxes/{id}/exec/stream WebSocket
//!  sandboxes/{id}/sessions            POST GET        sessions/{id}              GET DELETE
//!  sessions/{id}/exec                 POST            sessions/{id}/terminal     WebSocket
//!  run                                POST            images, presets, openapi.json               GET
//! ```
//!
//! The types of `wire` know JSON and nothing of the face; `build` makes calls of the seam of them. Calls that block for long have threads of
//! their own (`Options::calls`), so that a thousand commands under way do not hold up who only looks. Who leaves ends their command.

mod build;
mod changes;
mod codebases;
mod commands;
mod files;
mod once;
pub mod openapi;
mod problem;
mod query;
mod routes;
mod sandboxes;
mod sessions;
pub mod settings;
mod socket;
mod stream;
mod talk;
mod terminal;
mod wire;

use std::sync::Arc;

use enclos_host::axum::body::Body;
use enclos_host::axum::extract::rejection::PathRejection;
use enclos_host::axum::extract::{Path, Request, State};
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::body::{Bodies, Held};
use enclos_host::keys::{Admitted, Head, Keys};
use enclos_host::threads::Threads;
use enclos_host::tokio::task::spawn_blocking;
use enclos_host::wire::expect_json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{self, Agent, Caller, Cancel};
use once::Once;
use problem::Problem;
pub use routes::router;
pub use settings::{Options, SETTINGS};

/// What the routes need.
pub struct Parts {
    /// Does the work.
    pub agent: Arc<dyn Agent>,
    /// Who may call.
    pub keys: Arc<Keys>,
    /// Reads bodies.
    pub bodies: Bodies,
    /// Bounds.
    pub options: Options,
}

/// The interface, ready to serve.
pub struct Native {
    agent: Arc<dyn Agent>,
    keys: Arc<Keys>,
    bodies: Bodies,
    options: Options,
    long: Threads,
    once: Once,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("options", &self.options).finish_non_exhaustive()
    }
}

type Served = State<Arc<Native>>;
type Answer = Result<Response, Problem>;
/// The id in an address.
type Id = Result<Path<String>, PathRejection>;
/// The id and the path in an address.
type IdAndPath = Result<Path<(String, String)>, PathRejection>;

impl Native {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { agent, keys, bodies, options } = parts;
        Arc::new(Self { agent, keys, bodies, options, long: Threads::new("agent call", options.calls), once: Once::default() })
    }

    fn named(&self, name: &Arc<str>) -> Caller {
        Caller { name: Arc::clone(name), operator: self.keys.is_open() }
    }

    /// Who looks.
    fn caller(&self, headers: &Head) -> Result<Caller, Problem> {
        Ok(self.named(self.keys.caller(headers)?.name()))
    }

    /// Who does something, which counts for their quota until the second is dropped.
    fn admit(&self, headers: &Head) -> Result<(Caller, Admitted), Problem> {
        let admitted = self.keys.admit(headers)?;
        Ok((self.named(admitted.name()), admitted))
    }

    /// A short call.
    async fn call<T: Send + 'static>(&self, work: impl FnOnce(&dyn Agent) -> api::Result<T> + Send + 'static) -> Result<T, Problem> {
        let agent = Arc::clone(&self.agent);
        // An error of the task means that it panicked, or that the runtime ends.
        Ok(spawn_blocking(move || work(&*agent)).await.map_err(|error| Problem::internal(&error))??)
    }

    /// A call that may take long; it is cancelled when the future is dropped.
    async fn long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Agent, &Cancel) -> api::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (agent, leaving) = (Arc::clone(&self.agent), Leaving::default());
        let cancel = leaving.0.clone();
        Ok(self.long.run(move || work(&*agent, &cancel))?.await??)
    }

    /// The JSON of a body.
    async fn json(&self, headers: &Head, body: Body) -> Result<Held, Problem> {
        expect_json(headers)?;
        Ok(self.bodies.read(body, self.options.max_body).await?)
    }

    /// A request with a JSON body that does something.
    async fn receive<T: DeserializeOwned>(&self, request: Request) -> Result<Call<T>, Problem> {
        let (mut head, body) = request.into_parts();
        let headers = Head::take(&mut head);
        let (caller, admitted) = self.admit(&headers)?;
        let held = self.json(&headers, body).await?;
        Ok(Call { given: enclos_host::wire::json(&held.bytes)?, headers, held, caller, _admitted: admitted })
    }

    /// The same, where no body stands for an empty object.
    async fn receive_any<T: DeserializeOwned + Default>(&self, request: Request) -> Result<Call<T>, Problem> {
        let (mut head, body) = request.into_parts();
        let headers = Head::take(&mut head);
        let (caller, admitted) = self.admit(&headers)?;
        let held = self.bodies.read(body, self.options.max_body).await?;
        let given = if held.bytes.is_empty() {
            T::default()
        } else {
            expect_json(&headers)?;
            enclos_host::wire::json(&held.bytes)?
        };
        Ok(Call { given, headers, held, caller, _admitted: admitted })
    }

    /// A request without a body that only looks.
    async fn look<T: Send + 'static, W: Serialize + From<T>>(
        &self,
        headers: &Head,
        work: impl FnOnce(&dyn Agent, &Caller) -> api::Result<T> + Send + 'static,
    ) -> Answer {
        let caller = self.caller(headers)?;
        to_json(StatusCode::OK, &W::from(self.call(move |agent| work(agent, &caller)).await?))
    }
}

/// A request that was let in and received. What it holds is given back when this is dropped.
struct Call<T> {
    given: T,
    headers: Head,
    held: Held,
    caller: Caller,
    _admitted: Admitted,
}

/// Cancels when the client is gone, and does nothing when the work is done.
#[derive(Default)]
struct Leaving(Cancel);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The id of an address; one that is no text names nothing.
fn id(path: Id) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|_| nothing_there())
}

fn id_and_path(path: IdAndPath) -> Result<(String, String), Problem> {
    path.map(|Path(both)| both).map_err(|_| nothing_there())
}

fn nothing_there() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "the address is no UTF-8: nothing here has such a name")
}

fn to_json(status: StatusCode, value: &impl Serialize) -> Answer {
    let json = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    Ok(json_response(status, json))
}

fn json_response(status: StatusCode, json: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.into()).into_response()
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
