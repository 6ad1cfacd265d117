//! A session's terminal.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use enclos_host::bytes::Bytes;
use enclos_host::tokio;
use enclos_host::tokio::sync::mpsc;
use enclos_host::tokio::time::{Instant, timeout, timeout_at};
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::terminal_output::Output;
use enclos_proto::tonic::{Status, Streaming};
use rustix::termios::{Winsize, tcsetwinsize};

use super::read::{Keys, Opening, keys, opening};
use super::{Task, first};
use crate::api::Caller;
use crate::sandbox_v1::commands::Streamed;
use crate::sandbox_v1::service::{Service, lost};
use crate::terminal::{Client, Left, Said, exit_code, join};

type Sent = Result<proto::TerminalOutput, Status>;

/// Pieces that wait for a client.
const WAITING: usize = 4;

fn sent(output: Output) -> Sent {
    Ok(proto::TerminalOutput { output: Some(output) })
}

/// Joins a terminal.
pub async fn attach(
    service: Arc<Service>,
    caller: Caller,
    mut input: Streaming<proto::TerminalInput>,
) -> Result<Streamed<proto::TerminalOutput, Task>, Status> {
    let (id, size) = match opening(first(&mut input, service.patience).await?)? {
        Opening::Known(id, size) => (id, size),
        Opening::New(sandbox, new) => {
            let by = caller.clone();
            (service.short(move |agent| agent.create_session(&by, &sandbox, &new)).await?.id, None)
        }
    };
    let (by, of) = (caller.clone(), id.clone());
    let terminal = service.short(move |agent| agent.attach(&by, &of)).await?;
    if let Some((ws_row, ws_col)) = size {
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal.master, size).map_err(|errno| lost(&errno))?;
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut holder = Holder { input: Some(input), sender, patience: service.patience, showing: None, end_session: false };
    let task = tokio::spawn(async move {
        if holder.send(sent(Output::Opened(proto::Opened { session_id: id.clone() }))).await {
            let left = join(&mut holder, terminal).await;
            holder.leave(left, &service, &caller, &id).await;
        }
    });
    Ok(Streamed::new(receiver, Task::of(&task)))
}

/// A client at a terminal.
struct Holder {
    /// `None`: it has ended its stream, and says no more.
    input: Option<Streaming<proto::TerminalInput>>,
    sender: mpsc::Sender<Sent>,
    patience: Duration,
    /// What is to be shown, and until when.
    showing: Option<(Bytes, Instant)>,
    /// It has asked for the session's end.
    end_session: bool,
}

impl Holder {
    async fn send(&self, piece: Sent) -> bool {
        matches!(timeout(self.patience, self.sender.send(piece)).await, Ok(Ok(())))
    }

    async fn leave(&self, left: Left<Status>, service: &Service, caller: &Caller, id: &str) {
        let last = match left {
            Left::Leaves if self.end_session => {
                let (by, of) = (caller.clone(), id.to_owned());
                match service.short(move |agent| agent.destroy_session(&by, &of)).await {
                    Ok(()) => sent(self.exit(service, caller, id).await),
                    Err(status) => Err(status),
                }
            }
            Left::Gone | Left::Leaves => return,
            Left::Ended => sent(self.exit(service, caller, id).await),
            Left::Wrong(status) => Err(status),
            Left::Failed(error) => Err(lost(&error)),
        };
        self.send(last).await;
    }

    /// What the shell ended with.
    async fn exit(&self, service: &Service, caller: &Caller, id: &str) -> Output {
        let look = || async {
            let (caller, id) = (caller.clone(), id.to_owned());
            service.short(move |agent| agent.session(&caller, &id)).await.ok()
        };
        Output::Exit(proto::TerminalExit { exit_code: exit_code(look).await })
    }
}

impl Client for Holder {
    type Wrong = Status;

    fn show(&mut self, bytes: Bytes) {
        self.showing = Some((bytes, Instant::now() + self.patience));
    }

    fn has_shown(&self) -> bool {
        self.showing.is_none()
    }

    async fn said(&mut self, listen: bool) -> Said<Status> {
        let input = self.input.as_mut().filter(|_| listen);
        let until = self.showing.as_ref().map(|(_, until)| *until);
        let message = tokio::select! {
            message = async { match input { Some(input) => input.message().await, None => pending().await } } => message,
            room = async { match until { Some(until) => timeout_at(until, self.sender.reserve()).await, None => pending().await } } => {
                let Ok(Ok(room)) = room else { return Said::Gone };
                if let Some((bytes, _)) = self.showing.take() {
                    room.send(sent(Output::Data(bytes)));
                }
                return Said::Nothing;
            }
            () = self.sender.closed() => return Said::Gone,
        };
        match message {
            Ok(Some(message)) => match keys(message) {
                Ok(Keys::Data(bytes)) => Said::Typed(bytes),
                Ok(Keys::Size(rows, columns)) => Said::Size(rows, columns),
                Ok(Keys::Signal(number)) => Said::Signal(number),
                Ok(Keys::Close(end_session)) => {
                    self.end_session = end_session;
                    if end_session { Said::Ends } else { Said::Leaves }
                }
                Err(status) => Said::Wrong(status),
            },
            Ok(None) => {
                self.input = None;
                Said::Nothing
            }
            Err(status) => Said::Wrong(status),
        }
    }
}
