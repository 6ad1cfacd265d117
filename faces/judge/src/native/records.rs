//! Stored runs as they are told.

use enclos_pool::{Notice, Position, Record, State};
use serde_json::value::RawValue;

use super::problem::Problem;
use super::wire::{self, Short, Status};

/// 404.
pub fn no_run() -> Problem {
    Problem::not_found("no run of this token belongs to this key: it never was, was deleted, or ended too long ago to be kept")
}

/// 404.
pub fn no_batch() -> Problem {
    Problem::not_found("no batch of this token belongs to this key: it never was, was deleted, or ended too long ago to be kept")
}

fn status(state: State, short: Option<&Short>) -> Status {
    match state {
        State::Waiting => Status::Waiting,
        State::Running => Status::Running,
        State::Finished => short.map_or(Status::Finished, |short| short.status),
        State::Cancelled => Status::Cancelled,
    }
}

fn short(record: &Record) -> Option<Short> {
    record.summary.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

/// A run of a batch, in short.
pub fn summary(record: Record) -> wire::RunSummary {
    let short = short(&record);
    wire::RunSummary {
        token: record.token.to_string(),
        status: status(record.state, short.as_ref()),
        verdict: short.and_then(|short| short.verdict),
        score: short.and_then(|short| short.score),
        points: short.and_then(|short| short.points),
    }
}

/// A record as it is told.
pub fn shown(record: Record, place: Option<Position>) -> Result<wire::RunRecord, Problem> {
    let status = status(record.state, short(&record).as_ref());
    let answer = match record.result {
        None => None,
        // The text was written by this program.
        Some(json) => {
            let text = String::from_utf8(json).map_err(|error| Problem::internal(&error))?;
            Some(RawValue::from_string(text).map_err(|error| Problem::internal(&error))?)
        }
    };
    let (result, problem) = if status == Status::Failed { (None, answer) } else { (answer, None) };
    Ok(wire::RunRecord {
        token: record.token.to_string(),
        batch: record.batch.map(|batch| batch.to_string()),
        status,
        created_ms: record.created,
        started_ms: record.started,
        ended_ms: record.ended,
        place: place.and_then(|place| match place {
            Position::Waiting { ahead, waiting, estimate } => {
                Some(wire::Place { ahead, waiting, estimate_ms: u64::try_from(estimate.as_millis()).unwrap_or(u64::MAX) })
            }
            Position::Running { .. } => None,
        }),
        callback: match record.notice {
            Notice::None => None,
            Notice::Due => Some(wire::CallbackState::Due),
            Notice::Delivered => Some(wire::CallbackState::Delivered),
            Notice::Failed => Some(wire::CallbackState::Failed),
        },
        result,
        problem,
    })
}
