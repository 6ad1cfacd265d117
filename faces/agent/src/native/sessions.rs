//! Shells that last.

use std::sync::Arc;

use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::Uri;
use enclos_host::keys::Head;

use super::query::{PAGE, Query};
use super::{Answer, Id, Served, build, id, no_content, wire};

pub(super) async fn create(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive_any::<wire::NewSession>(request).await?;
    let (sandbox, new) = (id(path)?, build::session(call.given)?);
    let (server, caller, of) = (Arc::clone(&native), call.caller.clone(), sandbox.clone());
    let make = async move { server.call(move |agent| agent.create_session(&caller, &of, &new)).await.map(wire::Session::from) };
    let place = |made: &wire::Session| format!("/v1/agent/sessions/{}", made.id);
    let said: [&[u8]; 3] = [b"session", sandbox.as_bytes(), &call.held.bytes];
    native.once.make(&call.caller, &call.headers, &said, place, make).await
}

pub(super) async fn list(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (id, page) = (id(path)?, Query::of(&uri, &PAGE)?.page()?);
    native.look::<_, wire::Sessions>(&headers, move |agent, caller| agent.sessions(caller, &id, &page)).await
}

pub(super) async fn show(State(native): Served, path: Id, headers: Head) -> Answer {
    let id = id(path)?;
    native.look::<_, wire::Session>(&headers, move |agent, caller| agent.session(caller, &id)).await
}

pub(super) async fn destroy(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    native.call(move |agent| agent.destroy_session(&caller, &id)).await?;
    Ok(no_content())
}
