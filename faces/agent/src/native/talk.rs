//! `GET /v1/agent/sandboxes/{id}/exec/stream`: a command to talk to, over a WebSocket (RFC 6455).
//!
//! The first message is a `StreamedExec`. After it the client sends `ClientMessage`s as text, or standard input as binary messages; back come the
//! events of a stream, one to a message, and then the close. A client that goes away ends its command.
//!
//! One task owns the connection. It reads from the client while there is room for what is said ([`Talk`]), whether or not the client reads, and the
//! command's thread tells it of output over a short queue: each side is held up by the other, and nothing piles up here.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::extract::State;
use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::StatusCode;
use enclos_host::bytes::Bytes;
use enclos_host::keys::Head;
use enclos_host::tokio;
use enclos_host::tokio::sync::mpsc::Receiver;
use enclos_host::tokio::time::{sleep, timeout};
use enclos_host::wire::json;

use super::problem::Problem;
use super::socket::{Happened, Line, NORMAL, POLICY, Socket};
use super::stream::{ALIVE, Ears};
use super::wire::{ClientMessage, Event, StreamedExec};
use super::{Answer, Id, Leaving, Served, build};
use crate::api::{Interaction, Talk};

/// For the first message.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn connect(
    State(native): Served,
    path: Id,
    headers: Head,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let (line, upgrade) = match Line::asked(native, path, &headers, upgrade)? {
        Ok(asked) => asked,
        Err(response) => return Ok(response),
    };
    // What can be told before it speaks WebSocket is.
    let (of, by) = (line.id.clone(), line.caller.clone());
    line.native.call(move |agent| agent.sandbox(&by, &of)).await?;
    Ok(upgrade.on_upgrade(move |socket| line.talk(socket)))
}

/// A command that was started, as who talks to it has it.
struct Running {
    talk: Talk,
    terminal: bool,
    /// Ends it when it is dropped.
    leaving: Leaving,
}

/// What it says.
type Told = Receiver<Result<String, Box<Problem>>>;

/// Why a conversation ended; `None`: the client is gone.
type Over = Option<Result<(), Problem>>;

impl Line {
    async fn talk(self, mut socket: WebSocket) {
        let first = first(&mut socket).await;
        let mut socket = Socket::new(socket);
        let over = match first {
            Some(Ok(request)) => match self.start(&request) {
                Ok((running, told)) => talk(&mut socket, &running, told).await,
                Err(problem) => Some(Err(problem)),
            },
            Some(Err(problem)) => Some(Err(problem)),
            None => None,
        };
        let (code, last) = match over {
            None => return,
            Some(Ok(())) => (NORMAL, None),
            Some(Err(problem)) => (POLICY, Some(text(&Event::Error { error: problem.into_info() }))),
        };
        socket.goodbye(last, code).await;
    }

    fn start(&self, request: &[u8]) -> Result<(Running, Told), Problem> {
        let (exec, terminal) = build::streamed(json::<StreamedExec>(request)?)?;
        let (talk, leaving) = (Talk::new()?, Leaving::default());
        let (ears, told) = Ears::channel(|event| event.map(|event| text(&event)).map_err(|error| Box::new(error.into())))?;
        let (agent, caller, id) = (Arc::clone(&self.native.agent), self.caller.clone(), self.id.clone());
        let (with, cancel) = (Interaction { talk: talk.clone(), terminal }, leaving.0.clone());
        // What comes of it is told over the channel.
        drop(self.native.long.run(move || {
            let result = agent.interact(&caller, &id, &exec, &with, &cancel, &ears);
            ears.end(result);
        })?);
        Ok((Running { talk, terminal: terminal.is_some(), leaving }, told))
    }
}

fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

/// The first message; `None`: the client is gone.
async fn first(socket: &mut WebSocket) -> Option<Result<Bytes, Problem>> {
    let first = async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Text(text))) => return Some(Bytes::from(text)),
                Some(Ok(Message::Binary(bytes))) => return Some(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    };
    match timeout(PATIENCE, first).await {
        Ok(first) => first.map(Ok),
        Err(_) => {
            let message = format!("no request came within {} s", PATIENCE.as_secs());
            Some(Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)))
        }
    }
}

/// Until the command ends.
async fn talk(socket: &mut Socket, running: &Running, mut told: Told) -> Over {
    loop {
        let talk = &running.talk;
        tokio::select! {
            told = told.recv(), if socket.is_free() => match told {
                None => return Some(Ok(())),
                Some(Ok(text)) => socket.put(Message::Text(text.into())),
                Some(Err(problem)) => return Some(Err(*problem)),
            },
            happened = socket.next(|context| talk.poll_room(context)) => match happened {
                Happened::Said(message) => if let Err(problem) = hear(message, running) { return Some(Err(problem)) },
                Happened::Sent => {}
                Happened::Gone => return None,
            },
            // So that nobody on the way takes the connection for dead.
            () = sleep(ALIVE), if socket.is_free() => socket.put(Message::Ping(Bytes::new())),
        }
    }
}

/// What the client says.
fn hear(message: Message, running: &Running) -> Result<(), Problem> {
    let talk = &running.talk;
    let message = match message {
        Message::Text(text) => json(text.as_bytes())?,
        Message::Binary(bytes) => {
            talk.write(bytes);
            return Ok(());
        }
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
    };
    match message {
        ClientMessage::Stdin { data } => talk.write(data.0.into()),
        ClientMessage::StdinEnd {} => talk.end(),
        ClientMessage::Signal { signal } => talk.signal(signal.0),
        ClientMessage::Resize { .. } if !running.terminal => {
            return Err(Problem::invalid("type", "resize: the command has no terminal: give it one with terminal"));
        }
        ClientMessage::Resize { rows, cols } => {
            let (rows, cols) = build::rows_and_cols("rows", rows, cols)?;
            talk.resize(rows, cols);
        }
        ClientMessage::Cancel {} => running.leaving.0.cancel(),
    }
    Ok(())
}
