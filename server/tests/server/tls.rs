//! The program over TLS: every listener, every client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use enclos_host::tls::{Client, Connected};
use enclos_host::tokio::runtime::Runtime;
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::sandbox_v1::sandbox_service_client::SandboxServiceClient;
use enclos_proto::tonic::Code;
use enclos_proto::tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use enclos_testkit::certificates::{Authorities, Papers};
use enclos_testkit::http::PATIENCE;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;

use super::agent_shell::Screen;
use super::world::{PROGRAM, World};

const KEYS: &str =
    "[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n[[keys]]\nname = \"bob\"\ncertificates = [\"dns:bob.example\"]\n";

/// A server over TLS on every listener.
struct Asking {
    world: World,
    authorities: Authorities,
    papers: TempDir,
    grpc: String,
    rest: String,
}

impl Asking {
    fn new() -> Asking {
        Asking::with(true, KEYS, &[])
    }

    fn with(asks: bool, keys: &str, more: &[&str]) -> Asking {
        let papers = TempDir::new().unwrap();
        let authorities = Authorities::new(papers.path());
        let config = papers.path().join("enclos.toml");
        std::fs::write(&config, format!("{}{keys}", Authorities::config(papers.path(), asks))).unwrap();
        let flags = ["--config", config.to_str().unwrap(), "--set", "agent.grpc=127.0.0.1:0", "--set", "agent.rest=localhost:0"];
        let mut world = World::with(&[&flags, more].concat());
        let mut place = |what: &str| {
            // Further addresses may come before.
            loop {
                let line = world.line();
                if let Some(place) = line.strip_prefix(&format!("sandbox.v1 as {what} on https://")) {
                    return place.to_owned();
                }
                assert!(line.starts_with("listening on "), "{line}");
            }
        };
        let (grpc, rest) = (place("gRPC"), place("JSON"));
        Asking { world, authorities, papers, grpc, rest }
    }

    fn ann(&self) -> Papers {
        self.authorities.clients.client("ann")
    }

    fn bob(&self) -> Papers {
        self.authorities.clients.client_with("x", &["bob.example"], &[])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.papers.path().join(name)
    }

    fn connect(&self, address: &str, papers: Option<&Papers>) -> std::io::Result<Connected> {
        let own = papers.map(|papers| papers.write(self.papers.path(), "client"));
        let own = own.as_ref().map(|(certificate, key)| (&**certificate, &**key));
        let client = Client::of(Some(&self.file("servers.pem")), own).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect("localhost", stream)
    }

    /// The status of an answer, and its document; an error: it was not let in.
    fn ask(&self, address: &str, papers: Option<&Papers>, request: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
        let mut stream = self.connect(address, papers)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!("host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{request} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        Ok((
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
        ))
    }

    fn channel(&self, papers: &Papers) -> SandboxServiceClient<Channel> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authorities.servers.pem())).domain_name("localhost");
        let tls = tls.identity(Identity::from_pem(&papers.certificate, &papers.key));
        SandboxServiceClient::new(Endpoint::from_shared(format!("https://{}", self.grpc)).unwrap().tls_config(tls).unwrap().connect_lazy())
    }

    /// Of `enclos agent`, as whoever has these papers.
    fn words(&self, papers: &Papers, words: &[&str]) -> Command {
        let (certificate, key) = papers.write(self.papers.path(), "words");
        let mut command = Command::new(PROGRAM);
        command.arg("agent").args(words).env("ENCLOS_SERVER", format!("https://{}", self.world.address));
        command.env("ENCLOS_CA", self.file("servers.pem")).env("ENCLOS_CERT", certificate).env("ENCLOS_CERT_KEY", key);
        command
    }

    /// What `enclos agent` prints; its exit status is this one.
    fn says(&self, papers: &Papers, status: i32, words: &[&str]) -> String {
        self.told(self.words(papers, words).stdin(Stdio::null()).output().unwrap(), status)
    }

    fn told(&self, output: Output, status: i32) -> String {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{text}{}", self.world.log());
        text
    }

    /// A sandbox of a project with `a.txt` that runs; `None`: this host holds none, which is told.
    fn sandbox(&self, test: &str, papers: &Papers) -> Option<String> {
        if self.world.log().contains("the agent face is off") {
            println!("SKIP: tls::{test}: {}", self.world.log());
            return None;
        }
        let project = self.file("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(project.join("a.txt"), "hi\n").unwrap();
        self.says(papers, 0, &["create", project.to_str().unwrap(), "--preset", "full-access", "--start"]);
        let listed = self.says(papers, 0, &["ls", "--json"]);
        let at = listed.find("\"sb_").unwrap() + 1;
        Some(listed[at..at + 19].to_owned())
    }
}

