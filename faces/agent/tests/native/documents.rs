//! Every address: those of the OpenAPI document are served, and no others; and its examples work.

use serde_json::{Value, json};

use super::world::{TWO_KEYS, World, error};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

fn address(path: &str) -> String {
    path.strip_prefix("/v1/agent/").unwrap().replace("{id}", "sb_00000000000000ff").replace("{path}", "a/b")
}

#[test]
fn the_routes_are_those_of_the_document() {
    let world = World::new();
    let document = world.get("openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 28);
    for (path, operations) in paths {
        let known: Vec<&str> = METHODS.into_iter().filter(|method| operations.get(method.to_lowercase()).is_some()).collect();
        for method in METHODS {
            let response = world.bytes(method, &address(path), &[], b"");
            if known.contains(&method) {
                let documented = &operations[method.to_lowercase()]["responses"][response.status.to_string()];
                assert!(documented.is_object(), "{method} {path}: {}", response.status);
                assert!(!response.text().contains("no such address"), "{method} {path}");
            } else {
                assert_eq!((response.status, error(&response).0.as_str()), (405, "method_not_allowed"), "{method} {path}");
                let allowed = response.header("allow").unwrap_or_default();
                assert!(known.iter().all(|known| allowed.contains(known)), "{method} {path}: {allowed}");
            }
        }
    }
}

#[test]
fn where_there_are_keys_every_address_but_the_document_needs_one() {
    let world = World::with(TWO_KEYS);
    let document = world.get("openapi.json").json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|_| !path.ends_with("openapi.json")) {
            let response = world.bytes(&method.to_uppercase(), &address(path), &[], b"");
            assert_eq!((response.status, error(&response).0.as_str()), (401, "unauthenticated"), "{method} {path}");
        }
    }
}

#[test]
fn what_is_nowhere_is_said_to_be_and_others_keep_their_addresses() {
    let world = World::new();
    for path in ["", "sandbox", "sandboxes/", "sandboxes/x/y", "sessions", "runs", "codebases/x/files/", "codebases/x/files"] {
        let response = world.get(path);
        assert_eq!((response.status, error(&response).0.as_str()), (404, "not_found"), "{path}");
    }
    let get = |path: &str| enclos_testkit::http::request(&world.address, "GET", path, &[], b"");
    assert_eq!((get("/v1/other").text(), get("/v1/others").text()), ("other", "not the agent's"));
}

/// What an example's placeholders stand for.
fn filled(example: &Value, codebase: &str, snapshot: &str) -> Value {
    let text = example.to_string().replace("cb_0000000000000001", codebase).replace("sn_0000000000000001", snapshot);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_example_works() {
    let world = World::new();
    let document = world.get("openapi.json").json();
    let (codebase, sandbox) = (world.codebase(), world.sandbox());
    let session = world.make(&format!("sandboxes/{sandbox}/sessions"), &json!({}))["id"].as_str().unwrap().to_owned();
    let snapshot = world.make(&format!("sandboxes/{sandbox}/snapshots"), &json!(null))["id"].as_str().unwrap().to_owned();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            for (name, example) in examples.as_object().into_iter().flatten() {
                let id = if path.contains("sessions/{id}") { &session } else { &sandbox };
                let address = path.strip_prefix("/v1/agent/").unwrap().replace("{id}", id);
                let response = world.send(&method.to_uppercase(), &address, &filled(&example["value"], &codebase, &snapshot));
                assert!(matches!(response.status, 200 | 201), "{method} {path} {name}: {response:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 14, "{tried}");
}
