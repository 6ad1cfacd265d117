//! A terminal on a server, over a WebSocket (RFC 6455).

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use enclos_sys::signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use super::super::shell::terminal::{Raw, WINDOW, signals};
use super::http::Server;
use super::stream::Stream;

/// Starts a session with a terminal and joins it to ours; gives the exit code of its program.
///
/// # Errors
/// One line.
pub fn run(server: &Server, sandbox: &str, mut new: Value) -> Result<u8, String> {
    let stdin = io::stdin();
    let size = || tcgetwinsize(&stdin).map_or((24, 80), |window| (window.ws_row.max(1), window.ws_col.max(1)));
    let signals = signals()?;
    let (rows, cols) = size();
    new["terminal"] = json!({ "rows": rows, "cols": cols });
    let session = server.json("POST", &format!("/v1/agent/sandboxes/{sandbox}/sessions"), Some(&new))?;
    let id = session["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/v1/agent/sessions/{id}/terminal");
    let mut request = server.url(&path).into_client_request().map_err(|error| error.to_string())?;
    if let Some(key) = server.authorization() {
        let key = key.parse().map_err(|_| "--key: a key is printable characters without blanks".to_owned())?;
        request.headers_mut().insert("authorization", key);
    }
    let (socket, _) = tungstenite::client(request, server.connect()?).map_err(|error| format!("the terminal: {error}"))?;
    socket.get_ref().set_nonblocking(true).map_err(|error| format!("the terminal: {error}"))?;
    let raw = Raw::set(&stdin).map_err(|errno| format!("the terminal: {errno}"))?;
    let ended = Relay { socket, signals: &signals }.run(&size);
    drop(raw);
    // Ends the shell with everything it started; one that has ended already is only told so.
    let _ = server.json("DELETE", &format!("/v1/agent/sessions/{id}"), None);
    ended
}

struct Relay<'a> {
    socket: WebSocket<Stream>,
    signals: &'a OwnedFd,
}

impl Relay<'_> {
    fn run(&mut self, size: &dyn Fn() -> (u16, u16)) -> Result<u8, String> {
        let (stdin, mut stdout) = (io::stdin(), io::stdout());
        let mut buffer = [0_u8; 4096];
        loop {
            // What is known already is shown before anything is waited for.
            loop {
                match self.socket.read() {
                    Ok(Message::Binary(bytes)) => {
                        stdout.write_all(&bytes).and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))?;
                    }
                    Ok(Message::Text(text)) => {
                        let word: Value = serde_json::from_str(&text).unwrap_or_default();
                        if let Some(line) = word["error"]["message"].as_str() {
                            return Err(line.to_owned());
                        }
                        return Ok(word["exit"]["exit_code"].as_i64().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
                    }
                    Ok(Message::Close(_)) => return Err("the server closed the terminal".to_owned()),
                    Ok(_) => {}
                    Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(format!("the terminal: {error}")),
                }
            }
            let full = match self.socket.flush() {
                Ok(()) => false,
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => true,
                Err(error) => return Err(format!("the terminal: {error}")),
            };
            let (of_socket, of_stdin) =
                if full { (PollFlags::IN | PollFlags::OUT, PollFlags::empty()) } else { (PollFlags::IN, PollFlags::IN) };
            let mut ready =
                [PollFd::new(self.socket.get_ref(), of_socket), PollFd::new(self.signals, PollFlags::IN), PollFd::new(&stdin, of_stdin)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("poll: {errno}")),
            }
            let [_, from_signals, from_stdin] = ready.map(|ready| ready.revents());
            if !from_signals.is_empty() {
                while let Some(received) = signal::read(self.signals).map_err(|errno| format!("signals: {errno}"))? {
                    if received.signal != WINDOW {
                        return Ok(enclos_sandbox::spec::exit::SIGNAL_BASE + received.signal as u8);
                    }
                    let (rows, cols) = size();
                    self.send(Message::text(json!({ "resize": { "rows": rows, "cols": cols } }).to_string()))?;
                }
            }
            if !from_stdin.is_empty() && !full {
                match rustix::io::read(&stdin, &mut buffer) {
                    Ok(0) | Err(Errno::IO) => return Ok(enclos_sandbox::spec::exit::SIGNAL_BASE + 1),
                    Ok(count) => self.send(Message::binary(buffer[..count].to_vec()))?,
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(errno) => return Err(format!("stdin: {errno}")),
                }
            }
        }
    }

    /// Sends, or keeps for later what the connection does not take now.
    fn send(&mut self, message: Message) -> Result<(), String> {
        match self.socket.send(message) {
            Ok(()) => Ok(()),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(format!("the terminal: {error}")),
        }
    }
}
