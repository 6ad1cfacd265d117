//! Bodies nobody meant: every one is answered, with a status of the document, and the server lives on.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::world::{JSON, World, job, problem};
use enclos_testkit::http;

/// A request that uses every field.
fn full() -> Value {
    json!({
        "language": "fakec", "source": "print a", "sources": [{"name": "a", "contents": "b"}],
        "compile": {"arguments": ["-O"], "environment": {"A": "B"}, "limits": {"cpu_ms": 1}},
        "run": {"arguments": [], "environment": {}, "limits": {"memory_bytes": 1}, "merge_stderr": true},
        "tests": [{"name": "t", "stdin": {"data": "AA==", "encoding": "base64"}, "arguments": [], "environment": {}, "limits": {},
            "expected": "x", "checker": {"kind": "program", "absolute": 0.1, "relative": 1, "program": {"language": "fake", "source": ""}},
            "files_in": [{"name": "f", "contents": ""}], "files_out": ["g"], "fatal": true, "points": 2, "subtask": "s"}],
        "interactor": {"language": "fake", "sources": [{"contents": ""}]}, "stop_at_first_failure": false, "runs": 2, "async": false,
        "callback": {"url": "http://x"}, "live": true,
    })
}

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(Value::from("fake")),
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

fn body() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (proptest::collection::vec(any::<usize>(), 1..6), any_json()).prop_map(|(path, new)| {
        let mut request = full();
        replace(&mut request, &path, new);
        request.to_string().into_bytes()
    });
    let torn = (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| {
        let mut bytes = full().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes
    });
    prop_oneof![
        4 => mutated,
        2 => torn,
        1 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

#[test]
fn any_body_is_answered_and_harms_nobody() {
    let world = World::new();
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let paths = ["/v1/runs", "/v1/runs?wait=false", "/v1/batches"];
    let given = (0..paths.len(), body());
    let run = runner.run(&given, |(path, body)| {
        let response = http::request(&world.address, "POST", paths[path], JSON, &body);
        prop_assert!(matches!(response.status, 200 | 202 | 400 | 422), "{}", response.status);
        if response.status >= 400 {
            problem(&response);
        }
        Ok(())
    });
    run.unwrap();
    assert_eq!(world.run(&job("print on", ""))["verdict"], "OK");
}

#[test]
fn documents_that_are_made_to_hurt_are_refused() {
    let world = World::new();
    let deep = "[".repeat(1_000_000);
    let nested = format!("{{\"language\": {}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let many = format!("{{\"language\": \"fake\", \"source\": \"\", \"tests\": [{}{{}}]}}", "{},".repeat(100_000));
    let wide = format!("{{{}\"language\": \"fake\"}}", (0..100_000).map(|n| format!("\"k{n}\": 1,")).collect::<String>());
    for body in [&deep, &nested, &many, &wide] {
        let response = world.post("/v1/runs", body);
        assert!(matches!(response.status, 400 | 422), "{}", response.status);
        problem(&response);
    }
}

#[test]
fn heads_nobody_meant_are_answered() {
    let world = World::new();
    for header in ["accept", "content-type", "authorization", "origin", "x-api-key"] {
        for value in ["", ";;;,,,", "text/event-stream;q=", "\u{e9}", "Bearer", "Basic \u{ff}", "a/b, */*;q=2"] {
            let response = world.request("POST", "/v1/runs", &[JSON[0], (header, value)], &job("", ""));
            assert!(matches!(response.status, 200 | 400 | 415), "{header}: {value:?}: {}", response.status);
        }
    }
}
