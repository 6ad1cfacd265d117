//! A command or a watch as server-sent events (WHATWG HTML section 9.2), told by the thread that runs it.
//!
//! The channel is short ([`Outbox`]): a client that reads slowly slows its own command, and holds no memory of ours; the command's clock it does not.
//! A client that goes away cancels it.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use enclos_host::axum::response::sse::{self, KeepAlive, Sse};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::tokio::sync::mpsc;
use futures_core::Stream;
use serde::Serialize;

use super::Leaving;
use super::problem::Problem;
use super::wire::{Event, Told};
use crate::api::{AgentError, ExecResult, Stream as Which, Watcher};
use crate::outbox::Outbox;

/// Events that wait for the client, at most.
const WAITING: usize = 16;

/// A comment is sent when nothing else was for this long, so that nobody on the way takes the connection for dead.
pub const ALIVE: Duration = Duration::from_secs(15);

/// One event, ready to be sent; or why there will be none.
pub type Line = Result<sse::Event, Box<Problem>>;

/// JSON never holds a line end, so an event is always one line of data.
pub fn line(name: &str, value: &impl Serialize) -> sse::Event {
    sse::Event::default().event(name).data(serde_json::to_string(value).unwrap_or_default())
}

/// Tells a client what happens with a command.
pub struct Ears<T> {
    told: Outbox<T>,
    /// How the client is told of an event, or why there will be none.
    shape: fn(Result<Event, AgentError>) -> T,
    written: [AtomicU64; 2],
}

/// A channel for a stream.
pub fn channel() -> (mpsc::Sender<Line>, mpsc::Receiver<Line>) {
    mpsc::channel(WAITING)
}

impl Ears<Line> {
    /// For server-sent events.
    pub fn events() -> Result<(Self, mpsc::Receiver<Line>), AgentError> {
        Self::channel(|event| event.map(|event| line(event.name(), &event)).map_err(|error| Box::new(error.into())))
    }
}

impl<T: Send + 'static> Ears<T> {
    /// For what takes events in this shape from the other end.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn channel(shape: fn(Result<Event, AgentError>) -> T) -> Result<(Self, mpsc::Receiver<T>), AgentError> {
        // The connection has a bound for clients that take nothing.
        let (told, receiver) = Outbox::channel(WAITING, None)?;
        Ok((Self { told, shape, written: Default::default() }, receiver))
    }

    fn tell(&self, event: Event) -> bool {
        self.told.hand((self.shape)(Ok(event)))
    }

    /// The last word.
    pub fn end(&self, result: Result<ExecResult, AgentError>) {
        // The client may be gone.
        self.told.hand((self.shape)(result.map(|result| Event::exit(&result))));
    }
}

impl<T: Send + 'static> Watcher for Ears<T> {
    fn started(&self) {
        self.tell(Event::Started);
    }

    fn wrote(&self, stream: Which, bytes: &[u8]) -> bool {
        let length = bytes.len() as u64;
        match stream {
            Which::Stdout => self.tell(Event::Stdout(Told::new(self.written[0].fetch_add(length, Ordering::Relaxed), bytes))),
            Which::Stderr => self.tell(Event::Stderr(Told::new(self.written[1].fetch_add(length, Ordering::Relaxed), bytes))),
        }
    }

    fn held_up(&self) -> Option<BorrowedFd<'_>> {
        self.told.held_up()
    }

    fn is_gone(&self) -> bool {
        self.told.is_gone()
    }

    fn takes_output(&self) -> bool {
        true
    }
}

struct Events<T> {
    first: Option<sse::Event>,
    told: mpsc::Receiver<Line>,
    _leaving: Leaving,
    _kept: T,
}

impl<T> Unpin for Events<T> {}

impl<T> Stream for Events<T> {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        self.told
            .poll_recv(context)
            .map(|told| told.map(|told| Ok(told.unwrap_or_else(|problem| line("error", &Event::Error { error: problem.into_info() })))))
    }
}

/// 200 with the stream. `kept` is dropped with it.
pub fn respond(first: Option<sse::Event>, told: mpsc::Receiver<Line>, leaving: Leaving, kept: impl Send + 'static) -> Response {
    let events = Events { first, told, _leaving: leaving, _kept: kept };
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}
