//! A WebSocket (RFC 6455) to a server, joined to our own standard streams and signals.

use std::io;
use std::os::fd::OwnedFd;

use enclos_sys::signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use super::http::Server;
use super::stream::Stream;

/// Bytes read from standard input at once.
const PIECE: usize = 32 << 10;

/// What is done about something that happened here.
#[derive(Debug)]
pub enum Act {
    /// The server is told.
    Send(Message),
    /// We end with this status; the connection closes.
    Leave(u8),
    /// Nothing.
    Nothing,
}

/// What an address speaks.
pub trait Speaks {
    /// The server said something; a status: it is over.
    fn heard(&mut self, message: Message) -> Result<Option<u8>, String>;
    /// Something was typed, or piped in; nothing: that has ended.
    fn read(&mut self, bytes: &[u8]) -> Act;
    /// Whether standard input is read.
    fn reads(&self) -> bool;
    /// A signal came. `held_up`: what was said before has not gone out yet.
    fn signaled(&mut self, number: i32, held_up: bool) -> Act;
}

/// Connects to an address of the server.
///
/// # Errors
/// One line: the server's own word where it is one.
pub fn connect(server: &Server, path: &str) -> Result<WebSocket<Stream>, String> {
    let mut request = server.url(path).into_client_request().map_err(|error| error.to_string())?;
    if let Some(key) = server.authorization() {
        let key = key.parse().map_err(|_| "--key: a key is printable characters without blanks".to_owned())?;
        request.headers_mut().insert("authorization", key);
    }
    match tungstenite::client(request, server.connect()?) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            let document: serde_json::Value =
                response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
            let message = document["error"]["message"].as_str().map(str::to_owned);
            Err(message.unwrap_or_else(|| format!("the server answers {}", response.status().as_u16())))
        }
        Err(error) => Err(format!("the connection: {error}")),
    }
}

/// Carries both ways until it is over; gives the status.
///
/// # Errors
/// One line.
pub fn relay(mut socket: WebSocket<Stream>, signals: &OwnedFd, speaks: &mut impl Speaks) -> Result<u8, String> {
    let lost = |error: &dyn std::fmt::Display| format!("the connection: {error}");
    let would_block =
        |error: &tungstenite::Error| matches!(error, tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock);
    socket.get_ref().set_nonblocking(true).map_err(|error| lost(&error))?;
    let stdin = io::stdin();
    let mut buffer = vec![0_u8; PIECE];
    loop {
        // What is known already is shown before anything is waited for.
        loop {
            match socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(message) => {
                    if let Some(status) = speaks.heard(message)? {
                        return Ok(status);
                    }
                }
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(lost(&error)),
            }
        }
        let full = match socket.flush() {
            Ok(()) => false,
            Err(error) if would_block(&error) => true,
            Err(error) => return Err(lost(&error)),
        };
        let of_socket = if full { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut ready = vec![PollFd::new(socket.get_ref(), of_socket), PollFd::new(signals, PollFlags::IN)];
        if speaks.reads() && !full {
            ready.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(format!("poll: {errno}")),
        }
        let happened: Vec<bool> = ready.iter().map(|ready| !ready.revents().is_empty()).collect();
        drop(ready);
        let mut acts = Vec::new();
        if happened[1] {
            while let Some(received) = signal::read(signals).map_err(|errno| format!("signals: {errno}"))? {
                acts.push(speaks.signaled(received.signal, full));
            }
        }
        if happened.get(2) == Some(&true) {
            match rustix::io::read(&stdin, &mut buffer) {
                Ok(count) => acts.push(speaks.read(&buffer[..count])),
                // The terminal is gone.
                Err(Errno::IO) => acts.push(speaks.read(&[])),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(format!("stdin: {errno}")),
            }
        }
        for act in acts {
            match act {
                Act::Nothing => {}
                Act::Leave(status) => return Ok(status),
                // What the connection does not take now it keeps for later.
                Act::Send(message) => match socket.send(message) {
                    Ok(()) => {}
                    Err(error) if would_block(&error) => {}
                    Err(error) => return Err(lost(&error)),
                },
            }
        }
    }
}
