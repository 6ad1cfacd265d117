//! Who calls.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::body::Body;
use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::middleware::Next;
use enclos_host::axum::response::Response;
use enclos_host::body::{holding, prompt};
use enclos_host::keys::{Admitted, Denied, Head, Keys};
use enclos_proto::tonic::{self, Code, Status};

use crate::api::Caller;

/// The caller whom the head of a request tells, counted until `Admitted` is dropped.
pub fn caller(keys: &Keys, head: &Head) -> Result<(Caller, Admitted), Status> {
    let admitted = keys.admit(head).map_err(|denied| refused(&denied))?;
    Ok((Caller { name: Arc::clone(admitted.name()), operator: keys.is_open() }, admitted))
}

fn refused(denied: &Denied) -> Status {
    // What passes is told when; who is not known is not known.
    let code = if denied.retry_after().is_some() { Code::ResourceExhausted } else { Code::Unauthenticated };
    let mut status = Status::new(code, denied.to_string());
    if let Some(after) = denied.retry_after() {
        status.metadata_mut().insert("retry-after", after.as_secs().into());
    }
    status
}

/// Lets a gRPC request in, with its [`Caller`] in its extensions. It is counted until its answer has ended, and must not stop in the middle.
pub async fn grpc(State((keys, patience)): State<(Arc<Keys>, Duration)>, request: Request, next: Next) -> Response {
    // An upload has the same patience, and better words: it is to end first.
    let_in(&keys, request.map(|body| prompt(body, patience * 2)), next).await
}

/// The same for one that may be silent as long as it likes.
pub async fn lasting(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    let_in(&keys, request, next).await
}

async fn let_in(keys: &Keys, mut request: Request, next: Next) -> Response {
    match caller(keys, &Head::of(&request)) {
        Ok((caller, admitted)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await.map(|body| holding(body, admitted))
        }
        Err(status) => status.into_http::<tonic::body::Body>().map(Body::new),
    }
}
