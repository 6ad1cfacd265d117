//! Reading values, and refusing what no record knows.

use std::collections::BTreeMap;

use enclos_spec::policy::edit_distance;

use super::{Kind, Setting, Settings, Value};

/// One fault of a configuration: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The file is no TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// No record has this key.
    #[error("{key}: unknown key: did you mean {nearest}?")]
    Unknown {
        /// As written.
        key: String,
        /// The most similar one there is.
        nearest: String,
    },
    /// A value of another kind, or out of bounds.
    #[error("{key}: {value} is not right: write {wanted}")]
    Wrong {
        /// The key.
        key: String,
        /// As written.
        value: String,
        /// What would be right.
        wanted: String,
    },
    /// A key of a table in a list that has no default is missing.
    #[error("{key}: missing: write {wanted}")]
    Missing {
        /// The key.
        key: String,
        /// What would be right.
        wanted: String,
    },
}

/// Collects values, and every fault.
pub(super) struct Checker<'a> {
    records: &'a [&'static Setting],
    errors: Vec<SettingsError>,
}

type Values = BTreeMap<&'static str, Value>;

impl<'a> Checker<'a> {
    pub(super) fn new(records: &'a [&'static Setting]) -> Self {
        Checker { records, errors: Vec::new() }
    }

    /// What holds where nobody says otherwise.
    ///
    /// # Panics
    /// When a record's own default is not of its kind; `every_default_is_of_its_kind` calls this for all records there are.
    pub(super) fn defaults(&self) -> Values {
        let set = self.records.iter().filter(|record| !record.default.is_empty());
        set.map(|record| (record.key, default(record))).collect()
    }

    /// The values of a file.
    pub(super) fn file(&mut self, text: &str) -> Values {
        let mut values = Values::new();
        match text.parse::<toml::Table>() {
            Ok(table) => self.table("", &table, &mut values),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
                self.errors.push(SettingsError::Syntax { line, message: error.message().replace('\n', ", ") });
            }
        }
        values
    }

    /// The values of flags.
    pub(super) fn pairs(&mut self, pairs: &[(String, String)]) -> Values {
        let mut values = Values::new();
        for (key, text) in pairs {
            let Some(record) = self.record(key) else { continue };
            match record.kind.flag_value(text) {
                Some(value) => self.take(record, key, &value, &mut values),
                None => self.wrong(key, format!("{text:?}"), record.kind),
            }
        }
        values
    }

    /// The settings, unless something was wrong.
    pub(super) fn finish(self, settings: Settings) -> Result<Settings, Vec<SettingsError>> {
        if self.errors.is_empty() { Ok(settings) } else { Err(self.errors) }
    }

    fn table(&mut self, prefix: &str, table: &toml::Table, values: &mut Values) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let is_section = self.records.iter().any(|record| record.key.strip_prefix(&*key).is_some_and(|rest| rest.starts_with('.')));
            match value {
                // An unknown section is told by its keys: those have a nearest one.
                toml::Value::Table(inner) if is_section || !inner.is_empty() => self.table(&key, inner, values),
                value => {
                    if let Some(record) = self.record(&key) {
                        self.take(record, &key, value, values);
                    }
                }
            }
        }
    }

    fn take(&mut self, record: &'static Setting, key: &str, value: &toml::Value, values: &mut Values) {
        let read = match record.kind {
            Kind::Tables(inner) => self.tables(inner, key, value),
            kind => kind.read(value),
        };
        match read {
            Some(value) => drop(values.insert(record.key, value)),
            None => self.wrong(key, value.to_string(), record.kind),
        }
    }

    fn tables(&mut self, records: &'static [Setting], key: &str, value: &toml::Value) -> Option<Value> {
        let mut tables = Vec::new();
        for (index, item) in value.as_array()?.iter().enumerate() {
            let item = item.as_table()?;
            let within = format!("{key}[{index}]");
            let inner: Vec<&'static Setting> = records.iter().collect();
            let mut checker = Checker::new(&inner);
            let mut values = checker.defaults();
            checker.table("", item, &mut values);
            self.errors.extend(checker.errors.into_iter().map(|error| error.within(&within)));
            for record in records.iter().filter(|record| !values.contains_key(record.key) && is_required(record)) {
                let wanted = record.kind.wanted();
                self.errors.push(SettingsError::Missing { key: format!("{within}.{}", record.key), wanted });
            }
            tables.push(Settings { values, known: records.iter().map(|record| record.key).collect() });
        }
        Some(Value::Tables(tables))
    }

    fn record(&mut self, key: &str) -> Option<&'static Setting> {
        let found = self.records.iter().find(|record| record.key == key).copied();
        if found.is_none() {
            let nearest = self.records.iter().min_by_key(|record| distance(key, record.key)).map_or("none", |record| record.key);
            self.errors.push(SettingsError::Unknown { key: key.to_owned(), nearest: nearest.to_owned() });
        }
        found
    }

    fn wrong(&mut self, key: &str, value: String, kind: Kind) {
        self.errors.push(SettingsError::Wrong { key: key.to_owned(), value: value.replace('\n', " "), wanted: kind.wanted() });
    }
}

/// A key under the wrong section is nearer than another word: what counts most is the last part.
fn distance(key: &str, known: &str) -> usize {
    let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_owned();
    3 * edit_distance(&last(key), &last(known)) + edit_distance(key, known)
}

/// In a list of tables, a name is what tells one from another.
fn is_required(record: &Setting) -> bool {
    record.key == "name"
}

fn default(record: &Setting) -> Value {
    let text = format!("value = {}", record.default);
    let table = text.parse::<toml::Table>().unwrap_or_else(|error| panic!("default of {}: {error}", record.key));
    record
        .kind
        .read(&table["value"])
        .unwrap_or_else(|| panic!("default of {}: {} is not {}", record.key, record.default, record.kind.wanted()))
}

impl SettingsError {
    fn within(self, place: &str) -> Self {
        match self {
            SettingsError::Unknown { key, nearest } => SettingsError::Unknown { key: format!("{place}.{key}"), nearest },
            SettingsError::Wrong { key, value, wanted } => SettingsError::Wrong { key: format!("{place}.{key}"), value, wanted },
            SettingsError::Missing { key, wanted } => SettingsError::Missing { key: format!("{place}.{key}"), wanted },
            syntax @ SettingsError::Syntax { .. } => syntax,
        }
    }
}
