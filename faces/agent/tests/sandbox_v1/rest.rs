//! JSON over HTTP, byte for byte.

use std::sync::atomic::Ordering;

use enclos_testkit::http::begin;

use super::world::World;

const CODEBASE: &str = "cb_0000000000000001";
const SANDBOX: &str = "sb_0000000000000002";
const TIME: &str = "\"2023-11-14T22:13:20.123Z\"";

/// A sandbox as the first of a world is answered.
fn shown(status: &str, started: bool, stopped: bool) -> String {
    let time = |there| if there { TIME } else { "null" };
    format!(
        "{{\"id\":\"{SANDBOX}\",\"codebaseId\":\"{CODEBASE}\",\"permissions\":[{{\"pattern\":\"**/*\",\"type\":\"PATTERN_TYPE_GLOB\",\
         \"permission\":\"PERMISSION_READ\",\"priority\":0}}],\"status\":\"SANDBOX_STATUS_{status}\",\"labels\":{{\"k\":\"v\"}},\
         \"createdAt\":{TIME},\"startedAt\":{},\"stoppedAt\":{},\"expiresAt\":\"2023-11-14T22:13:21.623Z\",\"runtime\":\"RUNTIME_TYPE_BWRAP\",\
         \"image\":\"\",\"resources\":{{\"memoryBytes\":\"1048576\",\"cpuQuota\":\"0\",\"cpuShares\":\"0\",\"pidsLimit\":\"0\"}}}}",
        time(started),
        time(stopped),
    )
}

const NEW: &str = "{\"codebase_id\":\"cb_0000000000000001\",\"permissions\":[{\"pattern\":\"**/*\",\"permission\":\"read\"}],\
                   \"expiresIn\":\"1.5s\",\"labels\":{\"k\":\"v\"},\"runtime\":\"bwrap\",\"resources\":{\"memoryBytes\":\"1048576\"},\"more\":1}";

