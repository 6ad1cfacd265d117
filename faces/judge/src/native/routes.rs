//! The routes, in one table that also stands in the OpenAPI document.

use std::sync::Arc;

use enclos_host::axum::Router;
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::axum::routing::{any, get, post};

use super::problem::Problem;
use super::{Native, batches, openapi, place, runs, socket};

/// The interface under `/v1`; other paths are the caller's.
pub fn router(native: Arc<Native>) -> Router {
    let routes = Router::new()
        .route("/runs", post(runs::create))
        .route("/runs/stream", get(socket::connect))
        .route("/runs/{token}", get(runs::read).delete(runs::delete))
        .route("/runs/{token}/cancel", post(runs::cancel))
        .route("/batches", post(batches::create))
        .route("/batches/{token}", get(batches::show).delete(batches::delete))
        .route("/languages", get(place::languages))
        .route("/info", get(place::info))
        .route("/openapi.json", get(document))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .with_state(native);
    // Nesting leaves this one out.
    Router::new().route("/v1/", any(nowhere)).nest("/v1", routes)
}

async fn nowhere() -> Problem {
    Problem::not_found("no such address; GET /v1/openapi.json lists those there are")
}

/// The Allow header is added by the router.
async fn wrong_method() -> Problem {
    let detail = "this address does not take this method; the Allow header lists those it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The method is not allowed here", detail)
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], openapi::text()).into_response()
}
