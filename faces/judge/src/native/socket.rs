//! `GET /v1/runs/stream`: a run to talk to, over a WebSocket (RFC 6455).
//!
//! The first message is the request of a run. After it the client sends [`ClientMessage`]s as text, or standard input as binary messages;
//! back come the events of a stream, one to a message, and then the close. A client that goes away ends its run.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::extract::State;
use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::keys::{Admitted, Head};
use enclos_host::tokio::{self, time::timeout};
use enclos_host::wire::same_origin;

use super::events::ears;
use super::input::{Input, TooMuch};
use super::problem::Problem;
use super::runs::Served;
use super::stream::Hearing;
use super::wire::{ClientMessage, Event, RunRequest};
use super::{Native, build, decode};
use crate::api::Cancel;
use crate::work::submit_observed;

/// For the first message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The end came as it should (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
/// The client asked for what cannot be done.
const POLICY: u16 = 1008;

pub(super) async fn connect(
    State(native): Served,
    headers: Head,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let admitted = match native.keys.admit(&headers) {
        Ok(admitted) => admitted,
        Err(denied) => return Problem::from(denied).into_response(),
    };
    if !same_origin(&headers) {
        let detail = "Origin: is not this server's own";
        return Problem::new(StatusCode::FORBIDDEN, "origin", "Pages of other sites may not connect", detail).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) => return no_upgrade(),
    };
    let most = native.options.max_body;
    upgrade.max_message_size(most).max_frame_size(most).on_upgrade(move |socket| serve(socket, native, admitted))
}

fn no_upgrade() -> Response {
    let detail = "this address speaks WebSocket only: send the headers of RFC 6455 section 4.1";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade", "A WebSocket is needed", detail).into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

async fn serve(mut socket: WebSocket, native: Arc<Native>, admitted: Admitted) {
    let (code, last) = match begin(&mut socket, &native, &admitted).await {
        None => return,
        Some(Err(problem)) => (POLICY, Some(Event::Problem { problem })),
        Some(Ok(session)) => match talk(&mut socket, session).await {
            None => return,
            Some(Err(problem)) => (POLICY, Some(Event::Problem { problem })),
            Some(Ok(())) => (NORMAL, None),
        },
    };
    if let Some(event) = last
        && send(&mut socket, &event).await.is_none()
    {
        return;
    }
    let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    // A client that is gone needs no goodbye.
    let _ = timeout(PATIENCE, socket.send(close)).await;
}

/// A run that was submitted.
struct Session {
    hearing: Hearing,
    input: Arc<Input>,
    cancel: Cancel,
}

/// The first message; `None`: the client is gone.
async fn begin(socket: &mut WebSocket, native: &Native, admitted: &Admitted) -> Option<Result<Session, Problem>> {
    let first = async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Text(text))) => return Some(text.as_bytes().to_vec()),
                Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    };
    match timeout(PATIENCE, first).await {
        Err(_) => {
            let detail = format!("no request came within {} s", PATIENCE.as_secs());
            Some(Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The request came too slowly", detail)))
        }
        Ok(first) => Some(start(native, admitted, &first?)),
    }
}

fn start(native: &Native, admitted: &Admitted, request: &[u8]) -> Result<Session, Problem> {
    let request: RunRequest = decode::json(request)?;
    if request.r#async || request.callback.is_some() {
        let field = if request.r#async { "async" } else { "callback" };
        return Err(Problem::refused(field, "a run over a WebSocket is not asynchronous: leave it out"));
    }
    let live = request.live;
    let mut job = build::job(request)?;
    native.foresee(&job)?;
    job.interactive = true;
    let (input, cancel) = (Arc::new(Input::default()), Cancel::new());
    let (ears, events) = ears(live, Some(Arc::clone(&input)));
    let submitted = submit_observed(&native.queue, admitted.name(), job, cancel.clone(), Box::new(ears))?;
    Ok(Session { hearing: Hearing::new(submitted, events), input, cancel })
}

/// Until the run ends; `None`: the client is gone.
async fn talk(socket: &mut WebSocket, mut session: Session) -> Option<Result<(), Problem>> {
    let mut cancelled = false;
    loop {
        let event = tokio::select! {
            event = session.hearing.next() => event,
            message = socket.recv() => match heard(&session, message?.ok()?) {
                Heard::Nothing => continue,
                Heard::Cancel => {
                    cancelled = true;
                    session.cancel.cancel();
                    continue;
                }
                Heard::Gone => return None,
                Heard::Wrong(problem) => return Some(Err(problem)),
            },
        };
        let Some(event) = event else { return Some(Ok(())) };
        let event = match event {
            // Not that the server goes down, which is what it would mean otherwise.
            Event::Problem { .. } if cancelled => Event::Problem { problem: by_client() },
            event => event,
        };
        send(socket, &event).await?;
    }
}

fn by_client() -> Problem {
    Problem::new(StatusCode::CONFLICT, "cancelled", "The run was cancelled", "the client cancelled the run")
}

enum Heard {
    Nothing,
    Cancel,
    Gone,
    Wrong(Problem),
}

/// What the client said.
fn heard(session: &Session, message: Message) -> Heard {
    let message = match message {
        Message::Text(text) => match decode::json(text.as_bytes()) {
            Ok(message) => message,
            Err(problem) => return Heard::Wrong(problem),
        },
        Message::Binary(bytes) => return written(session.input.write(&bytes)),
        Message::Ping(_) | Message::Pong(_) => return Heard::Nothing,
        Message::Close(_) => return Heard::Gone,
    };
    match message {
        ClientMessage::Stdin { data } => written(session.input.write(&data.0)),
        ClientMessage::StdinEnd {} => {
            session.input.end();
            Heard::Nothing
        }
        // One that comes before the start or after the end finds nobody, as with any process.
        ClientMessage::Signal { signal } => {
            session.input.signal(signal.0);
            Heard::Nothing
        }
        ClientMessage::Cancel {} => Heard::Cancel,
    }
}

fn written(result: Result<(), TooMuch>) -> Heard {
    match result {
        Ok(()) => Heard::Nothing,
        Err(error) => Heard::Wrong(Problem::refused("data", &error.to_string())),
    }
}

/// `None`: the client is gone.
async fn send(socket: &mut WebSocket, event: &Event) -> Option<()> {
    let text = serde_json::to_string(event).ok()?;
    socket.send(Message::Text(text.into())).await.ok()
}
