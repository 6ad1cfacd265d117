//! `/v1/agent/codebases`.

use std::io::Read;
use std::sync::Arc;

use enclos_host::axum::body::Body;
use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::flow::outgoing;
use enclos_host::keys::Head;
use enclos_host::tokio;

use super::problem::Problem;
use super::query::{PAGE, Query};
use super::{Answer, Id, IdAndPath, Native, Served, id, id_and_path, no_content, to_json, wire};
use crate::api::{self, Agent, Caller, NewCodebase};

/// Permission bits of a file that goes out, in octal.
const MODE: HeaderName = HeaderName::from_static("x-file-mode");

pub(super) async fn create(State(native): Served, request: Request) -> Answer {
    let call = native.receive::<wire::NewCodebase>(request).await?;
    let (name, owner_id) = (call.given.name, call.given.owner_id.unwrap_or_else(|| call.caller.name.to_string()));
    let (server, caller) = (Arc::clone(&native), call.caller.clone());
    let make = async move {
        let new = NewCodebase { name, owner_id };
        server.call(move |agent| agent.create_codebase(&caller, &new)).await.map(wire::Codebase::from)
    };
    let place = |made: &wire::Codebase| format!("/v1/agent/codebases/{}", made.id);
    native.once.make(&call.caller, &call.headers, &[b"codebase", &call.held.bytes], place, make).await
}

pub(super) async fn list(State(native): Served, uri: Uri, headers: Head) -> Answer {
    let query = Query::of(&uri, &[PAGE[0], PAGE[1], "owner_id"])?;
    let (page, owner) = (query.page()?, query.text("owner_id").map(str::to_owned));
    native.look::<_, wire::Codebases>(&headers, move |agent, caller| agent.codebases(caller, owner.as_deref(), &page)).await
}

pub(super) async fn show(State(native): Served, path: Id, headers: Head) -> Answer {
    let id = id(path)?;
    native.look::<_, wire::Codebase>(&headers, move |agent, caller| agent.codebase(caller, &id)).await
}

pub(super) async fn delete(State(native): Served, path: Id, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let id = id(path)?;
    native.call(move |agent| agent.delete_codebase(&caller, &id)).await?;
    Ok(no_content())
}

pub(super) async fn versions(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (id, page) = (id(path)?, Query::of(&uri, &PAGE)?.page()?);
    native.look::<_, wire::Versions>(&headers, move |agent, caller| agent.versions(caller, &id, &page)).await
}

pub(super) async fn tree(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let query = Query::of(&uri, &[PAGE[0], PAGE[1], "path", "recursive", "version"])?;
    let (id, page, version, recursive) = (id(path)?, query.page()?, query.number("version")?, query.flag("recursive")?);
    let below = query.text("path").unwrap_or_default().to_owned();
    native.look::<_, wire::Tree>(&headers, move |agent, caller| agent.files(caller, &id, version, &below, recursive, &page)).await
}

/// Hands a body to a call as it comes.
pub(super) async fn receive_file<T: Send + 'static>(
    native: &Native,
    body: Body,
    work: impl FnOnce(&dyn Agent, &mut dyn Read) -> api::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let (mut from, feed) = native.bodies.flow(body, native.options.max_upload)?;
    let (fed, done) = tokio::join!(feed, native.long(move |agent, _| work(agent, &mut from)));
    match (fed, done) {
        (_, Ok(done)) => Ok(done),
        // The call failed because of it.
        (Err(error), Err(_)) => Err(error.into()),
        (Ok(()), Err(problem)) => Err(problem),
    }
}

/// How many bytes the client says will come.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) async fn upload(State(native): Served, path: IdAndPath, request: Request) -> Answer {
    let (mut head, body) = request.into_parts();
    let headers = Head::take(&mut head);
    let (caller, _admitted) = native.admit(&headers)?;
    let (id, path) = id_and_path(path)?;
    let mode = Query::of(&head.uri, &["mode"])?.mode()?;
    let expected = announced(&headers);
    let upload = move |agent: &dyn Agent, from: &mut dyn Read| agent.upload(&caller, &id, &path, mode, expected, from);
    to_json(StatusCode::OK, &wire::Uploaded::from(receive_file(&native, body, upload).await?))
}

pub(super) async fn remove(State(native): Served, path: IdAndPath, headers: Head) -> Answer {
    let (caller, _admitted) = native.admit(&headers)?;
    let (id, path) = id_and_path(path)?;
    let version = native.call(move |agent| agent.remove_files(&caller, &id, &[path])).await?;
    to_json(StatusCode::OK, &wire::Version::from(version))
}

/// A file that goes out.
pub(super) fn file_response(status: StatusCode, mode: u32, body: Body) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // What is in it was written by nobody we trust.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(mode) = HeaderValue::from_str(&format!("{:04o}", mode & 0o777)) {
        headers.insert(MODE, mode);
    }
    response
}

pub(super) async fn download(State(native): Served, path: IdAndPath, uri: Uri, headers: Head) -> Answer {
    let (caller, admitted) = native.admit(&headers)?;
    let (id, path) = id_and_path(path)?;
    let version = Query::of(&uri, &["version"])?.number("version")?;
    let download = native.call(move |agent| agent.download(&caller, &id, version, &path)).await?;
    Ok(file_response(StatusCode::OK, download.mode, outgoing(download.from, Some(download.size), admitted)))
}

pub(super) async fn upload_archive(State(native): Served, path: Id, request: Request) -> Answer {
    let (mut head, body) = request.into_parts();
    let headers = Head::take(&mut head);
    let (caller, _admitted) = native.admit(&headers)?;
    let (id, replace) = (id(path)?, Query::of(&head.uri, &["replace"])?.flag("replace")?);
    let upload = move |agent: &dyn Agent, from: &mut dyn Read| agent.upload_archive(&caller, &id, replace, from);
    to_json(StatusCode::OK, &wire::Version::from(receive_file(&native, body, upload).await?))
}

pub(super) async fn download_archive(State(native): Served, path: Id, uri: Uri, headers: Head) -> Answer {
    let (caller, admitted): (Caller, _) = native.admit(&headers)?;
    let (id, version) = (id(path)?, Query::of(&uri, &["version"])?.number("version")?);
    let from = native.call(move |agent| agent.download_archive(&caller, &id, version)).await?;
    let mut response = outgoing(from, None, admitted).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}
