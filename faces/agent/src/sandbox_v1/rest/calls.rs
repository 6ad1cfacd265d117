//! From a request's path, query and body to a call, and from its answer to JSON.

use enclos_host::axum::response::Response;
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::Status;
use enclos_proto::tonic::metadata::MetadataMap;
use serde::Serialize;

use super::decode::Fields;
use super::paths::Call;
use super::written;
use crate::api::Caller;
use crate::sandbox_v1::service::Service;

/// What a client asks.
pub struct Asked<'a> {
    /// Who.
    pub caller: Caller,
    /// The id in the path; it goes over one in the body.
    pub id: String,
    /// Behind the question mark.
    pub query: &'a str,
    /// JSON.
    pub body: &'a [u8],
}

/// Carries a call out.
pub async fn carry_out(service: &Service, call: Call, asked: Asked<'_>) -> Result<Response, Status> {
    let Asked { caller, id, query, body } = asked;
    match call {
        Call::CreateSandbox => ok(service.create_sandbox(caller, sandbox(Fields::of_body(body)?)?).await),
        Call::GetSandbox => ok(service.get_sandbox(caller, proto::GetSandboxRequest { sandbox_id: id }).await),
        Call::ListSandboxes => {
            let mut query = Fields::of_query(query)?;
            let request = proto::ListSandboxesRequest {
                codebase_id: query.text("codebase_id")?,
                page_size: query.small("page_size")?,
                page_token: query.text("page_token")?,
            };
            ok(service.list_sandboxes(caller, request).await)
        }
        Call::StartSandbox => ok(service.start_sandbox(caller, proto::StartSandboxRequest { sandbox_id: id }).await),
        Call::StopSandbox => ok(service.stop_sandbox(caller, proto::StopSandboxRequest { sandbox_id: id }).await),
        Call::DestroySandbox => ok(service.destroy_sandbox(caller, proto::DestroySandboxRequest { sandbox_id: id }).await),
        Call::Exec => {
            let mut body = Fields::of_body(body)?;
            let request = proto::ExecRequest {
                sandbox_id: id,
                command: body.text("command")?,
                stdin: body.text("stdin")?,
                env: body.texts("env")?,
                workdir: body.text("workdir")?,
                timeout: body.span("timeout")?,
            };
            let (metadata, result, _) = service.exec(caller, request).await?.into_parts();
            written(&result, &metadata)
        }
        Call::CreateSession => {
            let mut body = Fields::of_body(body)?;
            let request = proto::CreateSessionRequest { sandbox_id: id, shell: body.text("shell")?, env: body.texts("env")? };
            ok(service.create_session(caller, request).await)
        }
        Call::ListSessions => ok(service.list_sessions(caller, proto::ListSessionsRequest { sandbox_id: id }).await),
        Call::GetSession => ok(service.get_session(caller, proto::GetSessionRequest { session_id: id }).await),
        Call::DestroySession => ok(service.destroy_session(caller, proto::DestroySessionRequest { session_id: id }).await),
        Call::SessionExec => {
            let mut body = Fields::of_body(body)?;
            let request = proto::SessionExecRequest { session_id: id, command: body.text("command")?, timeout: body.span("timeout")? };
            let (metadata, result, _) = service.session_exec(caller, request).await?.into_parts();
            written(&result, &metadata)
        }
        Call::CreateCodebase => {
            let mut body = Fields::of_body(body)?;
            let request = proto::CreateCodebaseRequest { name: body.text("name")?, owner_id: body.text("owner_id")? };
            ok(service.create_codebase(caller, request).await)
        }
        Call::GetCodebase => ok(service.get_codebase(caller, proto::GetCodebaseRequest { codebase_id: id }).await),
        Call::ListCodebases => {
            let mut query = Fields::of_query(query)?;
            let request = proto::ListCodebasesRequest {
                owner_id: query.text("owner_id")?,
                page_size: query.small("page_size")?,
                page_token: query.text("page_token")?,
            };
            ok(service.list_codebases(caller, request).await)
        }
        Call::DeleteCodebase => ok(service.delete_codebase(caller, proto::DeleteCodebaseRequest { codebase_id: id }).await),
        Call::ListFiles => {
            let mut query = Fields::of_query(query)?;
            let request = proto::ListFilesRequest { codebase_id: id, path: query.text("path")?, recursive: query.flag("recursive")? };
            ok(service.list_files(caller, request).await)
        }
    }
}

fn ok<T: Serialize>(answer: Result<T, Status>) -> Result<Response, Status> {
    written(&answer?, &MetadataMap::new())
}

fn sandbox(mut body: Fields) -> Result<proto::CreateSandboxRequest, Status> {
    let runtime = |word: &str| proto::RuntimeType::from_str_name(word).map(i32::from);
    Ok(proto::CreateSandboxRequest {
        codebase_id: body.text("codebase_id")?,
        permissions: body.objects("permissions", rule)?,
        expires_in: body.span("expires_in")?,
        labels: body.texts("labels")?,
        runtime: body.word("runtime", "RUNTIME_TYPE_", &["bwrap", "docker"], runtime)?,
        image: body.text("image")?,
        resources: body.object("resources", |mut limits| {
            Ok(proto::ResourceLimits {
                memory_bytes: limits.whole("memory_bytes")?,
                cpu_quota: limits.whole("cpu_quota")?,
                cpu_shares: limits.whole("cpu_shares")?,
                pids_limit: limits.whole("pids_limit")?,
            })
        })?,
    })
}

fn rule(mut rule: Fields) -> Result<proto::PermissionRule, Status> {
    let kind = |word: &str| proto::PatternType::from_str_name(word).map(i32::from);
    let permission = |word: &str| proto::Permission::from_str_name(word).map(i32::from);
    Ok(proto::PermissionRule {
        pattern: rule.text("pattern")?,
        r#type: rule.word("type", "PATTERN_TYPE_", &["glob", "directory", "file"], kind)?,
        permission: rule.word("permission", "PERMISSION_", &["none", "view", "read", "write"], permission)?,
        priority: rule.small("priority")?,
    })
}
