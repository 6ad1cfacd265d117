//! Codebases: files and archives in and out.

use std::io::{Read, Write};

use enclos_testkit::http;
use serde_json::json;

use super::world::{World, error};

#[test]
fn files_go_in_and_come_out_exactly() {
    let world = World::new();
    let id = world.codebase();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let response = world.bytes("PUT", &format!("codebases/{id}/files/src/a%20b.bin?mode=0755"), &[], &bytes);
    assert_eq!(
        (response.status, &response.json()["path"], &response.json()["version"]),
        (200, &"src/a b.bin".into(), &1.into()),
        "{response:?}"
    );
    let file = world.get(&format!("codebases/{id}/files/src/a%20b.bin"));
    assert_eq!((file.status, file.header("x-file-mode"), file.header("content-length")), (200, Some("0755"), Some("12000000")));
    assert!(file.body == bytes);
    assert_eq!(world.get(&format!("codebases/{id}/files/src/a%20b.bin?version=0")).status, 404);
    let tree = world.get(&format!("codebases/{id}/tree?recursive=true&path=src")).json();
    assert_eq!(
        (&tree["entries"][0]["path"], &tree["entries"][0]["kind"], &tree["entries"][0]["mode"]),
        (&"src/a b.bin".into(), &"file".into(), &"0755".into())
    );
    let removed = world.bytes("DELETE", &format!("codebases/{id}/files/src/a%20b.bin"), &[], b"");
    assert_eq!((removed.status, &removed.json()["number"]), (200, &2.into()));
    let versions = world.get(&format!("codebases/{id}/versions?page_size=2")).json();
    assert_eq!((versions["versions"].as_array().unwrap().len(), &versions["next_page_token"]), (2, &"2".into()));
    let last = world.get(&format!("codebases/{id}/versions?page_size=2&page_token=2")).json();
    assert_eq!((last["versions"].as_array().unwrap().len(), &last["next_page_token"]), (1, &json!(null)));
    assert_eq!(world.bytes("DELETE", &format!("codebases/{id}"), &[], b"").status, 204);
}

#[test]
fn an_archive_is_a_stream_both_ways() {
    let world = World::new();
    let id = world.codebase();
    let bytes = vec![b'y'; 5_000_000];
    assert_eq!(world.bytes("PUT", &format!("codebases/{id}/archive?replace=true"), &[], &bytes).json()["number"], 1);
    let archive = world.get(&format!("codebases/{id}/archive"));
    assert_eq!((archive.header("content-type"), archive.header("transfer-encoding")), (Some("application/x-tar"), Some("chunked")));
    assert_eq!(archive.body.iter().filter(|byte| **byte == b'y').count(), bytes.len());
}

#[test]
fn a_client_that_leaves_in_the_middle_stores_nothing() {
    let world = World::new();
    let id = world.codebase();
    let mut stream = std::net::TcpStream::connect(&world.address).unwrap();
    write!(stream, "PUT /v1/agent/codebases/{id}/files/a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(stream);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(world.get(&format!("codebases/{id}")).json()["version"], 0);
}

#[test]
fn what_is_too_large_is_refused_and_what_the_agent_refuses_is_told() {
    let world = World::with("[agent.native]\nmax-upload-size = 1000\nmax-body-size = 1000");
    let id = world.codebase();
    let response = world.bytes("PUT", &format!("codebases/{id}/files/a"), &[], &[0; 1001]);
    assert_eq!((response.status, error(&response).0.as_str()), (413, "too_large"));
    // A stream that does not say how long it is.
    let mut stream = std::net::TcpStream::connect(&world.address).unwrap();
    write!(stream, "PUT /v1/agent/codebases/{id}/files/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    write!(stream, "3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    let response = world.bytes("POST", "codebases", &[("content-type", "application/json")], &[b' '; 1001]);
    assert_eq!(response.status, 413);
    assert_eq!(world.bytes("PUT", &format!("codebases/{id}/files/a"), &[], &[0; 1000]).status, 200);
    for path in ["..%2fetc", "a/../b", "%00"] {
        let response = world.bytes("PUT", &format!("codebases/{id}/files/{path}"), &[], b"x");
        assert_eq!((response.status, error(&response).1.as_deref()), (400, Some("path")), "{path}");
    }
    let response = http::request(&world.address, "PUT", &format!("/v1/agent/codebases/{id}/files/%ff"), &[], b"x");
    assert_eq!((response.status, error(&response).0.as_str()), (404, "not_found"));
    assert_eq!(world.bytes("PUT", &format!("codebases/{id}/files/a?mode=0999"), &[], b"x").status, 400);
}
