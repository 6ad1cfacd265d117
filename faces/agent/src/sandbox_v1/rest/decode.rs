//! Requests as JSON: the JSON mapping of protobuf (its guide, section "ProtoJSON Format"), and short words for enums besides.

use std::collections::BTreeMap;

use enclos_proto::prost_types::Duration;
use enclos_proto::tonic::Status;
use serde_json::{Map, Value};

use super::paths::unescaped;
use crate::sandbox_v1::status::invalid;

/// Fields that were not asked for yet. What is never asked for is ignored.
pub struct Fields {
    map: Map<String, Value>,
    /// In front of a field's name, to tell where it is.
    at: String,
}

/// `snake_case` as the answer writes it.
fn camel(snake: &str) -> String {
    let mut parts = snake.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        name.extend(part.chars().take(1).map(|first| first.to_ascii_uppercase()));
        name.extend(part.chars().skip(1));
        name
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Fields {
    /// Of a body; an empty one has no fields.
    pub fn of_body(bytes: &[u8]) -> Result<Fields, Status> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Fields { map: Map::new(), at: String::new() });
        }
        let value = serde_json::from_slice(bytes).map_err(|error| invalid("body", format_args!("no JSON: {error}")))?;
        Fields::of("body", String::new(), value)
    }

    /// Of a query; each name once.
    pub fn of_query(query: &str) -> Result<Fields, Status> {
        let mut map = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = unescaped(name, true);
            if map.insert(name.clone(), Value::String(unescaped(value, true))).is_some() {
                return Err(invalid(&name, "given more than once"));
            }
        }
        Ok(Fields { map, at: String::new() })
    }

    fn of(field: &str, at: String, value: Value) -> Result<Fields, Status> {
        match value {
            Value::Object(map) => Ok(Fields { map, at }),
            other => Err(invalid(field, format_args!("{} is not right: write an object", kind(&other)))),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.at)
    }

    /// A field by either of its names. `null` is as good as absent.
    fn take(&mut self, name: &str) -> Result<Option<Value>, Status> {
        let (snake, camel) = (self.map.remove(name), camel(name));
        let other = if camel == name { None } else { self.map.remove(&camel) };
        if snake.is_some() && other.is_some() {
            return Err(invalid(&self.path(name), format_args!("also given as {camel}")));
        }
        Ok(snake.or(other).filter(|value| !value.is_null()))
    }

    fn wrong(&self, name: &str, value: &Value, right: &str) -> Status {
        invalid(&self.path(name), format_args!("{} is not right: write {right}", kind(value)))
    }

    pub fn text(&mut self, name: &str) -> Result<String, Status> {
        match self.take(name)? {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(name, &other, "a text")),
        }
    }

    /// A number, or a text with one.
    pub fn whole(&mut self, name: &str) -> Result<i64, Status> {
        let Some(value) = self.take(name)? else { return Ok(0) };
        let number = match &value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exactly)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.wrong(name, &value, "a whole number that fits into 64 bits"))
    }

    /// The same in 32 bits.
    pub fn small(&mut self, name: &str) -> Result<i32, Status> {
        let path = self.path(name);
        let whole = self.whole(name)?;
        i32::try_from(whole).map_err(|_| invalid(&path, format_args!("{whole} does not fit into 32 bits")))
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, Status> {
        match self.take(name)? {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            // Of a query, where everything is text; these are Go's words, which clients know.
            Some(Value::String(text)) if matches!(&*text, "1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(Value::String(text)) if matches!(&*text, "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(self.wrong(name, &other, "true or false")),
        }
    }

    /// Texts by name.
    pub fn texts(&mut self, name: &str) -> Result<BTreeMap<String, String>, Status> {
        let map = match self.take(name)? {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(self.wrong(name, &other, "an object of texts")),
        };
        let mut texts = BTreeMap::new();
        for (key, value) in map {
            let Value::String(value) = value else { return Err(self.wrong(&format!("{name}.{key}"), &value, "a text")) };
            texts.insert(key, value);
        }
        Ok(texts)
    }

    /// A word of an enum, its number, or the short form of the word. `word` knows whole words; `short` are the others.
    pub fn word(&mut self, name: &str, prefix: &str, short: &[&str], word: impl Fn(&str) -> Option<i32>) -> Result<i32, Status> {
        let Some(value) = self.take(name)? else { return Ok(0) };
        let number = match &value {
            Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
            Value::String(text) if short.contains(&&**text) => word(&format!("{prefix}{}", text.to_ascii_uppercase())),
            Value::String(text) => word(text),
            _ => None,
        };
        number.ok_or_else(|| {
            let mut shown = value.to_string();
            shown.truncate(shown.floor_char_boundary(64));
            invalid(&self.path(name), format_args!("{shown} is not known: write {}", short.join(", ")))
        })
    }

    /// Seconds with an `s`.
    pub fn span(&mut self, name: &str) -> Result<Option<Duration>, Status> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let span = match &value {
            Value::String(text) => seconds(text),
            _ => None,
        };
        span.map(Some).ok_or_else(|| self.wrong(name, &value, "seconds as a text, such as \"1.5s\""))
    }

    /// An object.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(Fields) -> Result<T, Status>) -> Result<Option<T>, Status> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let path = self.path(name);
        read(Fields::of(&path, format!("{path}."), value)?).map(Some)
    }

    /// A list of objects.
    pub fn objects<T>(&mut self, name: &str, read: impl Fn(Fields) -> Result<T, Status>) -> Result<Vec<T>, Status> {
        let values = match self.take(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => return Err(self.wrong(name, &other, "a list")),
        };
        let each = values.into_iter().enumerate().map(|(index, value)| {
            let path = self.path(&format!("{name}[{index}]"));
            read(Fields::of(&path, format!("{path}."), value)?)
        });
        each.collect()
    }
}