/// The papers that open nothing.
fn wrong(asking: &Asking) -> [Option<Papers>; 3] {
    [None, Some(asking.authorities.others.client("ann")), Some(asking.authorities.clients.expired_client("ann"))]
}

#[test]
fn every_listener_is_closed_to_those_without_a_certificate() {
    let asking = Asking::new();
    let addresses = [&asking.world.address, &asking.grpc, &asking.rest];
    for address in addresses {
        for papers in wrong(&asking) {
            let told = asking.ask(address, papers.as_ref(), "GET /healthz", None);
            assert!(told.is_err(), "{address}: {told:?}");
        }
        let mut plain = TcpStream::connect(address).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        plain.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with("this address speaks TLS: write https:// before it\n"), "{text}");
        // The control: with one it is open.
        assert!(asking.ask(address, Some(&asking.ann()), "GET /healthz", None).is_ok(), "{address}");
    }
}

#[test]
fn the_judge_answers_owners_and_tells_strangers_why_not() {
    let asking = Asking::new();
    let (ann, bob, stranger) = (asking.ann(), asking.bob(), asking.authorities.clients.client("carl"));
    let address = &asking.world.address;
    let job = json!({"lang": "python", "source": "print(6 * 7)"});
    let (status, answer) = asking.ask(address, Some(&ann), "POST /run", Some(&job)).unwrap();
    assert_eq!((status, answer["tests"][0]["stdout"].as_str()), (200, Some("42\n")), "{answer}");
    for (request, body) in [("POST /run", Some(&job)), ("GET /v1/languages", None), ("GET /metrics", None), ("GET /v1/runs/x", None)] {
        let (status, answer) = asking.ask(address, Some(&stranger), request, body).unwrap();
        assert!(status == 401 && answer.to_string().contains(&stranger.mark), "{request}: {status} {answer}");
    }
    // What belongs to another does not exist.
    let run = json!({"language": "python", "source": "print(1)"});
    let (status, accepted) = asking.ask(address, Some(&ann), "POST /v1/runs?wait=false", Some(&run)).unwrap();
    assert_eq!(status, 202, "{accepted}");
    let at = format!("/v1/runs/{}", accepted["token"].as_str().unwrap());
    for method in ["GET", "DELETE"] {
        assert_eq!(asking.ask(address, Some(&bob), &format!("{method} {at}"), None).unwrap().0, 404, "{method}");
    }
    assert_eq!(asking.ask(address, Some(&ann), &format!("GET {at}?wait=30"), None).unwrap().1["result"]["verdict"], "OK");
}

#[test]
fn a_program_is_talked_to_over_a_websocket_over_tls() {
    let asking = Asking::new();
    let request = || "wss://localhost/v1/runs/stream".into_client_request().unwrap();
    let stranger = asking.authorities.clients.client("carl");
    let told = tungstenite::client(request(), asking.connect(&asking.world.address, Some(&stranger)).unwrap()).unwrap_err();
    assert!(told.to_string().contains("401"), "{told}");
    let stream = asking.connect(&asking.world.address, Some(&asking.ann())).unwrap();
    let mut socket = tungstenite::client(request(), stream).unwrap().0;
    socket.send(Message::text(json!({"language": "python", "source": "print(input() * 2)", "live": true}).to_string())).unwrap();
    socket.send(Message::text(json!({"type": "stdin", "data": "ab\n"}).to_string())).unwrap();
    let mut seen = String::new();
    while !seen.contains("\"type\":\"result\"") {
        seen += socket.read().unwrap().into_text().unwrap().as_str();
    }
    assert!(seen.contains("abab"), "{seen}");
}

