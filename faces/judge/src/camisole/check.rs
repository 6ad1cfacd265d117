//! Checking a request: what each field must be, and camisole's words for what it is instead.

use std::collections::BTreeMap;

use super::value::Value;

/// Why a request is refused: where, and what was wrong. Shown as `malformed payload: PATH: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed payload: {path}: {message}")]
pub struct Malformed {
    path: String,
    message: String,
}

impl Malformed {
    /// At `path`, `message`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Malformed { path: path.into(), message: message.into() }
    }

    fn expected(path: &str, wanted: &str, got: Option<&Value>) -> Self {
        Malformed::new(path, format!("expected {wanted}, got {}", got.map_or("nothing", Value::type_name)))
    }
}

/// Result of a check.
pub type Checked<T> = Result<T, Malformed>;

/// A field that is there. `null` is as good as absent wherever a field may be absent, and so it is `None` here too, but
/// [`Fields::has`] tells one from the other.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    map: &'a BTreeMap<String, Value>,
    path: &'a str,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping at `path`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of(value: &'a Value, path: &'a str) -> Checked<Fields<'a>> {
        match value {
            Value::Map(map) => Ok(Fields { map, path }),
            other => Err(Malformed::expected(path, "a mapping", Some(other))),
        }
    }

    /// Where a field is.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// Whether it is there, be it as `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The value, unless absent or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| **value != Value::Null)
    }

    fn wrong(&self, name: &str, wanted: &str) -> Malformed {
        Malformed::expected(&self.path(name), wanted, self.map.get(name))
    }

    /// Text.
    ///
    /// # Errors
    /// When it is something else; so for all that follow.
    pub fn text(&self, name: &str) -> Checked<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// Text that must be there.
    ///
    /// # Errors
    /// Also when it is absent.
    pub fn required_text(&self, name: &str) -> Checked<&'a str> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "a string"))
    }

    /// Text or binary data.
    ///
    /// # Errors
    /// See [`Fields::text`].
    pub fn bytes(&self, name: &str) -> Checked<Option<&'a [u8]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.as_bytes())),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(self.wrong(name, "a string or binary data")),
        }
    }

    /// Text or binary data that must be there.
    ///
    /// # Errors
    /// Also when it is absent.
    pub fn required_bytes(&self, name: &str) -> Checked<&'a [u8]> {
        self.bytes(name)?.ok_or_else(|| self.wrong(name, "a string or binary data"))
    }

    /// Yes or no; no when absent.
    ///
    /// # Errors
    /// See [`Fields::text`].
    pub fn flag(&self, name: &str) -> Checked<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "a bool")),
        }
    }

    /// A whole number, 0 or more.
    ///
    /// # Errors
    /// See [`Fields::text`]; a negative one, which isolate would not have taken.
    pub fn count(&self, name: &str) -> Checked<Option<u64>> {
        match self.get(name) {
            None => Ok(None),
            // What does not fit is more than anything there is to limit.
            Some(Value::Int(number)) if *number >= 0 => Ok(Some(u64::try_from(*number).unwrap_or(u64::MAX))),
            Some(Value::Int(number)) => Err(Malformed::new(self.path(name), format!("expected an integer of 0 or more, got {number}"))),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    /// A number, 0 or more.
    ///
    /// # Errors
    /// See [`Fields::text`]; a negative one, or one that is not finite, which no program could have kept to.
    pub fn number(&self, name: &str) -> Checked<Option<f64>> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Int(number)) => *number as f64,
            Some(Value::Float(number)) => *number,
            Some(_) => return Err(self.wrong(name, "a float or an integer")),
        };
        if number.is_finite() && number >= 0.0 {
            return Ok(Some(number));
        }
        Err(Malformed::new(self.path(name), format!("expected a number of 0 or more, got {number}")))
    }

    /// A mapping.
    ///
    /// # Errors
    /// See [`Fields::text`].
    pub fn mapping<T>(&self, name: &str, read: impl FnOnce(Fields<'_>) -> Checked<T>) -> Checked<Option<T>> {
        let path = self.path(name);
        self.get(name).map(|value| Fields::of(value, &path).and_then(read)).transpose()
    }

    /// A list. An empty mapping and an empty text are empty lists, as they were for camisole.
    ///
    /// # Errors
    /// See [`Fields::text`].
    pub fn list(&self, name: &str) -> Checked<Option<&'a [Value]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::List(items)) => Ok(Some(items)),
            Some(Value::Map(map)) if map.is_empty() => Ok(Some(&[])),
            Some(Value::Text(text)) if text.is_empty() => Ok(Some(&[])),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }
}
