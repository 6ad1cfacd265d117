//! What goes over the wire: plain data, and its shape for the OpenAPI document.
//!
//! Unknown fields are refused, so that a misspelt limit is not a limit that silently does not hold.

mod answer;
mod command;
mod quantity;
mod request;
mod talk;
mod time;

pub use answer::{
    Changes, Codebase, Codebases, Committed, Entries, ErrorBody, ErrorInfo, Explanation, Images, Presets, Sandbox, Sandboxes, Session,
    Sessions, Snapshot, Snapshots, Tree, Uploaded, Version, Versions, WatchEvent, Written, status_word,
};
pub use command::{Event, ExecResult, Told};
pub use enclos_host::wire::Data;
pub use quantity::{Bytes, Span};
pub use request::{
    Commit, ExecRequest, Network, NewCodebase, NewSandbox, NewSession, Resources, Restore, Rollback, Rule, RunRequest, SessionExec,
    SetExpiry, SetRules, Size, TerminalMessage,
};
pub use talk::{ClientMessage, StreamedExec};
pub use time::rfc3339;
