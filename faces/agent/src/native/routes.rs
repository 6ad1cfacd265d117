//! The routes, in one table that also stands in the OpenAPI document.

use std::sync::Arc;

use enclos_host::axum::Router;
use enclos_host::axum::extract::DefaultBodyLimit;
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::axum::routing::{any, delete, get, post, put};

use super::problem::Problem;
use super::{Native, changes, codebases, commands, files, openapi, sandboxes, sessions, talk, terminal};

/// The interface under `/v1/agent`; other paths are the caller's.
pub fn router(native: Arc<Native>) -> Router {
    let routes = Router::new()
        .route("/codebases", post(codebases::create).get(codebases::list))
        .route("/codebases/{id}", get(codebases::show).delete(codebases::delete))
        .route("/codebases/{id}/files/{*path}", put(codebases::upload).get(codebases::download).delete(codebases::remove))
        .route("/codebases/{id}/archive", put(codebases::upload_archive).get(codebases::download_archive))
        .route("/codebases/{id}/tree", get(codebases::tree))
        .route("/codebases/{id}/versions", get(codebases::versions))
        .route("/sandboxes", post(sandboxes::create).get(sandboxes::list))
        .route("/sandboxes/{id}", get(sandboxes::show).delete(sandboxes::destroy))
        .route("/sandboxes/{id}/start", post(sandboxes::start))
        .route("/sandboxes/{id}/stop", post(sandboxes::stop))
        .route("/sandboxes/{id}/exec", post(commands::exec))
        .route("/sandboxes/{id}/exec/stream", get(talk::connect))
        .route("/sandboxes/{id}/rules", put(sandboxes::set_rules))
        .route("/sandboxes/{id}/explain", get(sandboxes::explain))
        .route("/sandboxes/{id}/expiry", put(sandboxes::set_expiry))
        .route("/sandboxes/{id}/diff", get(changes::diff))
        .route("/sandboxes/{id}/commit", post(changes::commit))
        .route("/sandboxes/{id}/rollback", post(changes::rollback))
        .route("/sandboxes/{id}/restore", post(changes::restore))
        .route("/sandboxes/{id}/fork", post(changes::fork))
        .route("/sandboxes/{id}/snapshots", post(changes::snapshot).get(changes::snapshots))
        .route("/snapshots/{id}", delete(changes::delete_snapshot))
        .route("/sandboxes/{id}/files/{*path}", get(files::read).put(files::write).delete(files::remove))
        .route("/sandboxes/{id}/list", get(files::list))
        .route("/sandboxes/{id}/watch", get(files::watch))
        .route("/sandboxes/{id}/sessions", post(sessions::create).get(sessions::list))
        .route("/sessions/{id}", get(sessions::show).delete(sessions::destroy))
        .route("/sessions/{id}/exec", post(commands::session_exec))
        .route("/sessions/{id}/terminal", get(terminal::connect))
        .route("/run", post(commands::run))
        .route("/images", get(sandboxes::images))
        .route("/presets", get(sandboxes::presets))
        .route("/openapi.json", get(document))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(native);
    // Nesting leaves this one out.
    Router::new().route("/v1/agent/", any(nowhere)).nest("/v1/agent", routes)
}

async fn nowhere() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "no such address; GET /v1/agent/openapi.json lists those there are")
}

/// The Allow header is added by the router.
async fn wrong_method() -> Problem {
    let message = "this address does not take this method; the Allow header lists those it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], openapi::text()).into_response()
}
