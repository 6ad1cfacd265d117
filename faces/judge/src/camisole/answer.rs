//! Answers, in the format that the client takes.

use enclos_host::axum::body::Body;
use enclos_host::axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use enclos_host::axum::response::Response;
use enclos_host::body::{Bodies, keeping};

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

    /// As the client wants it. What `bodies` has no room for is not sent.
    pub fn encode(&self, accepted: &[Format], bodies: &Bodies) -> Response {
        let encoded = accepted.iter().find_map(|format| Some((*format, format.encode(&self.value)?)));
        match encoded {
            Some((format, bytes)) => match bodies.share(bytes.len()) {
                Ok(share) => respond(self.status, format, keeping(bytes.into(), share), self.retry_after),
                Err(no_room) => refuse(StatusCode::SERVICE_UNAVAILABLE, &no_room.to_string(), Some(1)),
            },
            None => {
                let why = if accepted.is_empty() { NOTHING_ACCEPTED } else { NEEDS_MESSAGE_PACK };
                refuse(StatusCode::NOT_ACCEPTABLE, why, None)
            }
        }
    }
}

/// An error that is said whatever the client accepts.
fn refuse(status: StatusCode, why: &str, retry_after: Option<u64>) -> Response {
    let bytes = Format::Json.encode(&Answer::error(status, why).value).unwrap_or_default();
    respond(status, Format::Json, bytes.into(), retry_after)
}

fn respond(status: StatusCode, format: Format, body: Body, retry_after: Option<u64>) -> Response {
    let mut response = Response::new(body);
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
