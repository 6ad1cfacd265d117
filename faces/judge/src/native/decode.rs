//! From the bytes of a body to a request, or to the problem with it.

use enclos_host::axum::http::{HeaderMap, StatusCode};
use enclos_host::wire::{self, Fault};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A request, read strictly.
///
/// # Errors
///
/// 400: the body is no JSON, or a field is missing, unknown, of a wrong type or out of bounds.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    wire::json(body).map_err(Problem::from)
}

/// Refuses bodies that do not say they are JSON.
///
/// # Errors
///
/// 415.
pub fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    wire::expect_json(headers).map_err(Problem::from)
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let detail = fault.to_string();
        match fault {
            Fault::Malformed(_) => Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail),
            Fault::MediaType(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body must be JSON", detail),
            Fault::Field { field, value, .. } => {
                let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid-field", "A field is wrong", detail);
                problem.field = (!field.is_empty()).then(|| field.into());
                problem.value = value.map(Into::into);
                problem
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::wire::RunRequest;
    use enclos_host::axum::http::header;

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
            (r#"{"language": "c", "tests": [{"sdtin": ""}]}"#, "tests[0].sdtin", Some("\"\""), "did you mean `stdin`?"),
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
        assert!(problem.value.unwrap().chars().count() <= 101);
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
