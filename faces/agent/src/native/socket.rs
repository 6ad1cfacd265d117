//! What the addresses that speak WebSocket (RFC 6455) have in common.

use std::time::Duration;

use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use enclos_host::axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::bytes::Bytes;
use enclos_host::tokio::time::{sleep, timeout};
use enclos_host::wire::same_origin;

use super::problem::Problem;

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

/// The upgrade that a request asks for; or the answer to one that asks for none.
///
/// # Errors
/// A page of another site may not connect.
pub fn upgrade_of(
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Result<WebSocketUpgrade, Response>, Problem> {
    if !same_origin(headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin", "Origin: pages of other sites may not connect"));
    }
    Ok(upgrade.map_err(|_| no_upgrade()))
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
