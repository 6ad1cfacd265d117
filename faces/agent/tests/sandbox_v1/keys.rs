//! Who may call (W-39).

use std::sync::atomic::Ordering;

use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::Code;
use enclos_testkit::http::request;

use super::world::{World, command_of, with_key};

/// SHA-256 of `secret`, and of `other`.
const CONFIG: &str = "[[keys]]\nname = \"a\"\nconcurrent = 1\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n\
                      [[keys]]\nname = \"b\"\nsha256 = \"d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\"";

#[test]
fn without_a_key_nothing_but_health_is_told() {
    let world = World::with(CONFIG);
    let list = proto::ListSandboxesRequest::default();
    let status = world.block(world.sandboxes().list_sandboxes(list.clone())).unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let wrong = world.block(world.sandboxes().list_sandboxes(with_key(list.clone(), "wrong"))).unwrap_err();
    assert_eq!((wrong.code(), wrong.message()), (Code::Unauthenticated, "this key is not known here"));
    assert!(world.block(world.sandboxes().list_sandboxes(with_key(list, "secret"))).is_ok());
    let told = world.request("GET", "/v1/sandboxes", "");
    assert_eq!((told.status, told.json()["code"].as_i64()), (401, Some(16)));
    assert_eq!(told.header("www-authenticate"), Some("Bearer"));
    assert_eq!(request(&world.rest, "GET", "/v1/sandboxes", &[("x-api-key", "secret")], b"").status, 200);
}

#[test]
fn what_belongs_to_another_key_does_not_exist() {
    let world = World::with(CONFIG);
    let new = proto::CreateCodebaseRequest { name: "n".to_owned(), owner_id: "o".to_owned() };
    let codebase_id = world.block(world.codebases().create_codebase(with_key(new, "secret"))).unwrap().into_inner().id;
    let get =
        |key| world.block(world.codebases().get_codebase(with_key(proto::GetCodebaseRequest { codebase_id: codebase_id.clone() }, key)));
    assert!(get("secret").is_ok());
    assert_eq!(get("other").unwrap_err().code(), Code::NotFound);
    let path = format!("/v1/codebases/{codebase_id}");
    assert_eq!(request(&world.rest, "DELETE", &path, &[("x-api-key", "other")], b"").status, 404);
    assert!(get("secret").is_ok());
}

#[test]
fn a_key_has_as_many_calls_at_once_as_it_may_and_gets_its_place_back() {
    let world = World::with(CONFIG);
    let new = proto::CreateCodebaseRequest { name: "n".to_owned(), owner_id: "o".to_owned() };
    let codebase_id = world.block(world.codebases().create_codebase(with_key(new, "secret"))).unwrap().into_inner().id;
    let new = proto::CreateSandboxRequest { codebase_id, ..Default::default() };
    let sandbox_id = world.block(world.sandboxes().create_sandbox(with_key(new, "secret"))).unwrap().into_inner().id;
    let start = proto::StartSandboxRequest { sandbox_id: sandbox_id.clone() };
    world.block(world.sandboxes().start_sandbox(with_key(start, "secret"))).unwrap();
    let stream = world.block(world.sandboxes().exec_stream(with_key(command_of(&sandbox_id, "wait"), "secret"))).unwrap();
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 1, "the command waits");
    let list = || world.block(world.sandboxes().list_sandboxes(with_key(proto::ListSandboxesRequest::default(), "secret")));
    let refused = list().unwrap_err();
    assert_eq!((refused.code(), refused.metadata().get("retry-after").unwrap().to_str().unwrap()), (Code::ResourceExhausted, "1"));
    drop(stream);
    world.until(|_| list().is_ok(), "there is a place again");
}
