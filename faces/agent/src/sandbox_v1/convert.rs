//! Between the messages of `sandbox.v1` and the seam. What makes no sense is refused by the name of its field.

use enclos_proto::prost_types::{Duration, Timestamp};
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::Status;

use super::status::{invalid, required};
use crate::api;
use crate::api::{Kind, Level, PageRequest, Rule};

/// Bytes of a caller's text that are shown back to it.
const SHOWN: usize = 64;

fn shown(text: &str) -> String {
    if text.len() <= SHOWN { format!("{text:?}") } else { format!("{:?}…", &text[..text.floor_char_boundary(SHOWN)]) }
}

/// An id: a prefix, `_` and 16 hexadecimal digits. Nothing else reaches the core (W-40).
pub fn id(field: &str, text: String) -> Result<String, Status> {
    if text.is_empty() {
        return Err(required(field));
    }
    let well_formed = text.split_once('_').is_some_and(|(prefix, digits)| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_lowercase()) && digits.len() == 16 && digits.bytes().all(is_hex)
    });
    if well_formed {
        return Ok(text);
    }
    Err(invalid(field, format_args!("{} is no id: it would be letters, _ and 16 hexadecimal digits, as the server gave it", shown(&text))))
}

/// An id that may be left out.
pub fn optional_id(field: &str, text: String) -> Result<Option<String>, Status> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// Which page.
pub fn page(size: i32, token: String) -> Result<PageRequest, Status> {
    let size =
        usize::try_from(size).map_err(|_| invalid("page_size", format_args!("{size} is negative: write 0 for the default, or more")))?;
    Ok(PageRequest { size, token })
}

/// A span in milliseconds, rounded up; nothing, and 0, mean the default.
pub fn span(field: &str, span: Option<Duration>) -> Result<Option<u64>, Status> {
    let Some(Duration { seconds, nanos }) = span else { return Ok(None) };
    let bad = |why: &str| invalid(field, format_args!("{seconds} s and {nanos} ns: {why}"));
    if seconds < 0 || nanos < 0 {
        return Err(bad("must not be negative"));
    }
    if nanos > 999_999_999 || seconds > 315_576_000_000 {
        return Err(bad("is beyond what a span may be"));
    }
    let milliseconds = seconds.unsigned_abs() * 1000 + u64::from(nanos.unsigned_abs().div_ceil(1_000_000));
    Ok((milliseconds > 0).then_some(milliseconds))
}

/// An amount; 0 means the default.
fn amount(field: &str, amount: i64) -> Result<Option<u64>, Status> {
    let amount =
        u64::try_from(amount).map_err(|_| invalid(field, format_args!("{amount} is negative: write 0 for the default, or more")))?;
    Ok((amount > 0).then_some(amount))
}

