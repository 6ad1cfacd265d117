//! Bodies nobody meant: every one is answered, with a status of the document, and the server lives on.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::world::{JSON, World, error};

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop_oneof![Just("read"), Just("agent-safe"), Just("30s"), Just("512MiB"), Just("echo a")].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,9}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Where in a document something is put: each number chooses a child.
fn replace(value: &mut Value, path: &[usize], new: Value) {
    match (value, path.split_first()) {
        (Value::Object(fields), Some((step, rest))) if !fields.is_empty() => {
            let count = fields.len();
            if let Some(child) = fields.values_mut().nth(step % count) {
                replace(child, rest, new);
            }
        }
        (Value::Array(items), Some((step, rest))) if !items.is_empty() => {
            let count = items.len();
            replace(&mut items[step % count], rest, new);
        }
        (value, _) => *value = new,
    }
}

/// Every address that takes JSON, with all its examples.
fn targets(world: &World) -> Vec<(String, String, Value)> {
    let document = world.get("openapi.json").json();
    let sandbox = world.sandbox();
    let session = world.make(&format!("sandboxes/{sandbox}/sessions"), &json!({}))["id"].as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            for example in examples.as_object().into_iter().flatten().map(|(_, example)| example["value"].clone()) {
                let id = if path.contains("sessions/{id}") { &session } else { &sandbox };
                found.push((method.to_uppercase(), path.strip_prefix("/v1/agent/").unwrap().replace("{id}", id), example));
            }
        }
    }
    found
}

#[test]
fn any_body_is_answered_and_harms_nobody() {
    let world = World::new();
    let targets = targets(&world);
    let mut runner = TestRunner::new(Config { cases: 1000, ..Config::default() });
    let given = (any::<usize>(), proptest::collection::vec(any::<usize>(), 1..6), any_json(), 0..8_u8, any::<u8>());
    let run = runner.run(&given, |(which, at, new, how, byte)| {
        let (method, path, example) = &targets[which % targets.len()];
        let mut value = example.clone();
        let body = match how {
            0 => new.to_string().into_bytes(),
            1 => {
                let mut bytes = value.to_string().into_bytes();
                let place = at[0] % bytes.len();
                bytes[place] = byte;
                bytes
            }
            _ => {
                replace(&mut value, &at, new);
                value.to_string().into_bytes()
            }
        };
        let response = world.bytes(method, path, JSON, &body);
        prop_assert!(matches!(response.status, 200 | 201 | 400 | 404 | 409), "{method} {path} {}: {}", response.status, response.text());
        if response.status >= 400 {
            error(&response);
        }
        Ok(())
    });
    run.unwrap();
    assert_eq!(world.send("POST", "run", &json!({"command": "echo on"})).status, 200);
}

#[test]
fn documents_that_are_made_to_hurt_are_refused() {
    let world = World::new();
    let deep = "[".repeat(1_000_000);
    let many = format!("{{\"command\": \"x\", \"rules\": [{}{{}}]}}", "{\"pattern\": \"x\", \"level\": \"read\"},".repeat(100_000));
    let wide = format!("{{{}\"command\": \"echo\"}}", (0..100_000).map(|n| format!("\"k{n}\": 1,")).collect::<String>());
    for body in [&deep, &many, &wide] {
        let response = world.bytes("POST", "run", JSON, body.as_bytes());
        assert_eq!(response.status, 400);
        error(&response);
    }
}

#[test]
fn addresses_nobody_meant_are_answered() {
    let world = World::new();
    let sandbox = world.sandbox();
    let mut runner = TestRunner::new(Config { cases: 500, ..Config::default() });
    let part = prop_oneof![
        "[a-z?&=%./]{0,12}",
        Just(sandbox),
        Just("sandboxes".to_owned()),
        Just("files".to_owned()),
        Just("codebases".to_owned()),
        Just("%ff%00..%2f".to_owned()),
    ];
    let given = (proptest::collection::vec(part, 0..5), prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE")]);
    let run = runner.run(&given, |(parts, method)| {
        let path = parts.join("/");
        // A watch lasts.
        prop_assume!(!path.contains("watch"));
        let response = world.bytes(method, &path, &[], b"");
        prop_assert!(response.status < 500, "{method} {path}: {}", response.status);
        Ok(())
    });
    run.unwrap();
}
