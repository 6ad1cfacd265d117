//! Answers, in the format that the client takes.

use enclos_host::axum::body::Body;
use enclos_host::axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use enclos_host::axum::response::Response;

use super::format::Format;
use super::value::Value;

const NEEDS_MESSAGE_PACK: &str = "use 'Accept: application/msgpack' to be able to receive binary payloads";
const NOTHING_ACCEPTED: &str = "use 'Accept: application/json' or 'Accept: application/msgpack'";

/// What is said to a client.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    value: Value,
    retry_after: Option<u64>,
}

impl Answer {
    /// `"success": true`, and these.
    pub fn success<K: Into<String>>(fields: impl IntoIterator<Item = (K, Value)>) -> Answer {
        let mut value: std::collections::BTreeMap<String, Value> = fields.into_iter().map(|(key, value)| (key.into(), value)).collect();
        value.insert("success".to_owned(), Value::Bool(true));
        Answer { status: StatusCode::OK, value: Value::Map(value), retry_after: None }
    }

    /// `"success": false`, and why: one line.
    pub fn error(status: StatusCode, error: impl Into<String>) -> Answer {
        let value = Value::map([("success", Value::Bool(false)), ("error", Value::Text(error.into()))]);
        Answer { status, value, retry_after: None }
    }

    /// The same, to be tried again after so many seconds.
    pub fn retry(status: StatusCode, error: impl Into<String>, seconds: u64) -> Answer {
        Answer { retry_after: Some(seconds.max(1)), ..Answer::error(status, error) }
    }

    /// As the client wants it.
    pub fn encode(&self, accepted: &[Format]) -> Response {
        let encoded = accepted.iter().find_map(|format| Some((*format, format.encode(&self.value)?)));
        match encoded {
            Some((format, bytes)) => respond(self.status, format, bytes, self.retry_after),
            None => {
                let why = if accepted.is_empty() { NOTHING_ACCEPTED } else { NEEDS_MESSAGE_PACK };
                let value = Answer::error(StatusCode::NOT_ACCEPTABLE, why).value;
                let bytes = Format::Json.encode(&value).unwrap_or_default();
                respond(StatusCode::NOT_ACCEPTABLE, Format::Json, bytes, None)
            }
        }
    }
}

fn respond(status: StatusCode, format: Format, bytes: Vec<u8>, retry_after: Option<u64>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What the headers of a request accept; without an `Accept`: everything.
#[must_use]
pub fn accepted(headers: &HeaderMap) -> Vec<Format> {
    let ranges: Vec<_> = headers.get_all(header::ACCEPT).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    Format::accepted(&if ranges.is_empty() { "*/*".to_owned() } else { ranges.join(",") })
}
