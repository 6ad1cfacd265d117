//! The same over HTTP/2, where many requests share a connection.

use enclos_host::axum::body::Body;
use enclos_host::axum::http::Request;
use enclos_host::http_body_util::BodyExt;
use enclos_host::hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

const HTTP2: Http2 = Http2 { streams: 16, ping: PATIENCE, pong: PATIENCE };

/// A client, and a second hold of its socket.
struct Client {
    sender: SendRequest<Body>,
    socket: std::net::TcpStream,
}

impl Client {
    async fn of(world: &World) -> Client {
        let socket = std::net::TcpStream::connect(&world.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.try_clone().unwrap()).unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        // How it ends is seen by those who use it.
        tokio::spawn(async move { drop(connection.await) });
        Client { sender, socket }
    }

    fn send(&self, path: &str) -> JoinHandle<enclos_host::hyper::Result<String>> {
        let mut sender = self.sender.clone();
        let request = Request::builder().uri(format!("http://x{path}")).body(Body::empty()).unwrap();
        tokio::spawn(async move {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let bytes = response.into_body().collect().await?.to_bytes();
            Ok(String::from_utf8(bytes.to_vec()).unwrap())
        })
    }
}

#[tokio::test]
async fn both_are_spoken_on_one_address_and_only_where_asked() {
    let world = World::speaking(BOUNDS, Some(HTTP2)).await;
    assert_eq!(Client::of(&world).await.send("/").await.unwrap().unwrap(), "here");
    assert!(rest(world.send("/").await).await.ends_with("here"));
    let old = World::new(BOUNDS).await;
    assert!(Client::of(&old).await.send("/").await.unwrap().is_err());
}

#[tokio::test]
async fn it_is_spoken_over_a_socket_in_the_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = Address::Unix(path.clone()).bind().await.unwrap();
    let (app, stop) = (Router::new().route("/", get(async || "here")), Stop::default());
    let server = tokio::spawn(serve_http2(vec![listener], app, BOUNDS, HTTP2, stop.clone()));
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(Request::builder().uri("http://localhost/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "here");
    stop.ask();
    assert_eq!(server.await.unwrap(), 0);
    assert!(connection.await.unwrap().is_ok(), "the server says that it ends");
}

#[tokio::test]
async fn a_stream_that_is_reset_drops_what_it_owns_and_nothing_else() {
    let world = World::speaking(BOUNDS, Some(HTTP2)).await;
    let client = Client::of(&world).await;
    let (first, second) = (client.send("/wait"), client.send("/wait"));
    world.until_waiting(2).await;
    first.abort();
    world.until_waiting(1).await;
    world.go.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap(), "went");
}

#[tokio::test]
async fn a_peer_that_goes_away_drops_what_all_its_requests_own() {
    let world = World::speaking(BOUNDS, Some(HTTP2)).await;
    let client = Client::of(&world).await;
    let _requests = [client.send("/wait"), client.send("/wait")];
    world.until_waiting(2).await;
    client.socket.shutdown(std::net::Shutdown::Both).unwrap();
    world.until_waiting(0).await;
}

#[tokio::test]
async fn the_end_waits_for_requests_under_way_and_takes_no_more() {
    let world = World::speaking(BOUNDS, Some(HTTP2)).await;
    let client = Client::of(&world).await;
    let waiting = client.send("/wait");
    world.until_waiting(1).await;
    world.stop.ask();
    let start = Instant::now();
    while client.send("/").await.unwrap().is_ok() {
        assert!(start.elapsed() < PATIENCE, "it still takes requests");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!world.server.is_finished());
    world.go.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap(), "went");
    assert_eq!(world.server.await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let world = World::speaking(Bounds { drain: Duration::from_millis(50), ..BOUNDS }, Some(HTTP2)).await;
    let waiting = Client::of(&world).await.send("/wait");
    world.until_waiting(1).await;
    world.stop.ask();
    assert!(waiting.await.unwrap().is_err());
    world.until_waiting(0).await;
    assert_eq!(world.server.await.unwrap(), 1);
}

#[tokio::test]
async fn more_requests_than_a_connection_may_have_wait_for_one() {
    let world = World::speaking(BOUNDS, Some(Http2 { streams: 1, ..HTTP2 })).await;
    let client = Client::of(&world).await;
    let first = client.send("/wait");
    world.until_waiting(1).await;
    let second = client.send("/wait");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.waiting.load(Ordering::SeqCst), 1);
    world.go.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap(), "went");
    assert_eq!(second.await.unwrap().unwrap(), "went");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_lives() {
    let world = World::speaking(BOUNDS, Some(HTTP2)).await;
    let mut sender = Client::of(&world).await.sender;
    let request = |size| Request::builder().uri("http://x/").header("x", "y".repeat(size)).body(Body::empty()).unwrap();
    assert_eq!(sender.send_request(request(16 << 10)).await.unwrap().status(), 200);
    let refused = sender.send_request(request(80 << 10)).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(sender.send_request(request(1)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_answers_no_ping_is_given_up() {
    let short = Duration::from_millis(100);
    let world = World::speaking(Bounds { head: short, ..BOUNDS }, Some(Http2 { ping: short, pong: short, ..HTTP2 })).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    let settings = b"\0\0\0\x04\0\0\0\0\0".as_slice();
    for sent in [b"".as_slice(), b"P", b"PRI * HTTP/2.0\r\n", &[preface, settings].concat()] {
        let mut stream = TcpStream::connect(&world.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut text = Vec::new();
        let ended = tokio::time::timeout(PATIENCE / 2, stream.read_to_end(&mut text)).await;
        assert!(ended.is_ok(), "{sent:?} holds its connection");
    }
}
