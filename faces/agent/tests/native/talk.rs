//! A command to talk to, over a WebSocket: what a client says arrives, and whatever it says, the server answers and lives.

use std::net::TcpStream;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket, client};

use super::fake::PATIENCE;
use super::world::{World, error};

fn connect(world: &World, sandbox: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(&world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("ws://{}/v1/agent/sandboxes/{sandbox}/exec/stream", world.address).into_client_request().unwrap();
    client(request, stream).unwrap().0
}

/// Every event until the close.
fn events(socket: &mut WebSocket<TcpStream>) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => found.push(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => {
                assert!(frame.is_some(), "closed without a code: {found:?}");
                return found;
            }
            _ => {}
        }
    }
}

#[test]
fn what_a_client_says_arrives() {
    let world = World::new();
    let mut socket = connect(&world, &world.sandbox());
    for message in [
        json!({"command": "cat", "terminal": {"rows": 1, "cols": 2}}),
        json!({"type": "stdin", "data": "Y"}),
        json!({"type": "signal", "signal": "SIGUSR1"}),
        json!({"type": "resize", "rows": 3, "cols": 4}),
    ] {
        socket.send(Message::text(message.to_string())).unwrap();
    }
    let mut text = String::new();
    while !(text.contains('Y') && text.contains("signal 10\n") && text.contains("size 3 4\n")) {
        if let Message::Text(event) = socket.read().unwrap() {
            text += serde_json::from_str::<Value>(&event).unwrap()["data"].as_str().unwrap_or_default();
        }
    }
    socket.send(Message::binary(vec![0xff])).unwrap();
    socket.send(Message::text(r#"{"type": "stdin_end"}"#)).unwrap();
    let events = events(&mut socket);
    assert_eq!((&events[0]["data"], &events[1]["type"]), (&json!("/w=="), &json!("exit")), "{events:?}");
    let plain = world.get(&format!("sandboxes/{}/exec/stream", world.sandbox()));
    assert_eq!((plain.status, error(&plain).0.as_str()), (426, "upgrade_required"));
    // Who leaves ends what runs, also while it is silent.
    let mut socket = connect(&world, &world.sandbox());
    socket.send(Message::text(r#"{"command": "wait"}"#)).unwrap();
    world.until(|agent| agent.running.load(std::sync::atomic::Ordering::SeqCst) == 1, "it runs");
    drop(socket);
    world.idle();
}

#[test]
fn anything_may_be_said() {
    let world = World::new();
    let sandbox = world.sandbox();
    let words = prop_oneof![
        Just(r#"{"type": "stdin", "data": "x"}"#.to_owned()),
        Just(r#"{"type": "signal", "signal": 9}"#.to_owned()),
        Just(r#"{"type": "resize", "rows": 1, "cols": 1}"#.to_owned()),
        Just(r#"{"command": "cat"}"#.to_owned()),
        Just(r#"{"command": "cat", "terminal": {"rows": 1, "cols": 1}}"#.to_owned()),
        r#"\{"type": "(stdin|signal|resize|cancel|stdin_end)", "[a-z]{1,6}": [0-9]{1,6}\}"#,
        "\\PC{0,20}",
    ];
    let messages = prop_oneof![
        4 => words.prop_map(Message::text),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Message::binary),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Message::Ping(bytes.into())),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&(any::<bool>(), prop::collection::vec(messages, 0..8)), |(sense, messages)| {
        let mut socket = connect(&world, &sandbox);
        let first = sense.then(|| Message::text(r#"{"command": "cat"}"#));
        let last = [Message::text(r#"{"type": "stdin_end"}"#), Message::text("no request")];
        for message in first.into_iter().chain(messages).chain(last) {
            // The server may have closed it by now.
            if socket.send(message).is_err() {
                break;
            }
        }
        let mut last = None;
        while let Ok(message) = socket.read() {
            if let Message::Text(text) = message {
                last = Some(serde_json::from_str::<Value>(&text).unwrap());
            }
        }
        // Unless the close overtook it.
        if let Some(last) = last {
            prop_assert!(last["type"] == "exit" || last["error"]["message"].is_string() || last["type"] == "stdout", "{last}");
        }
        Ok(())
    });
    tried.unwrap();
    world.idle();
}
