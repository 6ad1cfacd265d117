//! Commands: in a sandbox, in a session, and in a sandbox made for one; answered when they end, or told as they run.

use std::sync::Arc;

use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::StatusCode;
use enclos_host::tokio::task::spawn_blocking;
use enclos_host::wire::wants_events;

use super::problem::Problem;
use super::{Answer, Call, Id, Leaving, Native, Served, build, id, stream, to_json, wire};
use crate::api::{self, Agent, Cancel, ExecResult, NoWatcher, Watcher};

/// Bytes of output above which an answer is written on a thread of its own.
const LARGE: usize = 256 << 10;

pub(super) async fn exec(State(native): Served, path: Id, request: Request) -> Answer {
    let mut call = native.receive::<wire::ExecRequest>(request).await?;
    let (id, exec, caller) = (id(path)?, build::exec(std::mem::take(&mut call.given))?, call.caller.clone());
    let work = move |agent: &dyn Agent, cancel: &Cancel, watcher: &dyn Watcher| agent.exec(&caller, &id, &exec, cancel, watcher);
    carry_out(&native, call, work).await
}

pub(super) async fn run(State(native): Served, request: Request) -> Answer {
    let mut call = native.receive::<wire::RunRequest>(request).await?;
    let ((new, exec), caller) = (build::run(std::mem::take(&mut call.given))?, call.caller.clone());
    let work = move |agent: &dyn Agent, cancel: &Cancel, watcher: &dyn Watcher| agent.run(&caller, &new, &exec, cancel, watcher);
    carry_out(&native, call, work).await
}

pub(super) async fn session_exec(State(native): Served, path: Id, request: Request) -> Answer {
    let call = native.receive::<wire::SessionExec>(request).await?;
    if call.given.command.is_empty() {
        return Err(Problem::invalid("command", "\"\" is no command: write a command line"));
    }
    let (id, command, timeout, caller) =
        (id(path)?, call.given.command.clone(), call.given.timeout.map(|span| span.0), call.caller.clone());
    let work = move |agent: &dyn Agent, cancel: &Cancel, watcher: &dyn Watcher| {
        agent.session_exec(&caller, &id, &command, timeout, cancel, watcher)
    };
    carry_out(&native, call, work).await
}

async fn carry_out<T: Send + 'static>(
    native: &Arc<Native>,
    call: Call<T>,
    work: impl FnOnce(&dyn Agent, &Cancel, &dyn Watcher) -> api::Result<ExecResult> + Send + 'static,
) -> Answer {
    if !wants_events(&call.headers) {
        let result = native.long(move |agent, cancel| work(agent, cancel, &NoWatcher)).await?;
        if result.stdout.len() + result.stderr.len() <= LARGE {
            return to_json(StatusCode::OK, &wire::ExecResult::from(result));
        }
        let write = move || to_json(StatusCode::OK, &wire::ExecResult::from(result));
        return spawn_blocking(write).await.map_err(|error| Problem::internal(&error))?;
    }
    let (agent, leaving) = (Arc::clone(&native.agent), Leaving::default());
    let (ears, mut told) = stream::Ears::events()?;
    let cancel = leaving.0.clone();
    // What comes of it is told over the channel.
    drop(native.long.run(move || {
        let result = work(&*agent, &cancel, &ears);
        ears.end(result);
    })?);
    // A command that does not start is an error like any other, and no stream.
    match told.recv().await {
        Some(Ok(first)) => Ok(stream::respond(Some(first), told, leaving, call)),
        Some(Err(problem)) => Err(*problem),
        None => Err(Problem::internal(&"a command ended without a word")),
    }
}
