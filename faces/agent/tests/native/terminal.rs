//! A session's terminal, over a WebSocket.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket, client};

use super::fake::PATIENCE;
use super::world::{World, error};

struct Talk(WebSocket<TcpStream>);

impl Talk {
    fn connect(world: &World, session: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(&world.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{}/v1/agent/sessions/{session}/terminal", world.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    fn shown(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match self.0.read().unwrap() {
                Message::Binary(more) => bytes.extend_from_slice(&more),
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    fn word(&mut self) -> Value {
        match self.0.read().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn closed(&mut self) -> CloseCode {
        match self.0.read().unwrap() {
            Message::Close(frame) => frame.unwrap().code,
            other => panic!("{other:?}"),
        }
    }
}

fn session(world: &World) -> String {
    let id = world.sandbox();
    let made = world.make(&format!("sandboxes/{id}/sessions"), &json!({"terminal": {"rows": 24, "cols": 80}}));
    made["id"].as_str().unwrap().to_owned()
}

fn program(world: &World, session: &str) -> File {
    world.agent.lock().slaves[session].try_clone().unwrap().into()
}

#[test]
fn bytes_go_both_ways_and_the_window_has_the_size_it_is_given() {
    let world = World::new();
    let session = session(&world);
    let mut talk = Talk::connect(&world, &session, &[]).unwrap();
    let mut program = program(&world, &session);
    program.write_all(b"$ \xff").unwrap();
    assert_eq!(talk.shown(3), b"$ \xff");
    talk.0.send(Message::binary(b"ls\n".to_vec())).unwrap();
    let mut typed = [0; 3];
    program.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"ls\n");
    assert_eq!(talk.shown(4), b"ls\r\n");
    talk.0.send(Message::text(r#"{"resize": {"rows": 50, "cols": 132}}"#)).unwrap();
    let size = || rustix::termios::tcgetwinsize(&program).unwrap();
    world.until(|_| (size().ws_row, size().ws_col) == (50, 132), "the window is larger");
    // The program ends: its end of the terminal closes.
    drop(program);
    world.bytes("DELETE", &format!("sessions/{session}"), &[], b"");
    assert_eq!(talk.word(), json!({"exit": {"exit_code": 129}}));
    assert_eq!(talk.closed(), CloseCode::Normal);
}

#[test]
fn much_is_shown_exactly_and_held_up_by_who_does_not_read() {
    let world = World::new();
    let session = session(&world);
    let mut talk = Talk::connect(&world, &session, &[]).unwrap();
    let mut program = program(&world, &session);
    let writing = std::thread::spawn(move || program.write_all(&[b'x'; 4 << 20]).unwrap());
    assert!(talk.shown(4 << 20).iter().all(|byte| *byte == b'x'));
    writing.join().unwrap();
}

#[test]
fn one_holds_it_and_when_that_one_leaves_the_next_may() {
    let world = World::new();
    let session = session(&world);
    let mut first = Talk::connect(&world, &session, &[]).unwrap();
    assert_eq!(Talk::connect(&world, &session, &[]).err(), Some(409));
    first.0.close(None).unwrap();
    drop(first);
    world.until(|_| Talk::connect(&world, &session, &[]).is_ok(), "it is free");
}

#[test]
fn what_makes_no_sense_is_answered_with_an_error_and_the_close() {
    let world = World::new();
    for message in
        ["x", "{}", r#"{"resize": {"rows": 1}}"#, r#"{"resize": {"rows": 0, "cols": 1}}"#, r#"{"resize": {"rows": 70000, "cols": 1}}"#]
    {
        let session = session(&world);
        let mut talk = Talk::connect(&world, &session, &[]).unwrap();
        talk.0.send(Message::text(message)).unwrap();
        assert!(talk.word()["error"]["message"].is_string(), "{message}");
        assert_eq!(talk.closed(), CloseCode::Policy, "{message}");
    }
}

#[test]
fn who_may_not_connect_is_told_why() {
    let world = World::new();
    let session = session(&world);
    assert_eq!(Talk::connect(&world, &session, &[("origin", "http://evil.example")]).err(), Some(403));
    assert_eq!(Talk::connect(&world, "sess_0", &[]).err(), Some(404));
    let plain = world.get(&format!("sessions/{session}/terminal"));
    assert_eq!((plain.status, error(&plain).0.as_str(), plain.header("upgrade")), (426, "upgrade_required", Some("websocket")));
}
