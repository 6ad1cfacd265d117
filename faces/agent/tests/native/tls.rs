//! The same over TLS, where a certificate says who calls.

use std::fs::File;
use std::io::{Read, Write};

use enclos_host::tls::Connected;
use enclos_testkit::certificates::Papers;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Error, Message, WebSocket, client};

use super::asking;
use super::world::World;

const KEYS: &str = "[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n[[keys]]\nname = \"bob\"\ncertificates = [\"cn:bob\"]\n";

type Asking = asking::Asking<World>;

impl Asking {
    fn new() -> Asking {
        Asking::serving(KEYS, World::with)
    }

    fn connect(&self, papers: Option<&Papers>) -> std::io::Result<Connected> {
        self.connect_to(&self.world.address, papers)
    }

    /// The status of an answer, and its document.
    fn send(&self, papers: &Papers, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, told) = self.answer_of(&self.world.address, papers, method, &format!("/v1/agent/{path}"), &body.to_string());
        (status, serde_json::from_str(&told).unwrap_or_default())
    }

    /// A session with a terminal.
    fn session(&self, papers: &Papers) -> (String, String) {
        let id = |(status, made): (u16, Value)| {
            assert_eq!(status, 201, "{made}");
            made["id"].as_str().unwrap().to_owned()
        };
        let sandbox = id(self.send(papers, "POST", "sandboxes", &json!({})));
        assert_eq!(self.send(papers, "POST", &format!("sandboxes/{sandbox}/start"), &json!({})).0, 200);
        let new = json!({"terminal": {"rows": 24, "cols": 80}});
        (sandbox.clone(), id(self.send(papers, "POST", &format!("sandboxes/{sandbox}/sessions"), &new)))
    }

    fn terminal(&self, papers: Option<&Papers>, session: &str) -> Result<WebSocket<Connected>, String> {
        let request = format!("wss://localhost/v1/agent/sessions/{session}/terminal").into_client_request().unwrap();
        match client(request, self.connect(papers).map_err(|error| error.to_string())?) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16().to_string()),
            Err(other) => Err(other.to_string()),
        }
    }
}

#[test]
fn a_terminal_is_its_owners_alone() {
    let asking = Asking::new();
    let [ann, bob, stranger] = ["ann", "bob", "carl"].map(|name| asking.authorities.clients.client(name));
    let (_, session) = asking.session(&ann);
    assert_eq!(asking.terminal(Some(&bob), &session).unwrap_err(), "404");
    assert_eq!(asking.terminal(Some(&stranger), &session).unwrap_err(), "401");
    for papers in [None, Some(asking.authorities.others.client("ann")), Some(asking.authorities.clients.expired_client("ann"))] {
        let told = asking.terminal(papers.as_ref(), &session).unwrap_err();
        assert!(told.parse::<u16>().is_err(), "HTTP was spoken: {told}");
    }
    let mut socket = asking.terminal(Some(&ann), &session).unwrap();
    let mut program: File = asking.world.agent.lock().slaves[&session].try_clone().unwrap().into();
    program.write_all(b"$ \xff").unwrap();
    let Message::Binary(shown) = socket.read().unwrap() else { panic!("no bytes") };
    assert_eq!(&shown[..], b"$ \xff");
    socket.send(Message::binary(b"ls\n".to_vec())).unwrap();
    let mut typed = [0; 3];
    program.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"ls\n");
}

#[test]
fn a_sandbox_is_its_owners_alone() {
    let asking = Asking::new();
    let [ann, bob, stranger] = ["ann", "bob", "carl"].map(|name| asking.authorities.clients.client(name));
    let (sandbox, session) = asking.session(&ann);
    let at = format!("sandboxes/{sandbox}");
    for (method, path, body) in [
        ("GET", at.clone(), json!({})),
        ("POST", format!("{at}/exec"), json!({"command": "echo hi"})),
        ("POST", format!("{at}/sessions"), json!({})),
        ("GET", format!("{at}/files/a"), json!({})),
        ("GET", format!("sessions/{session}"), json!({})),
        ("DELETE", at.clone(), json!({})),
    ] {
        assert_eq!(asking.send(&bob, method, &path, &body).0, 404, "{method} {path}");
        let (status, told) = asking.send(&stranger, method, &path, &body);
        assert_eq!((status, told["error"]["code"].as_str()), (401, Some("unauthenticated")), "{method} {path}");
    }
    assert_eq!(asking.send(&bob, "GET", "sandboxes", &json!({})).1["sandboxes"], json!([]));
    let (status, done) = asking.send(&ann, "POST", &format!("{at}/exec"), &json!({"command": "echo hi"}));
    assert_eq!((status, done["stdout"]["data"].as_str()), (200, Some("hi\n")));
}
