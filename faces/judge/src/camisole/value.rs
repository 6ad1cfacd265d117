//! Values as camisole knows them: JSON's, and byte strings, which MessagePack can carry and JSON cannot.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

/// A value of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, nil.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A mapping; of equal keys the last one counts.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A mapping of these.
    pub fn map<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Text, or null.
    pub fn text_or_null(text: Option<impl Into<String>>) -> Value {
        text.map_or(Value::Null, |text| Value::Text(text.into()))
    }

    /// A number, or null.
    pub fn int_or_null(number: Option<u64>) -> Value {
        number.map_or(Value::Null, |number| Value::Int(number.into()))
    }

    /// What it is, in the words of camisole's messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Text(_) => "a string",
            Value::Bytes(_) => "binary data",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads one value, of any format that serde reads. A body may be small and yet stand for a hundred times its size in values: `left` bounds
/// how many there may be.
pub struct Reader<'a> {
    /// Values that may still come; [`Reader::is_out`] when it ran out.
    left: &'a Cell<Option<usize>>,
}

impl<'a> Reader<'a> {
    /// Takes one from `left` for each value; `None` in it afterwards: there were more.
    #[must_use]
    pub fn new(left: &'a Cell<Option<usize>>) -> Self {
        Reader { left }
    }

    fn again(&self) -> Reader<'a> {
        Reader { left: self.left }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(1)));
        if self.left.get().is_none() {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }
    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.again())? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = pairs.next_key_seed(KeyReader)? {
            let value = pairs.next_value_seed(self.again())?;
            // A key that is a byte string is none that we know.
            if let Some(key) = key {
                map.insert(key, value);
            }
        }
        Ok(Value::Map(map))
    }
}

/// Reads a key: text, or, in MessagePack, a byte string.
struct KeyReader;

impl<'de> DeserializeSeed<'de> for KeyReader {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyReader {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<String>, E> {
        Ok(Some(key.to_owned()))
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Option<String>, E> {
        Ok(None)
    }
}

/// A value as MessagePack has it: byte strings are `bin`.
pub struct Packed<'a>(pub &'a Value);

/// A value as JSON has it: byte strings are text, where they are UTF-8; else it is an error.
pub struct Plain<'a>(pub &'a Value);

macro_rules! serialize_as {
    ($wrapper:ident, |$bytes:ident, $serializer:ident| $bytes_as:expr) => {
        impl Serialize for $wrapper<'_> {
            fn serialize<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                match self.0 {
                    Value::Null => $serializer.serialize_unit(),
                    Value::Bool(value) => $serializer.serialize_bool(*value),
                    Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                        (Ok(value), _) => $serializer.serialize_i64(value),
                        (_, Ok(value)) => $serializer.serialize_u64(value),
                        _ => Err(S::Error::custom("a number of more than 64 bits")),
                    },
                    Value::Float(value) => $serializer.serialize_f64(*value),
                    Value::Text(value) => $serializer.serialize_str(value),
                    Value::Bytes($bytes) => $bytes_as,
                    Value::List(items) => {
                        let mut list = $serializer.serialize_seq(Some(items.len()))?;
                        items.iter().try_for_each(|item| list.serialize_element(&$wrapper(item)))?;
                        list.end()
                    }
                    Value::Map(pairs) => {
                        let mut map = $serializer.serialize_map(Some(pairs.len()))?;
                        pairs.iter().try_for_each(|(key, value)| map.serialize_entry(key, &$wrapper(value)))?;
                        map.end()
                    }
                }
            }
        }
    };
}

serialize_as!(Packed, |bytes, serializer| serializer.serialize_bytes(bytes));
serialize_as!(Plain, |bytes, serializer| match std::str::from_utf8(bytes) {
    Ok(text) => serializer.serialize_str(text),
    Err(_) => Err(S::Error::custom("binary data")),
});
