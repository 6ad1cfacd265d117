//! Connections over real sockets: slow peers, peers that go away, and the end.

#![forbid(unsafe_code)]

mod http2;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use enclos_host::axum::Router;
use enclos_host::axum::routing::get;
use enclos_host::connections::{Bounds, Http2, serve, serve_http2};
use enclos_host::listen::Address;
use enclos_host::stop::Stop;
use enclos_host::tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Long enough that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const BOUNDS: Bounds = Bounds { connections: 8, head: PATIENCE, write: PATIENCE, drain: PATIENCE };

/// A server whose `/wait` answers when told, and counts those who wait.
struct World {
    address: String,
    stop: Stop,
    go: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    server: JoinHandle<usize>,
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    async fn new(bounds: Bounds) -> World {
        World::speaking(bounds, None).await
    }

    async fn speaking(bounds: Bounds, http2: Option<Http2>) -> World {
        let (stop, go, waiting) = (Stop::default(), Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let wait = {
            let (go, waiting) = (Arc::clone(&go), Arc::clone(&waiting));
            move || {
                waiting.fetch_add(1, Ordering::SeqCst);
                let held = Waiting(Arc::clone(&waiting));
                let go = Arc::clone(&go);
                async move {
                    let _held = held;
                    go.acquire().await.unwrap().forget();
                    "went"
                }
            }
        };
        let app = Router::new().route("/", get(async || "here")).route("/wait", get(wait));
        let listener = "127.0.0.1:0".parse::<Address>().unwrap().bind().await.unwrap();
        let address = listener.address().unwrap().to_string().trim_start_matches("http://").to_owned();
        let (listeners, stopped) = (vec![listener], stop.clone());
        let server = tokio::spawn(async move {
            match http2 {
                None => serve(listeners, app, bounds, stopped).await,
                Some(http2) => serve_http2(listeners, app, bounds, http2, stopped).await,
            }
        });
        World { address, stop, go, waiting, server }
    }

    async fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    async fn until_waiting(&self, number: usize) {
        let start = Instant::now();
        while self.waiting.load(Ordering::SeqCst) != number {
            assert!(start.elapsed() < PATIENCE, "{} wait, not {number}", self.waiting.load(Ordering::SeqCst));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_peer_that_goes_away_drops_what_its_request_owns() {
    let world = World::new(BOUNDS).await;
    let stream = world.send("/wait").await;
    world.until_waiting(1).await;
    drop(stream);
    world.until_waiting(0).await;
    assert!(rest(world.send("/").await).await.ends_with("here"));
}

#[tokio::test]
async fn the_end_waits_for_answers_under_way_and_takes_no_more() {
    let world = World::new(BOUNDS).await;
    let idle = TcpStream::connect(&world.address).await.unwrap();
    let stream = world.send("/wait").await;
    world.until_waiting(1).await;
    world.stop.ask();
    let start = Instant::now();
    while TcpStream::connect(&world.address).await.is_ok() {
        assert!(start.elapsed() < PATIENCE, "it still listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!world.server.is_finished());
    world.go.add_permits(1);
    assert!(rest(stream).await.ends_with("went"));
    assert_eq!(world.server.await.unwrap(), 0);
    drop(idle);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let world = World::new(Bounds { drain: Duration::from_millis(50), ..BOUNDS }).await;
    let _stream = world.send("/wait").await;
    world.until_waiting(1).await;
    world.stop.ask();
    assert_eq!(world.server.await.unwrap(), 1);
    assert_eq!(world.waiting.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let world = World::new(Bounds { head: Duration::from_millis(100), ..BOUNDS }).await;
    // Nothing at all; half a head; and a connection that is kept and then says nothing more.
    for sent in ["", "GET / HTTP/1.1\r\nhost:", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(&world.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        // The kernel may say so with a reset, which is as good an end.
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await;
        assert!(ended.is_ok(), "{sent:?} holds its connection");
    }
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_for_one() {
    let world = World::new(Bounds { connections: 1, ..BOUNDS }).await;
    let first = world.send("/wait").await;
    world.until_waiting(1).await;
    let second = world.send("/").await;
    world.go.add_permits(1);
    assert!(rest(first).await.ends_with("went"));
    assert!(rest(second).await.ends_with("here"));
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection() {
    let app = Router::new().route("/", get(async || vec![0u8; 64 << 20]));
    let listener = "127.0.0.1:0".parse::<Address>().unwrap().bind().await.unwrap();
    let address = listener.address().unwrap().to_string().trim_start_matches("http://").to_owned();
    let stop = Stop::default();
    let server = tokio::spawn(serve(vec![listener], app, Bounds { write: Duration::from_millis(100), ..BOUNDS }, stop.clone()));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    stop.ask();
    // Its answer is far larger than what the kernel holds for it: only the patience for a reader ends it before `drain` does.
    assert_eq!(tokio::time::timeout(PATIENCE / 2, server).await.expect("the connection still waits").unwrap(), 0);
}
