//! Clients that go away, and slow ones.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::world::World;
use enclos_testkit::http::begin;

#[test]
fn a_client_that_leaves_kills_its_programs_and_frees_their_places() {
    let world = World::with(&["--set", "queue.cores=2", "--set", "judge.parallel=2"]);
    let job = json!({"lang": "python", "source": "import time; time.sleep(14)", "execute": {"wall-time": 60}}).to_string();
    let streams = [0, 1].map(|_| begin(&world.address, "POST", "/run", &[], job.as_bytes()));
    world.until(|world| world.figure("enclos_queue_running") == 2, "both run");
    let start = Instant::now();
    drop(streams);
    assert_eq!(world.python("print(1)", json!({}))["stdout"], "1\n");
    world.until(|world| world.figure("enclos_queue_running") == 0, "both ended");
    assert!(start.elapsed() < Duration::from_secs(10), "the programs were waited for");
    assert!(world.figure("enclos_queue_cancelled_total") >= 2);
}

#[test]
fn slow_and_silent_clients_hold_up_nobody() {
    let world = World::with(&["--set", "server.head-timeout=300ms", "--set", "server.body-timeout=300ms"]);
    let starts = ["", "POST /run HT", "POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"];
    let mut streams: Vec<TcpStream> = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(&world.address).unwrap();
        stream.write_all(starts[number % starts.len()].as_bytes()).unwrap();
        streams.push(stream);
    }
    assert_eq!(world.python("print(1)", json!({}))["stdout"], "1\n");
    for stream in &mut streams {
        stream.set_read_timeout(Some(enclos_testkit::http::PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        // Closed, or answered 408 and closed; a reset is as good an end.
        if let Err(error) = std::io::Read::read_to_end(stream, &mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection is still held");
        }
    }
}
