//! What a client is told of a call that was not carried out.

use enclos_proto::tonic::{Code, Status};

use crate::api::AgentError;

/// Bytes of a message. Clients bound the head of an answer (gRPC's own libraries at 8 KiB), and the message is in it.
const MOST: usize = 1024;

/// A field that makes no sense.
pub fn invalid(field: &str, message: impl std::fmt::Display) -> Status {
    status(Code::InvalidArgument, format!("{field}: {message}"))
}

/// A field that is not there.
pub fn required(field: &str) -> Status {
    Status::invalid_argument(format!("{field} is required"))
}

/// A status whose message is short enough for every client.
pub fn status(code: Code, mut message: String) -> Status {
    if message.len() > MOST {
        message.truncate(message.floor_char_boundary(MOST));
        message.push('…');
    }
    Status::new(code, message)
}

/// The core speaks of fields as the native interface calls them; this one has other names for some.
const FIELDS: [(&str, &str); 4] =
    [("rules", "permissions"), ("expires_in_ms", "expires_in"), ("timeout_ms", "timeout"), ("path", "file_path")];

fn renamed(field: &str, names_files: bool) -> String {
    for (theirs, ours) in FIELDS.iter().take(if names_files { 4 } else { 3 }) {
        if let Some(rest) = field.strip_prefix(theirs).filter(|rest| rest.is_empty() || rest.starts_with(['[', '.'])) {
            return format!("{ours}{}", rest.replace(".level", ".permission").replace(".kind", ".type"));
        }
    }
    field.to_owned()
}

/// What the core says, in gRPC's words.
pub fn of(error: AgentError) -> Status {
    told(error, false)
}

/// The same of a call whose path is `file_path`.
pub fn of_file(error: AgentError) -> Status {
    told(error, true)
}

fn told(error: AgentError, names_files: bool) -> Status {
    let code = match &error {
        AgentError::Invalid { field, message } => return invalid(&renamed(field, names_files), message),
        AgentError::NotFound { .. } => Code::NotFound,
        AgentError::AlreadyRunning | AgentError::NotRunning | AgentError::SessionClosed | AgentError::Precondition(_) => {
            Code::FailedPrecondition
        }
        AgentError::Conflict(_) => Code::Aborted,
        AgentError::Denied { .. } => Code::PermissionDenied,
        AgentError::Quota { .. } => Code::ResourceExhausted,
        AgentError::TimedOut => Code::DeadlineExceeded,
        AgentError::Cancelled => Code::Cancelled,
        AgentError::Unsupported(_) => Code::Unimplemented,
        AgentError::Unavailable(_) => Code::Unavailable,
        AgentError::Internal(_) => Code::Internal,
    };
    status(code, error.to_string())
}

/// The HTTP status of a code, as grpc-gateway has it.
pub fn http(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_clients_know() {
        for (error, code, message) in [
            (AgentError::AlreadyRunning, Code::FailedPrecondition, "sandbox is already running"),
            (AgentError::NotRunning, Code::FailedPrecondition, "sandbox is not running"),
            (AgentError::SessionClosed, Code::FailedPrecondition, "session is closed"),
            (AgentError::TimedOut, Code::DeadlineExceeded, "command timed out"),
            (AgentError::invalid("rules[2].level", "no"), Code::InvalidArgument, "permissions[2].permission: no"),
            (AgentError::invalid("rulesets", "no"), Code::InvalidArgument, "rulesets: no"),
            (AgentError::invalid("timeout_ms", "no"), Code::InvalidArgument, "timeout: no"),
            (AgentError::invalid("path", "no"), Code::InvalidArgument, "path: no"),
        ] {
            let status = of(error);
            assert_eq!((status.code(), status.message()), (code, message));
        }
        assert_eq!(of_file(AgentError::invalid("path", "no")).message(), "file_path: no");
    }

    #[test]
    fn a_message_is_never_longer_than_a_client_takes() {
        let status = of(AgentError::not_found("file", "é".repeat(100_000)));
        assert!(status.message().len() < MOST + 4, "{}", status.message().len());
    }
}
