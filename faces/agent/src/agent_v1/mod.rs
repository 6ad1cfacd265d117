//! The interface `enclos.agent.v1`: commands and terminals to talk to, beside `sandbox.v1` on its listeners, with its keys and its words for what is
//! wrong.
//!
//! ```text
//!  Run ──── the client's stream ──► task ──► Talk (bounded) ──► the command's thread ──► short queue ──► the client
//!  Attach ─ the client's stream ◄─► task (`crate::terminal`) ◄─► the session's terminal
//! ```
//!
//! The tasks end with the answer's stream, which is dropped when its client is gone; the command ends with it too. Unlike the calls of `sandbox.v1`
//! these may be silent for as long as they like: a peer that is gone without a word is found by HTTP/2's pings.

mod attach;
mod read;
mod run;

use std::sync::Arc;
use std::time::Duration;

use enclos_host::tokio::task::{AbortHandle, JoinHandle};
use enclos_host::tokio::time::timeout;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::interactive_server::{Interactive, InteractiveServer};
use enclos_proto::tonic::service::Routes;
use enclos_proto::tonic::{self, Code, Request, Response, Status, Streaming};

use crate::sandbox_v1::commands::Streamed;
use crate::sandbox_v1::grpc::opened;
use crate::sandbox_v1::service::{EndsWith, Service};
use crate::sandbox_v1::status;
use crate::terminal::MOST;

/// The service.
pub const NAME: &str = "enclos.agent.v1.Interactive";

/// Beside the bytes of a message.
const HEAD: usize = 1 << 10;

/// The service, for a router.
pub fn routes(service: &Arc<Service>) -> Routes {
    Routes::new(InteractiveServer::new(Served(Arc::clone(service))).max_decoding_message_size(MOST + HEAD))
}

struct Served(Arc<Service>);

#[tonic::async_trait]
impl Interactive for Served {
    type AttachStream = Streamed<proto::TerminalOutput, Task>;

    async fn attach(&self, request: Request<Streaming<proto::TerminalInput>>) -> Result<Response<Self::AttachStream>, Status> {
        let (caller, input) = opened(request)?;
        Ok(attach::attach(Arc::clone(&self.0), caller, input).await?.into())
    }

    type RunStream = Streamed<proto::RunOutput, (EndsWith, Task)>;

    async fn run(&self, request: Request<Streaming<proto::RunInput>>) -> Result<Response<Self::RunStream>, Status> {
        let (caller, input) = opened(request)?;
        Ok(run::run(&self.0, caller, input).await?.into())
    }
}

/// A task that ends with what it is for.
#[derive(Debug)]
pub struct Task(AbortHandle);

impl Task {
    fn of(task: &JoinHandle<()>) -> Task {
        Task(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first message of a client; `None`: it has ended its stream instead.
async fn first<T>(input: &mut Streaming<T>, patience: Duration) -> Result<Option<T>, Status> {
    match timeout(patience, input.message()).await {
        Ok(message) => message,
        Err(_) => Err(status::status(Code::DeadlineExceeded, format!("no message came within {} s", patience.as_secs_f64()))),
    }
}
