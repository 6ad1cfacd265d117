//! What the addresses that speak WebSocket (RFC 6455) have in common.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::{HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::bytes::Bytes;
use enclos_host::keys::{Admitted, Head};
use enclos_host::tokio::time::{sleep, timeout};
use enclos_host::wire::same_origin;

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

/// The last word, and the close. A client that is gone needs no goodbye.
pub async fn goodbye(socket: &mut WebSocket, word: Option<String>, code: u16) {
    let _ = timeout(PATIENCE, async {
        if let Some(word) = word {
            socket.send(Message::Text(word.into())).await?;
        }
        socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
    })
    .await;
}

/// Comes back when a client is gone from which nothing is read meanwhile: its going would lie behind what it has sent, so it is pinged.
pub async fn held_up(socket: &mut WebSocket) {
    loop {
        sleep(TRY).await;
        if socket.send(Message::Ping(Bytes::new())).await.is_err() {
            return;
        }
    }
}