#[test]
fn every_route_answers_as_clients_know_it() {
    let world = World::new();
    let codebase = format!(
        "{{\"id\":\"{CODEBASE}\",\"name\":\"n\",\"ownerId\":\"o\",\"size\":\"0\",\"fileCount\":0,\"createdAt\":{TIME},\"updatedAt\":{TIME}}}"
    );
    let session = |status: &str, closed: &str| {
        format!(
            "{{\"id\":\"sess_0000000000000003\",\"sandboxId\":\"{SANDBOX}\",\"status\":\"SESSION_STATUS_{status}\",\"shell\":\"/bin/sh\",\
             \"createdAt\":{TIME},\"closedAt\":{closed}}}"
        )
    };
    let result = "{\"stdout\":\"hi\\n\",\"stderr\":\"\",\"exitCode\":0,\"duration\":\"1.500s\"}".to_owned();
    let empty = || "{}".to_owned();
    for (method, path, body, wanted) in [
        ("POST", "/v1/codebases", "{\"name\":\"n\",\"ownerId\":\"o\"}", codebase.clone()),
        ("GET", "/v1/codebases/cb_0000000000000001", "", codebase.clone()),
        ("GET", "/v1/codebases?owner_id=o&pageSize=5", "", format!("{{\"codebases\":[{codebase}],\"nextPageToken\":\"\"}}")),
        ("GET", "/v1/codebases?ownerId=x", "", "{\"codebases\":[],\"nextPageToken\":\"\"}".to_owned()),
        ("GET", "/v1/codebases/cb_0000000000000001/files?path=&recursive=true", "", "{\"files\":[]}".to_owned()),
        ("POST", "/v1/sandboxes", NEW, shown("PENDING", false, false)),
        ("GET", "/v1/sandboxes/sb_0000000000000002", "", shown("PENDING", false, false)),
        ("POST", "/v1/sandboxes/sb_0000000000000002/start", "", shown("RUNNING", true, false)),
        ("GET", "/v1/sandboxes", "", format!("{{\"sandboxes\":[{}],\"nextPageToken\":\"\"}}", shown("RUNNING", true, false))),
        (
            "POST",
            "/v1/sandboxes/sb_0000000000000002/exec",
            "{\"command\":\"echo hi\",\"timeout\":\"5s\",\"sandboxId\":\"other\"}",
            result.clone(),
        ),
        ("POST", "/v1/sandboxes/sb_0000000000000002/sessions", "", session("ACTIVE", "null")),
        ("GET", "/v1/sandboxes/sb_0000000000000002/sessions", "", format!("{{\"sessions\":[{}]}}", session("ACTIVE", "null"))),
        ("POST", "/v1/sessions/sess_0000000000000003/exec", "{\"command\":\"echo hi\"}", result),
        ("DELETE", "/v1/sessions/sess_0000000000000003", "", empty()),
        ("GET", "/v1/sessions/sess_0000000000000003", "", session("CLOSED", TIME)),
        ("POST", "/v1/sandboxes/sb_0000000000000002/stop", "{}", shown("STOPPED", true, true)),
        ("DELETE", "/v1/sandboxes/sb_0000000000000002", "", empty()),
        ("DELETE", "/v1/codebases/cb_0000000000000001", "", empty()),
    ] {
        let answer = world.request(method, path, body);
        assert_eq!((answer.status, answer.text()), (200, wanted.as_str()), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn errors_are_told_as_clients_know_them() {
    let world = World::new();
    let sandbox = world.sandbox();
    let exec = format!("/v1/sandboxes/{sandbox}/exec");
    let start = format!("/v1/sandboxes/{sandbox}/start");
    let new = |rest: &str| format!("{{\"codebaseId\":\"{CODEBASE}\",{rest}}}");
    for (method, path, body, status, code, message) in [
        ("GET", "/", "", 404, 5, "Not Found"),
        ("GET", "/healthz", "", 404, 5, "Not Found"),
        ("PUT", "/v1/sandboxes", "", 501, 12, "Method Not Allowed"),
        ("GET", "/v1/sandboxes/", "", 400, 3, "sandbox_id is required"),
        ("GET", "/v1/sandboxes/sb_ffffffffffffffff", "", 404, 5, "sandbox \"sb_ffffffffffffffff\" is not known"),
        ("GET", "/v1/sandboxes/..%2Fx", "", 400, 3, "sandbox_id: \"../x\" is no id"),
        ("GET", "/v1/sandboxes?page_size=x", "", 400, 3, "page_size: "),
        ("POST", &start, "", 400, 9, "sandbox is already running"),
        ("POST", &exec, "{\"command\":\"wait\",\"timeout\":\"0.001s\"}", 504, 4, "command timed out"),
        ("POST", &exec, "{\"command\":\"panic\"}", 500, 13, "internal error"),
        ("POST", &exec, "{\"command\":\"echo\",\"timeout\":5}", 400, 3, "timeout: a number is not right: write seconds"),
        ("POST", &exec, "{\"command\":", 400, 3, "body: no JSON"),
        ("POST", &exec, "", 400, 3, "command is required"),
        (
            "POST",
            "/v1/sandboxes",
            &new("\"permissions\":[{\"pattern\":\"a\",\"permission\":\"red\"}]"),
            400,
            3,
            "permissions[0].permission: \"red\" is not known: write none, view, read, write",
        ),
        ("POST", "/v1/sandboxes", &new("\"permissions\":[{\"pattern\":\"a\",\"type\":\"GLOB\"}]"), 400, 3, "permissions[0].type: "),
        (
            "POST",
            "/v1/sandboxes",
            &new("\"permissions\":[{\"pattern\":\"a\",\"permission\":7}]"),
            400,
            3,
            "permissions[0].permission: 7 is not known",
        ),
        ("POST", "/v1/sandboxes", &new("\"runtime\":\"podman\""), 400, 3, "runtime: \"podman\" is not known: write bwrap, docker"),
        ("POST", "/v1/sandboxes", &new("\"resources\":{\"pidsLimit\":-1}"), 400, 3, "resources.pids_limit: -1 is negative"),
        ("POST", "/v1/sandboxes", &new("\"expiresIn\":\"-1s\""), 400, 3, "expires_in: "),
    ] {
        let answer = world.request(method, path, body);
        let told = answer.json();
        assert_eq!(
            (answer.status, told["code"].as_i64(), told["details"].to_string().as_str()),
            (status, Some(code), "[]"),
            "{path} {body}"
        );
        let said = told["message"].as_str().unwrap();
        assert!(said.starts_with(message), "{path} {body}: {said}");
        assert!(answer.text().starts_with(&format!("{{\"code\":{code},\"message\":")), "{}", answer.text());
    }
}

#[test]
fn whole_words_and_numbers_of_enums_are_taken_as_well() {
    let world = World::new();
    world.codebase();
    for (given, shown) in [("\"PERMISSION_WRITE\"", "WRITE"), ("4", "WRITE"), ("\"view\"", "VIEW"), ("null", "NONE"), ("0", "NONE")] {
        let new =
            format!("{{\"codebaseId\":\"{CODEBASE}\",\"permissions\":[{{\"pattern\":\"a\",\"permission\":{given},\"type\":\"file\"}}]}}");
        let told = world.request("POST", "/v1/sandboxes", &new).json();
        assert_eq!(told["permissions"][0]["permission"], format!("PERMISSION_{shown}"), "{given}");
        assert_eq!(told["permissions"][0]["type"], "PATTERN_TYPE_FILE");
    }
}

#[test]
fn what_has_no_field_is_in_the_head() {
    let world = World::new();
    let exec = format!("/v1/sandboxes/{}/exec", world.sandbox());
    let large = world.request("POST", &exec, "{\"command\":\"large 9000000\"}");
    assert!(large.header("x-enclos-truncated").is_some_and(|told| told.starts_with("stdout=")));
    let late = world.request("POST", &exec, "{\"command\":\"wait\",\"timeout\":\"0.001s\"}");
    assert_eq!(late.header("x-enclos-stdout-bin"), Some("YmVmb3Jl"));
    assert_eq!(world.request("POST", &exec, "{\"command\":\"exit 3\"}").header("x-enclos-exit-code"), Some("3"));
    assert_eq!(world.request("POST", &exec, &"x".repeat(5 << 20)).status, 413);
}

#[test]
fn a_client_that_goes_away_ends_its_command() {
    let world = World::new();
    let exec = format!("/v1/sandboxes/{}/exec", world.sandbox());
    let stream = begin(&world.rest, "POST", &exec, &[], b"{\"command\":\"wait\"}");
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 1, "the command waits");
    drop(stream);
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 1, "it is cancelled");
}
