//! A terminal on a server, over a WebSocket (RFC 6455).

use std::io::{self, Write};

use enclos_sandbox::spec::exit;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};
use tungstenite::Message;

use super::super::shell::terminal::{Raw, WINDOW, signals};
use super::http::Server;
use super::wire::{Act, Speaks, connect, relay};

/// Rows and columns of our own terminal.
pub fn size() -> (u16, u16) {
    tcgetwinsize(io::stdin()).map_or((24, 80), |window| (window.ws_row.max(1), window.ws_col.max(1)))
}

/// Starts a session with a terminal and joins it to ours; gives the exit code of its program.
///
/// # Errors
/// One line.
pub fn run(server: &Server, sandbox: &str, mut new: Value) -> Result<u8, String> {
    let signals = signals()?;
    let (rows, cols) = size();
    new["terminal"] = json!({ "rows": rows, "cols": cols });
    let session = server.json("POST", &format!("/v1/agent/sandboxes/{sandbox}/sessions"), Some(&new))?;
    let id = session["id"].as_str().unwrap_or_default().to_owned();
    let socket = connect(server, &format!("/v1/agent/sessions/{id}/terminal"))?;
    let raw = Raw::set(io::stdin()).map_err(|errno| format!("the terminal: {errno}"))?;
    let ended = relay(socket, &signals, &mut Shell);
    drop(raw);
    // Ends the shell with everything it started; one that has ended already is only told so.
    let _ = server.json("DELETE", &format!("/v1/agent/sessions/{id}"), None);
    ended
}

/// What the terminal of a session speaks.
struct Shell;

impl Speaks for Shell {
    fn heard(&mut self, message: Message) -> Result<Option<u8>, String> {
        match message {
            Message::Binary(bytes) => {
                let mut stdout = io::stdout();
                stdout.write_all(&bytes).and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))?;
                Ok(None)
            }
            Message::Text(text) => {
                let word: Value = serde_json::from_str(&text).unwrap_or_default();
                match word["error"]["message"].as_str() {
                    Some(line) => Err(line.to_owned()),
                    None => Ok(Some(word["exit"]["exit_code"].as_i64().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
                }
            }
            _ => Err("the server closed the terminal".to_owned()),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Act {
        if bytes.is_empty() { Act::Leave(exit::SIGNAL_BASE + 1) } else { Act::Send(Message::binary(bytes.to_vec())) }
    }

    fn reads(&self) -> bool {
        true
    }

    fn signaled(&mut self, number: i32, _: bool) -> Act {
        if number != WINDOW {
            return Act::Leave(exit::SIGNAL_BASE + number as u8);
        }
        let (rows, cols) = size();
        Act::Send(Message::text(json!({ "resize": { "rows": rows, "cols": cols } }).to_string()))
    }
}
