//! What the addresses that speak WebSocket (RFC 6455) have in common.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::bytes::Bytes;
use enclos_host::keys::{Admitted, Head};
use enclos_host::tokio;
use enclos_host::tokio::time::{sleep, timeout};
use enclos_host::wire::same_origin;
use futures_core::Stream as _;
use futures_sink::Sink as _;

use super::problem::Problem;
use super::{Id, Native, id};
use crate::api::Caller;
use crate::terminal::MOST;

/// For the goodbye.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a client to whom nobody listens is tried.
const TRY: Duration = Duration::from_secs(1);

/// The end came as it should (RFC 6455 section 7.4.1).
pub const NORMAL: u16 = 1000;
/// The client said what makes no sense.
pub const POLICY: u16 = 1008;
/// What it talked to failed.
pub const FAILED: u16 = 1011;

/// Who asks to speak WebSocket, and to what.
pub struct Line {
    pub native: Arc<Native>,
    pub caller: Caller,
    /// Of the sandbox or the session that the address names.
    pub id: String,
    _admitted: Admitted,
}

impl Line {
    /// Lets a request in, with the upgrade that it asks for; or the answer to one that asks for none.
    ///
    /// # Errors
    /// Who may not call; an address that makes no sense; a page of another site.
    pub fn asked(
        native: Arc<Native>,
        path: Id,
        headers: &Head,
        upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    ) -> Result<Result<(Line, WebSocketUpgrade), Response>, Problem> {
        let (caller, admitted) = native.admit(headers)?;
        let id = id(path)?;
        if !same_origin(headers) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "origin", "Origin: pages of other sites may not connect"));
        }
        let Ok(upgrade) = upgrade else { return Ok(Err(no_upgrade())) };
        let line = Line { native, caller, id, _admitted: admitted };
        Ok(Ok((line, upgrade.max_message_size(MOST).max_frame_size(MOST))))
    }
}

fn no_upgrade() -> Response {
    let message = "this address speaks WebSocket only: send the headers of RFC 6455 section 4.1";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message).into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

/// A connection, both ways at once: a client that reads nothing is heard all the same.
pub struct Socket {
    inner: WebSocket,
    /// To be sent.
    out: Option<Message>,
    /// It is in the buffer of the connection.
    under_way: bool,
}

/// What happened on a connection.
pub enum Happened {
    /// All that was to be sent is.
    Sent,
    /// The client said this.
    Said(Message),
    /// The client is gone.
    Gone,
}

impl Socket {
    /// Of a connection on which nothing is under way.
    pub fn new(inner: WebSocket) -> Self {
        Self { inner, out: None, under_way: false }
    }

    /// Whether all that was to be sent is.
    pub fn is_free(&self) -> bool {
        self.out.is_none() && !self.under_way
    }

    /// Has this sent by [`Socket::next`]; only when it is free.
    pub fn put(&mut self, message: Message) {
        self.out = Some(message);
    }

    /// Sends, and reads while there is `room` for what is said; without, the client is pinged, whose going would lie behind what it has sent. Dropping
    /// it loses nothing.
    pub async fn next(&mut self, mut room: impl FnMut(&mut Context<'_>) -> Poll<()>) -> Happened {
        loop {
            let mut waits = false;
            tokio::select! {
                happened = poll_fn(|context| self.poll(context, &mut room, &mut waits)) => return happened,
                () = sleep(TRY) => {}
            }
            if waits && self.is_free() {
                self.put(Message::Ping(Bytes::new()));
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, mut room: impl FnMut(&mut Context<'_>) -> Poll<()>, waits: &mut bool) -> Poll<Happened> {
        let mut socket = Pin::new(&mut self.inner);
        if self.out.is_some() {
            match socket.as_mut().poll_ready(context) {
                Poll::Ready(Ok(())) => {
                    if let Some(message) = self.out.take()
                        && socket.as_mut().start_send(message).is_err()
                    {
                        return Poll::Ready(Happened::Gone);
                    }
                    self.under_way = true;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Happened::Gone),
                Poll::Pending => {}
            }
        }
        if self.under_way {
            match socket.as_mut().poll_flush(context) {
                Poll::Ready(Ok(())) => {
                    self.under_way = false;
                    return Poll::Ready(Happened::Sent);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Happened::Gone),
                Poll::Pending => {}
            }
        }
        *waits = room(context).is_pending();
        if *waits {
            return Poll::Pending;
        }
        match socket.poll_next(context) {
            Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => Poll::Ready(Happened::Gone),
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Happened::Said(message)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The last word, and the close. A client that is gone needs no goodbye.
    pub async fn goodbye(mut self, word: Option<String>, code: u16) {
        let _ = timeout(PATIENCE, async {
            if let Some(message) = self.out.take() {
                self.inner.send(message).await?;
            }
            if let Some(word) = word {
                self.inner.send(Message::Text(word.into())).await?;
            }
            self.inner.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
        })
        .await;
    }
}
