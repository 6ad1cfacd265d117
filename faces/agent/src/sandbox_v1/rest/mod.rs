//! The interface as JSON over HTTP: 17 routes, as grpc-gateway answers them.
//!
//! Names in answers are lowerCamelCase and every field is there; requests may also use `snake_case`, and short lower-case words for enums. A
//! field that is not known is ignored, as clients expect; a word of an enum that is not known is refused, because to take it for "nothing" would
//! be to do something else than was asked (W-23). What the path says goes over what the body says.

mod calls;
mod decode;
mod paths;

use std::sync::Arc;

use enclos_host::axum::Router;
use enclos_host::axum::body::Body;
use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{HeaderName, HeaderValue, StatusCode, header};
use enclos_host::axum::response::Response;
use enclos_host::body::{Bodies, BodyError, holding};
use enclos_host::keys::{Head, Keys};
use enclos_proto::tonic::metadata::MetadataMap;
use enclos_proto::tonic::{Code, Status};
use serde::Serialize;

use super::access;
use super::service::Service;
use super::{Parts, status};
use paths::{Found, find};

/// What the routes need.
struct Rest {
    service: Service,
    keys: Arc<Keys>,
    bodies: Bodies,
    max_body: usize,
}

/// The routes, and the answers to all other paths.
pub fn router(parts: &Parts) -> Router {
    let rest = Rest {
        service: Service::new(parts),
        keys: Arc::clone(&parts.keys),
        bodies: parts.bodies.clone(),
        max_body: parts.options.max_body,
    };
    Router::new().fallback(answer).with_state(Arc::new(rest))
}

/// What goes wrong before there is a gRPC status for it: an HTTP status of its own.
struct Refusal {
    http: u16,
    status: Status,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Refusal { http: status::http(status.code()), status }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let (http, code) = match error {
            BodyError::TooLarge { .. } => (413, Code::ResourceExhausted),
            BodyError::TooSlow { .. } => (408, Code::DeadlineExceeded),
            BodyError::NoRoom => (503, Code::Unavailable),
            BodyError::Broken => (400, Code::InvalidArgument),
        };
        Refusal { http, status: Status::new(code, error.to_string()) }
    }
}

async fn answer(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    rest.answer(request).await.unwrap_or_else(|refusal| refused(&refusal))
}

impl Rest {
    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let (mut head, body) = request.into_parts();
        let (call, ids) = match find(&head.method, head.uri.path()) {
            Found::Call(call, id) => (call, id),
            Found::OtherMethod => return Err(Status::unimplemented("Method Not Allowed").into()),
            Found::Nothing => return Err(Status::not_found("Not Found").into()),
        };
        let (caller, admitted) = access::caller(&self.keys, &Head::take(&mut head))?;
        let held = self.bodies.read(body, self.max_body).await?;
        let asked = calls::Asked { caller, id: ids, query: head.uri.query().unwrap_or_default(), body: &held.bytes };
        let response = calls::carry_out(&self.service, call, asked).await?;
        Ok(response.map(|body| holding(body, (admitted, held.share))))
    }
}

/// 200 with a message.
fn written(message: &impl Serialize, metadata: &MetadataMap) -> Result<Response, Status> {
    let text = serde_json::to_vec(message).map_err(|_| Status::internal("internal error"))?;
    let mut response = json(StatusCode::OK, text);
    tell(&mut response, metadata);
    Ok(response)
}

fn json(status: StatusCode, text: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error as clients know it.
#[derive(Serialize)]
struct Told<'a> {
    code: i32,
    message: &'a str,
    details: [(); 0],
}

fn refused(refusal: &Refusal) -> Response {
    let status = &refusal.status;
    let told = Told { code: status.code().into(), message: status.message(), details: [] };
    let text = serde_json::to_vec(&told).unwrap_or_default();
    let mut response = json(StatusCode::from_u16(refusal.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text);
    if status.code() == Code::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    tell(&mut response, status.metadata());
    response
}

/// What has no field in a message: ours, and when to come again.
fn tell(response: &mut Response, metadata: &MetadataMap) {
    for (name, value) in metadata.as_ref() {
        if name.as_str().starts_with("x-enclos-") || name == header::RETRY_AFTER {
            response.headers_mut().insert(HeaderName::clone(name), value.clone());
        }
    }
}
