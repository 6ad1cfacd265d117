//! The services.

use std::sync::Arc;

use enclos_proto::sandbox_v1 as proto;
use enclos_proto::sandbox_v1::codebase_service_server::{CodebaseService, CodebaseServiceServer};
use enclos_proto::sandbox_v1::sandbox_service_server::{SandboxService, SandboxServiceServer};
use enclos_proto::tonic::service::Routes;
use enclos_proto::tonic::{self, Request, Response, Status, Streaming};

use super::commands::Streamed;
use super::service::Service;
use crate::api::Caller;

/// Both services.
pub fn routes(service: &Arc<Service>) -> Routes {
    let served = Served(Arc::clone(service));
    Routes::new(SandboxServiceServer::new(served.clone())).add_service(CodebaseServiceServer::new(served))
}

#[derive(Clone)]
struct Served(Arc<Service>);

/// Who calls, and what they say. [`super::access`] has put the caller there.
pub fn opened<T>(request: Request<T>) -> Result<(Caller, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let caller = extensions.remove::<Caller>().ok_or_else(|| Status::internal("internal error"))?;
    Ok((caller, message))
}

/// A service: its methods of one message each way, then the others. The whole of it in one macro, because `async_trait` sees nothing of a macro
/// within.
macro_rules! service {
    ($service:ident: { $($name:ident($request:ident) -> $answer:ident,)+ } $($others:tt)*) => {
        #[tonic::async_trait]
        impl $service for Served {
            $(async fn $name(&self, request: Request<proto::$request>) -> Result<Response<proto::$answer>, Status> {
                let (caller, request) = opened(request)?;
                Ok(self.0.$name(caller, request).await?.into())
            })+
            $($others)*
        }
    };
}

service! {
    SandboxService: {
        create_sandbox(CreateSandboxRequest) -> Sandbox,
        get_sandbox(GetSandboxRequest) -> Sandbox,
        list_sandboxes(ListSandboxesRequest) -> ListSandboxesResponse,
        start_sandbox(StartSandboxRequest) -> Sandbox,
        stop_sandbox(StopSandboxRequest) -> Sandbox,
        destroy_sandbox(DestroySandboxRequest) -> Empty,
        create_session(CreateSessionRequest) -> Session,
        get_session(GetSessionRequest) -> Session,
        list_sessions(ListSessionsRequest) -> ListSessionsResponse,
        destroy_session(DestroySessionRequest) -> Empty,
    }

    async fn exec(&self, request: Request<proto::ExecRequest>) -> Result<Response<proto::ExecResult>, Status> {
        let (caller, request) = opened(request)?;
        self.0.exec(caller, request).await
    }

    async fn session_exec(&self, request: Request<proto::SessionExecRequest>) -> Result<Response<proto::ExecResult>, Status> {
        let (caller, request) = opened(request)?;
        self.0.session_exec(caller, request).await
    }

    type ExecStreamStream = Streamed<proto::ExecOutput>;

    async fn exec_stream(&self, request: Request<proto::ExecRequest>) -> Result<Response<Self::ExecStreamStream>, Status> {
        let (caller, request) = opened(request)?;
        Ok(self.0.exec_stream(caller, request)?.into())
    }

    type SessionExecStreamStream = Streamed<proto::ExecOutput>;

    async fn session_exec_stream(
        &self,
        request: Request<proto::SessionExecRequest>,
    ) -> Result<Response<Self::SessionExecStreamStream>, Status> {
        let (caller, request) = opened(request)?;
        Ok(self.0.session_exec_stream(caller, request)?.into())
    }
}

service! {
    CodebaseService: {
        create_codebase(CreateCodebaseRequest) -> Codebase,
        get_codebase(GetCodebaseRequest) -> Codebase,
        list_codebases(ListCodebasesRequest) -> ListCodebasesResponse,
        delete_codebase(DeleteCodebaseRequest) -> Empty,
        list_files(ListFilesRequest) -> ListFilesResponse,
    }

    async fn upload_files(&self, request: Request<Streaming<proto::UploadChunk>>) -> Result<Response<proto::UploadResult>, Status> {
        let (caller, chunks) = opened(request)?;
        Ok(self.0.upload_files(caller, chunks).await?.into())
    }

    type DownloadFileStream = Streamed<proto::FileChunk>;

    async fn download_file(&self, request: Request<proto::DownloadFileRequest>) -> Result<Response<Self::DownloadFileStream>, Status> {
        let (caller, request) = opened(request)?;
        Ok(self.0.download_file(caller, request)?.into())
    }
}
