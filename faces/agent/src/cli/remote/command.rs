//! A command on a server: its output as it comes, its status.

use std::io::{BufRead, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enclos_sandbox::spec::exit;
use serde_json::{Value, json};

use super::http::{Body, Server};

/// Longest line of a stream of events.
const MOST_LINE: u64 = 16 << 20;

/// Runs a command by this address; gives the exit code.
///
/// # Errors
/// One line.
pub fn run(server: &Server, path: &str, request: &Value) -> Result<u8, String> {
    let mut events = server.send("POST", path, "text/event-stream", Body::Json(request))?.body;
    let mut text = Vec::new();
    loop {
        text.clear();
        let count = (&mut events).take(MOST_LINE).read_until(b'\n', &mut text).map_err(|error| format!("the connection broke: {error}"))?;
        if count == 0 {
            return Err("the connection broke before the command had ended".to_owned());
        }
        // The data says of which kind it is, too.
        let Some(data) = text.strip_prefix(b"data:") else { continue };
        let event: Value = serde_json::from_slice(data).map_err(|error| format!("the server's answer is no JSON: {error}"))?;
        let written = match event["type"].as_str().unwrap_or_default() {
            "stdout" => std::io::stdout().write_all(&bytes(&event)?).and_then(|()| std::io::stdout().flush()),
            "stderr" => std::io::stderr().write_all(&bytes(&event)?),
            "exit" => return Ok(code(&event)),
            "error" => return Err(event["error"]["message"].as_str().unwrap_or("the command failed").to_owned()),
            _ => Ok(()),
        };
        if written.is_err() {
            // A reader that is gone ends the command, as it would end one in a pipe: the connection closes.
            return Ok(exit::SIGNAL_BASE + 13);
        }
    }
}

/// The exit code of a command that has ended.
pub fn code(event: &Value) -> u8 {
    if event["verdict"] == "timed_out" {
        super::super::say("it was ended at its time");
        return exit::SIGNAL_BASE + 9;
    }
    event["exit_code"].as_i64().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::SIGNAL_BASE + 9)
}

/// Bytes as JSON has them.
pub fn bytes(event: &Value) -> Result<Vec<u8>, String> {
    let data = event["data"].as_str().unwrap_or_default();
    if event["encoding"] == "base64" {
        return STANDARD.decode(data).map_err(|error| format!("the server's answer is no base64: {error}"));
    }
    Ok(data.as_bytes().to_vec())
}

/// Bytes for JSON.
pub fn data(bytes: &[u8]) -> Value {
    json!({ "data": STANDARD.encode(bytes), "encoding": "base64" })
}
