//! Asynchronous runs and batches, as they are told.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{RunResult, Verdict};
use crate::native::problem::Problem;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted; it waits for its turn.
    Waiting,
    /// It runs.
    Running,
    /// It has its result.
    Finished,
    /// It could not be carried out; `problem` says why.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// Whether the callback was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallbackState {
    /// It will be, or is being tried again.
    Due,
    /// It was answered with success.
    Delivered,
    /// It was given up.
    Failed,
}

/// Where in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// Runs of the same key before it.
    pub ahead: usize,
    /// Runs of all keys that wait.
    pub waiting: usize,
    /// Estimate of the time until it starts, milliseconds.
    pub estimate_ms: u64,
}

/// A run that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Accepted {
    /// The run's name, and the right to read it.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub token: String,
}

/// An asynchronous run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunRecord {
    /// Its name.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub token: String,
    /// The batch it came with.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub batch: Option<String>,
    /// Where it is.
    pub status: Status,
    /// When it was accepted; milliseconds since 1970-01-01, as the next two.
    pub created_ms: u64,
    /// When it was begun.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Where in the queue; null: it does not wait.
    pub place: Option<Place>,
    /// Whether the callback was made; null: none was asked for.
    pub callback: Option<CallbackState>,
    /// What came of it, once `finished`.
    #[schema(value_type = Option<RunResult>)]
    pub result: Option<Box<RawValue>>,
    /// Why nothing came of it, once `failed`.
    #[schema(value_type = Option<Problem>)]
    pub problem: Option<Box<RawValue>>,
}

/// What is kept of a result for lists.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Short {
    /// [`Status::Finished`] or [`Status::Failed`].
    pub status: Status,
    /// Of a finished run.
    pub verdict: Option<Verdict>,
    /// Of a finished run.
    pub score: Option<f64>,
    /// Of a finished run.
    pub points: Option<f64>,
}

/// A run of a batch, in short.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunSummary {
    /// Its name.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub token: String,
    /// Where it is.
    pub status: Status,
    /// Its verdict, once finished.
    pub verdict: Option<Verdict>,
    /// Points earned, once finished.
    pub score: Option<f64>,
    /// Points there were to earn, once finished.
    pub points: Option<f64>,
}

/// A batch that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchAccepted {
    /// The batch's name, and the right to read it.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub token: String,
    /// The names of its runs, in the order in which they were asked for.
    pub runs: Vec<Accepted>,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BatchRecord {
    /// Its name.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub token: String,
    /// Whether every run has ended.
    pub ended: bool,
    /// Its runs, in the order in which they were asked for; those that were deleted are gone.
    pub runs: Vec<RunSummary>,
}
