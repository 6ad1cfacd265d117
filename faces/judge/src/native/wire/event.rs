//! What a stream tells, and what a client says into it.

use std::fmt;

use enclos_host::wire::object;
use enclos_sandbox::spec::signal;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

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

/// A signal, by number or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

/// The signals that have a name here: those that people send (`signal(7)`).
const NAMES: [&str; 14] = [
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCONT",
    "SIGSTOP", "SIGWINCH",
];

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Signal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a signal: its number from 1 to 64, or its name, e.g. \"SIGINT\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Signal, E> {
                match number {
                    1..=64 => Ok(Signal(number as i32)),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Signal, E> {
                let known = NAMES.contains(&name).then(|| signal::number(name)).flatten();
                known.map(Signal).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl PartialSchema for Signal {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(1)).maximum(Some(64));
        let name = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(NAMES));
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(number).item(name).description(Some("A signal, by number or by name.")).build()))
    }
}

impl ToSchema for Signal {
    fn name() -> std::borrow::Cow<'static, str> {
        "Signal".into()
    }
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
