//! Files of a running sandbox.

use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;

use enclos_testkit::http;

use super::world::{World, error};

#[test]
fn a_file_is_written_read_in_parts_and_removed() {
    let world = World::new();
    let id = world.sandbox();
    let at = format!("sandboxes/{id}/files/a/b.txt");
    let bytes: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
    let written = world.bytes("PUT", &format!("{at}?mode=600"), &[], &bytes);
    assert_eq!((written.status, &written.json()["size"], &written.json()["path"]), (200, &1000.into(), &"a/b.txt".into()));
    // Whatever the agent's bound for one call is.
    for part in [1 << 20, 1000, 999, 7] {
        world.agent.part.store(part, Ordering::SeqCst);
        let file = world.get(&at);
        assert_eq!((file.status, file.header("x-file-mode"), file.header("accept-ranges")), (200, Some("0600"), Some("bytes")));
        assert!(file.body == bytes, "{part}");
        for (range, from, to) in [("bytes=10-19", 10, 20), ("bytes=990-", 990, 1000), ("bytes=-5", 995, 1000), ("bytes=5-99999", 5, 1000)] {
            let file = world.bytes("GET", &at, &[("range", range)], b"");
            assert_eq!(file.status, 206, "{range}");
            assert_eq!(file.header("content-range"), Some(&*format!("bytes {from}-{}/1000", to - 1)), "{range}");
            assert!(file.body == bytes[from..to], "{range} {part}");
        }
    }
    for range in ["bytes=1000-", "bytes=-0"] {
        let file = world.bytes("GET", &at, &[("range", range)], b"");
        assert_eq!(
            (file.status, file.header("content-range"), error(&file).0.as_str()),
            (416, Some("bytes */1000"), "out_of_range"),
            "{range}"
        );
    }
    // What is no range asks for all.
    for range in ["bytes=9-1", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=+1-2", "bytes=99999999999999999999-"] {
        assert_eq!(world.bytes("GET", &at, &[("range", range)], b"").status, 200, "{range}");
    }
    assert_eq!(world.get(&format!("sandboxes/{id}/list")).json()["entries"][0]["kind"], "file");
    assert_eq!(world.bytes("DELETE", &at, &[], b"").status, 204);
    assert_eq!(world.get(&at).status, 404);
    let denied = world.bytes("PUT", &format!("sandboxes/{id}/files/secret"), &[], b"x");
    assert_eq!((denied.status, error(&denied).0.as_str()), (403, "permission_denied"));
}

#[test]
fn an_empty_file_is_a_file() {
    let world = World::new();
    let at = format!("sandboxes/{}/files/empty", world.sandbox());
    assert_eq!(world.bytes("PUT", &at, &[], b"").status, 200);
    let file = world.get(&at);
    assert_eq!((file.status, file.header("content-length"), file.body.len()), (200, Some("0"), 0));
}

#[test]
fn changes_are_told_as_they_come_and_a_client_that_leaves_ends_the_watch() {
    let world = World::new();
    let id = world.sandbox();
    let stream = http::begin(&world.address, "GET", &format!("/v1/agent/sandboxes/{id}/watch?path=/"), &[], b"");
    world.until(|agent| agent.watching.load(Ordering::SeqCst) == 1, "it watches");
    world.bytes("PUT", &format!("sandboxes/{id}/files/new"), &[], b"x");
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.find(|line| line.starts_with("event: ")).unwrap(), "event: added");
    assert_eq!(lines.next().unwrap(), "data: {\"path\":\"new\",\"kind\":\"added\"}");
    drop(lines);
    drop(stream);
    world.until(|agent| agent.watching.load(Ordering::SeqCst) == 0, "the watch has ended");
    world.bytes("POST", &format!("sandboxes/{id}/stop"), &[], b"");
    let stopped = world.get(&format!("sandboxes/{id}/watch"));
    assert_eq!((stopped.status, error(&stopped).0.as_str()), (409, "not_running"));
    assert_eq!(world.get("sandboxes/sb_0/watch").status, 404);
}
