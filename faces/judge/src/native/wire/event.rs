//! What a stream tells, and what a client says into it.

use enclos_host::wire::{Signal, object};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Data, Output, RunResult, StepReport, TestReport};
use crate::native::problem::Problem;

object!(ClientMessage);

/// What happens in a run, as it happens. Exactly one `result` or `problem` comes, and it is the last.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It waits for its turn. Absent when it starts at once.
    Queued {
        /// Runs of the same key before it.
        ahead: usize,
        /// Estimate of the time until it starts, milliseconds.
        estimate_ms: u64,
    },
    /// A step has started: `compile`, or the test of this index.
    Started {
        /// The test; null: it is compiled.
        test: Option<usize>,
    },
    /// The compiler has ended.
    Compiled {
        /// Its run.
        #[schema(value_type = StepReport)]
        report: Box<StepReport>,
    },
    /// A program wrote.
    Output {
        /// The test; null: the compiler.
        test: Option<usize>,
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// What, as it came: a character may be split between two events, and both are then base64.
        output: Output,
    },
    /// A test has ended or was skipped; in any order.
    Test {
        /// Its index.
        test: usize,
        /// Its report.
        #[schema(value_type = TestReport)]
        report: Box<TestReport>,
    },
    /// The run has ended.
    Result {
        /// All of it.
        #[schema(value_type = RunResult)]
        result: Box<RunResult>,
    },
    /// The run could not be carried out, or was cancelled.
    Problem {
        /// Why.
        problem: Problem,
    },
}

impl Event {
    /// The word of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Queued { .. } => "queued",
            Event::Started { .. } => "started",
            Event::Compiled { .. } => "compiled",
            Event::Output { .. } => "output",
            Event::Test { .. } => "test",
            Event::Result { .. } => "result",
            Event::Problem { .. } => "problem",
        }
    }
}

/// What a client says to a program that runs, over a WebSocket, after the request itself. A binary message is standard input as it is.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(remote = "Self", tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Standard input.
    Stdin {
        /// Exact bytes.
        data: Data,
    },
    /// Standard input ends.
    StdinEnd {},
    /// Sends a signal.
    Signal {
        /// Which.
        signal: Signal,
    },
    /// Ends the run.
    Cancel {},
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_client() {
        let read = |text: &str| serde_json::from_str::<ClientMessage>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"{"type": "stdin", "data": "a"}"#), Ok(ClientMessage::Stdin { data: Data(b"a".to_vec()) }));
        assert_eq!(read(r#"{"type": "stdin_end"}"#), Ok(ClientMessage::StdinEnd {}));
        assert_eq!(read(r#"{"type": "signal", "signal": "SIGINT"}"#), Ok(ClientMessage::Signal { signal: Signal(2) }));
        assert_eq!(read(r#"{"type": "signal", "signal": 9}"#), Ok(ClientMessage::Signal { signal: Signal(9) }));
        assert_eq!(read(r#"{"type": "cancel"}"#), Ok(ClientMessage::Cancel {}));
        for bad in [
            r#"{"type": "signal", "signal": 65}"#,
            r#"{"type": "signal", "signal": "INT"}"#,
            r#"{"type": "cancel", "why": 1}"#,
            r#"{"type": "resize"}"#,
            r#"{}"#,
            "[]",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
