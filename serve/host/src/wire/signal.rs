//! Signals in JSON.

use std::fmt;

use enclos_spec::signal;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

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
    fn a_signal_is_a_number_or_a_name() {
        let read = |text: &str| serde_json::from_str::<Signal>(text).map(|signal| signal.0).map_err(|error| error.to_string());
        assert_eq!((read("2"), read("64"), read("\"SIGTERM\"")), (Ok(2), Ok(64), Ok(15)));
        for bad in ["0", "65", "-1", "\"TERM\"", "\"SIGSYS\"", "null", "{}", "1.5"] {
            assert!(read(bad).unwrap_err().contains("a signal: its number from 1 to 64"), "{bad}");
        }
    }
}
