//! Files of a running sandbox, as its commands see them.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::flow::outgoing;
use enclos_host::keys::Head;

use super::codebases::{file_response, receive_file};
use super::problem::Problem;
use super::query::Query;
use super::{Answer, Id, IdAndPath, Leaving, Native, Served, id, id_and_path, no_content, stream, to_json, wire};
use crate::api::{Agent, AgentError, Caller, FilePart, FileRange, SandboxStatus, WatchEvent};

/// `bytes=5-`, `bytes=5-9` or `bytes=-5`.
#[derive(Clone, Copy)]
enum Range {
    From(u64, Option<u64>),
    Last(u64),
}

/// The range that a client asks for; one that is not of this form asks for all (RFC 9110 section 14.2).
fn range(headers: &HeaderMap) -> Option<Range> {
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => number(last).map(Range::Last),
        (false, true) => number(first).map(|first| Range::From(first, None)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| Range::From(first, Some((last - first).saturating_add(1))))
        }
    }
}

/// What follows the first part of a file, read part by part.
struct Rest {
    agent: Arc<dyn Agent>,
    caller: Caller,
    sandbox: String,
    path: String,
    range: FileRange,
    part: Cursor<Vec<u8>>,
}

impl Read for Rest {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(into)?;
        if read > 0 || into.is_empty() || self.range.length == Some(0) {
            return Ok(read);
        }
        let part = self.agent.read_file(&self.caller, &self.sandbox, &self.path, self.range).map_err(io::Error::other)?;
        let length = part.bytes.len() as u64;
        self.range.offset += length;
        self.range.length = self.range.length.map(|left| left.saturating_sub(length));
        self.part = Cursor::new(part.bytes);
        self.part.read(into)
    }
}

/// A part of a file, and where it is in it.
async fn part(native: &Native, caller: &Caller, sandbox: &str, path: &str, range: FileRange) -> Result<FilePart, Problem> {
    let (caller, sandbox, path) = (caller.clone(), sandbox.to_owned(), path.to_owned());
    native.call(move |agent| agent.read_file(&caller, &sandbox, &path, range)).await
}

pub(super) async fn read(State(native): Served, path: IdAndPath, headers: Head) -> Answer {
    let (caller, admitted) = native.admit(&headers)?;
    let (sandbox, path) = id_and_path(path)?;
    let wanted = range(&headers);
    let asked = match wanted {
        None => FileRange::default(),
        Some(Range::From(offset, length)) => FileRange { offset, length },
        Some(Range::Last(length)) => {
            let size = part(&native, &caller, &sandbox, &path, FileRange { offset: 0, length: Some(0) }).await?.size;
            FileRange { offset: size.saturating_sub(length), length: Some(length.min(size)) }
        }
    };
    let first = part(&native, &caller, &sandbox, &path, asked).await?;
    let (size, mode, received) = (first.size, first.mode, first.bytes.len() as u64);
    let length = size.saturating_sub(asked.offset).min(asked.length.unwrap_or(u64::MAX));
    if wanted.is_some() && length == 0 {
        return Ok(beyond(size));
    }
    let range = FileRange { offset: asked.offset + received, length: Some(length.saturating_sub(received)) };
    let rest = Rest { agent: Arc::clone(&native.agent), caller, sandbox, path, range, part: Cursor::new(first.bytes) };
    let status = if wanted.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = file_response(status, mode, outgoing(Box::new(rest), Some(length), admitted));
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if wanted.is_some() {
        content_range(&mut response, &format!("bytes {}-{}/{size}", asked.offset, asked.offset + length - 1));
    }
    Ok(response)
}

/// 416, which says how long the file is (RFC 9110 section 15.5.17).
fn beyond(size: u64) -> Response {
    let message = format!("Range: none of it is in the file, which has {size} bytes");
    let mut response = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "out_of_range", message).into_response();
    content_range(&mut response, &format!("bytes */{size}"));
    response
}

fn content_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

pub(super) async fn write(State(native): Served, path: IdAndPath, request: Request) -> Answer {
    let (mut head, body) = request.into_parts();
    let (caller, _admitted) = native.admit(&Head::take(&mut head))?;
    let (sandbox, path) = id_and_path(path)?;
    let mode = Query::of(&head.uri, &["mode"])?.mode()?;
    let at = path.clone();
    let write = move |agent: &dyn Agent, from: &mut dyn Read| agent.write_file(&caller, &sandbox, &at, mode, from);
    let size = receive_file(&native, body, write).await?;
    to_json(StatusCode::OK, &wire::Written { path, size })
}

pub(super) async fn remove(State(native): Served, path: IdAndPath, uri: Uri, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let (sandbox, path) = id_and_path(path)?;
    let recursive = Query::of(&uri, &["recursive"])?.flag("recursive")?;
    native.call(move |agent| agent.remove_file(&caller, &sandbox, &path, recursive)).await?;
    Ok(no_content())
}

pub(super) async fn list(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (id, query) = (id(path)?, Query::of(&uri, &["path"])?);
    let path = query.text("path").unwrap_or_default().to_owned();
    native.look::<_, wire::Entries>(&headers, move |agent, caller| agent.list_files(caller, &id, &path)).await
}

pub(super) async fn watch(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (caller, admitted) = native.admit(&headers)?;
    let (id, query) = (id(path)?, Query::of(&uri, &["path"])?);
    let path = query.text("path").unwrap_or_default().to_owned();
    // Nothing may happen for long: what can be known now is said now, and not in a stream that has begun.
    let (of, by) = (id.clone(), caller.clone());
    let sandbox = native.call(move |agent| agent.sandbox(&by, &of)).await?;
    if sandbox.status != SandboxStatus::Running {
        return Err(AgentError::NotRunning.into());
    }
    let (agent, leaving, (sender, told)) = (Arc::clone(&native.agent), Leaving::default(), stream::channel());
    let cancel = leaving.0.clone();
    // What comes of it is told over the channel.
    drop(native.long.run(move || {
        let mut tell = |event: WatchEvent| {
            let event = wire::WatchEvent { path: event.path, kind: event.kind };
            sender.blocking_send(Ok(stream::line(event.kind, &event))).is_ok()
        };
        if let Err(error) = agent.watch_files(&caller, &id, &path, &cancel, &mut tell) {
            // The client may be gone.
            let _ = sender.blocking_send(Err(Box::new(error.into())));
        }
    })?);
    Ok(stream::respond(None, told, leaving, admitted))
}
