//! `POST /v1/runs` and what is done with a token.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::body::Body;
use enclos_host::axum::extract::rejection::PathRejection;
use enclos_host::axum::extract::{Path, Query, Request, State};
use enclos_host::axum::http::{HeaderValue, StatusCode, Uri, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::keys::Head;
use enclos_host::wire::wants_events;
use enclos_pool::Token;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::records::no_run;
use super::stored::{Checked, Stored};
use super::wire::{self, RunRequest, RunResult};
use super::{Call, LARGE, Native, aside, build, callbacks, decode, stream};
use crate::api::{Answer, Job};
use crate::work::submit;

pub(super) type Served = State<Arc<Native>>;

/// What may stand behind the question mark of `POST /v1/runs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateQuery {
    wait: Option<bool>,
}

/// Longest wait of `GET /v1/runs/{token}`, seconds.
pub(super) const MOST_WAIT: u64 = 60;

/// What may stand behind the question mark of `GET /v1/runs/{token}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadQuery {
    wait: Option<u64>,
}

/// What stands behind the question mark.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(|rejection| {
        let detail = format!("the query: {}", rejection.body_text());
        Problem::new(StatusCode::BAD_REQUEST, "invalid-field", "A field is wrong", detail)
    })
}

/// The token of a path; one that cannot be a token names nothing.
pub(super) fn token(path: Result<Path<String>, PathRejection>, nothing: fn() -> Problem) -> Result<Token, Problem> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(nothing)
}

/// The request of a body, and the job it asks for.
pub(super) async fn read_run(call: &Call) -> Result<(RunRequest, Job), Problem> {
    let read = |body: &[u8]| {
        let request: RunRequest = decode::json(body)?;
        let job = build::job(request.clone())?;
        Ok((request, job))
    };
    let body = call.body.clone();
    if body.len() > LARGE { aside(move || read(&body)).await? } else { read(&body) }
}

pub(super) async fn create(State(native): Served, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let headers = Head::take(&mut head);
    let streamed = wants_events(&headers);
    match create_any(&native, &head.uri, &headers, body, streamed).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn create_any(native: &Arc<Native>, uri: &Uri, headers: &Head, body: Body, streamed: bool) -> Result<Response, Problem> {
    let query: CreateQuery = query(uri)?;
    let call = native.receive(headers, body).await?;
    let (request, job) = read_run(&call).await?;
    let asynchronous = request.r#async || query.wait == Some(false);
    native.foresee(&job)?;
    if request.callback.is_some() && !asynchronous {
        return Err(Problem::refused("callback", "only an asynchronous run has one: write \"async\": true as well"));
    }
    if asynchronous {
        if streamed {
            return Err(Problem::refused("async", "an asynchronous run has no stream of events: send Accept: application/json"));
        }
        return accept(native, call, &request, job).await;
    }
    if streamed {
        return stream::respond(native, call, request.live, job);
    }
    let answer = submit(&native.queue, call.admitted.name(), job)?.answer().await?;
    result(answer).await
}

/// 200 with the result, written on a thread of its own when there is much.
async fn result(answer: Answer) -> Result<Response, Problem> {
    let write = |answer: Answer| serde_json::to_vec(&RunResult::from(answer)).map_err(|error| Problem::internal(&error));
    let json = if size(&answer) > LARGE { aside(move || write(answer)).await?? } else { write(answer)? };
    Ok(json_response(StatusCode::OK, json))
}

fn size(answer: &Answer) -> usize {
    let steps = answer.compile.iter().chain(answer.tests.iter().filter_map(|test| test.step.as_ref()));
    steps.map(|step| step.stdout.len() + step.stderr.len()).sum()
}

pub(super) fn json_response(status: StatusCode, json: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.into()).into_response()
}

pub(super) fn to_json(status: StatusCode, value: &impl serde::Serialize) -> Result<Response, Problem> {
    serde_json::to_vec(value).map(|json| json_response(status, json)).map_err(|error| Problem::internal(&error))
}

/// 202 with the token.
async fn accept(native: &Arc<Native>, call: Call, request: &RunRequest, job: Job) -> Result<Response, Problem> {
    let stored = Arc::clone(native.stored()?);
    callbacks::check(native.outbound.as_ref(), request)?;
    let checked = Checked { body: call.body.to_vec(), job, notify: request.callback.is_some() };
    let owner = Arc::clone(call.admitted.name());
    let token = aside(move || stored.accept(&owner, checked)).await??.to_string();
    let mut response = to_json(StatusCode::ACCEPTED, &wire::Accepted { token: token.clone() })?;
    located(&mut response, &format!("/v1/runs/{token}"));
    Ok(response)
}

pub(super) fn located(response: &mut Response, place: &str) {
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
}

pub(super) async fn read(State(native): Served, path: Result<Path<String>, PathRejection>, uri: Uri, headers: Head) -> Response {
    let answer = async {
        let caller = native.keys.caller(&headers)?;
        let query: ReadQuery = query(&uri)?;
        let wait = query.wait.unwrap_or(0);
        if wait > MOST_WAIT {
            let detail = format!("wait: {wait} is too long: write seconds, from 0 to {MOST_WAIT}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid-field", "A field is wrong", detail));
        }
        let token = token(path, no_run)?;
        let Ok(stored) = native.stored() else { return Err(no_run()) };
        let record = stored.wait(caller.name(), token, Duration::from_secs(wait)).await?;
        to_json(StatusCode::OK, &record)
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// What is done with a run of a caller, on a thread that may block.
async fn on_run<T: Send + 'static>(
    native: &Native,
    path: Result<Path<String>, PathRejection>,
    headers: &Head,
    work: impl FnOnce(&Stored, &str, &Token) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let caller = native.keys.caller(headers)?;
    let token = token(path, no_run)?;
    let stored = Arc::clone(native.stored().map_err(|_| no_run())?);
    aside(move || work(&stored, caller.name(), &token)).await?
}

pub(super) async fn delete(State(native): Served, path: Result<Path<String>, PathRejection>, headers: Head) -> Response {
    match on_run(&native, path, &headers, |stored, owner, token| stored.delete(owner, token)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}

pub(super) async fn cancel(State(native): Served, path: Result<Path<String>, PathRejection>, headers: Head) -> Response {
    let work = |stored: &Stored, owner: &str, token: &Token| {
        stored.cancel(owner, token)?;
        stored.record(owner, token)
    };
    let answer = on_run(&native, path, &headers, work).await.and_then(|record| to_json(StatusCode::OK, &record));
    answer.unwrap_or_else(IntoResponse::into_response)
}
