//! A run to talk to, over a WebSocket.

use std::net::TcpStream;

use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket, client};

use super::fake::PATIENCE;
use super::world::{World, job, problem};

struct Talk(WebSocket<TcpStream>);

impl Talk {
    fn connect(world: &World, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(&world.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{}/v1/runs/stream", world.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// A run that has begun.
    fn begin(world: &World, request: &str) -> Self {
        let mut talk = Self::connect(world, &[]).unwrap();
        talk.say(request);
        talk
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next event; `Err`: the close, by its code.
    fn next(&mut self) -> Result<Value, CloseCode> {
        match self.0.read().unwrap() {
            Message::Text(text) => Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => Err(frame.unwrap().code),
            other => panic!("{other:?}"),
        }
    }

    /// The next event of this type; others pass.
    fn until(&mut self, name: &str) -> Value {
        loop {
            let event = self.next().unwrap();
            if event["type"] == name {
                return event;
            }
            assert!(event["type"] != "result" && event["type"] != "problem", "{event} before {name}");
        }
    }

    /// Output until it ends with `end`.
    fn output(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text += self.until("output")["output"]["data"].as_str().unwrap();
        }
        text
    }
}

#[test]
fn a_program_is_talked_to_in_turns() {
    let world = World::new();
    let mut talk = Talk::begin(&world, &job("print hello\ntalk", ""));
    talk.output("hello\n");
    talk.say(r#"{"type": "stdin", "data": "first\n"}"#);
    assert_eq!(talk.output("first\n"), "first\n");
    talk.0.send(Message::binary(b"as it is\n".to_vec())).unwrap();
    assert_eq!(talk.output("as it is\n"), "as it is\n");
    talk.say(r#"{"type": "signal", "signal": "SIGINT"}"#);
    assert_eq!(talk.output("signal 2\n"), "signal 2\n");
    talk.say(r#"{"type": "stdin", "data": {"data": "AAE=", "encoding": "base64"}}"#);
    assert_eq!(talk.output("\u{1}"), "\0\u{1}");
    talk.say(r#"{"type": "stdin_end"}"#);
    let result = talk.until("result");
    assert_eq!(result["result"]["verdict"], "OK");
    assert_eq!(talk.next(), Err(CloseCode::Normal));
}

#[test]
fn what_is_said_before_the_program_runs_waits_for_it() {
    let world = World::new();
    let mut talk = Talk::begin(&world, &job("talk", ""));
    talk.say(r#"{"type": "stdin", "data": "early"}"#);
    talk.say(r#"{"type": "stdin_end"}"#);
    let result = talk.until("result");
    assert_eq!(result["result"]["tests"][0]["run"]["stdout"]["data"], "early");
}

#[test]
fn a_run_can_be_cancelled() {
    let world = World::new();
    let mut talk = Talk::begin(&world, &job("wait", ""));
    talk.until("started");
    talk.say(r#"{"type": "cancel"}"#);
    let event = talk.until("problem");
    assert_eq!(event["problem"]["type"], "urn:enclos:problem:cancelled");
    assert_eq!(talk.next(), Err(CloseCode::Normal));
    world.until(|world| world.running() == 0, "it has ended");
}

#[test]
fn a_client_that_goes_away_ends_its_run() {
    let world = World::new();
    for close in [true, false] {
        let mut talk = Talk::begin(&world, &job("wait", ""));
        talk.until("started");
        if close {
            talk.0.close(None).unwrap();
        }
        drop(talk);
        world.until(|world| world.running() == 0, "it has ended");
    }
}

#[test]
fn what_makes_no_sense_is_answered_with_a_problem_and_the_close() {
    let world = World::new();
    let starts = [
        ("{}".to_owned(), Some("language")),
        ("no".to_owned(), None),
        (job("", r#", "async": true"#), Some("async")),
        (r#"{"language": "fake"}"#.to_owned(), Some("source")),
    ];
    for (request, field) in starts {
        let mut talk = Talk::begin(&world, &request);
        assert_eq!(talk.until("problem")["problem"]["field"].as_str(), field, "{request}");
        assert_eq!(talk.next(), Err(CloseCode::Policy));
    }
    for message in [r#"{"type": "resize"}"#, r#"{"type": "signal", "signal": 0}"#, "[]", "x"] {
        let mut talk = Talk::begin(&world, &job("wait", ""));
        talk.until("started");
        talk.say(message);
        assert_eq!(talk.until("problem")["problem"]["status"], 400, "{message}");
        assert_eq!(talk.next(), Err(CloseCode::Policy));
        world.until(|world| world.running() == 0, "it has ended");
    }
}

#[test]
fn input_that_nobody_reads_is_bounded_and_signals_pass_it() {
    let world = World::new();
    let mut talk = Talk::begin(&world, &job("wait", ""));
    talk.until("started");
    let chunk = vec![b'x'; 1 << 20];
    // The pipe holds some; the rest is refused at the bound, and the connection closes under who still writes.
    for _ in 0..6 {
        let _ = talk.0.send(Message::binary(chunk.clone()));
    }
    assert_eq!(talk.until("problem")["problem"]["field"], "data");
    world.until(|world| world.running() == 0, "it has ended");
}

#[test]
fn only_pages_of_the_server_itself_may_connect() {
    let world = World::new();
    let own = format!("http://{}", world.address);
    assert!(Talk::connect(&world, &[("origin", &own)]).is_ok());
    for foreign in ["http://evil.example", "null", "https://127.0.0.1"] {
        assert_eq!(Talk::connect(&world, &[("origin", foreign)]).err(), Some(403), "{foreign}");
    }
}

#[test]
fn a_plain_request_is_told_what_is_needed() {
    let world = World::new();
    let response = world.get("/v1/runs/stream");
    assert_eq!((response.status, &*problem(&response).0), (426, "upgrade"));
    assert_eq!(response.header("upgrade"), Some("websocket"));
}
