//! Faults of the store and the engine, in the words of the seam. Paths of the host go to the log, not to clients.

use enclos_cas::CasError;
use enclos_host::tracing;
use enclos_vfs::VfsError;

use crate::api::AgentError;

/// A fault of the store.
pub fn of_store(error: VfsError) -> AgentError {
    match error {
        VfsError::Path(bad) => AgentError::invalid("path", bad.to_string()),
        VfsError::Rule(bad) => AgentError::invalid("permissions", bad.to_string()),
        VfsError::Invalid { field, value, why } => AgentError::invalid(field, format!("{value:?}: {why}")),
        VfsError::Unknown { kind, id } => AgentError::not_found(if kind == "workspace" { "sandbox" } else { kind }, id),
        VfsError::NotThere(path) => AgentError::not_found("file", path.to_string()),
        VfsError::WrongKind { path, why } => AgentError::Precondition(format!("{path}: {why}")),
        VfsError::InUse { kind, id, by } => AgentError::Precondition(format!("{kind} {id:?} is in use by {by}")),
        VfsError::Quota { what, limit } => AgentError::Quota { what: what.to_owned(), limit },
        VfsError::Content(error) => of_contents(&error),
        other => internal("the store", &other),
    }
}

fn of_contents(error: &CasError) -> AgentError {
    match error {
        CasError::Quota { quantity, limit } => AgentError::Quota { what: quantity.to_string(), limit: *limit },
        // What the caller sent, or stopped sending.
        CasError::Stream { source, .. } => AgentError::invalid("data", source.to_string()),
        CasError::Special { kind, .. } => {
            AgentError::invalid("data", format!("a {kind} cannot be stored; only files, directories and symbolic links can"))
        }
        other => internal("the store of contents", other),
    }
}

/// A fault of the engine.
pub fn of_engine(error: &enclos_sandbox::Error) -> AgentError {
    match error {
        enclos_sandbox::Error::Unenforceable { field, missing } => AgentError::Unsupported(format!("{field}: this host cannot: {missing}")),
        enclos_sandbox::Error::Policy(bad) => AgentError::invalid("resources", bad.to_string()),
        other => internal("the engine", other),
    }
}

/// A fault that is ours: the log has all of it, the client what it needs.
pub fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> AgentError {
    tracing::error!(%error, what, "a call could not be carried out");
    AgentError::Internal(format!("{what} failed; the server's log says why"))
}
