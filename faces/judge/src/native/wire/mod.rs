//! What goes over the wire in version 1: plain data, its limits, and its shape for the OpenAPI document.
//!
//! Unknown fields are refused, so that a misspelt limit is not a limit that silently does not hold. Sizes are bytes, times in requests
//! milliseconds and in answers microseconds; the unit is part of each name.

mod answer;
mod bounded;
mod event;
mod limits;
mod place;
mod record;
mod request;

pub use enclos_host::wire::{Data, Output};

pub use answer::{RunResult, StepReport, TestReport, Verdict};
pub use event::{ClientMessage, Event};
pub use limits::Limits;
pub use place::{Features, Info, Languages, LimitInfo, QueueInfo};
pub use record::{Accepted, BatchAccepted, BatchRecord, CallbackState, Place, RunRecord, RunSummary, Short, Status};
pub use request::{
    BatchRequest, Checker, CheckerKind, CompileOptions, File, MOST_IN_A_BATCH, MOST_TESTS, Program, RunOptions, RunRequest, Source, Test,
};
