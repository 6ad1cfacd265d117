//! Commands, answered or streamed.

use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;

use enclos_testkit::http;
use serde_json::{Value, json};

use super::world::{JSON, World, error, events};

const EVENTS: &[(&str, &str)] = &[("content-type", "application/json"), ("accept", "text/event-stream")];

#[test]
fn a_command_is_answered_with_all_that_came_of_it() {
    let world = World::new();
    let id = world.sandbox();
    let exec = |body: &Value| world.send("POST", &format!("sandboxes/{id}/exec"), body);
    let result = exec(&json!({"command": "echo hello", "timeout": "1.5s", "env": {"A": "B"}, "workdir": "docs"})).json();
    assert_eq!(
        (&result["stdout"], &result["exit_code"]),
        (&json!({"data": "hello\n", "encoding": "utf-8", "truncated": false}), &0.into())
    );
    assert_eq!((&result["verdict"], &result["usage"]), (&"ended".into(), &json!({"wall_us": 5, "cpu_us": 3, "memory_peak": null})));
    let given = world.agent.lock().exec.clone().unwrap();
    assert_eq!((given.timeout_ms, given.env["A"].as_str(), given.workdir.as_deref()), (Some(1500), "B", Some("docs")));
    let result = exec(&json!({"argv": ["cat"], "stdin": {"data": "/wA=", "encoding": "base64"}})).json();
    assert_eq!((&result["stdout"]["data"], &result["stdout"]["encoding"]), (&"/wA=".into(), &"base64".into()));
    let result = exec(&json!({"command": "fail 3"})).json();
    assert_eq!((&result["exit_code"], &result["stderr"]["data"]), (&3.into(), &"it failed\n".into()));
    // Larger than what is written on the spot.
    assert_eq!(exec(&json!({"command": "flood 300"})).json()["stdout"]["data"].as_str().unwrap().len(), 300 * 4096);
    let failed = exec(&json!({"command": "panic"}));
    assert_eq!((failed.status, error(&failed).0.as_str()), (500, "internal"));
}

#[test]
fn one_call_makes_runs_and_destroys() {
    let world = World::new();
    let result = world.send("POST", "run", &json!({"command": "echo hi", "resources": {"memory": "64M"}, "env": {"A": "B"}, "timeout": 5}));
    assert_eq!((result.status, &result.json()["stdout"]["data"]), (200, &"hi\n".into()));
    assert_eq!(world.agent.lock().new.as_ref().unwrap().resources.memory_bytes, Some(64 << 20));
    assert_eq!(world.get("sandboxes").json()["sandboxes"], json!([]));
}

#[test]
fn events_come_in_order_and_the_exit_is_the_last() {
    let world = World::new();
    let id = world.sandbox();
    let session = world.make(&format!("sandboxes/{id}/sessions"), &json!({}))["id"].as_str().unwrap().to_owned();
    for path in [format!("sandboxes/{id}/exec"), "run".to_owned(), format!("sessions/{session}/exec")] {
        let response = world.bytes("POST", &path, EVENTS, b"{\"command\": \"flood 2\"}");
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")), "{path}");
        let events = events(response.text());
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["started", "stdout", "stdout", "exit"], "{path}");
        assert_eq!((&events[1].1["offset"], &events[2].1["offset"], &events[2].1["encoding"]), (&0.into(), &4096.into(), &"utf-8".into()));
        assert_eq!(
            (&events[3].1["type"], &events[3].1["exit_code"], &events[3].1["verdict"]),
            (&"exit".into(), &0.into(), &"ended".into())
        );
    }
    let refused = world.bytes("POST", "run", EVENTS, b"{\"command\": \"quota\"}");
    assert_eq!((refused.status, error(&refused).0.as_str()), (429, "quota_exceeded"));
    let failed = world.bytes("POST", "run", EVENTS, b"{\"command\": \"panic\"}");
    assert_eq!((failed.status, error(&failed).0.as_str()), (500, "internal"));
}

#[test]
fn a_client_that_goes_away_ends_its_command() {
    let world = World::new();
    for headers in [JSON, EVENTS] {
        for command in ["wait", "flood 1000000"].into_iter().take(if headers == JSON { 1 } else { 2 }) {
            let body = json!({"command": command}).to_string();
            let stream = http::begin(&world.address, "POST", "/v1/agent/run", headers, body.as_bytes());
            world.until(|agent| agent.running.load(Ordering::SeqCst) == 1, "it runs");
            if headers == EVENTS {
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while line.trim() != "event: started" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
            }
            drop(stream);
            world.idle();
        }
    }
}

#[test]
fn five_hundred_at_once_run_at_once_and_hold_up_nobody_else() {
    let world = World::new();
    let body = b"{\"command\": \"together 500\"}";
    let mut all: Vec<_> = (0..499).map(|_| http::begin(&world.address, "POST", "/v1/agent/run", JSON, body)).collect();
    world.until(|agent| agent.running.load(Ordering::SeqCst) == 499, "499 run");
    assert_eq!(world.get("sandboxes?page_size=1").status, 200);
    all.push(http::begin(&world.address, "POST", "/v1/agent/run", JSON, body));
    for one in all {
        assert_eq!(http::finish(one).status, 200);
    }
}

#[test]
fn more_calls_than_there_may_be_are_refused_and_who_looks_is_answered() {
    let world = World::with("[agent.native]\ncalls = 1");
    let waiting = http::begin(&world.address, "POST", "/v1/agent/run", JSON, b"{\"command\": \"wait\"}");
    world.until(|agent| agent.running.load(Ordering::SeqCst) == 1, "it runs");
    let response = world.send("POST", "run", &json!({"command": "echo"}));
    assert_eq!((response.status, error(&response).0.as_str(), response.header("retry-after")), (503, "unavailable", Some("1")));
    assert_eq!(world.get("sandboxes").status, 200);
    drop(waiting);
    world.idle();
}

#[test]
fn sessions_live_and_close() {
    let world = World::new();
    let id = world.sandbox();
    let made = world.make(&format!("sandboxes/{id}/sessions"), &json!({"shell": "/bin/bash", "env": {"A": "B"}}));
    assert_eq!((&made["status"], &made["shell"], &made["terminal"]), (&"active".into(), &"/bin/bash".into(), &false.into()));
    let session = format!("sessions/{}", made["id"].as_str().unwrap());
    assert_eq!(
        world.send("POST", &format!("{session}/exec"), &json!({"command": "echo a", "timeout": "1s"})).json()["stdout"]["data"],
        "a\n"
    );
    assert_eq!(world.get(&format!("sandboxes/{id}/sessions")).json()["sessions"][0]["id"], made["id"]);
    assert_eq!(world.bytes("DELETE", &session, &[], b"").status, 204);
    let closed = world.get(&session).json();
    assert_eq!((&closed["status"], &closed["exit_code"]), (&"closed".into(), &129.into()));
    let refused = world.send("POST", &format!("{session}/exec"), &json!({"command": "echo a"}));
    assert_eq!((refused.status, error(&refused).0.as_str()), (409, "session_closed"));
    for (body, field) in [
        (json!({"terminal": {"rows": 0, "cols": 1}}), "terminal"),
        (json!({"argv": ["x"]}), "argv"),
        (json!({"terminal": {"rows": 1}}), "terminal.cols"),
    ] {
        let response = world.send("POST", &format!("sandboxes/{id}/sessions"), &body);
        assert_eq!((response.status, error(&response).1.as_deref()), (400, Some(field)), "{body}");
    }
}
