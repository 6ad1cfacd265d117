//! Calls that answer at once, over gRPC.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use enclos_agent::api::{Kind, Level, Rule, Runtime};
use enclos_proto::prost_types::{Duration, Timestamp};
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::{Code, Status};

use super::world::{World, command_of};

fn told<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

const UNKNOWN: &str = "sb_ffffffffffffffff";

#[test]
fn a_sandbox_lives_as_clients_know_it() {
    let world = World::new();
    let codebase_id = world.codebase();
    let rule = proto::PermissionRule { pattern: "**/*".to_owned(), r#type: 0, permission: 3, priority: 7 };
    let new = proto::CreateSandboxRequest {
        codebase_id: codebase_id.clone(),
        permissions: vec![rule.clone(), proto::PermissionRule { permission: 0, r#type: 2, ..rule.clone() }],
        expires_in: Some(Duration { seconds: 60, nanos: 1 }),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        runtime: proto::RuntimeType::Docker.into(),
        image: "python".to_owned(),
        resources: Some(proto::ResourceLimits { memory_bytes: 1 << 20, pids_limit: 5, ..Default::default() }),
    };
    let made = world.block(world.sandboxes().create_sandbox(new)).unwrap().into_inner();
    assert_eq!((made.status(), made.codebase_id.as_str(), made.image.as_str()), (proto::SandboxStatus::Pending, &*codebase_id, "python"));
    let permissions: Vec<_> = made.permissions.iter().map(|rule| (rule.r#type(), rule.permission())).collect();
    assert_eq!(
        permissions,
        [(proto::PatternType::Glob, proto::Permission::Read), (proto::PatternType::Directory, proto::Permission::None)]
    );
    assert_eq!(made.created_at, Some(Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 }));
    assert_eq!(made.expires_at, Some(Timestamp { seconds: 1_700_000_060, nanos: 124_000_000 }));
    assert_eq!(made.resources.unwrap().pids_limit, 5);
    let asked = world.agent.asked();
    assert!(asked.shared && asked.runtime == Runtime::Docker && asked.resources.cpu_quota.is_none());
    assert_eq!(asked.rules[0], Rule { pattern: "**/*".to_owned(), kind: Kind::Glob, level: Level::Read, priority: 7 });

    let id = || made.id.clone();
    let start = || world.block(world.sandboxes().start_sandbox(proto::StartSandboxRequest { sandbox_id: id() }));
    let stop = || world.block(world.sandboxes().stop_sandbox(proto::StopSandboxRequest { sandbox_id: id() }));
    let get = || world.block(world.sandboxes().get_sandbox(proto::GetSandboxRequest { sandbox_id: id() }));
    assert_eq!(told(stop()), (Code::FailedPrecondition, "sandbox is not running".to_owned()));
    assert_eq!(told(world.exec(&made.id, "echo x")), (Code::FailedPrecondition, "sandbox is not running".to_owned()));
    let started = start().unwrap().into_inner();
    assert!(started.status() == proto::SandboxStatus::Running && started.started_at.is_some());
    assert_eq!(told(start()), (Code::FailedPrecondition, "sandbox is already running".to_owned()));
    let delete = world.block(world.codebases().delete_codebase(proto::DeleteCodebaseRequest { codebase_id }));
    assert_eq!(told(delete).0, Code::FailedPrecondition);
    let stopped = stop().unwrap().into_inner();
    assert!(stopped.status() == proto::SandboxStatus::Stopped && stopped.stopped_at.is_some());
    assert_eq!(get().unwrap().into_inner(), stopped);
    world.block(world.sandboxes().destroy_sandbox(proto::DestroySandboxRequest { sandbox_id: id() })).unwrap();
    assert_eq!(told(get()).0, Code::NotFound);
}

#[test]
fn what_is_wrong_is_named() {
    let world = World::new();
    let codebase_id = world.codebase();
    let create = |change: &dyn Fn(&mut proto::CreateSandboxRequest)| {
        let mut new = proto::CreateSandboxRequest { codebase_id: codebase_id.clone(), ..Default::default() };
        change(&mut new);
        told(world.block(world.sandboxes().create_sandbox(new)))
    };
    let rule = |pattern: &str, permission| proto::PermissionRule { pattern: pattern.to_owned(), permission, ..Default::default() };
    for (start, (code, message)) in [
        ("codebase_id is required", create(&|new| new.codebase_id.clear())),
        ("codebase_id: \"../files/cb_1\" is no id", create(&|new| new.codebase_id = "../files/cb_1".to_owned())),
        ("permissions[1].permission: 5 is not known", create(&|new| new.permissions = vec![rule("a", 1), rule("b", 5)])),
        ("permissions[0].pattern: ", create(&|new| new.permissions = vec![rule("", 1)])),
        ("expires_in: ", create(&|new| new.expires_in = Some(Duration { seconds: -1, nanos: 0 }))),
        ("runtime: 3 is not known", create(&|new| new.runtime = 3)),
        (
            "resources.cpu_quota: -1 is negative",
            create(&|new| {
                new.resources = Some(proto::ResourceLimits { cpu_quota: -1, ..Default::default() });
            }),
        ),
    ] {
        assert_eq!(code, Code::InvalidArgument, "{message}");
        assert!(message.starts_with(start), "{message}");
    }
    assert_eq!(create(&|new| new.codebase_id = "cb_ffffffffffffffff".to_owned()).0, Code::NotFound);

    let sandbox = world.sandbox();
    assert_eq!(told(world.exec(&sandbox, "")), (Code::InvalidArgument, "command is required".to_owned()));
    assert_eq!(told(world.exec("", "echo")), (Code::InvalidArgument, "sandbox_id is required".to_owned()));
    assert_eq!(told(world.exec(UNKNOWN, "echo")).0, Code::NotFound);
    let negative = proto::ExecRequest { timeout: Some(Duration { seconds: 0, nanos: -5 }), ..command_of(&sandbox, "echo") };
    assert!(told(world.block(world.sandboxes().exec(negative))).1.starts_with("timeout: "));
    for (name, owner, message) in [("", "o", "name is required"), ("n", "", "owner_id is required")] {
        let new = proto::CreateCodebaseRequest { name: name.to_owned(), owner_id: owner.to_owned() };
        assert_eq!(told(world.block(world.codebases().create_codebase(new))), (Code::InvalidArgument, message.to_owned()));
    }
    let page = proto::ListSandboxesRequest { page_size: -1, ..Default::default() };
    assert!(told(world.block(world.sandboxes().list_sandboxes(page))).1.starts_with("page_size: -1 is negative"));
}

#[test]
fn listings_come_in_pages() {
    let world = World::new();
    let codebase_id = world.codebase();
    for _ in 0..5 {
        let new = proto::CreateSandboxRequest { codebase_id: codebase_id.clone(), ..Default::default() };
        world.block(world.sandboxes().create_sandbox(new)).unwrap();
    }
    world.sandbox();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = proto::ListSandboxesRequest { codebase_id: codebase_id.clone(), page_size: 2, page_token };
        let page = world.block(world.sandboxes().list_sandboxes(page)).unwrap().into_inner();
        assert!(page.sandboxes.len() <= 2);
        seen.extend(page.sandboxes.into_iter().map(|sandbox| sandbox.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    let all = world.block(world.sandboxes().list_sandboxes(proto::ListSandboxesRequest::default())).unwrap().into_inner();
    assert_eq!(all.sandboxes.len(), 6);
    let codebases = proto::ListCodebasesRequest { owner_id: "o".to_owned(), page_size: 1, ..Default::default() };
    let codebases = world.block(world.codebases().list_codebases(codebases)).unwrap().into_inner();
    assert_eq!((codebases.codebases.len(), codebases.next_page_token.as_str()), (1, "1"));
    let bad = proto::ListCodebasesRequest { page_token: "x".to_owned(), ..Default::default() };
    assert_eq!(told(world.block(world.codebases().list_codebases(bad))).0, Code::InvalidArgument);
}

#[test]
fn a_command_gives_everything_it_wrote() {
    let world = World::new();
    let sandbox = world.sandbox();
    let run = |command: &str| world.exec(&sandbox, command).unwrap();
    let result = run("echo hello").into_inner();
    assert_eq!(
        (result.stdout.as_str(), result.exit_code, result.duration),
        ("hello\n", 0, Some(Duration { seconds: 1, nanos: 500_000_000 }))
    );
    assert_eq!(run("err on success").into_inner().stderr, "on success\n");
    assert_eq!(run("exit 42").into_inner().exit_code, 42);
    assert_eq!(run("signal").into_inner().exit_code, 137);
    let oom = run("oom");
    assert_eq!(oom.metadata().get("x-enclos-verdict").unwrap(), "out_of_memory");
    assert_eq!(run("bytes").into_inner().stdout, "\u{fffd}\0a");
    let large = run("large 9000000");
    assert!(large.metadata().get("x-enclos-truncated").unwrap().to_str().unwrap().starts_with("stdout="));
    assert!(large.into_inner().stdout.contains("\n... omitting "));
    let full = proto::ExecRequest {
        stdin: "in\u{e9}".to_owned(),
        env: BTreeMap::from([("K".to_owned(), "V".to_owned())]),
        workdir: "/tmp".to_owned(),
        timeout: Some(Duration { seconds: 2, nanos: 0 }),
        ..command_of(&sandbox, "cat")
    };
    let cat = world.block(world.sandboxes().exec(full.clone())).unwrap().into_inner();
    assert_eq!(cat.stdout, "in\u{e9}");
    let shown = world.block(world.sandboxes().exec(proto::ExecRequest { command: "show".to_owned(), ..full })).unwrap().into_inner();
    assert_eq!(shown.stdout, "Some(\"/tmp\") {\"K\": \"V\"} Some(2000)");
}

#[test]
fn a_command_that_does_not_come_to_its_end() {
    let world = World::new();
    let sandbox = world.sandbox();
    let late = proto::ExecRequest { timeout: Some(Duration { seconds: 0, nanos: 1_000_000 }), ..command_of(&sandbox, "wait") };
    let status = world.block(world.sandboxes().exec(late)).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "command timed out"));
    assert_eq!(status.metadata().get_bin("x-enclos-stdout-bin").unwrap().to_bytes().unwrap(), "before");
    assert_eq!(told(world.exec(&sandbox, "lost")).0, Code::Aborted);
    assert_eq!(told(world.exec(&sandbox, "panic")), (Code::Internal, "internal error".to_owned()));
    assert_eq!(world.exec(&sandbox, "echo alive").unwrap().into_inner().stdout, "alive\n");
}

#[test]
fn a_client_that_goes_away_ends_its_command() {
    let world = World::new();
    let sandbox = world.sandbox();
    let mut client = world.sandboxes();
    let call = world.runtime.spawn(async move { client.exec(command_of(&sandbox, "wait")).await });
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 1, "the command waits");
    call.abort();
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 1, "the command is cancelled");
}

#[test]
fn hundreds_of_commands_at_once_keep_nobody_waiting() {
    let world = World::new();
    let sandbox = world.sandbox();
    let calls: Vec<_> = (0..600)
        .map(|_| {
            let (mut client, request) = (world.sandboxes(), command_of(&sandbox, "wait"));
            world.runtime.spawn(async move { client.exec(request).await })
        })
        .collect();
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 600, "all wait");
    assert!(world.block(world.sandboxes().get_sandbox(proto::GetSandboxRequest { sandbox_id: sandbox })).is_ok());
    calls.iter().for_each(enclos_host::tokio::task::JoinHandle::abort);
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 600, "all are cancelled");
}