fn rule(index: usize, rule: proto::PermissionRule) -> Result<Rule, Status> {
    let field = |name: &str| format!("permissions[{index}].{name}");
    let level = match proto::Permission::try_from(rule.permission) {
        Ok(proto::Permission::Unspecified | proto::Permission::None) => Level::None,
        Ok(proto::Permission::View) => Level::View,
        Ok(proto::Permission::Read) => Level::Read,
        Ok(proto::Permission::Write) => Level::Write,
        Err(_) => {
            let why = format_args!("{} is not known: write 1 (none), 2 (view), 3 (read) or 4 (write)", rule.permission);
            return Err(invalid(&field("permission"), why));
        }
    };
    let kind = match proto::PatternType::try_from(rule.r#type) {
        Ok(proto::PatternType::Unspecified | proto::PatternType::Glob) => Kind::Glob,
        Ok(proto::PatternType::Directory) => Kind::Directory,
        Ok(proto::PatternType::File) => Kind::File,
        Err(_) => {
            return Err(invalid(&field("type"), format_args!("{} is not known: write 1 (glob), 2 (directory) or 3 (file)", rule.r#type)));
        }
    };
    Ok(Rule { pattern: rule.pattern, kind, level, priority: rule.priority })
}

fn resources(given: Option<proto::ResourceLimits>) -> Result<api::Resources, Status> {
    let Some(given) = given else { return Ok(api::Resources::default()) };
    Ok(api::Resources {
        memory_bytes: amount("resources.memory_bytes", given.memory_bytes)?,
        cpu_quota: amount("resources.cpu_quota", given.cpu_quota)?,
        cpu_shares: amount("resources.cpu_shares", given.cpu_shares)?,
        pids_limit: amount("resources.pids_limit", given.pids_limit)?,
        ..api::Resources::default()
    })
}

/// A sandbox to make: one that shares its files with its codebase, as clients of this interface take for granted.
pub fn new_sandbox(request: proto::CreateSandboxRequest) -> Result<api::NewSandbox, Status> {
    let runtime = match proto::RuntimeType::try_from(request.runtime) {
        Ok(proto::RuntimeType::Unspecified) => api::Runtime::Unspecified,
        Ok(proto::RuntimeType::Bwrap) => api::Runtime::Bwrap,
        Ok(proto::RuntimeType::Docker) => api::Runtime::Docker,
        Err(_) => return Err(invalid("runtime", format_args!("{} is not known: write 1 (bwrap) or 2 (docker)", request.runtime))),
    };
    Ok(api::NewSandbox {
        codebase_id: Some(id("codebase_id", request.codebase_id)?),
        rules: request.permissions.into_iter().enumerate().map(|(index, given)| rule(index, given)).collect::<Result<_, _>>()?,
        expires_in_ms: span("expires_in", request.expires_in)?,
        labels: request.labels,
        runtime,
        image: Some(request.image).filter(|image| !image.is_empty()),
        resources: resources(request.resources)?,
        shared: true,
        ..api::NewSandbox::default()
    })
}

/// A command, and its sandbox.
pub fn exec(request: proto::ExecRequest) -> Result<(String, api::Exec), Status> {
    let sandbox = id("sandbox_id", request.sandbox_id)?;
    if request.command.is_empty() {
        return Err(required("command"));
    }
    let exec = api::Exec {
        command: request.command,
        argv: Vec::new(),
        stdin: request.stdin.into_bytes(),
        env: request.env,
        workdir: Some(request.workdir).filter(|workdir| !workdir.is_empty()),
        timeout_ms: span("timeout", request.timeout)?,
    };
    Ok((sandbox, exec))
}

/// A command of a session: session, command, timeout.
pub fn session_exec(request: proto::SessionExecRequest) -> Result<(String, String, Option<u64>), Status> {
    let session = id("session_id", request.session_id)?;
    if request.command.is_empty() {
        return Err(required("command"));
    }
    Ok((session, request.command, span("timeout", request.timeout)?))
}

/// A point in time.
pub fn time(milliseconds: i64) -> Timestamp {
    let nanos = milliseconds.rem_euclid(1000) as i32 * 1_000_000;
    Timestamp { seconds: milliseconds.div_euclid(1000), nanos }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sandbox, as clients see it.
pub fn sandbox(sandbox: api::Sandbox) -> proto::Sandbox {
    let limit = |limit: Option<u64>| limit.map_or(0, whole);
    let resources = proto::ResourceLimits {
        memory_bytes: limit(sandbox.resources.memory_bytes),
        cpu_quota: limit(sandbox.resources.cpu_quota),
        cpu_shares: limit(sandbox.resources.cpu_shares),
        pids_limit: limit(sandbox.resources.pids_limit),
    };
    let status = match sandbox.status {
        api::SandboxStatus::Pending => proto::SandboxStatus::Pending,
        api::SandboxStatus::Running => proto::SandboxStatus::Running,
        api::SandboxStatus::Stopped => proto::SandboxStatus::Stopped,
        api::SandboxStatus::Error => proto::SandboxStatus::Error,
    };
    let runtime = match sandbox.runtime {
        api::Runtime::Unspecified => proto::RuntimeType::Unspecified,
        api::Runtime::Bwrap => proto::RuntimeType::Bwrap,
        api::Runtime::Docker => proto::RuntimeType::Docker,
    };
    proto::Sandbox {
        id: sandbox.id,
        codebase_id: sandbox.codebase_id,
        permissions: sandbox.rules.into_iter().map(shown_rule).collect(),
        status: status.into(),
        labels: sandbox.labels,
        created_at: Some(time(sandbox.created_at)),
        started_at: sandbox.started_at.map(time),
        stopped_at: sandbox.stopped_at.map(time),
        expires_at: sandbox.expires_at.map(time),
        runtime: runtime.into(),
        image: sandbox.image.unwrap_or_default(),
        resources: Some(resources).filter(|resources| *resources != proto::ResourceLimits::default()),
    }
}

fn shown_rule(rule: Rule) -> proto::PermissionRule {
    let permission = match rule.level {
        Level::None => proto::Permission::None,
        Level::View => proto::Permission::View,
        Level::Read => proto::Permission::Read,
        Level::Write => proto::Permission::Write,
    };
    let kind = match rule.kind {
        Kind::Glob => proto::PatternType::Glob,
        Kind::Directory => proto::PatternType::Directory,
        Kind::File => proto::PatternType::File,
    };
    proto::PermissionRule { pattern: rule.pattern, r#type: kind.into(), permission: permission.into(), priority: rule.priority }
}

/// A session, as clients see it.
pub fn session(session: api::Session) -> proto::Session {
    let status = match session.status {
        api::SessionStatus::Active => proto::SessionStatus::Active,
        api::SessionStatus::Closed => proto::SessionStatus::Closed,
    };
    proto::Session {
        id: session.id,
        sandbox_id: session.sandbox_id,
        status: status.into(),
        shell: session.shell,
        created_at: Some(time(session.created_at)),
        closed_at: session.closed_at.map(time),
    }
}

/// A codebase, as clients see it.
pub fn codebase(codebase: api::Codebase) -> proto::Codebase {
    proto::Codebase {
        id: codebase.id,
        name: codebase.name,
        owner_id: codebase.owner_id,
        size: whole(codebase.size),
        file_count: i32::try_from(codebase.file_count).unwrap_or(i32::MAX),
        created_at: Some(time(codebase.created_at)),
        updated_at: Some(time(codebase.updated_at)),
    }
}

/// A file that went in, as clients see it.
pub fn uploaded(codebase_id: String, uploaded: api::Uploaded) -> proto::UploadResult {
    proto::UploadResult { codebase_id, file_path: uploaded.path, size: whole(uploaded.size), checksum: uploaded.md5 }
}

/// An entry of a version, as clients see it.
pub fn file(entry: api::TreeEntry) -> proto::FileInfo {
    proto::FileInfo {
        path: entry.path,
        name: entry.name,
        is_dir: entry.is_dir,
        size: whole(entry.size),
        modified_at: Some(time(entry.modified_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
        let status = result.unwrap_err();
        assert_eq!(status.code(), enclos_proto::tonic::Code::InvalidArgument);
        status.message().to_owned()
    }

    #[test]
    fn ids_are_exactly_what_the_server_gives() {
        for good in ["cb_0123456789abcdef", "sess_0000000000000000"] {
            assert_eq!(id("x", good.to_owned()).unwrap(), good);
        }
        assert_eq!(told(id("x", String::new())), "x is required");
        let long = format!("sb_{}", "0".repeat(5000));
        for bad in [
            "../files/cb_0123456789abcdef",
            "cb_0123456789abcde",
            "cb_0123456789ABCDEF",
            "_0123456789abcdef",
            "cb_0123456789abcdef\n",
            "é_0123456789abcdef",
            &long,
        ] {
            let message = told(id("x", bad.to_owned()));
            assert!(message.starts_with("x: ") && message.contains("is no id") && message.len() < 250, "{message}");
        }
    }

    #[test]
    fn spans_are_rounded_up_and_never_negative() {
        let of = |seconds, nanos| span("timeout", Some(Duration { seconds, nanos }));
        assert_eq!(of(0, 0).unwrap(), None);
        assert_eq!(of(0, 1).unwrap(), Some(1));
        assert_eq!(of(1, 500_000_000).unwrap(), Some(1500));
        for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, 0), (i64::MAX, 0), (0, i32::MAX)] {
            assert!(told(of(seconds, nanos)).starts_with("timeout: "));
        }
    }

    #[test]
    fn a_rule_names_what_is_wrong_with_it() {
        let good = proto::PermissionRule { pattern: "**/*".to_owned(), r#type: 0, permission: 0, priority: 3 };
        assert_eq!(rule(0, good.clone()).unwrap(), Rule { pattern: "**/*".to_owned(), kind: Kind::Glob, level: Level::None, priority: 3 });
        assert!(
            told(rule(2, proto::PermissionRule { permission: 9, ..good.clone() })).starts_with("permissions[2].permission: 9 is not known")
        );
        assert!(told(rule(1, proto::PermissionRule { r#type: -1, ..good })).starts_with("permissions[1].type: -1 is not known"));
    }

    #[test]
    fn times_before_1970_are_times_too() {
        assert_eq!(time(-1), Timestamp { seconds: -1, nanos: 999_000_000 });
        assert_eq!(time(1500), Timestamp { seconds: 1, nanos: 500_000_000 });
    }
}
