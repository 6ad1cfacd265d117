//! From the bytes of a body to a request, or to the field that is wrong.

use enclos_spec::policy::edit_distance;
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Longest value shown in a message, in characters.
const SHOWN: usize = 100;

/// Why a request was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// 400: the body is no JSON.
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    /// 400: a field is missing, unknown, of a wrong type or out of bounds.
    #[error("{detail}")]
    Field {
        /// Its path; empty: the document itself.
        field: String,
        /// Its value, as JSON, shortened; where it has one.
        value: Option<String>,
        /// One line that begins with the field.
        detail: String,
    },
    /// 415: the body does not say that it is JSON.
    #[error("Content-Type: {0} is not read here: send application/json")]
    MediaType(String),
}

/// A request, read strictly.
///
/// # Errors
/// [`Fault::Malformed`], [`Fault::Field`].
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize(&mut reader) {
        Ok(request) => match reader.end() {
            Ok(()) => Ok(request),
            Err(error) => Err(Fault::Malformed(format!("{error}: nothing may follow the JSON document"))),
        },
        Err(error) if error.inner().is_data() => Err(wrong_field(body, error.path(), &error.inner().to_string())),
        Err(error) => Err(Fault::Malformed(error.inner().to_string())),
    }
}

/// Refuses bodies that do not say they are JSON: a page in a browser can send others to any server, without asking it first.
///
/// # Errors
/// [`Fault::MediaType`].
pub fn expect_json(headers: &HeaderMap) -> Result<(), Fault> {
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media_type = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = given.map_or("none".to_owned(), |given| format!("{given:?}"));
    Err(Fault::MediaType(shortened(&what)))
}

/// A field that serde did not like. Its words end with a position, which says less than the path.
fn wrong_field(body: &[u8], path: &Path, words: &str) -> Fault {
    let words = words.split(" at line ").next().unwrap_or(words);
    let place = path.to_string();
    let place = if place == "." { "" } else { &place };
    // A field that is missing or twice there is named by the words alone; the path is that of what should hold it.
    let named = ["missing field `", "duplicate field `"].iter().find_map(|start| words.strip_prefix(start)?.strip_suffix('`'));
    let field = match named {
        Some(name) if place.is_empty() => name.to_owned(),
        Some(name) => format!("{place}.{name}"),
        None => place.to_owned(),
    };
    let mut detail = if field.is_empty() { words.to_owned() } else { format!("{field}: {words}") };
    if let Some(nearest) = nearest(words) {
        detail = format!("{detail}; did you mean `{nearest}`?");
    }
    let value = (named.is_none() && !field.is_empty())
        .then(|| serde_json::from_slice::<Value>(body).ok().and_then(|body| find(&body, path).map(shown)))
        .flatten();
    Fault::Field { field, value, detail: one_line(&detail) }
}

/// A name that the sender chose may hold the end of a line, or anything else that moves a cursor.
fn one_line(text: &str) -> String {
    let escaped = |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    text.chars().map(escaped).collect()
}

/// Of the words that serde lists, the one nearest to the word it does not know.
fn nearest(words: &str) -> Option<&str> {
    let rest = words.strip_prefix("unknown field `").or_else(|| words.strip_prefix("unknown variant `"))?;
    let (unknown, known) = rest.split_once("`, expected ")?;
    let near = |word: &&str| edit_distance(unknown, word);
    // What has next to nothing in common with it was not meant.
    known.split('`').skip(1).step_by(2).min_by_key(near).filter(|word| near(word) * 2 <= word.chars().count().max(2))
}

fn find<'a>(body: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(body, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { variant } => value.get(variant),
        Segment::Unknown => None,
    })
}

/// A value as compact JSON, shortened.
#[must_use]
pub fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

/// A text of bounded length.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_the_end_of_a_line_in_it_makes_one_line() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Request {
            #[serde(rename = "terminal")]
            _terminal: Option<u8>,
        }
        let fault = json::<Request>(br#"{"term\nal": 1}"#).unwrap_err();
        let told = "term\\nal: unknown field `term\\nal`, expected `terminal`; did you mean `terminal`?";
        assert_eq!((fault.to_string().as_str(), fault.to_string().lines().count()), (told, 1));
        assert!(matches!(fault, Fault::Field { field, .. } if field == "term\nal"), "the field is as it was sent");
    }
}