#[test]
fn more_commands_than_there_may_be_are_refused() {
    let world = World::with("[agent]\ncalls = 1");
    let sandbox = world.sandbox();
    let (mut client, request) = (world.sandboxes(), command_of(&sandbox, "wait"));
    let call = world.runtime.spawn(async move { client.exec(request).await });
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 1, "the command waits");
    assert_eq!(told(world.exec(&sandbox, "echo")).0, Code::Unavailable);
    call.abort();
}

#[test]
fn sessions_last_and_are_seen_when_they_are_closed() {
    let world = World::new();
    let sandbox = world.sandbox();
    let create = |shell: &str| {
        let new = proto::CreateSessionRequest { sandbox_id: sandbox.clone(), shell: shell.to_owned(), ..Default::default() };
        world.block(world.sandboxes().create_session(new)).unwrap().into_inner()
    };
    let (first, second) = (create(""), create("/bin/bash"));
    assert_eq!((first.status(), first.shell.as_str(), second.shell.as_str()), (proto::SessionStatus::Active, "/bin/sh", "/bin/bash"));
    let exec = |command: &str| {
        let request = proto::SessionExecRequest { session_id: first.id.clone(), command: command.to_owned(), timeout: None };
        world.block(world.sandboxes().session_exec(request))
    };
    assert_eq!(exec("echo x").unwrap().into_inner().stdout, "x\n");
    assert_eq!(told(exec("")).1, "command is required");
    let list = |id: &str| {
        let request = proto::ListSessionsRequest { sandbox_id: id.to_owned() };
        world.block(world.sandboxes().list_sessions(request)).map(|list| list.into_inner().sessions.len())
    };
    assert_eq!(list(&sandbox).unwrap(), 2);
    assert_eq!(list(UNKNOWN).unwrap(), 0);
    assert_eq!(told(list("")).0, Code::InvalidArgument);
    world.block(world.sandboxes().destroy_session(proto::DestroySessionRequest { session_id: first.id.clone() })).unwrap();
    assert_eq!(told(exec("echo x")), (Code::FailedPrecondition, "session is closed".to_owned()));
    let closed = world.block(world.sandboxes().get_session(proto::GetSessionRequest { session_id: first.id.clone() })).unwrap();
    assert!(closed.get_ref().status() == proto::SessionStatus::Closed && closed.get_ref().closed_at.is_some());
    let unknown = proto::GetSessionRequest { session_id: "sess_ffffffffffffffff".to_owned() };
    assert_eq!(told(world.block(world.sandboxes().get_session(unknown))).0, Code::NotFound);
}
