//! From the bytes of a body to a request, or to the field that is wrong.

use enclos_host::axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::problem::Problem;

/// Longest value shown in a problem, in characters.
const SHOWN: usize = 100;

/// A request, read strictly.
///
/// # Errors
///
/// 400: the body is no JSON, or a field is missing, unknown, of a wrong type or out of bounds.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    match read {
        Ok(request) => match reader.end() {
            Ok(()) => Ok(request),
            Err(error) => Err(malformed(&format!("{error}: nothing may follow the JSON document"))),
        },
        Err(error) if error.inner().is_data() => Err(wrong_field(body, error.path(), &error.inner().to_string())),
        Err(error) => Err(malformed(&error.inner().to_string())),
    }
}

/// Refuses bodies that do not say they are JSON: a page in a browser can send others to any server, without asking it first.
///
/// # Errors
///
/// 415.
pub fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media_type = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = given.map_or("none".to_owned(), |given| format!("{given:?}"));
    let detail = format!("Content-Type: {} is not read here: send application/json", shortened(&what));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body must be JSON", detail))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", format!("the body is not JSON: {detail}"))
}

/// A field that serde did not like. Its words end with a position, which says less than the path.
fn wrong_field(body: &[u8], path: &Path, words: &str) -> Problem {
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
    let detail = if field.is_empty() { words.to_owned() } else { format!("{field}: {words}") };
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "invalid-field", "A field is wrong", detail);
    if named.is_none() && !field.is_empty() {
        problem.value = serde_json::from_slice::<Value>(body).ok().and_then(|body| find(&body, path).map(|value| shown(value).into()));
    }
    problem.field = (!field.is_empty()).then(|| field.into());
    problem
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
pub(super) fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::wire::RunRequest;

    fn wrong(body: &str) -> Problem {
        json::<RunRequest>(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value_and_what_would_be_right() {
        for (body, field, value, says) in [
            (r#"{"language": "c", "tests": [{}, {"limits": {"cpu_ms": 0}}]}"#, "tests[1].limits.cpu_ms", Some("0"), "from 1 to 86400000"),
            (r#"{"language": 5}"#, "language", Some("5"), "expected a string"),
            (r#"{"language": "c", "runs": 101}"#, "runs", Some("101"), "expected a whole number from 1 to 100"),
            (r#"{"language": "c", "tests": [{"checker": {"kind": "fuzzy"}}]}"#, "tests[0].checker.kind", Some("\"fuzzy\""), "`exact`"),
            (r#"{"language": "c", "tests": [{"sdtin": ""}]}"#, "tests[0].sdtin", Some("\"\""), "unknown field `sdtin`"),
            (r#"{"language": "c", "language": "c"}"#, "language", None, "duplicate field"),
            (r#"{"language": "c", "tests": [{"files_in": [{"name": "x"}]}]}"#, "tests[0].files_in[0].contents", None, "missing field"),
            (r#"{"language": "c", "compile": null}"#, "compile", Some("null"), "CompileOptions"),
        ] {
            let problem = wrong(body);
            assert_eq!(
                (problem.status, problem.field.as_deref(), problem.value.as_deref()),
                (400, Some(field), value),
                "{body}: {problem:?}"
            );
            assert!(problem.detail.starts_with(field) && problem.detail.contains(says), "{body}: {}", problem.detail);
            assert!(!problem.detail.contains(" line "), "{}", problem.detail);
        }
        let problem = wrong("{}");
        assert_eq!((problem.field.as_deref(), &*problem.detail), (Some("language"), "language: missing field `language`"));
    }

    #[test]
    fn a_list_is_no_object_and_an_object_no_word() {
        for (body, field) in [
            (r#"["c", "source"]"#, None),
            (r#"{"language": "c", "tests": [["name"]]}"#, Some("tests[0]")),
            (r#"{"language": "c", "tests": [{"limits": [1]}]}"#, Some("tests[0].limits")),
            (r#"{"language": "c", "compile": []}"#, Some("compile")),
            (r#"{"language": "c", "tests": [{"checker": {"kind": {"exact": null}}}]}"#, Some("tests[0].checker.kind")),
            (r#"{"language": "c", "source": {"data": "", "encoding": {"utf-8": null}}}"#, Some("source.encoding")),
        ] {
            let problem = wrong(body);
            assert_eq!((problem.status, problem.field.as_deref()), (400, field), "{body}: {problem:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        let deep = "[".repeat(100_000);
        for body in
            ["", "{", "{\"language\": \"c\"} x", "nul", "{\"language\": \"\\ud800\"}", &deep, "{\"runs\": 1e999, \"language\": \"\"}"]
        {
            let problem = wrong(body);
            assert_eq!(problem.status, 400);
            assert!(problem.detail.chars().count() < 300, "{}", problem.detail);
        }
        let problem = json::<RunRequest>(b"{\"language\": \"\xff\"}").unwrap_err();
        assert_eq!(problem.status, 400);
    }

    #[test]
    fn a_long_value_is_shortened() {
        let problem = wrong(&format!("{{\"language\": [\"{}\"]}}", "é".repeat(10_000)));
        assert!(problem.value.unwrap().chars().count() <= SHOWN + 1);
    }

    #[test]
    fn only_json_is_json() {
        let with = |value: &str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        for good in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(expect_json(&with(good)), Ok(()));
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"] {
            assert_eq!(expect_json(&with(bad)).unwrap_err().status, 415);
        }
        assert_eq!(expect_json(&HeaderMap::new()).unwrap_err().status, 415);
    }
}