#[test]
fn a_sandbox_of_another_certificate_does_not_exist_on_any_interface() {
    let asking = Asking::new();
    let (ann, bob) = (asking.ann(), asking.bob());
    let Some(id) = asking.sandbox("a_sandbox_of_another_certificate_does_not_exist_on_any_interface", &ann) else { return };
    let native = format!("/v1/agent/sandboxes/{id}");
    let exec = json!({"command": "cat a.txt"});
    for (address, request, body) in [
        (&asking.world.address, format!("GET {native}"), None),
        (&asking.world.address, format!("POST {native}/exec"), Some(&exec)),
        (&asking.world.address, format!("GET {native}/files/a.txt"), None),
        (&asking.world.address, format!("DELETE {native}"), None),
        (&asking.rest, format!("GET /v1/sandboxes/{id}"), None),
        (&asking.rest, format!("POST /v1/sandboxes/{id}/exec"), Some(&exec)),
        (&asking.rest, format!("DELETE /v1/sandboxes/{id}"), None),
    ] {
        assert_eq!(asking.ask(address, Some(&bob), &request, body).unwrap().0, 404, "{request}");
    }
    let runtime = Runtime::new().unwrap();
    let exec = || proto::ExecRequest { sandbox_id: id.clone(), command: "cat a.txt".to_owned(), ..Default::default() };
    runtime.block_on(async {
        let told = asking.channel(&bob).exec(exec()).await.unwrap_err();
        assert_eq!(told.code(), Code::NotFound, "{told:?}");
        let told = asking.channel(&asking.authorities.clients.client("carl")).exec(exec()).await.unwrap_err();
        assert_eq!(told.code(), Code::Unauthenticated, "{told:?}");
        assert_eq!(asking.channel(&ann).exec(exec()).await.unwrap().into_inner().stdout, "hi\n");
        let list = proto::ListSandboxesRequest::default();
        assert_eq!(asking.channel(&bob).list_sandboxes(list.clone()).await.unwrap().into_inner().sandboxes.len(), 0);
        assert_eq!(asking.channel(&ann).list_sandboxes(list).await.unwrap().into_inner().sandboxes.len(), 1);
    });
    assert!(asking.says(&bob, 125, &["exec", &id, "--", "true"]).contains("is not known"));
    assert_eq!(asking.says(&ann, 0, &["exec", &id, "--", "cat", "a.txt"]), "hi\n");
    // A sandbox that runs would outlive its server.
    asking.says(&ann, 0, &["rm", &id]);
}

#[test]
fn the_words_of_the_command_line_work_over_tls() {
    let asking = Asking::new();
    let ann = asking.ann();
    let Some(id) = asking.sandbox("the_words_of_the_command_line_work_over_tls", &ann) else { return };
    assert_eq!(asking.says(&ann, 3, &["exec", &id, "--", "sh", "-c", "echo more >> a.txt; cat a.txt; exit 3"]), "hi\nmore\n");
    // More than any buffer on the way, both ways.
    let (from, to) = (asking.file("from"), asking.file("to"));
    let content: Vec<u8> = (0..9_000_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&from, &content).unwrap();
    asking.says(&ann, 0, &["cp", from.to_str().unwrap(), &format!("{id}:/big")]);
    asking.says(&ann, 0, &["cp", &format!("{id}:/big"), to.to_str().unwrap()]);
    assert!(std::fs::read(&to).unwrap() == content);
    assert!(asking.says(&ann, 0, &["diff", &id]).contains("modified  a.txt"));
    // A terminal: keys go in, much comes out, and the exit status is its program's.
    let mut screen = Screen::of(asking.words(&ann, &["shell", &id]));
    screen.type_in("stty size; echo rea''dy\n");
    screen.wait_for("31 97");
    screen.wait_for("ready");
    screen.type_in("seq 1 30000; echo do''ne; exit 4\n");
    screen.wait_for("30000\r\ndone");
    assert_eq!(screen.ended(), 4);
    asking.says(&ann, 0, &["rm", &id]);
}

#[test]
fn the_command_line_says_in_one_line_what_is_wrong_with_tls() {
    let asking = Asking::new();
    let ann = asking.ann();
    let (certificate, key) = ann.write(asking.papers.path(), "mine");
    let (ca, other) = (asking.file("servers.pem"), asking.file("others.pem"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key, ca, other) = (text(&certificate), text(&key), text(&ca), text(&other));
    let (https, http) = (format!("https://{}", asking.world.address), format!("http://{}", asking.world.address));
    let says = |status: i32, words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        for name in ["ENCLOS_SERVER", "ENCLOS_CA", "ENCLOS_CERT", "ENCLOS_CERT_KEY"] {
            command.env_remove(name);
        }
        let told = asking.told(command.args(["agent", "ls"]).args(words).output().unwrap(), status);
        assert!(status == 0 || (told.lines().count() == 1 && told.starts_with("enclos agent: ")), "{told}");
        told
    };
    says(0, &["--server", &https, "--ca", &ca, "--cert", &certificate, "--cert-key", &key]);
    for (words, part) in [
        (&["--server", &https, "--ca", &ca][..], "it asks who we are: --cert FILE and --cert-key FILE say so"),
        (&["--server", &https, "--ca", &other], "invalid peer certificate: UnknownIssuer; --ca FILE says whom to trust"),
        (&["--server", &https, "--ca", "/nonexistent"], "/nonexistent: there is no such file"),
        (&["--server", &https, "--ca", &ca, "--cert", &certificate], "--cert-key: missing, though there is a certificate"),
        (&["--server", &https, "--ca", &ca, "--cert-key", &key], "--cert: missing, though there is its key"),
        (&["--server", &http, "--ca", &ca], "--ca: \"http://127.0.0.1:"),
        (&["--server", &http], "the server answers 400"),
    ] {
        let told = says(125, words);
        assert!(told.contains(part), "{words:?}: {told}");
    }
    // A server without TLS.
    let plain = World::new();
    let told = says(125, &["--server", &format!("https://{}", plain.address), "--ca", &ca]);
    assert!(told.contains("it may speak no TLS: http:// is for that"), "{told}");
}

