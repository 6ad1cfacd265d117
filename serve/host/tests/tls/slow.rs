//! What a client can hold up: nothing of others', and its own connection for a while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use enclos_host::connections::Bounds;

use super::world::{BOUNDS, PATIENCE, World, send};

const SOON: Duration = Duration::from_millis(500);

/// The beginning of a handshake: a record of 512 bytes of which little comes.
const BEGUN: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Whether a server lets a connection go, and says nothing of HTTP on it.
fn is_let_go(mut stream: &TcpStream) -> bool {
    let mut told = Vec::new();
    // A reset is an end too; only a time-out is none.
    match stream.read_to_end(&mut told) {
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        Ok(_) => told.first().is_none_or(|first| *first == 21),
    }
}

#[test]
fn a_handshake_that_does_not_end_is_cut_off_and_hinders_nobody() {
    let world = World::with(false, "", Bounds { connections: 8, head: SOON, ..BOUNDS }, None);
    let begun = Instant::now();
    let silent: Vec<TcpStream> = [&b""[..], BEGUN, b"\x16", b""]
        .into_iter()
        .map(|bytes| {
            let mut stream = world.connect();
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    // They are ahead of this one, in the kernel's queue and in ours.
    let longer = World::with(false, "", Bounds { connections: 8, ..BOUNDS }, None);
    let waiting: Vec<TcpStream> = [0; 4].map(|_| longer.connect()).into();
    assert_eq!(longer.name(&longer.place.client(None), ""), "anonymous");
    assert_eq!(world.name(&world.place.client(None), ""), "anonymous");
    assert!(silent.iter().all(is_let_go));
    assert!(begun.elapsed() >= SOON && begun.elapsed() < PATIENCE);
    drop(waiting);
}

#[test]
fn a_handshake_that_comes_byte_by_byte_has_no_more_time() {
    let world = World::with(false, "", Bounds { head: SOON, ..BOUNDS }, None);
    let mut stream = world.connect();
    let start = Instant::now();
    // Each byte is progress, and none buys time. A server that has let go says so to one of the next.
    let bytes = BEGUN.iter().chain(std::iter::repeat(&0)).take(500);
    for byte in bytes {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "never cut off");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() >= SOON && start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_handshake_counts_as_a_connection() {
    let world = World::with(false, "", Bounds { connections: 2, head: SOON, ..BOUNDS }, None);
    let silent = [world.connect(), world.connect()];
    let start = Instant::now();
    // There is no place for it until one of them is cut off, and then there is.
    assert_eq!(world.name(&world.place.client(None), ""), "anonymous");
    assert!(start.elapsed() >= SOON / 2, "{:?}", start.elapsed());
    assert!(silent.iter().all(is_let_go));
}

#[test]
fn one_that_asks_for_much_and_reads_nothing_is_dropped() {
    let world = World::with(false, "", Bounds { write: SOON, ..BOUNDS }, None);
    let mut stream = world.place.client(None).connect("localhost", world.connect()).unwrap();
    send(&mut stream, "/big", "").unwrap();
    world.until(|world| world.under_way.load(Ordering::SeqCst) == 1, "the answer begins");
    world.until(|world| world.under_way.load(Ordering::SeqCst) == 0, "it is given up");
    // One that reads has all of it.
    let mut stream = world.place.client(None).connect("localhost", world.connect()).unwrap();
    send(&mut stream, "/big", "connection: close\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(all.len() > 64 << 20);
}

#[test]
fn the_end_waits_for_no_handshake() {
    let mut world = World::with(false, "", BOUNDS, None);
    let silent = world.connect();
    assert_eq!(world.name(&world.place.client(None), ""), "anonymous");
    world.stop.ask();
    let server = world.server.take().unwrap();
    let ended = world.runtime.block_on(async { enclos_host::tokio::time::timeout(PATIENCE / 2, server).await });
    assert_eq!(ended.expect("it ends").unwrap(), 0, "nothing was dropped by force");
    assert!(is_let_go(&silent));
}
