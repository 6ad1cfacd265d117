//! Files of codebases: in and out in pieces, in constant memory.

use std::io::{self, Read};

use enclos_host::bytes::{Buf, Bytes};
use enclos_host::tokio::sync::mpsc;
use enclos_host::tokio::time::timeout;
use enclos_proto::prost::Message;
use enclos_proto::sandbox_v1::upload_chunk::{Content, Metadata};
use enclos_proto::sandbox_v1::{DownloadFileRequest, FileChunk, ListFilesRequest, ListFilesResponse, UploadChunk, UploadResult};
use enclos_proto::tonic::{Code, Status, Streaming};

use super::commands::{PIECE, Pieces, Streamed};
use super::service::{Service, lost};
use super::status::{invalid, required};
use super::{convert, status};
use crate::api::{Agent, AgentError, Caller, PageRequest};

/// Bytes of a listing: what a client takes in one message unless it is told otherwise.
const LISTING: usize = (4 << 20) - (64 << 10);

/// Pieces of an upload that wait to be stored.
const WAITING: usize = 4;

/// What comes from a client.
enum Piece {
    Data(Bytes),
    /// It sent everything. Without this it broke off.
    End,
}

/// The bytes of an upload, for the thread that stores them.
struct Incoming {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the upload broke off")),
            }
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn text_path(field: &str, path: &str) -> Result<String, Status> {
    // As clients know it: from the top of the codebase, with a slash in front or without.
    match path.trim_start_matches('/') {
        "" => Err(required(field)),
        path => Ok(path.to_owned()),
    }
}

impl Service {
    pub async fn upload_files(&self, caller: Caller, mut chunks: Streaming<UploadChunk>) -> Result<UploadResult, Status> {
        let Some(Content::Metadata(Metadata { codebase_id, file_path, total_size })) = self.next(&mut chunks).await?.and_then(content)
        else {
            return Err(Status::invalid_argument("metadata: the first message must bring it"));
        };
        let codebase = convert::id("codebase_id", codebase_id)?;
        let path = text_path("file_path", &file_path)?;
        let size = u64::try_from(total_size).map_err(|_| invalid("total_size", format_args!("{total_size} is negative")))?;
        let expected = (size > 0).then_some(size);
        let (sender, receiver) = mpsc::channel(WAITING);
        let id = codebase.clone();
        let (storing, _ends) = self.begin(move |agent, _| {
            let mut incoming = Incoming { receiver, current: Bytes::new(), ended: false };
            agent.upload(&caller, &id, &path, None, expected, &mut incoming)
        })?;
        let sent = self.forward(&mut chunks, sender).await;
        let stored = storing.await.map_err(|error| lost(&error))?;
        // What the client did wrong explains why storing failed; not the other way round.
        sent?;
        stored.map(|uploaded| convert::uploaded(codebase, uploaded)).map_err(status::of_file)
    }

    /// The next message of a client that does not take its time.
    async fn next(&self, chunks: &mut Streaming<UploadChunk>) -> Result<Option<UploadChunk>, Status> {
        let late = |_| Status::aborted(format!("no part of the upload came for {} s", self.patience.as_secs()));
        timeout(self.patience, chunks.message()).await.map_err(late)?
    }

    /// Hands on what the client sends. Comes back early when nobody takes it any more: then storing has failed, and says why.
    async fn forward(&self, chunks: &mut Streaming<UploadChunk>, sender: mpsc::Sender<Piece>) -> Result<(), Status> {
        while let Some(chunk) = self.next(chunks).await? {
            match content(chunk) {
                Some(Content::Data(data)) => {
                    if sender.send(Piece::Data(data)).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Content::Metadata(_)) => return Err(Status::invalid_argument("metadata: it must come once, in the first message")),
                None => return Err(Status::invalid_argument("data: every message after the first must bring some")),
            }
        }
        // Nobody takes it: see above.
        let _ = sender.send(Piece::End).await;
        Ok(())
    }

    pub fn download_file(&self, caller: Caller, request: DownloadFileRequest) -> Result<Streamed<FileChunk>, Status> {
        let codebase = convert::id("codebase_id", request.codebase_id)?;
        let path = text_path("file_path", &request.file_path)?;
        self.stream(move |agent, cancel, pieces| {
            let sent = match agent.download(&caller, &codebase, None, &path) {
                Ok(download) => send_all(download.from, pieces, &|| cancel.is_cancelled()),
                Err(error) => Err(status::of_file(error)),
            };
            if let Err(status) = sent {
                pieces.send(Err(status));
            }
        })
    }

    pub async fn list_files(&self, caller: Caller, request: ListFilesRequest) -> Result<ListFilesResponse, Status> {
        let codebase = convert::id("codebase_id", request.codebase_id)?;
        let (path, recursive) = (request.path.trim_matches('/').to_owned(), request.recursive);
        let (listing, _ends) = self.begin(move |agent, _| list(agent, &caller, &codebase, &path, recursive))?;
        listing.await.map_err(|error| lost(&error))?
    }
}

fn content(chunk: UploadChunk) -> Option<Content> {
    chunk.content
}

/// Sends a file to its end, or until nobody takes it.
fn send_all(mut from: impl Read, pieces: &Pieces<FileChunk>, gone: &dyn Fn() -> bool) -> Result<(), Status> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if let Err(error) = from.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
            enclos_host::tracing::error!(%error, "a stored file cannot be read");
            return Err(Status::data_loss("the stored file cannot be read"));
        }
        if piece.is_empty() || gone() || !pieces.send(Ok(FileChunk { data: piece.into() })) {
            return Ok(());
        }
    }
}

fn list(agent: &dyn Agent, caller: &Caller, codebase: &str, path: &str, recursive: bool) -> Result<ListFilesResponse, Status> {
    let (mut files, mut size, mut page) = (Vec::new(), 0, PageRequest { size: 1000, token: String::new() });
    loop {
        let found = match agent.files(caller, codebase, None, path, recursive, &page) {
            // What clients know: a directory that is not there has no files.
            Err(AgentError::NotFound { kind: "file" | "directory", .. }) if !recursive => return Ok(ListFilesResponse::default()),
            found => found.map_err(status::of)?,
        };
        for file in found.items.into_iter().map(convert::file) {
            // With its key and length, as it is in the message.
            size += file.encoded_len() + 6;
            files.push(file);
        }
        if size > LISTING {
            let most = "more files than one answer may hold: list directories one by one, without recursive";
            return Err(status::status(Code::ResourceExhausted, most.to_owned()));
        }
        let Some(next) = found.next else { return Ok(ListFilesResponse { files }) };
        page.token = next;
    }
}
