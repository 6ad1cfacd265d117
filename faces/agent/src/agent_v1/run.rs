//! A command whose input is streamed.

use std::future::poll_fn;
use std::os::fd::BorrowedFd;

use enclos_host::bytes::Bytes;
use enclos_host::tokio;
use enclos_host::tokio::sync::mpsc::WeakSender;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_output::Output;
use enclos_proto::tonic::{Status, Streaming};

use super::read::{Asked, Word, command, word};
use super::{Task, first};
use crate::api::{self, Caller, Interaction, Stream, Talk, Watcher};
use crate::outbox::Outbox;
use crate::sandbox_v1::commands::{PIECE, Streamed, Told, outbox};
use crate::sandbox_v1::service::{EndsWith, Service};
use crate::sandbox_v1::{output, status};

type Said = Result<proto::RunOutput, Status>;

fn said(output: Output) -> Said {
    Ok(proto::RunOutput { output: Some(output) })
}

impl Watcher for Told<proto::RunOutput> {
    fn started(&self) {
        // Whether the client is still there is seen with the first output.
        self.hand(said(Output::Started(proto::Started {})));
    }

    fn wrote(&self, stream: Stream, bytes: &[u8]) -> bool {
        bytes.chunks(PIECE).all(|piece| {
            let piece = Bytes::copy_from_slice(piece);
            self.hand(said(match stream {
                Stream::Stdout => Output::Stdout(piece),
                Stream::Stderr => Output::Stderr(piece),
            }))
        })
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

/// Runs it.
pub async fn run(
    service: &Service,
    caller: Caller,
    mut input: Streaming<proto::RunInput>,
) -> Result<Streamed<proto::RunOutput, (EndsWith, Task)>, Status> {
    let Asked { sandbox, exec, terminal } = command(first(&mut input, service.patience).await?)?;
    let talk = Talk::new().map_err(status::of)?;
    let with = Interaction { talk: talk.clone(), terminal };
    let (told, receiver) = outbox(service.patience)?;
    let wrong = told.to_client();
    // How it ends is told by its last pieces.
    let (_, ends) = service.begin(move |agent, cancel| match agent.interact(&caller, &sandbox, &exec, &with, cancel, &told) {
        Ok(result) => told.hand(said(Output::Exit(exit(&result)))) && told.hand(Err(output::trailers(&result))),
        Err(error) => told.hand(Err(status::of(error))),
    })?;
    let listening = tokio::spawn(listen(input, talk, terminal.is_some(), wrong));
    Ok(Streamed::new(receiver, (ends, Task::of(&listening))))
}

/// Passes on what the client says, until it says no more.
async fn listen(mut input: Streaming<proto::RunInput>, talk: Talk, terminal: bool, wrong: WeakSender<Said>) {
    let status = loop {
        poll_fn(|context| talk.poll_room(context)).await;
        let message = match input.message().await {
            Ok(Some(message)) => word(message, terminal),
            Ok(None) => return talk.end(),
            Err(status) => Err(status),
        };
        match message {
            Ok(Word::Stdin(bytes)) => talk.write(bytes),
            Ok(Word::End) => talk.end(),
            Ok(Word::Signal(number)) => talk.signal(number),
            Ok(Word::Size(rows, columns)) => talk.resize(rows, columns),
            Err(status) => break status,
        }
    };
    // The status ends the answer, and that the command. A command that has ended has no answer any more.
    if let Some(wrong) = wrong.upgrade() {
        let _ = wrong.send(Err(status)).await;
    }
}

fn exit(result: &api::ExecResult) -> proto::Exit {
    let verdict = match result.verdict {
        api::Verdict::Ended => proto::Verdict::Ended,
        api::Verdict::Signaled => proto::Verdict::Signaled,
        api::Verdict::TimedOut => proto::Verdict::TimedOut,
        api::Verdict::OutOfMemory => proto::Verdict::OutOfMemory,
        api::Verdict::Truncated => proto::Verdict::Truncated,
        api::Verdict::Cancelled => proto::Verdict::Cancelled,
        api::Verdict::Lost => proto::Verdict::Lost,
        api::Verdict::DiskLimit => proto::Verdict::DiskLimit,
    };
    let evidence = result.evidence.as_ref().map(|api::Evidence { limit, allowed, measured, unit, source }| proto::Evidence {
        limit: (*limit).to_owned(),
        allowed: *allowed,
        measured: *measured,
        unit: (*unit).to_owned(),
        source: (*source).to_owned(),
    });
    let usage = proto::Usage { wall_us: result.wall_us, cpu_us: result.cpu_us, memory_peak: result.memory_peak };
    proto::Exit { exit_code: result.exit_code, signal: result.signal, verdict: verdict.into(), usage: Some(usage), evidence }
}
