//! `/v1/languages` and `/v1/info`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_host::axum::extract::State;
use enclos_host::axum::http::StatusCode;
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::bytes::Bytes;
use enclos_host::keys::Head;

use super::problem::Problem;
use super::runs::{Served, json_response, to_json};
use super::wire::{Features, Info, Languages, LimitInfo, QueueInfo};
use super::{Native, aside};

/// For how long what is known of the languages holds.
const FRESH: Duration = Duration::from_secs(10);

pub(super) async fn languages(State(native): Served, headers: Head) -> Response {
    let answer = async {
        native.keys.caller(&headers)?;
        known_languages(&native).await
    };
    match answer.await {
        Ok(json) => json_response(StatusCode::OK, json),
        Err(problem) => problem.into_response(),
    }
}

async fn known_languages(native: &Native) -> Result<Bytes, Problem> {
    // One look at the host at a time, and none as long as the last one holds.
    let mut known = native.languages.lock().await;
    if let Some((when, json)) = &*known
        && when.elapsed() < FRESH
    {
        return Ok(json.clone());
    }
    let judge = Arc::clone(&native.judge);
    let write = move || serde_json::to_vec(&Languages { languages: judge.languages().into_iter().map(Into::into).collect() });
    let json = Bytes::from(aside(write).await?.map_err(|error| Problem::internal(&error))?);
    *known = Some((Instant::now(), json.clone()));
    Ok(json)
}

pub(super) async fn info(State(native): Served, headers: Head) -> Response {
    if let Err(denied) = native.keys.caller(&headers) {
        return Problem::from(denied).into_response();
    }
    let (limits, queue) = (native.judge.limits(), native.queue.metrics());
    let info = Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "1".to_owned(),
        features: Features { r#async: native.stored.is_some(), callbacks: native.outbound.is_some() && native.stored.is_some() },
        limits: LimitInfo { compile: (&limits.compile).into(), run: (&limits.run).into(), most: (&limits.most).into() },
        queue: QueueInfo {
            cores: queue.cores,
            cores_in_use: queue.cores_in_use,
            waiting: queue.waiting,
            capacity: queue.capacity,
            running: queue.running,
        },
    };
    to_json(StatusCode::OK, &info).unwrap_or_else(IntoResponse::into_response)
}
