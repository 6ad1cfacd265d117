//! What was changed in a sandbox, and what becomes of it.

use std::sync::Arc;

use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{StatusCode, Uri};
use enclos_host::keys::Head;

use super::problem::Problem;
use super::query::{PAGE, Query};
use super::{Answer, Id, Served, build, id, no_content, sandboxes, to_json, wire};
use crate::api::{self, Committed};

pub(super) async fn diff(State(native): Served, path: Id, headers: Head) -> Answer {
    let id = id(path)?;
    native.look::<_, wire::Changes>(&headers, move |agent, caller| agent.diff(caller, &id)).await
}

pub(super) async fn commit(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive_any::<wire::Commit>(request).await?;
    let (id, caller) = (id(path)?, call.caller);
    let how = api::Commit { drop_denied: call.given.drop_denied, author: call.given.author.unwrap_or_default() };
    let all = |changes: Vec<api::Change>| changes.into_iter().map(Into::into).collect();
    match native.call(move |agent| agent.commit(&caller, &id, &how)).await? {
        Committed::Made { version, changes, dropped } => {
            let made = wire::Committed { version: Some(version), changes: all(changes), dropped: all(dropped) };
            to_json(StatusCode::OK, &made)
        }
        Committed::Nothing => to_json(StatusCode::OK, &wire::Committed { version: None, changes: Vec::new(), dropped: Vec::new() }),
        Committed::Denied(changes) => Err(Problem::denied(changes)),
        Committed::Conflicts(conflicts) => Err(Problem::conflicts(conflicts)),
    }
}

pub(super) async fn rollback(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive_any::<wire::Rollback>(request).await?;
    let (id, caller, onto, endings) = (id(path)?, call.caller, call.given.onto, build::endings(call.given.end_processes));
    let sandbox = native.call(move |agent| agent.rollback(&caller, &id, onto, endings)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn restore(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive::<wire::Restore>(request).await?;
    let (id, caller, given) = (id(path)?, call.caller, call.given);
    let endings = build::endings(given.end_processes);
    let sandbox = native.call(move |agent| agent.restore(&caller, &id, &given.snapshot_id, endings)).await?;
    to_json(StatusCode::OK, &wire::Sandbox::from(sandbox))
}

pub(super) async fn snapshot(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    let (server, sandbox, by) = (Arc::clone(&native), id.clone(), caller.clone());
    let make = async move { server.call(move |agent| agent.snapshot(&by, &sandbox)).await.map(wire::Snapshot::from) };
    let place = |made: &wire::Snapshot| format!("/v1/agent/snapshots/{}", made.id);
    native.once.make(&caller, &headers, &[b"snapshot", id.as_bytes()], place, make).await
}

pub(super) async fn snapshots(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (id, page) = (id(path)?, Query::of(&uri, &PAGE)?.page()?);
    native.look::<_, wire::Snapshots>(&headers, move |agent, caller| agent.snapshots(caller, &id, &page)).await
}

pub(super) async fn delete_snapshot(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    native.call(move |agent| agent.delete_snapshot(&caller, &id)).await?;
    Ok(no_content())
}

pub(super) async fn fork(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    let (server, sandbox, by) = (Arc::clone(&native), id.clone(), caller.clone());
    let make = async move { server.call(move |agent| agent.fork(&by, &sandbox)).await.map(wire::Sandbox::from) };
    native.once.make(&caller, &headers, &[b"fork", id.as_bytes()], sandboxes::place, make).await
}
