//! A server without keys, and the browsers of its host: whose requests are served.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::world::World;

/// The status line's number, and the body.
fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(&world.address).unwrap();
    stream.set_read_timeout(Some(enclos_testkit::http::PATIENCE)).unwrap();
    let body = if method == "POST" { r#"{"lang": "python", "source": "print(6 * 7)"}"# } else { "" };
    let head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

#[test]
fn a_page_whose_name_was_bound_to_loopback_reaches_nothing() {
    let world = World::new();
    let port = world.address.rsplit(':').next().unwrap();
    let name = format!("evil.example:{port}");
    for (method, path) in
        [("POST", "/run"), ("GET", "/"), ("GET", "/languages"), ("GET", "/metrics"), ("GET", "/v1/languages"), ("GET", "/no")]
    {
        let (status, line) = ask(&world, method, path, &[("host", &name)]);
        assert_eq!(status, 421, "{method} {path}: {line}");
        assert!(line.starts_with(&format!("Host: {name:?} is no name of this server")) && line.matches('\n').count() == 1, "{line}");
    }
    assert_eq!(world.figure("enclos_queue_accepted_total"), 0, "nothing was run");
}

#[test]
fn a_page_of_another_site_runs_nothing() {
    let world = World::new();
    let host = ("host", &*world.address);
    for stranger in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        // What a form or a script may send without being asked: plain text.
        let (status, line) = ask(&world, "POST", "/run", &[host, ("content-type", "text/plain"), stranger]);
        assert!(status == 403 && line.matches('\n').count() == 1, "{stranger:?}: {status} {line}");
    }
    // A socket of a page is a request as well.
    let socket = [host, ("upgrade", "websocket"), ("connection", "upgrade"), ("origin", "https://evil.example")];
    assert_eq!(ask(&world, "GET", "/v1/runs/stream", &socket).0, 403);
    assert_eq!(world.figure("enclos_queue_accepted_total"), 0, "nothing was run");
}

#[test]
fn clients_are_served_by_every_name_of_loopback_and_by_those_that_were_added() {
    let world = World::with(&["--set", "server.hosts=judge.example"]);
    let port = world.address.rsplit(':').next().unwrap();
    for name in ["127.0.0.1", "localhost", "LocalHost", "127.0.0.2", "[::1]", "judge.example"] {
        for host in [name.to_owned(), format!("{name}:{port}")] {
            let (status, body) = ask(&world, "POST", "/run", &[("host", &host)]);
            assert!(status == 200 && body.contains("42\\n"), "{host}: {status} {body}");
        }
    }
    let own = format!("http://localhost:{port}");
    assert_eq!(ask(&world, "POST", "/run", &[("host", &world.address), ("origin", &own), ("sec-fetch-site", "same-origin")]).0, 200);
}

#[test]
fn where_there_are_keys_no_name_is_asked_for() {
    let (config, key) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(&key, "secret\n").unwrap();
    std::fs::write(&config, format!("[[keys]]\nname = \"a\"\nfile = {:?}\n", key.path())).unwrap();
    let world = World::with(&["--config", config.path().to_str().unwrap()]);
    let page = [("host", "judge.example"), ("origin", "https://front.example")];
    assert_eq!(ask(&world, "POST", "/run", &page).0, 401);
    assert_eq!(ask(&world, "POST", "/run", &[page[0], page[1], ("x-api-key", "secret")]).0, 200);
}
