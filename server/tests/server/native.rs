//! The judge's own interface with real programs: talked to, streamed, and answered by the next server after a kill.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use super::world::World;
use enclos_testkit::http::PATIENCE;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let response = world.request("POST", path, JSON, body.to_string().as_bytes());
    let value = serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?} {}", world.log()));
    (response.status, value)
}

fn get(world: &World, path: &str) -> Value {
    let response = world.request("GET", path, &[], b"");
    assert_eq!(response.status, 200, "{response:?} {}", world.log());
    serde_json::from_slice(&response.body).unwrap()
}

fn accept(world: &World, body: &Value) -> String {
    let (status, accepted) = post(world, "/v1/runs?wait=false", body);
    assert_eq!(status, 202, "{accepted}");
    accepted["token"].as_str().unwrap().to_owned()
}

/// A run whose program is talked to.
struct Talk(WebSocket<TcpStream>);

impl Talk {
    fn begin(world: &World, run: &Value) -> Self {
        let stream = TcpStream::connect(&world.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("ws://{}/v1/runs/stream", world.address).into_client_request().unwrap();
        let mut socket = tungstenite::client(request, stream).unwrap().0;
        socket.send(Message::text(run.to_string())).unwrap();
        Self(socket)
    }

    fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    fn event(&mut self) -> Value {
        let text = self.0.read().unwrap().into_text().unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?}"))
    }

    /// What the program writes, until it ends with `end`.
    fn output(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let event = self.event();
            assert!(event["type"] != "result" && event["type"] != "problem", "{event} after {text:?}");
            if event["type"] == "output" {
                text += event["output"]["data"].as_str().unwrap();
            }
        }
        text
    }

    fn result(&mut self) -> Value {
        loop {
            let event = self.event();
            if event["type"] == "result" || event["type"] == "problem" {
                return event;
            }
        }
    }
}

#[test]
fn a_program_is_talked_to() {
    let world = World::new();
    let source = "import os, signal\nsignal.signal(signal.SIGINT, lambda *_: os.write(1, b'interrupted\\n'))\nprint('name?', flush=True)\n\
        name = input()\nprint('hello', name, flush=True)\nprint(repr(input()))\ntry:\n    input()\nexcept EOFError:\n    print('bye')";
    let mut talk = Talk::begin(&world, &json!({"language": "python", "source": source}));
    assert_eq!(talk.output("name?\n"), "name?\n");
    talk.say(&json!({"type": "signal", "signal": "SIGINT"}));
    talk.output("interrupted\n");
    talk.say(&json!({"type": "stdin", "data": "Ada\n"}));
    talk.output("hello Ada\n");
    talk.0.send(Message::binary("é\n".as_bytes().to_vec())).unwrap();
    talk.say(&json!({"type": "stdin_end"}));
    let result = talk.result();
    assert_eq!(result["result"]["verdict"], "OK", "{result}");
    let stdout = &result["result"]["tests"][0]["run"]["stdout"]["data"];
    assert_eq!(stdout, "name?\ninterrupted\nhello Ada\n'é'\nbye\n");
}

#[test]
fn a_talk_that_is_cancelled_or_left_kills_its_program() {
    let world = World::new();
    let forever =
        json!({"language": "python", "source": "print('on', flush=True)\nwhile True: input()", "run": {"limits": {"wall_ms": 60000}}});
    let mut talk = Talk::begin(&world, &forever);
    talk.output("on\n");
    talk.say(&json!({"type": "cancel"}));
    assert_eq!(talk.result()["problem"]["type"], "urn:enclos:problem:cancelled");
    let mut talk = Talk::begin(&world, &forever);
    talk.output("on\n");
    let start = Instant::now();
    drop(talk);
    world.until(|world| world.figure("enclos_queue_running") == 0, "it has ended");
    assert!(start.elapsed() < Duration::from_secs(20), "it was waited for");
}

#[test]
fn files_bytes_and_arguments_go_through_a_real_program() {
    let world = World::new();
    let source = "import sys\ndata = open('in/data', 'rb').read()\nopen('out', 'wb').write(data[::-1])\nsys.stdout.buffer.write(data)\n\
        sys.stderr.write(sys.argv[1])";
    let (status, result) = post(
        &world,
        "/v1/runs",
        &json!({"language": "python", "source": source, "run": {"arguments": ["a 'b'"]}, "tests": [{
            "files_in": [{"name": "in/data", "contents": {"data": "AP8K", "encoding": "base64"}}], "files_out": ["out", "none"],
            "expected": {"data": "AP8K", "encoding": "base64"}, "checker": {"kind": "exact"},
        }]}),
    );
    assert_eq!((status, &result["verdict"]), (200, &"OK".into()), "{result}");
    let run = &result["tests"][0]["run"];
    assert_eq!(run["stdout"], json!({"data": "AP8K", "encoding": "base64", "truncated": false}));
    assert_eq!((&run["stderr"]["data"], &run["files"][0]["contents"]["data"]), (&"a 'b'".into(), &"Cv8A".into()));
    assert!(run["files"][1]["missing"].is_string(), "{run}");
}

#[test]
fn a_killed_server_keeps_tokens_and_results_and_the_next_one_does_the_rest() {
    let world = World::new();
    let print =
        |word: &str, wait: f64| json!({"language": "python", "source": format!("import time; time.sleep({wait}); print({word:?})")});
    let ended: Vec<(String, String)> =
        (0..4).map(|n| (accept(&world, &print(&format!("early {n}"), 0.0)), format!("early {n}\n"))).collect();
    let before: Vec<Value> = ended.iter().map(|(token, _)| get(&world, &format!("/v1/runs/{token}?wait=60"))).collect();
    let left: Vec<(String, String)> = (0..6).map(|n| (accept(&world, &print(&format!("late {n}"), 1.0)), format!("late {n}\n"))).collect();
    world.until(|world| world.figure("enclos_queue_running") > 0, "some run");
    let world = World::start(world.kill(), &[]);
    for ((token, _), before) in ended.iter().zip(before) {
        assert_eq!(get(&world, &format!("/v1/runs/{token}")), before);
    }
    for (token, word) in ended.iter().chain(&left) {
        let record = get(&world, &format!("/v1/runs/{token}?wait=60"));
        assert_eq!(record["result"]["tests"][0]["run"]["stdout"]["data"], word.as_str(), "{record} {}", world.log());
    }
}
