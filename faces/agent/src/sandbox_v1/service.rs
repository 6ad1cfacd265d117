//! The calls of the interface that answer at once, on its messages; both transports use them.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::cancel::Cancel;
use enclos_host::threads::{NotDone, Threads};
use enclos_host::tokio::task::spawn_blocking;
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::{Response, Status};

use super::{Parts, convert, output, status};
use crate::api;
use crate::api::{Agent, Caller, NewCodebase, NewSession, NoWatcher, PageRequest, Preset, SandboxFilter};

/// The interface's calls.
pub struct Service {
    agent: Arc<dyn Agent>,
    threads: Arc<Threads>,
    /// See [`Parts::patience`].
    pub patience: Duration,
    /// See [`super::Options::view_only`].
    view_only: Preset,
}

/// Ends a call when its client is gone: dropped with the future, or the stream, of the call.
pub struct EndsWith(Cancel);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A call that panicked, or whose runtime ends.
pub fn lost(error: &dyn std::fmt::Display) -> Status {
    enclos_host::tracing::error!(%error, "a call was lost");
    Status::internal("internal error")
}

impl Service {
    /// Of these parts.
    pub fn new(parts: &Parts) -> Self {
        Service {
            agent: Arc::clone(&parts.agent),
            threads: Arc::clone(&parts.threads),
            patience: parts.patience,
            view_only: parts.options.view_only,
        }
    }

