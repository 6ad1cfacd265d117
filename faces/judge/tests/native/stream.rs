//! Server-sent events: everything as it happens, and the result last.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use serde_json::Value;

use super::world::{JSON, Setup, World, job, problem};
use enclos_testkit::http;

const ACCEPT: &[(&str, &str)] = &[("content-type", "application/json"), ("accept", "text/event-stream")];

/// Reads events off a connection, one by one.
struct Events(BufReader<TcpStream>);

impl Events {
    fn begin(world: &World, body: &str) -> Self {
        Self(BufReader::new(http::begin(&world.address, "POST", "/v1/runs", ACCEPT, body.as_bytes())))
    }

    /// The next event, whose name is its type; `None`: the stream has ended.
    fn next(&mut self) -> Option<Value> {
        let mut name = None;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(found) = line.strip_prefix("event: ") {
                name = Some(found.trim_end().to_owned());
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(event["type"].as_str(), name.as_deref());
                return Some(event);
            }
        }
    }

    fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).filter(|name| *name != "queued").collect()
}

#[test]
fn events_come_in_order_and_the_result_is_the_last() {
    let world = World::new();
    let body = r#"{"language": "fakec", "source": "print a\nbytes", "tests": [{}, {"name": "second"}]}"#;
    let events = Events::begin(&world, body).rest();
    let expected = ["started", "compiled", "started", "output", "output", "test", "started", "output", "output", "test", "result"];
    assert_eq!(types(&events), expected);
    let of = |name: &str| events.iter().filter(|event| event["type"] == name).collect::<Vec<_>>();
    let steps: Vec<&Value> = of("started").iter().map(|event| &event["test"]).collect();
    assert_eq!(steps, [&Value::Null, &0.into(), &1.into()]);
    assert_eq!(of("output")[0]["output"]["data"], "a\n");
    assert_eq!((&of("output")[3]["output"]["encoding"], &of("output")[3]["test"]), (&"base64".into(), &1.into()));
    assert_eq!(of("test")[1]["report"]["name"], "second");
    assert_eq!(of("result")[0]["result"], world.run(body));
}

#[test]
fn output_comes_while_the_program_runs() {
    let world = World::new();
    let mut events = Events::begin(&world, &job("print now\nwait", ""));
    let first = std::iter::from_fn(|| events.next()).find(|event| event["type"] == "output").unwrap();
    assert_eq!((&first["stream"], &first["output"]["data"]), (&"stdout".into(), &"now\n".into()));
    assert_eq!(world.running(), 1);
    drop(events);
    world.until(|world| world.running() == 0, "a client that goes away ends its run");
    assert_eq!(world.judge.cancelled.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn without_live_output_there_is_none_until_the_end() {
    let events = Events::begin(&World::new(), &job("print a", r#", "live": false"#)).rest();
    assert_eq!(types(&events), ["started", "test", "result"]);
}

#[test]
fn who_waits_is_told_where() {
    let queue = enclos_pool::Settings { cores: 1, capacity: 5, per_key: 5, bytes: 1 << 20 };
    let world = Setup { queue, ..Setup::default() }.start();
    let running = http::begin(&world.address, "POST", "/v1/runs", JSON, job("wait", "").as_bytes());
    world.until(|world| world.running() == 1, "the first runs");
    let mut events = Events::begin(&world, &job("", ""));
    let first = events.next().unwrap();
    assert_eq!((&first["type"], &first["ahead"]), (&"queued".into(), &0.into()));
    drop(running);
    assert_eq!(types(&events.rest()).last(), Some(&"result"));
}

#[test]
fn a_problem_in_the_middle_is_the_last_event_and_one_before_is_no_stream() {
    let world = World::new();
    let events = Events::begin(&world, &job("print a\nbreak", "")).rest();
    assert_eq!(types(&events), ["started", "output", "problem"]);
    assert_eq!(events.last().unwrap()["problem"]["type"], "urn:enclos:problem:internal");
    let response = world.request("POST", "/v1/runs", ACCEPT, "{}");
    assert_eq!((response.status, &*problem(&response).0), (400, "invalid-field"));
    let response = world.request("POST", "/v1/runs?wait=false", ACCEPT, &job("", ""));
    assert_eq!((response.status, problem(&response).2.as_deref()), (422, Some("async")));
}

#[test]
fn a_reader_that_is_slow_slows_its_program_and_holds_no_memory() {
    let world = World::new();
    let line = "print ".to_owned() + &"x".repeat(10_000) + "\n";
    // More than any buffer on the way holds.
    let mut events = Events::begin(&world, &job(&line.repeat(2000), r#", "tests": [{}]"#));
    while events.next().unwrap()["type"] != "output" {}
    assert_eq!(world.running(), 1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(world.running(), 1, "it waits for its reader");
    let rest = events.rest();
    assert_eq!(rest.iter().filter(|event| event["type"] == "output").count(), 1999);
}
