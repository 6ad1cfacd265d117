//! The table of errors.

use std::time::Duration;

use enclos_host::body::Bodies;
use serde_json::json;

use super::world::{Setup, World, job};
use enclos_testkit::http::PATIENCE;

fn error(text: &str) -> serde_json::Value {
    json!({"success": false, "error": text})
}

#[test]
fn what_breaks_the_schema_is_told_with_200() {
    let world = World::new();
    for (body, told) in [
        ("{}", ".lang: expected a string, got nothing"),
        (r#"{"lang": "c", "source": 42}"#, ".source: expected a string or binary data, got an integer"),
        ("[]", ": expected a mapping, got a list"),
        (r#"{"lang": "c", "source": "", "execute": {"time": "x"}}"#, ".execute.time: expected a float or an integer, got a string"),
        (r#"{"lang": "c", "source": "", "tests": [{"stdin": 1}]}"#, ".tests[0].stdin: expected a string or binary data, got an integer"),
    ] {
        let response = world.run(body);
        assert_eq!((response.status, response.json()), (200, error(&format!("malformed payload: {told}"))), "{body}");
    }
    let response = world.request("POST", "/test", &[], br#"{"exclude": 1}"#);
    assert_eq!((response.status, response.json()), (200, error("malformed payload: .exclude: expected a list, got an integer")));
}

#[test]
fn a_body_that_cannot_be_read_is_400_on_every_route() {
    let world = World::new();
    for path in ["/run", "/languages", "/system", "/test"] {
        let response = world.request("POST", path, &[], b"{garbage");
        assert_eq!((response.status, response.json()), (400, error("malformed application/json")), "{path}");
        let response = world.request("POST", path, &[("content-type", "application/msgpack")], b"\xc1");
        assert_eq!((response.status, response.json()), (400, error("malformed application/msgpack")), "{path}");
    }
    // An empty body is an empty request.
    assert_eq!(world.run("").json(), error("malformed payload: .lang: expected a string, got nothing"));
}

#[test]
fn a_body_over_the_limit_is_413_and_under_it_is_not() {
    let world = World::with("[judge.camisole]\nmax-body-size = 1024");
    let body = job(&"x".repeat(1024), "");
    let response = world.run(&body);
    assert_eq!((response.status, response.json()), (413, error("Request Entity Too Large")));
    assert_eq!(world.run(&job("print 1", "")).status, 200);
    let larger = World::with("[judge.camisole]\nmax-body-size = 102400");
    assert_eq!(larger.run(&body).status, 200);
    // So is a body that stands for a million values.
    let response = larger.request("POST", "/languages", &[], format!("[{}0]", "0,".repeat(300_000)).as_bytes());
    assert_eq!(response.status, 413);
}

#[test]
fn a_large_request_and_a_large_answer_pass() {
    let world = World::new();
    let source = format!("cat\n{}", "#".repeat(3 << 20));
    let answer = world.script(&source, &format!(", \"tests\": [{{\"stdin\": \"{}\"}}]", "y".repeat(1 << 20)));
    assert_eq!(answer["tests"][0]["stdout"].as_str().map(str::len), Some(1 << 20));
}

#[test]
fn an_unknown_language_is_500_without_a_traceback() {
    let world = World::new();
    let response = world.run(r#"{"lang": "foobar", "source": "x"}"#);
    assert_eq!((response.status, response.json()), (500, error("Incorrect language foobar")));
    let response = world.run(r#"{"lang": "missing", "source": "x"}"#);
    let told =
        "Incorrect language missing: language: Missing is not installed here: missing-run not found; Debian packages: missing-package";
    assert_eq!((response.status, response.json()), (500, error(told)));
}

#[test]
fn a_failure_of_ours_is_500_and_the_server_lives() {
    let world = World::new();
    let response = world.run(&job("break", ""));
    // What failed is in words of the host.
    assert_eq!((response.status, response.json()), (500, error("the judge failed; its log says how")));
    assert_eq!(world.run(&job("panic", "")).json(), error("the judge failed; its log says how"));
    assert_eq!(world.run(&job("print 1", "")).status, 200);
}

#[test]
fn too_many_tests_are_refused() {
    let world = World::with("[judge.camisole]\nmax-tests = 10");
    let response = world.run(&job("print 1", &format!(", \"tests\": [{}{{}}]", "{},".repeat(10))));
    assert_eq!((response.status, response.json()), (200, error("malformed payload: .tests: expected at most 10 tests, got 11")));
}

#[test]
fn output_that_was_cut_is_never_passed_off_as_whole() {
    let world = World::new();
    assert_eq!(world.script("cut", ""), error("the programs printed more together than one answer may hold"));
    // At its own limit a program is killed, which is told.
    assert_eq!(world.script("over", "")["tests"][0]["meta"]["exitsig-message"], "File size limit exceeded");
}

#[test]
fn limits_that_are_too_great_are_refused_where_the_server_says_so() {
    let world = World::with("[judge.camisole]\nbeyond = \"refuse\"");
    let response = world.run(&job("print 1", ", \"execute\": {\"time\": 100000}"));
    let told = "malformed payload: .execute.time: expected at most 60, which is the greatest this judge allows";
    assert_eq!((response.status, response.json()), (200, error(told)));
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let world = Setup { bodies: Bodies::new(1 << 20, Duration::from_millis(50)), ..Setup::default() }.start();
    let stream = std::net::TcpStream::connect(&world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut &stream, b"POST /run HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{").unwrap();
    let response = enclos_testkit::http::finish(stream);
    assert_eq!((response.status, response.json()), (408, error("the body did not come within 0.05 s")));
}

#[test]
fn bodies_beyond_the_memory_for_them_are_503() {
    let world = Setup { bodies: Bodies::new(1000, PATIENCE), ..Setup::default() }.start();
    let response = world.run(&job(&"x".repeat(2000), ""));
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(world.run(&job("print 1", "")).status, 200);
}

#[test]
fn answers_that_nobody_reads_are_bounded_too() {
    let world = Setup { bodies: Bodies::new(60 << 20, PATIENCE), ..Setup::default() }.start();
    // Far more than the kernel holds for a client that does not read.
    let large = job(&format!("large {}", 40 << 20), "");
    let silent = enclos_testkit::http::begin(&world.address, "POST", "/run", &[], large.as_bytes());
    silent.peek(&mut [0]).expect("its answer begins");
    let refused = world.run(&large);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(world.run(&job("print 1", "")).status, 200);
    drop(silent);
    world.until(|world| world.run(&large).status == 200, "there is room again");
}
