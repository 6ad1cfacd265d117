//! `GET /v1/agent/sessions/{id}/terminal`: a session's terminal over a WebSocket (RFC 6455).
//!
//! Binary messages are bytes, both ways. Text from the client is a `TerminalMessage`; text to the client is `{"exit": {…}}` when the shell has
//! ended, or `{"error": {…}}`, and then comes the close. Who leaves detaches; the session lives on.
//!
//! One task owns both ends. It reads from the client only when all that was typed is in the terminal, and from the terminal only when all that
//! was shown is sent: each side is held up by the other, and nothing piles up here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::extract::State;
use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::bytes::Bytes;
use enclos_host::keys::{Admitted, Head};
use enclos_host::tokio::net::unix::pipe::{Receiver, Sender};
use enclos_host::tokio::{self, time::timeout};
use enclos_host::wire::{json, same_origin};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use super::problem::Problem;
use super::{Answer, Id, Native, Served, build, id, wire};
use crate::api::{Caller, Terminal};

/// For the goodbye.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how a program ended to be known, once its terminal is closed.
const UNTIL_TOLD: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Largest message of a client; a terminal that is typed into needs no more, and a paste is split.
const MOST: usize = 1 << 20;

/// How much is read from the terminal at once.
const CHUNK: usize = 32 << 10;

/// The end came as it should (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
/// The client said what makes no sense.
const POLICY: u16 = 1008;
/// The terminal failed.
const FAILED: u16 = 1011;

pub(super) async fn connect(
    State(native): Served,
    path: Id,
    headers: Head,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let (caller, admitted) = native.admit(&headers)?;
    if !same_origin(&headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin", "Origin: pages of other sites may not connect"));
    }
    let id = id(path)?;
    let Ok(upgrade) = upgrade else { return Ok(no_upgrade()) };
    let (of, by) = (id.clone(), caller.clone());
    let terminal = native.call(move |agent| agent.attach(&by, &of)).await?;
    let bridge = Bridge { native, caller, id, _admitted: admitted };
    Ok(upgrade.max_message_size(MOST).max_frame_size(MOST).on_upgrade(move |socket| bridge.serve(socket, terminal)))
}

fn no_upgrade() -> Response {
    let message = "this address speaks WebSocket only: send the headers of RFC 6455 section 4.1";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message).into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

/// Between a client and a terminal.
struct Bridge {
    native: Arc<Native>,
    caller: Caller,
    id: String,
    _admitted: Admitted,
}

/// Why a terminal is left.
enum Left {
    /// The client is gone.
    Gone,
    /// The shell has ended.
    Ended,
    /// The client said what makes no sense.
    Wrong(Problem),
    /// It cannot be read or written.
    Failed(io::Error),
}

impl Bridge {
    async fn serve(self, mut socket: WebSocket, terminal: Terminal) {
        let Terminal { master, place } = terminal;
        let left = match Ends::new(master) {
            Ok(ends) => talk(&mut socket, &ends).await,
            Err(error) => Left::Failed(error),
        };
        // Free for the next, who may come while we say goodbye.
        drop(place);
        let (code, word) = match left {
            Left::Gone => return,
            Left::Ended => (NORMAL, self.end().await),
            Left::Wrong(problem) => (POLICY, json!({"error": problem.into_info()})),
            Left::Failed(error) => (FAILED, json!({"error": Problem::internal(&error).into_info()})),
        };
        // A client that is gone needs no goodbye.
        let _ = timeout(PATIENCE, async {
            socket.send(Message::Text(word.to_string().into())).await?;
            socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
        })
        .await;
    }

    /// What the shell ended with.
    async fn end(&self) -> serde_json::Value {
        let look = async || {
            let (caller, id) = (self.caller.clone(), self.id.clone());
            self.native.call(move |agent| agent.session(&caller, &id)).await.ok().and_then(|session| session.exit_code)
        };
        // The kernel closes a terminal before it tells how its program ended; one that only let go of it has not ended at all.
        let exit_code = timeout(UNTIL_TOLD, async {
            loop {
                match look().await {
                    None => tokio::time::sleep(BETWEEN_LOOKS).await,
                    code => return code,
                }
            }
        });
        json!({"exit": {"exit_code": exit_code.await.ok().flatten()}})
    }
}

/// Both directions of a terminal. What the runtime has for pipes does for every descriptor that can be waited for.
struct Ends {
    master: std::fs::File,
    shows: Receiver,
    types: Sender,
}

impl Ends {
    fn new(master: std::fs::File) -> io::Result<Self> {
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let shows = Receiver::from_file_unchecked(master.try_clone()?)?;
        let types = Sender::from_file_unchecked(master.try_clone()?)?;
        Ok(Self { master, shows, types })
    }
}

async fn talk(socket: &mut WebSocket, ends: &Ends) -> Left {
    let mut typed = Bytes::new();
    loop {
        tokio::select! {
            shown = shown(&ends.shows) => match shown {
                Ok(bytes) if bytes.is_empty() => return Left::Ended,
                Ok(bytes) => if socket.send(Message::Binary(bytes.into())).await.is_err() { return Left::Gone },
                Err(error) => return Left::Failed(error),
            },
            written = write(&ends.types, &typed), if !typed.is_empty() => match written {
                Ok(length) => drop(typed.split_to(length)),
                // The shell has ended; what it last showed may still be there to read.
                Err(error) if ended(&error) => typed.clear(),
                Err(error) => return Left::Failed(error),
            },
            message = socket.recv(), if typed.is_empty() => match message {
                Some(Ok(Message::Binary(bytes))) => typed = bytes,
                Some(Ok(Message::Text(text))) => if let Err(problem) = resize(&ends.master, text.as_bytes()) { return Left::Wrong(problem) },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Left::Gone,
            },
        }
    }
}

/// A terminal whose other end is closed answers EIO.
fn ended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// What is shown next; nothing: the shell has ended.
async fn shown(shows: &Receiver) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; CHUNK];
    loop {
        shows.readable().await?;
        match shows.try_read(&mut bytes) {
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(error) if ended(&error) => return Ok(Vec::new()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write(types: &Sender, bytes: &[u8]) -> io::Result<usize> {
    loop {
        types.writable().await?;
        match types.try_write(bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            done => return done,
        }
    }
}

fn resize(master: &std::fs::File, text: &[u8]) -> Result<(), Problem> {
    let message: wire::TerminalMessage = json(text)?;
    let (rows, cols) = build::size("resize", message.resize)?;
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).map_err(|error| Problem::internal(&error))
}