/// A whole number that was written as another, such as `1e3`.
fn exactly(number: f64) -> Option<i64> {
    // Up to 2^53 each whole number has a form of its own.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_suffix('s')?;
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: i32 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    Some(Duration { seconds: sign * seconds, nanos: sign as i32 * nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::of_body(text.as_bytes()).unwrap()
    }

    fn told<T>(result: Result<T, Status>) -> String {
        result.err().map(|status| status.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn both_names_are_read_and_null_is_absent() {
        assert_eq!(fields("{\"codebase_id\": \"a\"}").text("codebase_id").unwrap(), "a");
        assert_eq!(fields("{\"codebaseId\": \"a\", \"else\": [1]}").text("codebase_id").unwrap(), "a");
        assert_eq!(fields("{\"codebaseId\": null}").text("codebase_id").unwrap(), "");
        assert_eq!(fields(" ").text("codebase_id").unwrap(), "");
        assert_eq!(
            told(fields("{\"codebaseId\": \"a\", \"codebase_id\": \"b\"}").text("codebase_id")),
            "codebase_id: also given as codebaseId"
        );
        assert_eq!(told(fields("{\"command\": 1}").text("command")), "command: a number is not right: write a text");
        for text in ["[]", "1", "null", "\"\""] {
            assert!(told(Fields::of_body(text.as_bytes()).map(drop)).ends_with("write an object"), "{text}");
        }
        for text in ["{", "{}{}", "\u{feff}{}"] {
            assert!(told(Fields::of_body(text.as_bytes()).map(drop)).starts_with("body: no JSON: "), "{text}");
        }
    }

    #[test]
    fn numbers_are_whole_and_may_be_text() {
        for (text, number) in [("5", 5), ("\"-7\"", -7), ("1e3", 1000), ("2.0", 2), ("null", 0), ("\"9223372036854775807\"", i64::MAX)] {
            assert_eq!(fields(&format!("{{\"x\": {text}}}")).whole("x").unwrap(), number, "{text}");
        }
        for text in ["1.5", "\"\"", "\"1e3\"", "9223372036854775808", "1e300", "true", "[]"] {
            assert!(fields(&format!("{{\"x\": {text}}}")).whole("x").is_err(), "{text}");
        }
        assert_eq!(told(fields("{\"x\": 4294967296}").small("x")), "x: 4294967296 does not fit into 32 bits");
    }

    #[test]
    fn spans_are_seconds_with_their_letter() {
        for (text, seconds, nanos) in
            [("1.5s", 1, 500_000_000), ("0s", 0, 0), ("-1.000000001s", -1, -1), (".5s", 0, 500_000_000), ("3.s", 3, 0)]
        {
            let span = fields(&format!("{{\"timeout\": \"{text}\"}}")).span("timeout").unwrap();
            assert_eq!(span, Some(Duration { seconds, nanos }), "{text}");
        }
        for text in [
            "1",
            "1.5",
            "\"1\"",
            "\"s\"",
            "\".s\"",
            "\"1.0000000001s\"",
            "\"1m\"",
            "\"--1s\"",
            "\"+1s\"",
            "\"99999999999999999999s\"",
            "true",
        ] {
            let message = told(fields(&format!("{{\"timeout\": {text}}}")).span("timeout"));
            assert!(message.starts_with("timeout: "), "{text}: {message}");
        }
    }

    #[test]
    fn places_are_told_to_the_last_field() {
        let read = |mut fields: Fields| fields.texts("labels").map(drop);
        let mut outer = fields("{\"list\": [{}, {\"labels\": {\"a\": 1}}]}");
        assert_eq!(told(outer.objects("list", read)), "list[1].labels.a: a number is not right: write a text");
        assert_eq!(told(fields("{\"list\": [null]}").objects("list", read)), "list[0]: null is not right: write an object");
    }

    #[test]
    fn a_query_is_text() {
        let mut query = Fields::of_query("pageSize=5&path=a%2Fb+c&recursive=true&x").unwrap();
        assert_eq!((query.small("page_size").unwrap(), query.text("path").unwrap().as_str()), (5, "a/b c"));
        assert!(query.flag("recursive").unwrap());
        assert_eq!(told(Fields::of_query("a=1&a=2").map(drop)), "a: given more than once");
        assert!(Fields::of_query("recursive=yes").unwrap().flag("recursive").is_err());
    }
}
