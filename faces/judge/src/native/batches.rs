//! `/v1/batches`: many runs, taken together or not at all.

use std::sync::Arc;

use enclos_host::axum::extract::rejection::PathRejection;
use enclos_host::axum::extract::{Path, Request, State};
use enclos_host::axum::http::StatusCode;
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::keys::Head;
use serde_json::value::RawValue;

use super::problem::Problem;
use super::records::no_batch;
use super::runs::{Served, located, to_json, token};
use super::stored::{Checked, Stored};
use super::wire::{Accepted, BatchAccepted, BatchRequest, MOST_IN_A_BATCH};
use super::{Native, aside, build, callbacks, decode};

/// The same body, with the text of each run: what is stored is what the client wrote.
#[derive(serde::Deserialize)]
struct Texts<'a> {
    #[serde(borrow)]
    runs: Vec<&'a RawValue>,
}

fn read(native: &Native, body: &[u8]) -> Result<Vec<Checked>, Problem> {
    let request: BatchRequest = decode::json(body)?;
    if request.runs.is_empty() || request.runs.len() > MOST_IN_A_BATCH {
        let detail = format!("{} runs are no batch: write 1 to {MOST_IN_A_BATCH}", request.runs.len());
        return Err(Problem::refused("runs", &detail));
    }
    let queue = native.queue.metrics();
    let places = queue.capacity.min(queue.per_key).saturating_add(queue.cores);
    if request.runs.len() > places {
        let detail = format!("{} runs are more than may wait here at once: at most {places}", request.runs.len());
        return Err(Problem::refused("runs", &detail));
    }
    let texts: Texts<'_> = serde_json::from_slice(body).map_err(|error| Problem::internal(&error))?;
    let mut checked = Vec::with_capacity(request.runs.len());
    for (index, (run, text)) in request.runs.into_iter().zip(texts.runs).enumerate() {
        let within = |mut problem: Problem| {
            let field = problem.field.take().unwrap_or_default();
            let below = if field.is_empty() { String::new() } else { format!(".{field}") };
            problem.detail = format!("runs[{index}].{}", problem.detail);
            problem.field = Some(format!("runs[{index}]{below}").into());
            problem
        };
        callbacks::check(native.outbound.as_ref(), &run).map_err(within)?;
        let notify = run.callback.is_some();
        let job = build::job(run).map_err(within)?;
        native.foresee(&job).map_err(within)?;
        checked.push(Checked { body: text.get().as_bytes().to_vec(), job, notify });
    }
    Ok(checked)
}

pub(super) async fn create(State(native): Served, request: Request) -> Response {
    let answer = async {
        let (mut head, body) = request.into_parts();
        let call = native.receive(&Head::take(&mut head), body).await?;
        let (stored, reader, body) = (Arc::clone(native.stored()?), Arc::clone(&native), call.body.clone());
        let owner = Arc::clone(call.admitted.name());
        let work = move || stored.accept_batch(&owner, read(&reader, &body)?);
        let batch = aside(work).await??;
        let accepted = BatchAccepted {
            token: batch.token.to_string(),
            runs: batch.runs.iter().map(|run| Accepted { token: run.to_string() }).collect(),
        };
        let mut response = to_json(StatusCode::ACCEPTED, &accepted)?;
        located(&mut response, &format!("/v1/batches/{}", accepted.token));
        Ok(response)
    };
    answer.await.unwrap_or_else(|problem: Problem| problem.into_response())
}

/// What is done with a batch of a caller, on a thread that may block.
async fn on_batch<T: Send + 'static>(
    native: &Native,
    path: Result<Path<String>, PathRejection>,
    headers: &Head,
    work: impl FnOnce(&Stored, &str, &enclos_pool::Token) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let caller = native.keys.caller(headers)?;
    let token = token(path, no_batch)?;
    let stored = Arc::clone(native.stored().map_err(|_| no_batch())?);
    aside(move || work(&stored, caller.name(), &token)).await?
}

pub(super) async fn show(State(native): Served, path: Result<Path<String>, PathRejection>, headers: Head) -> Response {
    let answer = on_batch(&native, path, &headers, |stored, owner, token| stored.batch(owner, token)).await;
    answer.and_then(|batch| to_json(StatusCode::OK, &batch)).unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn delete(State(native): Served, path: Result<Path<String>, PathRejection>, headers: Head) -> Response {
    match on_batch(&native, path, &headers, |stored, owner, token| stored.delete_batch(owner, token)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}
