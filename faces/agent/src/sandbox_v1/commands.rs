//! Streams of output.
//!
//! The command's thread hands pieces to a short queue ([`Outbox`]). When the client does not take them, the command is held up; after
//! [`Parts::patience`](super::Parts) the client counts as gone, and the command is ended. The thread of a download waits for its client
//! ([`Pieces`]).

use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use enclos_host::bytes::Bytes;
use enclos_host::cancel::Cancel;
use enclos_host::tokio::runtime::Handle;
use enclos_host::tokio::sync::mpsc::{self, error::TrySendError};
use enclos_host::tokio::time::timeout;
use enclos_proto::sandbox_v1::exec_output::OutputType;
use enclos_proto::sandbox_v1::{ExecOutput, ExecRequest, SessionExecRequest};
use enclos_proto::tonic::Status;
use futures_core::Stream;

use super::service::{EndsWith, Service};
use super::{convert, output, status};
use crate::api;
use crate::api::{Agent, Caller, ExecResult, Watcher};
use crate::outbox::Outbox;

/// Bytes of one piece.
pub const PIECE: usize = 64 << 10;

/// Pieces that wait for a client.
const WAITING: usize = 8;

/// From a thread to a client.
pub struct Pieces<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    /// Of the runtime that serves: only its clock runs.
    runtime: Handle,
    patience: Duration,
}

impl<T> Pieces<T> {
    /// A short queue, and the other end of it; for a thread that is started by a task of the runtime.
    pub fn channel(patience: Duration) -> (Pieces<T>, mpsc::Receiver<Result<T, Status>>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Pieces { sender, runtime: Handle::current(), patience }, receiver)
    }

    /// Hands a piece over; `false`: the client is gone, or takes nothing.
    pub fn send(&self, piece: Result<T, Status>) -> bool {
        match self.sender.try_send(piece) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(piece)) => {
                let sending = async { timeout(self.patience, self.sender.send(piece)).await };
                matches!(self.runtime.block_on(sending), Ok(Ok(())))
            }
        }
    }
}

/// What a client gets piece by piece. Dropping it ends the call behind it.
pub struct Streamed<T, E = EndsWith> {
    receiver: mpsc::Receiver<Result<T, Status>>,
    _ends: E,
}

impl<T, E> Streamed<T, E> {
    /// What comes out of a queue, as long as this is wanted.
    pub fn new(receiver: mpsc::Receiver<Result<T, Status>>, ends: E) -> Self {
        Streamed { receiver, _ends: ends }
    }
}

impl<T, E: Unpin> Stream for Streamed<T, E> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context)
    }
}

/// What a command's client is told, and where it comes out.
pub type Told<T> = Outbox<Result<T, Status>>;
type Hears<T> = mpsc::Receiver<Result<T, Status>>;

/// A queue to a client for a command's thread.
pub fn outbox<T: Send + 'static>(patience: Duration) -> Result<(Told<T>, Hears<T>), Status> {
    Outbox::channel(WAITING, Some(patience)).map_err(status::of)
}

impl Watcher for Told<ExecOutput> {
    fn wrote(&self, stream: api::Stream, bytes: &[u8]) -> bool {
        let kind = match stream {
            api::Stream::Stdout => OutputType::Stdout,
            api::Stream::Stderr => OutputType::Stderr,
        };
        bytes.chunks(PIECE).all(|piece| self.hand(Ok(ExecOutput { r#type: kind.into(), data: Bytes::copy_from_slice(piece) })))
    }

    fn held_up(&self) -> Option<BorrowedFd<'_>> {
        Outbox::held_up(self)
    }

    fn is_gone(&self) -> bool {
        Outbox::is_gone(self)
    }

    fn takes_output(&self) -> bool {
        true
    }
}

impl Service {
    /// Begins a call whose answer is a stream.
    pub fn stream<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Agent, &Cancel, &Pieces<T>) + Send + 'static,
    ) -> Result<Streamed<T>, Status> {
        let (pieces, receiver) = Pieces::channel(self.patience);
        // How it ends is told by its last piece.
        let (_, ends) = self.begin(move |agent, cancel| call(agent, cancel, &pieces))?;
        Ok(Streamed::new(receiver, ends))
    }

    fn command(
        &self,
        call: impl FnOnce(&dyn Agent, &Cancel, &dyn Watcher) -> api::Result<ExecResult> + Send + 'static,
    ) -> Result<Streamed<ExecOutput>, Status> {
        let (told, receiver) = outbox(self.patience)?;
        let (_, ends) = self.begin(move |agent, cancel| {
            let last = match call(agent, cancel, &told) {
                Ok(result) => output::last(&result),
                Err(error) => status::of(error),
            };
            // The status is also how a stream that went well ends: its trailers tell the exit code. Nobody hears it when the client is gone.
            told.hand(Err(last));
        })?;
        Ok(Streamed::new(receiver, ends))
    }

    pub fn exec_stream(&self, caller: Caller, request: ExecRequest) -> Result<Streamed<ExecOutput>, Status> {
        let (id, exec) = convert::exec(request)?;
        self.command(move |agent, cancel, watcher| agent.exec(&caller, &id, &exec, cancel, watcher))
    }

    pub fn session_exec_stream(&self, caller: Caller, request: SessionExecRequest) -> Result<Streamed<ExecOutput>, Status> {
        let (id, command, timeout) = convert::session_exec(request)?;
        self.command(move |agent, cancel, watcher| agent.session_exec(&caller, &id, &command, timeout, cancel, watcher))
    }
}
