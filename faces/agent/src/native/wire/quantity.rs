//! Sizes and spans of time, as numbers or as text with a unit.

use std::fmt;

use enclos_sandbox::spec::quantity;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// The largest number that every JSON implementation keeps exactly.
const EXACT: u64 = (1 << 53) - 1;

/// A span of time in milliseconds, up to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

/// Ten years.
const MOST_MS: u64 = 3650 * 86_400_000;

const SPAN: &str = "a span of time above 0 and up to ten years: seconds as a number, or text like \"30s\", \"500ms\", \"2h\"";

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

const BYTES: &str = "a number of bytes, or text like \"512MiB\"";

struct SpanVisitor;

impl SpanVisitor {
    fn of<E: Error>(self, ms: f64, given: Unexpected<'_>) -> Result<Span, E> {
        // What is above 0 and below a millisecond is one.
        if ms > 0.0 && ms <= MOST_MS as f64 { Ok(Span((ms.round() as u64).max(1))) } else { Err(E::invalid_value(given, &self)) }
    }
}

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SPAN)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Span, E> {
        self.of(seconds as f64 * 1000.0, Unexpected::Unsigned(seconds))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
        self.of(seconds as f64 * 1000.0, Unexpected::Signed(seconds))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
        self.of(seconds * 1000.0, Unexpected::Float(seconds))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        let span: quantity::Span = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        self.of(span.0.as_secs_f64() * 1000.0, Unexpected::Str(text))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BYTES)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Bytes, E> {
        if (1..=EXACT).contains(&bytes) { Ok(Bytes(bytes)) } else { Err(E::invalid_value(Unexpected::Unsigned(bytes), &self)) }
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Bytes, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self)).and_then(|bytes| self.visit_u64(bytes))
    }

    /// To JSON, `1.0` and `1` are one number.
    fn visit_f64<E: Error>(self, bytes: f64) -> Result<Bytes, E> {
        if bytes.fract() == 0.0 && (1.0..=EXACT as f64).contains(&bytes) {
            return Ok(Bytes(bytes as u64));
        }
        Err(E::invalid_value(Unexpected::Float(bytes), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        let size: quantity::Size = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        if (1..=EXACT).contains(&size.bytes()) { Ok(Bytes(size.bytes())) } else { Err(E::invalid_value(Unexpected::Str(text), &self)) }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

impl serde::Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

fn either(number: ObjectBuilder, pattern: &str, description: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).pattern(Some(pattern));
    RefOr::T(Schema::OneOf(OneOfBuilder::new().item(number).item(text).description(Some(description)).build()))
}

impl PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number)).minimum(Some(0.001)).maximum(Some(MOST_MS / 1000));
        either(number, "^[1-9][0-9]{0,3}(ms|s|m|min|h)?$", SPAN)
    }
}

impl ToSchema for Span {}

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(1)).maximum(Some(EXACT));
        either(number, "^[1-9][0-9]{0,2}(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$", BYTES)
    }
}

impl ToSchema for Bytes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_are_one() {
        for (text, ms) in
            [("30", 30_000), ("0.25", 250), ("\"30s\"", 30_000), ("\"500ms\"", 500), ("\"2h\"", 7_200_000), ("\"7\"", 7000), ("0.0001", 1)]
        {
            assert_eq!(serde_json::from_str::<Span>(text).unwrap(), Span(ms), "{text}");
        }
        for text in ["0", "-1", "\"\"", "\"soon\"", "1e300", "null", "[]", "\"0s\"", "true"] {
            assert!(serde_json::from_str::<Span>(text).is_err(), "{text}");
        }
        for (text, bytes) in [("512", 512), ("\"512MiB\"", 512 << 20), ("1.0", 1), ("\"64K\"", 64 << 10)] {
            assert_eq!(serde_json::from_str::<Bytes>(text).unwrap(), Bytes(bytes), "{text}");
        }
        for text in ["0", "-1", "1.5", "\"much\"", "1e300", "\"99999999TiB\"", "null"] {
            assert!(serde_json::from_str::<Bytes>(text).is_err(), "{text}");
        }
    }
}
