//! Errors: `{"error": {"code", "message", "field"?, "retryable"}}`. The code is for programs and does not change; the message is one line for
//! people, and names the field, its value and what would be right. No path of the host.

use enclos_host::axum::Json;
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::body::BodyError;
use enclos_host::keys::Denied;
use enclos_host::threads::NotDone;
use enclos_host::wire::Fault;

use super::wire::{ErrorBody, ErrorInfo};
use crate::api::{AgentError, Change, Conflict};

/// Why a request was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    info: Box<ErrorInfo>,
    retry_after: Option<u64>,
    challenge: bool,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let retryable = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT);
        let info = ErrorInfo { code, message: message.into(), field: None, retryable, denied: Vec::new(), conflicts: Vec::new() };
        Self { status, info: Box::new(info), retry_after: None, challenge: false }
    }

    /// A field that makes no sense: 400.
    pub fn invalid(field: &str, message: &str) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_argument", format!("{field}: {message}"));
        problem.info.field = Some(field.to_owned());
        problem
    }

    /// The server itself failed: 500. `cause` goes to the log alone.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        enclos_host::tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log says why")
    }

    /// What the rules hold back from a commit: 403.
    pub fn denied(changes: Vec<Change>) -> Self {
        let message = format!("the rules forbid {} of the changes: commit with \"drop_denied\": true to leave them out", changes.len());
        let mut problem = Self::new(StatusCode::FORBIDDEN, "commit_denied", message);
        problem.info.denied = changes.into_iter().map(Into::into).collect();
        problem
    }

    /// What somebody else changed too: 409.
    pub fn conflicts(conflicts: Vec<Conflict>) -> Self {
        let message = format!("{} of the paths were changed in the codebase meanwhile; nothing was committed", conflicts.len());
        let mut problem = Self::new(StatusCode::CONFLICT, "commit_conflict", message);
        problem.info.conflicts = conflicts.into_iter().map(Into::into).collect();
        problem
    }

    fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self.info.retryable = true;
        self
    }

    /// What a stream tells of it.
    pub fn into_info(self) -> ErrorInfo {
        *self.info
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: *self.info })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<AgentError> for Problem {
    fn from(error: AgentError) -> Self {
        let message = error.to_string();
        match error {
            AgentError::Invalid { field, message } => {
                // The seam's other transport has this name for it.
                let field = field.strip_prefix("permissions").map_or(field.clone(), |rest| format!("rules{rest}"));
                Self::invalid(&field, &message)
            }
            AgentError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            AgentError::AlreadyRunning => Self::new(StatusCode::CONFLICT, "already_running", message),
            AgentError::NotRunning => Self::new(StatusCode::CONFLICT, "not_running", message),
            AgentError::SessionClosed => Self::new(StatusCode::CONFLICT, "session_closed", message),
            AgentError::Precondition(_) => Self::new(StatusCode::CONFLICT, "failed_precondition", message),
            AgentError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            AgentError::Denied { .. } => Self::new(StatusCode::FORBIDDEN, "permission_denied", message),
            AgentError::Quota { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", message),
            AgentError::TimedOut => Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message),
            AgentError::Unsupported(_) => Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", message),
            AgentError::Cancelled => Self::new(StatusCode::SERVICE_UNAVAILABLE, "cancelled", message),
            AgentError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).after(1),
            AgentError::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied.retry_after() {
            None => {
                let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", denied.to_string());
                problem.challenge = true;
                problem
            }
            Some(after) => Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", denied.to_string()).after(after.as_secs()),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            BodyError::TooSlow { .. } => Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message),
            BodyError::NoRoom => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).after(1),
            BodyError::Broken => Self::new(StatusCode::BAD_REQUEST, "malformed", message),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Malformed(_) => Self::new(StatusCode::BAD_REQUEST, "malformed", message),
            Fault::MediaType(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", message),
            Fault::Field { field, .. } => {
                let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message);
                problem.info.field = (!field.is_empty()).then_some(field);
                problem
            }
        }
    }
}

impl From<NotDone> for Problem {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Full { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()).after(1),
            NotDone::Panicked => Self::internal(&error),
        }
    }
}
