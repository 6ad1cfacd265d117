//! Why a call was not carried out. One line each, fit for a client.

/// Result of a call.
pub type Result<T, E = AgentError> = std::result::Result<T, E>;

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A field that makes no sense: `INVALID_ARGUMENT`, 400.
    #[error("{field}: {message}")]
    Invalid {
        /// The field as a path, as the native interface writes it: `permissions[2].pattern`.
        field: String,
        /// The value as given and what would be right.
        message: String,
    },
    /// Nothing of this name that the caller may see: `NOT_FOUND`, 404.
    #[error("{kind} {id:?} is not known")]
    NotFound {
        /// `sandbox`, `codebase`, `session`, `snapshot`, `version`, `image`, `file`.
        kind: &'static str,
        /// As given.
        id: String,
    },
    /// `FAILED_PRECONDITION`; 409 in the native interface.
    #[error("sandbox is already running")]
    AlreadyRunning,
    /// `FAILED_PRECONDITION`; 409 in the native interface.
    #[error("sandbox is not running")]
    NotRunning,
    /// `FAILED_PRECONDITION`; 409 in the native interface.
    #[error("session is closed")]
    SessionClosed,
    /// Not as things stand now: `FAILED_PRECONDITION`, which is 400 over the REST of `sandbox.v1`; 409 in the native interface.
    #[error("{0}")]
    Precondition(String),
    /// Somebody else changed the same: `ABORTED`, 409.
    #[error("{0}")]
    Conflict(String),
    /// The rules or the kernel refuse, as they would a command: `PERMISSION_DENIED`, 403.
    #[error("{path}: {why}")]
    Denied {
        /// Inside the workspace.
        path: String,
        /// Which rule, or the kernel's word.
        why: String,
    },
    /// More than allowed: `RESOURCE_EXHAUSTED`, 429.
    #[error("{what}: {limit} is the most")]
    Quota {
        /// What.
        what: String,
        /// How much.
        limit: u64,
    },
    /// A command did not end in time and the caller's interface has no place for what it wrote: `DEADLINE_EXCEEDED`, 504.
    #[error("command timed out")]
    TimedOut,
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
    /// This host or this configuration cannot: `UNIMPLEMENTED`, 501.
    #[error("{0}")]
    Unsupported(String),
    /// The server is ending or full: `UNAVAILABLE`, 503.
    #[error("{0}")]
    Unavailable(String),
    /// Enclos failed: `INTERNAL`, 500. No path of the host.
    #[error("{0}")]
    Internal(String),
}

impl AgentError {
    /// A field that makes no sense.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        AgentError::Invalid { field: field.into(), message: message.into() }
    }

    /// Nothing of this name.
    pub fn not_found(kind: &'static str, id: impl Into<String>) -> Self {
        AgentError::NotFound { kind, id: id.into() }
    }
}
