//! The configuration: one record for each key.
//!
//! A record ([`Setting`]) says the key, what kind of value it takes, the default and what it is for. From the records come the parser of the
//! file (TOML), the flags (`--set KEY=VALUE`, and `--KEY` for those with a short form), the refusal of what is not known, and the page of the
//! guide. A face brings its own records; the server joins them all.

mod check;
mod page;
mod value;

use std::collections::BTreeMap;
use std::time::Duration;

pub use check::SettingsError;
pub use page::page;
pub use value::{Kind, Value};

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The whole key: section, dot, name. A key of a table in a list ([`Kind::Tables`]) is the name alone.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as it would be written in the file; empty: not set.
    pub default: &'static str,
    /// What it is for: whole sentences.
    pub help: &'static str,
}

/// A checked configuration: a value for each key that has one.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
    known: Vec<&'static str>,
}

impl Settings {
    /// Reads a configuration: defaults, then the file, then `KEY=VALUE` pairs, each over the one before.
    ///
    /// # Errors
    /// Every fault found: text that is no TOML, keys that no record knows, values of another kind or out of bounds.
    pub fn read(records: &[&'static [Setting]], file: &str, pairs: &[(String, String)]) -> Result<Settings, Vec<SettingsError>> {
        let records: Vec<&'static Setting> = records.iter().flat_map(|group| group.iter()).collect();
        let mut checker = check::Checker::new(&records);
        let mut values = checker.defaults();
        values.extend(checker.file(file));
        values.extend(checker.pairs(pairs));
        let known = records.iter().map(|record| record.key).collect();
        checker.finish(Settings { values, known })
    }

    fn value(&self, key: &str) -> Option<&Value> {
        assert!(self.known.contains(&key), "no record of a setting {key:?}");
        self.values.get(key)
    }

    /// A text, word or path, if set.
    ///
    /// # Panics
    /// Like all that follow: when no record has this key, or it is of another kind. Both are faults of the program, not of its user.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            other => panic!("setting {key:?} holds {other:?}, not a text"),
        }
    }

    /// A list of texts; empty when not set.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn texts(&self, key: &str) -> &[String] {
        match self.value(key) {
            None => &[],
            Some(Value::Texts(texts)) => texts,
            Some(other) => panic!("setting {key:?} holds {other:?}, not texts"),
        }
    }

    /// Yes or no; no when not set.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        match self.value(key) {
            None => false,
            Some(Value::Flag(flag)) => *flag,
            Some(other) => panic!("setting {key:?} holds {other:?}, not true or false"),
        }
    }

    /// A number, if set.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn count(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Count(count) => Some(*count),
            other => panic!("setting {key:?} holds {other:?}, not a number"),
        }
    }

    /// A number of bytes, if set.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn size(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Size(bytes) => Some(*bytes),
            other => panic!("setting {key:?} holds {other:?}, not a size"),
        }
    }

    /// A span of time, if set.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn span(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Span(span) => Some(*span),
            other => panic!("setting {key:?} holds {other:?}, not a time span"),
        }
    }

    /// The tables of a list of tables; empty when there are none.
    ///
    /// # Panics
    /// See [`Settings::text`].
    #[must_use]
    pub fn tables(&self, key: &str) -> &[Settings] {
        match self.value(key) {
            None => &[],
            Some(Value::Tables(tables)) => tables,
            Some(other) => panic!("setting {key:?} holds {other:?}, not tables"),
        }
    }
}

#[cfg(test)]
mod tests;
