//! A command on a server that our standard input, signals and terminal go to as they come, over a WebSocket (RFC 6455).

use std::io::{self, IsTerminal, Write};

use enclos_sandbox::spec::exit;
use serde_json::{Value, json};
use tungstenite::Message;

use super::super::shell::terminal::{Raw, WINDOW, signals};
use super::command;
use super::http::Server;
use super::terminal::size;
use super::wire::{Act, Speaks, connect, relay};

/// Runs a command by this address; gives the exit code.
///
/// # Errors
/// One line.
pub fn run(server: &Server, path: &str, mut request: Value, interactive: bool, tty: bool) -> Result<u8, String> {
    let stdin = io::stdin();
    if tty && interactive && !stdin.is_terminal() {
        return Err("-t: standard input is no terminal: leave -t out, and the input goes to the command as it is".to_owned());
    }
    if tty {
        let (rows, cols) = size();
        request["terminal"] = json!({ "rows": rows, "cols": cols });
        if let Ok(term) = std::env::var("TERM")
            && request["env"]["TERM"].is_null()
        {
            request["env"]["TERM"] = term.into();
        }
    }
    let signals = signals()?;
    let mut socket = connect(server, path)?;
    socket.send(Message::text(request.to_string())).map_err(|error| format!("the connection: {error}"))?;
    let raw = (tty && interactive).then(|| Raw::set(&stdin)).transpose().map_err(|errno| format!("the terminal: {errno}"))?;
    let ended = relay(socket, &signals, &mut Exec { reads: interactive, tty });
    drop(raw);
    ended
}

/// What a streamed command speaks.
struct Exec {
    reads: bool,
    tty: bool,
}

fn said(message: &Value) -> Act {
    Act::Send(Message::text(message.to_string()))
}

impl Speaks for Exec {
    fn heard(&mut self, message: Message) -> Result<Option<u8>, String> {
        let Message::Text(text) = message else { return Err("the connection closed before the command had ended".to_owned()) };
        let event: Value = serde_json::from_str(&text).map_err(|error| format!("the server's answer is no JSON: {error}"))?;
        let written = match event["type"].as_str().unwrap_or_default() {
            "stdout" => io::stdout().write_all(&command::bytes(&event)?).and_then(|()| io::stdout().flush()),
            "stderr" => io::stderr().write_all(&command::bytes(&event)?),
            "exit" => return Ok(Some(command::code(&event))),
            "error" => return Err(event["error"]["message"].as_str().unwrap_or("the command failed").to_owned()),
            _ => Ok(()),
        };
        // A reader that is gone ends the command, as it would end one in a pipe: the connection closes.
        Ok(written.is_err().then_some(exit::SIGNAL_BASE + 13))
    }

    fn read(&mut self, bytes: &[u8]) -> Act {
        if !bytes.is_empty() {
            return Act::Send(Message::binary(bytes.to_vec()));
        }
        self.reads = false;
        said(&json!({ "type": "stdin_end" }))
    }

    fn reads(&self) -> bool {
        self.reads
    }

    fn signaled(&mut self, number: i32, held_up: bool) -> Act {
        match number {
            WINDOW if self.tty => {
                let (rows, cols) = size();
                said(&json!({ "type": "resize", "rows": rows, "cols": cols }))
            }
            WINDOW => Act::Nothing,
            // It would wait behind input that the command does not read: we leave, which ends the command.
            _ if held_up => Act::Leave(exit::SIGNAL_BASE + number as u8),
            _ => said(&json!({ "type": "signal", "signal": number })),
        }
    }
}
