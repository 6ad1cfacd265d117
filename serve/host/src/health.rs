//! What an operator's tools ask: is it alive, may it be sent work, what has it done.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::keys::{Head, Keys};
use crate::metrics::Metrics;
use crate::stop::Stop;

/// Says whether work can be taken now; an error is one line that says why not. Must not block.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
struct Health {
    stop: Stop,
    ready: Ready,
    metrics: Metrics,
    keys: Option<Arc<Keys>>,
}

/// `/healthz` (the process answers), `/readyz` (it takes work; 503 while it drains), `/metrics`. With `keys`, `/metrics` needs one: it tells of
/// everybody.
pub fn routes(stop: Stop, ready: Ready, metrics: Metrics, keys: Option<Arc<Keys>>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(expose))
        .with_state(Health { stop, ready, metrics, keys })
}

async fn readiness(State(health): State<Health>) -> Response {
    if health.stop.is_asked() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match (health.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn expose(State(health): State<Health>, head: Head) -> Response {
    if let Some(Err(denied)) = health.keys.map(|keys| keys.caller(&head)) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{denied}\n")).into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}
