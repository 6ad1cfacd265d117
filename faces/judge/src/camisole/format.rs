//! The two formats on the wire, and which of them a client wants.

use std::cell::Cell;
use std::io;

use serde::Serialize;
use serde::de::DeserializeSeed;

use super::value::{Packed, Plain, Reader, Value};

/// Values a body may hold: a request with a thousand tests and all options has some ten thousand.
const MAX_VALUES: usize = 200_000;

/// How deep values may lie in each other. serde_json's own bound is 128.
const MAX_DEPTH: usize = 100;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/msgpack`.
    MessagePack,
}

/// Why a body has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It is not what it says it is.
    Malformed(Format),
    /// It holds more values than any request needs.
    TooMany,
}

impl Format {
    /// Its name on the wire.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::MessagePack => "application/msgpack",
        }
    }

    /// The format of a request: MessagePack only when its content type is exactly that, whatever else says JSON.
    #[must_use]
    pub fn of_request(content_type: Option<&[u8]>) -> Format {
        if content_type == Some(b"application/msgpack") { Format::MessagePack } else { Format::Json }
    }

    /// The formats that an `Accept` header asks for (RFC 9110 section 12.5.1), best first. As camisole had it: `q=0` is last, not
    /// excluded.
    #[must_use]
    pub fn accepted(header: &str) -> Vec<Format> {
        let mut ranges: Vec<(f32, &str)> = header.split(',').map(quality).collect();
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut formats = Vec::new();
        for (_, range) in ranges {
            let matched: &[Format] = match range.to_ascii_lowercase().as_str() {
                "*/*" | "application/*" => &[Format::Json, Format::MessagePack],
                "application/json" => &[Format::Json],
                "application/msgpack" => &[Format::MessagePack],
                _ => &[],
            };
            for format in matched {
                if !formats.contains(format) {
                    formats.push(*format);
                }
            }
        }
        formats
    }

    /// The value of a body; an empty one is an empty mapping.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(self, body: &[u8]) -> Result<Value, DecodeError> {
        if body.is_empty() {
            return Ok(Value::Map(Default::default()));
        }
        let left = Cell::new(Some(MAX_VALUES));
        let value = match self {
            Format::Json => decode_json(body, &left),
            Format::MessagePack => decode_packed(body, &left),
        };
        value.ok_or_else(|| if left.get().is_none() { DecodeError::TooMany } else { DecodeError::Malformed(self) })
    }

    /// The bytes of a value; `None`: it holds binary data, and this format has none.
    #[must_use]
    pub fn encode(self, value: &Value) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Format::Json => Plain(value).serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii)).ok()?,
            Format::MessagePack => Packed(value).serialize(&mut rmp_serde::Serializer::new(&mut bytes)).ok()?,
        }
        Some(bytes)
    }
}

fn decode_json(body: &[u8], left: &Cell<Option<usize>>) -> Option<Value> {
    // Checked whole, once: serde_json checks only the texts it gives out.
    let text = std::str::from_utf8(body).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Reader::new(left).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

fn decode_packed(body: &[u8], left: &Cell<Option<usize>>) -> Option<Value> {
    let mut deserializer = rmp_serde::Deserializer::new(io::Cursor::new(body));
    deserializer.set_max_depth(MAX_DEPTH);
    let value = Reader::new(left).deserialize(&mut deserializer).ok()?;
    (deserializer.position() == body.len() as u64).then_some(value)
}

/// A range of an `Accept` header, and its `q`.
fn quality(range: &str) -> (f32, &str) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let q = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok()).filter(|q| q.is_finite());
    (q.unwrap_or(1.0), name)
}

/// JSON as Python writes it: blanks after colons and commas, and nothing but ASCII.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !(' '..='~').contains(&c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let odd = rest[at..].chars().next().unwrap_or_default();
            for unit in odd.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + odd.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use Format::{Json, MessagePack};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = Value::map([
            ("b", Value::List(vec![Value::Int(1), Value::Null, Value::Float(0.016), Value::Float(1.0), Value::Bool(true)])),
            ("a", Value::Bytes("dédé 🦀 \u{7f}\"\\\n\t\u{1}".into())),
        ]);
        let text = String::from_utf8(Json.encode(&value).unwrap()).unwrap();
        // What json.dumps(…, sort_keys=True) of Python 3.11 prints.
        let python = r#"{"a": "d\u00e9d\u00e9 \ud83e\udd80 \u007f\"\\\n\t\u0001", "b": [1, null, 0.016, 1.0, true]}"#;
        assert_eq!(text, python);
    }

    #[test]
    fn binary_data_needs_message_pack() {
        let value = Value::map([("stdout", Value::Bytes(vec![0xff, 0]))]);
        assert_eq!(Json.encode(&value), None);
        // A mapping of one, a text of six bytes, a bin of two.
        assert_eq!(MessagePack.encode(&value).unwrap(), b"\x81\xa6stdout\xc4\x02\xff\x00");
    }

    #[test]
    fn bodies_are_read() {
        assert_eq!(Json.decode(b"").unwrap(), Value::map::<&str>([]));
        assert_eq!(Json.decode(br#"{"a": 1, "a": [1.5, "\u00e9", null]}"#).unwrap(), {
            Value::map([("a", Value::List(vec![Value::Float(1.5), Value::Text("é".into()), Value::Null]))])
        });
        assert_eq!(MessagePack.decode(b"\x81\xa1a\xc4\x01\xff").unwrap(), Value::map([("a", Value::Bytes(vec![0xff]))]));
        // A key that is a byte string is not ours, and not an error.
        assert_eq!(MessagePack.decode(b"\x81\xc4\x01a\x01").unwrap(), Value::map::<&str>([]));
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        let deep = "[".repeat(100_000);
        for body in ["{", "nonsense", "{} {}", "\u{feff}{}", "{\"a\": \"\\ud800\"}", "NaN", deep.as_str()] {
            assert_eq!(Json.decode(body.as_bytes()), Err(DecodeError::Malformed(Json)), "{}", &body[..body.len().min(20)]);
        }
        assert_eq!(Json.decode(b"\"\xff\""), Err(DecodeError::Malformed(Json)));
        let deep = vec![0x91; 100_000];
        // A list that says it has four billion items; two values; a number as a key; text that is not UTF-8.
        for body in [&b"\xdd\xff\xff\xff\xff"[..], b"\x01\x01", b"\x81\x01\x01", b"\xc1", &deep] {
            assert_eq!(MessagePack.decode(body), Err(DecodeError::Malformed(MessagePack)), "{:?}", &body[..body.len().min(20)]);
        }
    }

    #[test]
    fn a_small_body_cannot_be_many_values() {
        let json = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert_eq!(Json.decode(json.as_bytes()), Err(DecodeError::TooMany));
        let mut packed = b"\xdd\x00\xff\xff\xff".to_vec();
        packed.extend(std::iter::repeat_n(0u8, 0xff_ffff));
        assert_eq!(MessagePack.decode(&packed), Err(DecodeError::TooMany));
    }

    #[test]
    fn what_is_accepted_is_ordered() {
        for (header, formats) in [
            ("*/*", &[Json, MessagePack][..]),
            ("application/*", &[Json, MessagePack]),
            ("application/json", &[Json]),
            ("application/msgpack", &[MessagePack]),
            ("application/json;q=0.5, application/msgpack", &[MessagePack, Json]),
            ("application/msgpack;q=0.1,*/*;q=0.9", &[Json, MessagePack]),
            ("application/json; charset=utf-8", &[Json]),
            ("text/html, application/xml;q=0.9, */*;q=0.8", &[Json, MessagePack]),
            ("application/json;q=0", &[Json]),
            ("text/html", &[]),
            ("", &[]),
            (";;;,,q=", &[]),
        ] {
            assert_eq!(Format::accepted(header), formats, "{header}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|n| Value::Int(n.into())),
            any::<u64>().prop_map(|n| Value::Int(n.into())),
            (-1e9..1e9).prop_map(Value::Float),
            any::<String>().prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                proptest::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn message_pack_gives_back_what_it_took(value in values()) {
            prop_assert_eq!(MessagePack.decode(&MessagePack.encode(&value).unwrap()).unwrap(), value);
        }

        #[test]
        fn json_is_ascii_and_other_readers_agree(text in any::<String>()) {
            let bytes = Json.encode(&Value::Text(text.clone())).unwrap();
            prop_assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        }

        #[test]
        fn no_bytes_crash_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Json.decode(&bytes), MessagePack.decode(&bytes));
        }
    }
}
