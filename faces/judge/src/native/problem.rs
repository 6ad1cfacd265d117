//! Errors as RFC 9457 problem documents: one line that names the field, its value, and what would be right. No path of the host.

use std::time::Duration;

use enclos_host::axum::Json;
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::body::BodyError;
use enclos_host::keys::Denied;
use enclos_pool::{Refusal, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::Limits;
use crate::api::JobError;

/// The media type of problem documents (RFC 9457 section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not answered as asked (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:enclos:problem:` and the kind of problem.
    #[serde(rename = "type", serialize_with = "urn")]
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// The kind in words.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// One line: this occurrence.
    pub detail: String,
    /// The field of the request that is wrong, e.g. `tests[3].limits.memory_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub field: Option<Box<str>>,
    /// Its value, as JSON, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub value: Option<Box<str>>,
    /// When to try again, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether a key would help (RFC 9110 section 11.6.1).
    #[serde(skip)]
    pub(super) challenge: bool,
}

fn urn<S: serde::Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:enclos:problem:{kind}"))
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, status: status.as_u16(), detail: detail.into(), field: None, value: None, retry_after: None, challenge: false }
    }

    /// A field that can be read but makes no sense, or asks for more than there is: 422.
    #[must_use]
    pub fn refused(field: &str, message: &str) -> Self {
        let detail = if field.is_empty() { message.to_owned() } else { format!("{field}: {message}") };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "The request cannot be carried out", detail);
        problem.field = (!field.is_empty()).then(|| field.into());
        problem
    }

    /// Nothing of this name belongs to the caller: 404.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing here", what)
    }

    /// The server itself failed: 500. `cause` goes to the log alone.
    #[must_use]
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        enclos_host::tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", "the server failed; its log says why")
    }

    /// The server goes down: 503.
    #[must_use]
    pub fn going_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "going-down",
            "The server is shutting down",
            "the server shut down before the run had ended",
        )
        .with_retry_after(Duration::from_secs(5))
    }

    fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after.as_secs().max(1));
        self
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after, challenge) = (self.status(), self.retry_after, self.challenge);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, kind, title) = match refusal {
            Refusal::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full"),
            Refusal::KeyFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "share-full", "This key's share of the queue is full"),
            Refusal::Draining { .. } => (StatusCode::SERVICE_UNAVAILABLE, "going-down", "The server is shutting down"),
        };
        Self::new(status, kind, title, refusal.to_string()).with_retry_after(refusal.retry_after())
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let mut problem = match denied {
            Denied::Missing | Denied::Unknown => Self::new(StatusCode::UNAUTHORIZED, "key", "A key is needed", denied.to_string()),
            Denied::Certificate { .. } | Denied::Ambiguous { .. } | Denied::Page | Denied::Two => {
                Self::new(StatusCode::UNAUTHORIZED, "certificate", "This certificate opens nothing", denied.to_string())
            }
            Denied::Concurrent { .. } | Denied::Rate { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "quota", "This key's quota is used up", denied.to_string())
            }
        };
        problem.challenge = denied.retry_after().is_none();
        match denied.retry_after() {
            Some(after) => problem.with_retry_after(after),
            None => problem,
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let detail = error.to_string();
        match error {
            BodyError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail),
            BodyError::TooSlow { .. } => Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body came too slowly", detail),
            BodyError::NoRoom => Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-room", "Too much is being received", detail)
                .with_retry_after(Duration::from_secs(1)),
            BodyError::Broken => Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail),
        }
    }
}

/// What a job that was not carried out means. `field` paths of the seam become those of the wire.
impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::UnknownLanguage { ref name, .. } => {
                let mut problem = Self::refused("language", "");
                problem.detail = error.to_string();
                problem.value = Some(enclos_host::wire::shown(&serde_json::Value::from(name.as_str())).into());
                problem.kind = "unknown-language";
                problem
            }
            JobError::MissingLanguage { .. } => {
                let mut problem = Self::refused("language", "");
                problem.detail = error.to_string();
                problem.kind = "missing-language";
                problem
            }
            JobError::Refused { field, message } => {
                let field = wire_path(&field);
                Self::refused(&field, &message)
            }
            JobError::Cancelled => Self::going_down(),
            JobError::Internal(cause) => Self::internal(&cause),
        }
    }
}

/// The path of a field over the wire: limits have their units in their names there.
fn wire_path(field: &str) -> String {
    match field.rsplit_once('.') {
        Some((parent, name)) if parent == "limits" || parent.ends_with(".limits") => format!("{parent}.{}", Limits::wire_name(name)),
        _ => field.to_owned(),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_seam_has_its_name_over_the_wire() {
        for (seam, wire) in [
            ("tests[3].limits.memory", "tests[3].limits.memory_bytes"),
            ("compile.limits.cpu", "compile.limits.cpu_ms"),
            ("tests[0].limits.processes", "tests[0].limits.processes"),
            ("sources[0].name", "sources[0].name"),
            ("language", "language"),
        ] {
            let problem = Problem::from(JobError::Refused { field: seam.to_owned(), message: "no".to_owned() });
            assert_eq!((problem.field.as_deref(), problem.detail), (Some(wire), format!("{wire}: no")));
        }
    }

    #[test]
    fn a_fault_of_the_server_tells_clients_nothing_of_it() {
        let problem = Problem::from(JobError::Internal("secret/place".to_owned()));
        assert_eq!(problem.status, 500);
        assert!(!serde_json::to_string(&problem).unwrap().contains("secret"));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let problem = Problem::from(Refusal::Full { waiting: 9, retry_after: Duration::from_secs(7) });
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }
}