    /// A call that does not wait for anything a client does. It goes on when its client is gone.
    pub async fn short<T: Send + 'static>(&self, call: impl FnOnce(&dyn Agent) -> api::Result<T> + Send + 'static) -> Result<T, Status> {
        let agent = Arc::clone(&self.agent);
        let done = spawn_blocking(move || call(&*agent)).await;
        done.map_err(|error| lost(&error))?.map_err(status::of)
    }

    /// Begins a call that may take as long as it likes, on a thread of its own.
    pub fn begin<T: Send + 'static, C: FnOnce(&dyn Agent, &Cancel) -> T + Send + 'static>(
        &self,
        call: C,
    ) -> Result<(impl Future<Output = Result<T, NotDone>> + Send + use<T, C>, EndsWith), Status> {
        let cancel = Cancel::new();
        let ends = EndsWith(cancel.clone());
        let agent = Arc::clone(&self.agent);
        let running = self.threads.run(move || call(&*agent, &cancel)).map_err(|full| Status::unavailable(format!("{full}; try again")))?;
        Ok((running, ends))
    }

    /// The same, waited for; ends with its client.
    async fn long<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Agent, &Cancel) -> api::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let (running, _ends) = self.begin(call)?;
        running.await.map_err(|error| lost(&error))?.map_err(status::of)
    }

    pub async fn create_sandbox(&self, caller: Caller, request: proto::CreateSandboxRequest) -> Result<proto::Sandbox, Status> {
        let mut new = convert::new_sandbox(request)?;
        if new.rules == Preset::ViewOnly.rules() {
            new.rules = self.view_only.rules();
        }
        self.short(move |agent| agent.create_sandbox(&caller, &new)).await.map(convert::sandbox)
    }

    pub async fn get_sandbox(&self, caller: Caller, request: proto::GetSandboxRequest) -> Result<proto::Sandbox, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        self.short(move |agent| agent.sandbox(&caller, &id)).await.map(convert::sandbox)
    }

    pub async fn list_sandboxes(
        &self,
        caller: Caller,
        request: proto::ListSandboxesRequest,
    ) -> Result<proto::ListSandboxesResponse, Status> {
        let filter = SandboxFilter { codebase_id: convert::optional_id("codebase_id", request.codebase_id)?, ..SandboxFilter::default() };
        let page = convert::page(request.page_size, request.page_token)?;
        let page = self.short(move |agent| agent.sandboxes(&caller, &filter, &page)).await?;
        let sandboxes = page.items.into_iter().map(convert::sandbox).collect();
        Ok(proto::ListSandboxesResponse { sandboxes, next_page_token: page.next.unwrap_or_default() })
    }

    pub async fn start_sandbox(&self, caller: Caller, request: proto::StartSandboxRequest) -> Result<proto::Sandbox, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        self.short(move |agent| agent.start(&caller, &id)).await.map(convert::sandbox)
    }

    pub async fn stop_sandbox(&self, caller: Caller, request: proto::StopSandboxRequest) -> Result<proto::Sandbox, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        self.short(move |agent| agent.stop(&caller, &id)).await.map(convert::sandbox)
    }

    pub async fn destroy_sandbox(&self, caller: Caller, request: proto::DestroySandboxRequest) -> Result<proto::Empty, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        self.short(move |agent| agent.destroy(&caller, &id)).await.map(|()| proto::Empty {})
    }

    pub async fn exec(&self, caller: Caller, request: proto::ExecRequest) -> Result<Response<proto::ExecResult>, Status> {
        let (id, exec) = convert::exec(request)?;
        output::answer(self.long(move |agent, cancel| agent.exec(&caller, &id, &exec, cancel, &NoWatcher)).await?)
    }

    pub async fn create_session(&self, caller: Caller, request: proto::CreateSessionRequest) -> Result<proto::Session, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        let new = NewSession { shell: request.shell, env: request.env, ..NewSession::default() };
        self.short(move |agent| agent.create_session(&caller, &id, &new)).await.map(convert::session)
    }

    pub async fn get_session(&self, caller: Caller, request: proto::GetSessionRequest) -> Result<proto::Session, Status> {
        let id = convert::id("session_id", request.session_id)?;
        self.short(move |agent| agent.session(&caller, &id)).await.map(convert::session)
    }

    pub async fn list_sessions(&self, caller: Caller, request: proto::ListSessionsRequest) -> Result<proto::ListSessionsResponse, Status> {
        let id = convert::id("sandbox_id", request.sandbox_id)?;
        let all = move |agent: &dyn Agent| {
            let (mut sessions, mut page) = (Vec::new(), PageRequest { size: 1000, token: String::new() });
            loop {
                let found = match agent.sessions(&caller, &id, &page) {
                    // What clients know: a sandbox that is not there has no sessions.
                    Err(api::AgentError::NotFound { kind: "sandbox", .. }) => return Ok(sessions),
                    found => found?,
                };
                sessions.extend(found.items.into_iter().map(convert::session));
                let Some(next) = found.next else { return Ok(sessions) };
                page.token = next;
            }
        };
        Ok(proto::ListSessionsResponse { sessions: self.short(all).await? })
    }

    pub async fn destroy_session(&self, caller: Caller, request: proto::DestroySessionRequest) -> Result<proto::Empty, Status> {
        let id = convert::id("session_id", request.session_id)?;
        self.short(move |agent| agent.destroy_session(&caller, &id)).await.map(|()| proto::Empty {})
    }

    pub async fn session_exec(&self, caller: Caller, request: proto::SessionExecRequest) -> Result<Response<proto::ExecResult>, Status> {
        let (id, command, timeout) = convert::session_exec(request)?;
        let call = move |agent: &dyn Agent, cancel: &Cancel| agent.session_exec(&caller, &id, &command, timeout, cancel, &NoWatcher);
        output::answer(self.long(call).await?)
    }

    pub async fn create_codebase(&self, caller: Caller, request: proto::CreateCodebaseRequest) -> Result<proto::Codebase, Status> {
        for (field, value) in [("name", &request.name), ("owner_id", &request.owner_id)] {
            if value.is_empty() {
                return Err(status::required(field));
            }
        }
        let new = NewCodebase { name: request.name, owner_id: request.owner_id };
        self.short(move |agent| agent.create_codebase(&caller, &new)).await.map(convert::codebase)
    }

    pub async fn get_codebase(&self, caller: Caller, request: proto::GetCodebaseRequest) -> Result<proto::Codebase, Status> {
        let id = convert::id("codebase_id", request.codebase_id)?;
        self.short(move |agent| agent.codebase(&caller, &id)).await.map(convert::codebase)
    }

    pub async fn list_codebases(
        &self,
        caller: Caller,
        request: proto::ListCodebasesRequest,
    ) -> Result<proto::ListCodebasesResponse, Status> {
        let owner = Some(request.owner_id).filter(|owner| !owner.is_empty());
        let page = convert::page(request.page_size, request.page_token)?;
        let page = self.short(move |agent| agent.codebases(&caller, owner.as_deref(), &page)).await?;
        let codebases = page.items.into_iter().map(convert::codebase).collect();
        Ok(proto::ListCodebasesResponse { codebases, next_page_token: page.next.unwrap_or_default() })
    }

    pub async fn delete_codebase(&self, caller: Caller, request: proto::DeleteCodebaseRequest) -> Result<proto::Empty, Status> {
        let id = convert::id("codebase_id", request.codebase_id)?;
        self.short(move |agent| agent.delete_codebase(&caller, &id)).await.map(|()| proto::Empty {})
    }
}
