//! The same over a WebSocket.

use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket, client};

use enclos_testkit::http::PATIENCE;

use crate::served::{Served, processes, seconds, until};

pub struct Talk(WebSocket<TcpStream>);

fn data(event: &Value) -> Vec<u8> {
    let text = event["data"].as_str().unwrap();
    if event["encoding"] == "base64" {
        return base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    }
    text.as_bytes().to_vec()
}

impl Talk {
    fn connect(served: &Served, sandbox: &str, key: &str) -> Result<Talk, u16> {
        let stream = TcpStream::connect(&served.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{}/v1/agent/sandboxes/{sandbox}/exec/stream", served.http).into_client_request().unwrap();
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        match client(request, stream) {
            Ok((socket, _)) => Ok(Talk(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub fn start(served: &Served, sandbox: &str, request: &Value) -> Talk {
        let mut talk = Talk::connect(served, sandbox, "secret").unwrap();
        talk.say(request);
        talk
    }

    pub fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).unwrap();
    }

    fn event(&mut self) -> Option<Value> {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(frame) => {
                    assert!(matches!(frame.unwrap().code, CloseCode::Normal | CloseCode::Policy));
                    return None;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads standard output until it ends with this.
    #[track_caller]
    pub fn shows(&mut self, wanted: &str) {
        let mut text = Vec::new();
        while !text.ends_with(wanted.as_bytes()) {
            let event = self.event().unwrap();
            match event["type"].as_str().unwrap() {
                "started" => {}
                "stdout" => text.extend(data(&event)),
                _ => panic!("{wanted:?}: {event} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
    }

    /// Both outputs from here on, and the last event.
    pub fn rest(&mut self) -> ([Vec<u8>; 2], Value) {
        let (mut outputs, mut last) = ([Vec::new(), Vec::new()], Value::Null);
        while let Some(event) = self.event() {
            assert!(last.is_null(), "{event} after the end");
            match event["type"].as_str().unwrap() {
                "stdout" => outputs[0].extend(data(&event)),
                "stderr" => outputs[1].extend(data(&event)),
                "started" => {}
                _ => last = event,
            }
        }
        (outputs, last)
    }

    #[track_caller]
    fn ends(&mut self, exit_code: i32, verdict: &str) -> [Vec<u8>; 2] {
        let (outputs, last) = self.rest();
        assert_eq!((last["exit_code"].as_i64(), last["verdict"].as_str()), (Some(exit_code.into()), Some(verdict)), "{last} {outputs:?}");
        outputs
    }
}

#[test]
fn bytes_signals_and_a_terminal_over_a_websocket() {
    let served = Served::new();
    let id = served.sandbox();
    let every: Vec<u8> = (0..=255).collect();
    let mut talk = Talk::start(&served, &id, &json!({"command": "cat; echo $A >&2", "env": {"A": "b"}}));
    talk.write(&every);
    talk.say(&json!({"type": "stdin", "data": "é"}));
    talk.say(&json!({"type": "stdin", "data": {"data": "AP8=", "encoding": "base64"}}));
    talk.say(&json!({"type": "stdin_end"}));
    assert_eq!(talk.ends(0, "ended"), [[&every[..], "é".as_bytes(), b"\0\xff"].concat(), b"b\n".to_vec()]);
    let mut talk = Talk::start(&served, &id, &json!({"argv": ["wc", "-c"]}));
    talk.write(b"123");
    talk.say(&json!({"type": "stdin_end"}));
    assert_eq!(talk.ends(0, "ended")[0], b"3\n");
    let mut talk = Talk::start(&served, &id, &json!({"command": "echo ready; exec sleep 1000"}));
    talk.shows("ready\n");
    talk.say(&json!({"type": "signal", "signal": "SIGTERM"}));
    talk.ends(143, "signaled");
    let marker = seconds(9);
    let terminal = json!({"command": format!("stty size; read x; stty size; sleep {marker}"), "terminal": {"rows": 24, "cols": 80}});
    let mut talk = Talk::start(&served, &id, &terminal);
    talk.shows("24 80\r\n");
    talk.say(&json!({"type": "resize", "rows": 50, "cols": 132}));
    talk.write(b"\n");
    talk.shows("50 132\r\n");
    // Before that the shell alone would have the key, and sleep nonetheless.
    until(|| processes(&marker) == 1, "it sleeps");
    talk.write(b"\x03");
    talk.ends(130, "signaled");
    let mut talk = Talk::start(&served, &id, &json!({"command": "echo before; exec sleep 1000", "timeout": "300ms"}));
    assert_eq!(talk.ends(-1, "timed_out")[0], b"before\n");
    let mut talk = Talk::start(&served, &id, &json!({"command": "echo ready; exec sleep 1000"}));
    talk.shows("ready\n");
    talk.say(&json!({"type": "cancel"}));
    talk.ends(137, "cancelled");
}

#[test]
fn ten_megabytes_go_through_a_websocket_both_ways_at_once() {
    let served = Served::new();
    let id = served.sandbox();
    let bytes: Vec<u8> = (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut talk = Talk::start(&served, &id, &json!({"command": "cat"}));
    talk.0.get_ref().set_nonblocking(true).unwrap();
    let (mut left, mut ended, mut heard) = (&bytes[..], false, Vec::new());
    loop {
        match talk.0.read() {
            Ok(Message::Text(text)) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                match event["type"].as_str().unwrap() {
                    "stdout" => heard.extend(data(&event)),
                    "started" => {}
                    _ => break,
                }
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_micros(200)),
            Err(error) => panic!("{error}"),
        }
        match talk.0.flush() {
            Ok(()) if !left.is_empty() => {
                let (now, later) = left.split_at(left.len().min(100_000));
                left = later;
                match talk.0.write(Message::binary(now.to_vec())) {
                    Ok(()) => {}
                    Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Ok(()) if !ended => {
                ended = true;
                talk.0.write(Message::text(json!({"type": "stdin_end"}).to_string())).unwrap();
            }
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(heard == bytes, "{} bytes", heard.len());
}

#[test]
fn a_client_that_leaves_ends_all_that_its_command_started_over_a_websocket() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(6));
    let request = json!({"command": format!("(setsid sleep {marker} &); trap '' HUP TERM; sleep {marker} & echo ready; sleep {marker}")});
    // Without a word, with a close, and while it is held up by a command that reads nothing.
    for how in ["gone", "closed", "held up"] {
        let mut talk = Talk::start(&served, &id, &request);
        talk.shows("ready\n");
        until(|| processes(&marker) == 3, "all of them run");
        match how {
            "closed" => talk.0.close(None).unwrap(),
            "held up" => {
                talk.0.get_ref().set_nonblocking(true).unwrap();
                let mut said = 0;
                while talk.0.send(Message::binary(vec![0; 64 << 10])).is_ok() {
                    said += 64 << 10;
                    assert!(said < 1 << 30, "nothing holds it up");
                }
            }
            _ => {}
        }
        drop(talk);
        until(|| processes(&marker) == 0, how);
    }
}

#[test]
fn what_makes_no_sense_is_answered_with_an_error_and_the_close() {
    let served = Served::new();
    let id = served.sandbox();
    assert_eq!(Talk::connect(&served, &id, "wrong").err(), Some(401));
    assert_eq!(Talk::connect(&served, &id, "other").err(), Some(404));
    assert_eq!(Talk::connect(&served, "sb_0123456789abcdef", "secret").err(), Some(404));
    for (request, field, code) in [
        (json!({"comand": "x"}), Some("comand"), "invalid_argument"),
        (json!({}), Some("command"), "invalid_argument"),
        (json!({"command": "x", "stdin": "y"}), Some("stdin"), "invalid_argument"),
        (json!({"command": "x", "terminal": {"rows": 0, "cols": 1}}), Some("terminal"), "invalid_argument"),
        (json!({"command": "x", "timeout": "1000h"}), Some("timeout"), "invalid_argument"),
        (json!({"command": "x", "workdir": "nowhere"}), Some("workdir"), "invalid_argument"),
        (json!([]), None, "invalid_argument"),
    ] {
        let (_, last) = Talk::start(&served, &id, &request).rest();
        assert_eq!((last["error"]["code"].as_str(), last["error"]["field"].as_str()), (Some(code), field), "{request}: {last}");
    }
    let (_, last) = Talk::start(&served, &served.stopped(), &json!({"command": "true"})).rest();
    assert_eq!(last["error"]["code"], "not_running");
    let marker = seconds(7);
    for message in [
        json!({"type": "signal", "signal": 65}),
        json!({"type": "resize", "rows": 1, "cols": 1}),
        json!({"type": "x"}),
        json!({}),
        json!("x"),
    ] {
        let mut talk = Talk::start(&served, &id, &json!({"command": format!("echo ready; exec sleep {marker}")}));
        talk.shows("ready\n");
        talk.say(&message);
        let (_, last) = talk.rest();
        assert!(last["error"]["message"].is_string(), "{message}: {last}");
        until(|| processes(&marker) == 0, "it has ended");
    }
}
