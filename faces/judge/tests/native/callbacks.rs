//! Callbacks: made where the operator allows them, again when they fail, and nowhere else.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::fake::PATIENCE;
use super::world::{Setup, World, job, problem};

/// A peer that answers one call after the other with these statuses, and gives what it was sent.
fn peer(statuses: &'static [u16]) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, calls) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(count) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = count.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(reader.into_inner(), "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").unwrap();
            if sender.send((head, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, calls)
}

fn config(address: &str) -> String {
    format!("[callbacks]\ninternal = [\"http://{address}\"]\n")
}

/// The token of an asynchronous run that calls `url`.
fn accept(world: &World, source: &str, url: &str) -> String {
    let response = world.post("/v1/runs", &job(source, &format!(r#", "async": true, "callback": {{"url": "{url}"}}"#)));
    assert_eq!(response.status, 202, "{response:?}");
    response.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn the_record_comes_to_who_asked_for_it() {
    let (address, calls) = peer(&[204]);
    let world = World::with(&config(&address));
    let token = accept(&world, "print told", &format!("http://{address}/done?id=7"));
    let (head, body) = calls.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("POST /done?id=7 HTTP/1.1\r\n") && head.contains("content-type: application/json\r\n"), "{head}");
    assert_eq!((&body["token"], &body["status"]), (&token.as_str().into(), &"finished".into()));
    assert_eq!(body["result"]["tests"][0]["run"]["stdout"]["data"], "told\n");
    world.until(|world| world.record(&token)["callback"] == "delivered", "it is noted");
    assert_eq!(world.record(&token), body);
}

#[test]
fn one_that_fails_is_made_again_and_a_redirect_is_a_failure() {
    let (address, calls) = peer(&[500, 302, 200]);
    let world = World::with(&config(&address));
    let token = accept(&world, "exit 1", &format!("http://{address}/"));
    let bodies: Vec<Value> = (0..3).map(|_| calls.recv_timeout(PATIENCE).unwrap().1).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    world.until(|world| world.record(&token)["callback"] == "delivered", "it is noted");
}

#[test]
fn a_cancelled_run_is_told_too() {
    let (address, calls) = peer(&[200]);
    let world = World::with(&config(&address));
    let token = accept(&world, "wait", &format!("http://{address}/"));
    world.post(&format!("/v1/runs/{token}/cancel"), "");
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap().1["status"], "cancelled");
}

#[test]
fn what_is_not_allowed_is_refused_at_once() {
    let (address, calls) = peer(&[200]);
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    let async_to =
        |world: &World, url: &str| world.post("/v1/runs", &job("", &format!(r#", "async": true, "callback": {{"url": "{url}"}}"#)));
    let off = async_to(&World::new(), &format!("http://{address}/"));
    assert_eq!((off.status, problem(&off).2.as_deref()), (422, Some("callback")));
    let world = World::with(&config(&address));
    for url in [
        "",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:1/",
        "file:///etc/passwd",
        &format!("https://{address}/"),
        &format!("http://user@{address}/"),
        &format!("http://127.0.0.1.example.org:{port}/"),
    ] {
        let response = async_to(&world, url);
        assert_eq!((response.status, problem(&response).2.as_deref()), (422, Some("callback.url")), "{url}");
    }
    assert!(calls.try_recv().is_err());
}

#[test]
fn an_address_that_leads_inside_is_not_called_though_its_name_is_allowed() {
    let (address, calls) = peer(&[200]);
    let world = World::with(&format!("[callbacks]\nallow = [\"http://{address}\"]\n"));
    let token = accept(&world, "print 1", &format!("http://{address}/"));
    world.until(|world| world.record(&token)["callback"] == "failed", "it is given up");
    assert!(calls.try_recv().is_err());
}

#[test]
fn what_is_due_is_told_by_the_next_server() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let (address, calls) = peer(&[200]);
    let on = |path: &Path, config: String| Setup { config, store: Some(path.to_owned()), ..Setup::default() }.start();
    let world = on(&path, config(&address));
    let token = accept(&world, "wait", &format!("http://{address}/"));
    world.until(|world| world.running() == 1, "it runs");
    drop(world);
    assert!(calls.try_recv().is_err());
    // One that may make no callbacks leaves it as it is.
    let world = on(&path, String::new());
    assert_eq!(world.record(&token)["callback"], "due");
    world.post(&format!("/v1/runs/{token}/cancel"), "");
    drop(world);
    let _world = on(&path, config(&address));
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap().1["token"], token.as_str());
}
