//! `GET /v1/agent/sessions/{id}/terminal`: a session's terminal over a WebSocket (RFC 6455).
//!
//! Binary messages are bytes, both ways. Text from the client is a `TerminalMessage`; text to the client is `{"exit": {…}}` when the shell has
//! ended, or `{"error": {…}}`, and then comes the close. Who leaves detaches; the session lives on.

use std::task::Poll;

use enclos_host::axum::extract::State;
use enclos_host::axum::extract::ws::rejection::WebSocketUpgradeRejection;
use enclos_host::axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use enclos_host::bytes::Bytes;
use enclos_host::keys::Head;
use enclos_host::wire::json;
use serde_json::json;

use super::problem::Problem;
use super::socket::{FAILED, Happened, Line, NORMAL, POLICY, Socket};
use super::{Answer, Id, Served, build, wire};
use crate::api::Terminal;
use crate::terminal::{Client, Left, Said, exit_code, join};

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
    let (of, by) = (line.id.clone(), line.caller.clone());
    let terminal = line.native.call(move |agent| agent.attach(&by, &of)).await?;
    Ok(upgrade.on_upgrade(move |socket| line.show(socket, terminal)))
}

impl Line {
    async fn show(self, socket: WebSocket, terminal: Terminal) {
        let mut socket = Socket::new(socket);
        let (code, word) = match join(&mut socket, terminal).await {
            Left::Gone | Left::Leaves => return,
            Left::Ended => (NORMAL, json!({"exit": {"exit_code": self.end().await}})),
            Left::Wrong(problem) => (POLICY, json!({"error": problem.into_info()})),
            Left::Failed(error) => (FAILED, json!({"error": Problem::internal(&error).into_info()})),
        };
        socket.goodbye(Some(word.to_string()), code).await;
    }

    /// What the shell ended with.
    async fn end(&self) -> Option<i32> {
        let look = || async {
            let (caller, id) = (self.caller.clone(), self.id.clone());
            self.native.call(move |agent| agent.session(&caller, &id)).await.ok()
        };
        exit_code(look).await
    }
}

impl Client for Socket {
    type Wrong = Problem;

    fn show(&mut self, bytes: Bytes) {
        self.put(Message::Binary(bytes));
    }

    fn has_shown(&self) -> bool {
        self.is_free()
    }

    async fn said(&mut self, listen: bool) -> Said<Problem> {
        match self.next(|_| if listen { Poll::Ready(()) } else { Poll::Pending }).await {
            Happened::Said(Message::Binary(bytes)) => Said::Typed(bytes),
            Happened::Said(Message::Text(text)) => match size(text.as_bytes()) {
                Ok((rows, cols)) => Said::Size(rows, cols),
                Err(problem) => Said::Wrong(problem),
            },
            Happened::Said(_) | Happened::Sent => Said::Nothing,
            Happened::Gone => Said::Gone,
        }
    }
}

fn size(text: &[u8]) -> Result<(u16, u16), Problem> {
    let message: wire::TerminalMessage = json(text)?;
    build::size("resize", message.resize)
}