#[test]
fn a_certificate_is_replaced_while_the_server_runs_and_the_log_says_so() {
    let asking = Asking::with(false, "", &[]);
    let address = &asking.world.address;
    let trusts = |authority: &str| {
        let client = Client::of(Some(&asking.file(authority)), None).unwrap();
        client.connect("localhost", TcpStream::connect(address).unwrap()).is_ok()
    };
    assert!(trusts("servers.pem") && !trusts("others.pem"));
    std::fs::write(asking.file("server.crt"), "nonsense").unwrap();
    asking.world.until(
        |world| {
            assert!(trusts("servers.pem"), "what was right stays");
            world.log().contains("tls.certificate: ") && world.log().contains("and the certificate stays as it was")
        },
        "the log says what is wrong",
    );
    asking.authorities.others.server().write(asking.papers.path(), "server");
    asking.world.until(|_| trusts("others.pem"), "the new certificate is shown");
    assert!(!trusts("servers.pem") && asking.world.log().contains("the certificate was read anew"));
}

#[test]
fn a_client_that_never_finishes_its_handshake_hinders_nobody() {
    let asking = Asking::with(true, KEYS, &["--set", "server.head-timeout=1s", "--set", "server.connections=64"]);
    for address in [&asking.world.address, &asking.grpc, &asking.rest] {
        let silent: Vec<TcpStream> = [0; 16].map(|_| TcpStream::connect(address).unwrap()).into();
        assert!(asking.ask(address, Some(&asking.ann()), "GET /healthz", None).is_ok());
        for mut stream in silent {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "it is closed, and told nothing");
        }
    }
}

#[test]
fn addresses_may_be_left_without_tls_and_keys_in_the_clear_are_warned_of() {
    let keys = "[[keys]]\nname = \"a\"\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n";
    let asking = Asking::with(false, keys, &["--listen", "127.0.0.1:0,http://0.0.0.0:0"]);
    let warning = "server.listen: keys cross the network in the clear to http://0.0.0.0:0, for everybody on the way to read";
    assert_eq!(asking.world.log().matches("keys cross the network in the clear").count(), 1, "{}", asking.world.log());
    assert!(asking.world.log().contains(warning), "{}", asking.world.log());
    let mut world = World::with(&["--listen", "127.0.0.1:0,127.0.0.1:0"]);
    assert!(world.line().starts_with("listening on http://127.0.0.1:"));
    assert!(!world.log().contains("in the clear"));
}

#[test]
fn what_is_wrong_with_tls_is_told_before_anything_starts() {
    let papers = TempDir::new().unwrap();
    let authorities = Authorities::new(papers.path());
    let config = papers.path().join("enclos.toml");
    std::fs::write(&config, format!("{}{KEYS}", Authorities::config(papers.path(), true))).unwrap();
    let check = || Command::new(PROGRAM).args(["serve", "--check-config", "--config"]).arg(&config).output().unwrap();
    assert!(check().status.success(), "{:?}", check());
    authorities.others.server().write(papers.path(), "other");
    std::fs::copy(papers.path().join("other.key"), papers.path().join("server.key")).unwrap();
    let output = check();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.lines().count() == 1, "{told}");
    let start =
        format!("enclos-server serve: tls.key: {}: it is not the key of the certificate in ", papers.path().join("server.key").display());
    assert!(told.starts_with(&start), "{told}");
    std::fs::write(&config, "[tls]\ncertficate = \"/x\"\n").unwrap();
    let told = String::from_utf8(check().stderr).unwrap();
    assert!(told.contains("tls.certficate: unknown key: did you mean tls.certificate?"), "{told}");
}

#[test]
fn grpcio_and_the_published_client_work_over_tls() {
    let Some(python) = super::agentfense::python("tls::grpcio_and_the_published_client_work_over_tls") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agentfense/tls.py");
    let run = |asking: &Asking, words: &[&str]| {
        // Names in the certificate are those of the server; the client is told one of them.
        let endpoint = asking.grpc.replace("127.0.0.1", "localhost");
        let output = Command::new(&python).arg(script).arg(endpoint).arg(asking.papers.path()).args(words).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout == "all is well\n", "{stdout}{stderr}{}", asking.world.log());
    };
    let asking = Asking::new();
    asking.ann().write(asking.papers.path(), "ann");
    asking.bob().write(asking.papers.path(), "bob");
    asking.authorities.others.client("ann").write(asking.papers.path(), "forged");
    asking.authorities.clients.client("carl").write(asking.papers.path(), "carl");
    run(&asking, &["mutual"]);
    run(&Asking::with(false, "", &[]), &["published"]);
}
