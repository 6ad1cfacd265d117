//! `/v1/agent/sandboxes`: their lives, rules and ends; and what they can be made of.

use std::sync::Arc;

use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{StatusCode, Uri};
use enclos_host::keys::Head;

use super::query::{PAGE, Query};
use super::{Answer, Id, Served, build, id, no_content, to_json, wire};
use crate::api::{Preset, SandboxFilter, SandboxStatus};

pub(super) fn place(made: &wire::Sandbox) -> String {
    format!("/v1/agent/sandboxes/{}", made.id)
}

pub(super) async fn create(State(native): Served, request: Request) -> Answer {
    let call = native.receive::<wire::NewSandbox>(request).await?;
    let new = build::sandbox(call.given)?;
    let (server, caller) = (Arc::clone(&native), call.caller.clone());
    let make = async move { server.call(move |agent| agent.create_sandbox(&caller, &new)).await.map(wire::Sandbox::from) };
    native.once.make(&call.caller, &call.headers, &[b"sandbox", &call.held.bytes], place, make).await
}

/// The words of states.
const STATES: [SandboxStatus; 4] = [SandboxStatus::Pending, SandboxStatus::Running, SandboxStatus::Stopped, SandboxStatus::Error];

pub(super) async fn list(State(native): Served, uri: Uri, headers: Head) -> Answer {
    let query = Query::of(&uri, &[PAGE[0], PAGE[1], "codebase_id", "status", "label."])?;
    let page = query.page()?;
    let filter = SandboxFilter {
        codebase_id: query.text("codebase_id").map(str::to_owned),
        labels: query.starting("label.").collect(),
        status: query.word("status", &STATES.map(|state| (wire::status_word(state), state)))?,
    };
    native.look::<_, wire::Sandboxes>(&headers, move |agent, caller| agent.sandboxes(caller, &filter, &page)).await
}

pub(super) async fn show(State(native): Served, path: Id, headers: Head) -> Answer {
    let id = id(path)?;
    native.look::<_, wire::Sandbox>(&headers, move |agent, caller| agent.sandbox(caller, &id)).await
}

pub(super) async fn destroy(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    native.call(move |agent| agent.destroy(&caller, &id)).await?;
    Ok(no_content())
}

pub(super) async fn start(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    let sandbox = native.call(move |agent| agent.start(&caller, &id)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn stop(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    let sandbox = native.call(move |agent| agent.stop(&caller, &id)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn set_rules(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive::<wire::SetRules>(request).await?;
    let (id, (rules, endings), caller) = (id(path)?, build::set_rules(call.given)?, call.caller);
    let sandbox = native.call(move |agent| agent.set_rules(&caller, &id, &rules, endings)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn explain(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (id, query) = (id(path)?, Query::of(&uri, &["path"])?);
    let path = query.text("path").unwrap_or("/").to_owned();
    native.look::<_, wire::Explanation>(&headers, move |agent, caller| agent.explain(caller, &id, &path)).await
}

pub(super) async fn set_expiry(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive::<wire::SetExpiry>(request).await?;
    let (id, span, caller) = (id(path)?, call.given.expires_in.map(|span| span.0), call.caller);
    let sandbox = native.call(move |agent| agent.set_expiry(&caller, &id, span)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn images(State(native): Served, headers: Head) -> Answer {
    native.look::<_, wire::Images>(&headers, |agent, caller| agent.images(caller)).await
}

pub(super) async fn presets(State(native): Served, headers: Head) -> Answer {
    native.caller(&headers)?;
    to_json(StatusCode::OK, &wire::Presets::from(Preset::ALL.to_vec()))
}
