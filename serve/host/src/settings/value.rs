//! What a key may hold.

use std::time::Duration;

use enclos_spec::quantity::{Size, Span};

use super::Setting;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path of this host; absolute.
    Path,
    /// A list of texts.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number between these, both included.
    Count(u64, u64),
    /// A number of bytes: a number, or text with a unit.
    Size,
    /// A span of time: text with a unit.
    Span,
    /// A list of tables (`[[name]]`), each with these keys.
    Tables(&'static [Setting]),
}

/// A value that was checked.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Path`] and [`Kind::Word`].
    Text(String),
    /// Of [`Kind::Texts`].
    Texts(Vec<String>),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Count`].
    Count(u64),
    /// Of [`Kind::Size`], in bytes.
    Size(u64),
    /// Of [`Kind::Span`].
    Span(Duration),
    /// Of [`Kind::Tables`].
    Tables(Vec<super::Settings>),
}

impl Kind {
    /// What would be right, for a message and for the guide.
    #[must_use]
    pub fn wanted(self) -> String {
        match self {
            Kind::Text => "a text, in quotes".to_owned(),
            Kind::Path => "an absolute path, in quotes".to_owned(),
            Kind::Texts => "a list of texts, e.g. [\"a\", \"b\"]".to_owned(),
            Kind::Word(words) => format!("one of {}", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")),
            Kind::Flag => "true or false".to_owned(),
            Kind::Count(low, u64::MAX) => format!("a whole number, at least {low}"),
            Kind::Count(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Size => "a size, e.g. 65536 or \"64M\"".to_owned(),
            Kind::Span => "a time span, e.g. \"500ms\" or \"2m\"".to_owned(),
            Kind::Tables(_) => "tables, each begun with its name in double brackets".to_owned(),
        }
    }

    /// The checked value of a scalar or list; `None`: of another kind or out of bounds. Tables are not read here.
    pub(super) fn read(self, value: &toml::Value) -> Option<Value> {
        match (self, value) {
            (Kind::Text, toml::Value::String(text)) => Some(Value::Text(text.clone())),
            (Kind::Path, toml::Value::String(text)) => text.starts_with('/').then(|| Value::Text(text.clone())),
            (Kind::Word(words), toml::Value::String(text)) => words.contains(&text.as_str()).then(|| Value::Text(text.clone())),
            (Kind::Texts, toml::Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().map(Value::Texts)
            }
            (Kind::Flag, toml::Value::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Kind::Count(low, high), toml::Value::Integer(number)) => {
                u64::try_from(*number).ok().filter(|number| (low..=high).contains(number)).map(Value::Count)
            }
            (Kind::Size, toml::Value::Integer(bytes)) => u64::try_from(*bytes).ok().map(Value::Size),
            (Kind::Size, toml::Value::String(text)) => text.parse::<Size>().ok().map(|size| Value::Size(size.bytes())),
            (Kind::Span, toml::Value::String(text)) => text.parse::<Span>().ok().map(|span| Value::Span(span.0)),
            _ => None,
        }
    }

    /// The TOML value that the text of a flag stands for: a text needs no quotes there, a list is split at commas.
    pub(super) fn flag_value(self, text: &str) -> Option<toml::Value> {
        match self {
            Kind::Text | Kind::Path | Kind::Word(_) | Kind::Size | Kind::Span => Some(toml::Value::String(text.to_owned())),
            Kind::Texts => {
                let items = text.split(',').filter(|item| !item.is_empty());
                Some(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()))
            }
            Kind::Flag => text.parse().ok().map(toml::Value::Boolean),
            Kind::Count(..) => text.parse().ok().map(toml::Value::Integer),
            Kind::Tables(_) => None,
        }
    }
}
