//! Takes connections and answers them, until told to stop.
//!
//! ```text
//!  accept (at most N at once) ─► TLS where it is spoken ─► HTTP/1, or where asked HTTP/2 for a peer that begins with its preface ─► the application
//!     handshake and head must come within `head` each; what we write must be read within `write`
//!  stop: no more is accepted; idle connections close; the others end with the answer they wait for, or after `drain` are dropped
//! ```
//!
//! A peer that goes away drops the future of its request: whatever that future owns is let go then. On HTTP/2 a peer that is silent is asked
//! whether it lives; one that resets a stream drops that stream's future alone.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::authority::Anonymous;
use crate::hosts::FromSocketFile;
use crate::listen::Listener;
use crate::opening::{Opening, begin};
use crate::patient::Patient;
use crate::stop::Stop;
use crate::tls::{Certificate, Tls, handshake};

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At once, over all listeners; the next waits in the kernel until one ends.
    pub connections: usize,
    /// For a handshake of TLS, for the head of a request, and for the next request on a connection that is kept.
    pub head: Duration,
    /// For the peer to read some of what we write.
    pub write: Duration,
    /// For answers under way when the end is asked for.
    pub drain: Duration,
}

/// Bounds on HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2 {
    /// Requests at once on one connection; the peer keeps the next one until one ends.
    pub streams: u32,
    /// A connection on which nothing came for so long is asked whether its peer lives.
    pub ping: Duration,
    /// For the answer to that.
    pub pong: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Http2 { streams: 256, ping: Duration::from_secs(30), pong: Duration::from_secs(20) }
    }
}

/// Bytes of the head of a request: names and values, with 32 more for each pair (RFC 9113 section 6.5.2).
const HEAD: u32 = 64 << 10;

/// Bytes of a request that a peer may send before the application has read them: of one stream, of a connection.
const WINDOWS: (u32, u32) = (256 << 10, 1 << 20);

/// Serves `app` on every listener over HTTP/1 until `stop`; comes back when every connection has ended. Gives the number of those that were
/// dropped because `drain` was over.
pub async fn serve(listeners: Vec<Listener>, app: Router, bounds: Bounds, stop: Stop) -> usize {
    serve_all(listeners, app, bounds, None, stop).await
}

/// The same, and over HTTP/2 for peers that begin with it: agreed on in the handshake of TLS, or by prior knowledge (RFC 9113 section 3.3).
pub async fn serve_http2(listeners: Vec<Listener>, app: Router, bounds: Bounds, http2: Http2, stop: Stop) -> usize {
    serve_all(listeners, app, bounds, Some(http2), stop).await
}

async fn serve_all(listeners: Vec<Listener>, app: Router, bounds: Bounds, http2: Option<Http2>, stop: Stop) -> usize {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut tasks = JoinSet::new();
    {
        let (sender, mut accepted) = tokio::sync::mpsc::channel::<Accepted>(1);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, Arc::clone(&places), sender.clone(), stop.clone()));
        }
        drop(sender);
        while let Some(accepted) = accepted.recv().await {
            tasks.spawn(accepted.answer(app.clone(), bounds, http2, stop.clone()));
            while tasks.try_join_next().is_some() {}
        }
    }
    let open = tasks.len();
    let ended = tokio::time::timeout(bounds.drain, async { while tasks.join_next().await.is_some() {} });
    match ended.await {
        Ok(()) => 0,
        Err(_) => {
            let left = tasks.len().min(open);
            tasks.shutdown().await;
            left
        }
    }
}

/// One connection, and its place among those there may be.
struct Accepted {
    stream: Stream,
    place: OwnedSemaphorePermit,
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Tls(tokio::net::TcpStream, Tls),
    Unix(tokio::net::UnixStream),
}

/// What is known of whoever is at the other end.
#[derive(Clone, Default)]
struct Peer {
    /// It came over a socket in the file system; else its address is one that an authority can name.
    from_socket_file: bool,
    /// What it showed, verified.
    certificate: Option<Arc<Certificate>>,
}

async fn accept(listener: Listener, places: Arc<Semaphore>, sender: tokio::sync::mpsc::Sender<Accepted>, stop: Stop) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            loop {
                match take(&listener).await {
                    Ok(stream) => return Some(Accepted { stream, place }),
                    Err(error) => {
                        // The peer gave up before we took it, or descriptors ran out; both pass.
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        let next = tokio::select! { next = next => next, () = stop.asked() => None };
        let Some(accepted) = next else { return };
        if sender.send(accepted).await.is_err() {
            return;
        }
    }
}

async fn take(listener: &Listener) -> std::io::Result<Stream> {
    match listener {
        Listener::Tcp(listener) => Ok(Stream::Tcp(take_tcp(listener).await?)),
        Listener::Tls(listener, tls) => Ok(Stream::Tls(take_tcp(listener).await?, tls.clone())),
        Listener::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

async fn take_tcp(listener: &tokio::net::TcpListener) -> std::io::Result<tokio::net::TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Answers are written whole; waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Accepted {
    async fn answer(self, app: Router, bounds: Bounds, http2: Option<Http2>, stop: Stop) {
        let _place = self.place;
        match self.stream {
            Stream::Tcp(stream) => answer(stream, Peer::default(), app, bounds, http2, stop).await,
            Stream::Unix(stream) => {
                let peer = Peer { from_socket_file: true, certificate: None };
                answer(stream, peer, app, bounds, http2, stop).await;
            }
            Stream::Tls(stream, tls) => {
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(bounds.head, handshake(&tls, stream, http2.is_some())) => shaken,
                    () = stop.asked() => return,
                };
                match shaken {
                    Ok(Ok((stream, certificate))) => {
                        answer(stream, Peer { from_socket_file: false, certificate }, app, bounds, http2, stop).await;
                    }
                    // As much a matter of the peer's as a head that makes no sense.
                    Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                    Err(_) => tracing::debug!("a handshake took too long"),
                }
            }
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    app: Router,
    bounds: Bounds,
    http2: Option<Http2>,
    stop: Stop,
) {
    let stream = Patient::new(stream, bounds.write);
    let ended = match http2 {
        None => over_http1(stream, service(app, peer), bounds, stop).await,
        Some(http2) => {
            let begun = tokio::select! {
                begun = tokio::time::timeout(bounds.head, begin(stream)) => begun,
                () = stop.asked() => return,
            };
            match begun {
                Ok(Ok(Opening::Http2(stream))) if peer.from_socket_file => {
                    over_http2(Anonymous::new(stream), service(app, peer), http2, stop).await
                }
                Ok(Ok(Opening::Http2(stream))) => over_http2(stream, service(app, peer), http2, stop).await,
                Ok(Ok(Opening::Other(stream))) => over_http1(stream, service(app, peer), bounds, stop).await,
                // Nothing came, or too slowly.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // A peer that goes away in the middle is no news.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What answers on one connection. A request's extensions tell of the peer; nobody but us can put anything there.
fn service(app: Router, peer: Peer) -> impl Service {
    let service = app.map_request(move |mut request: hyper::Request<Incoming>| {
        if peer.from_socket_file {
            request.extensions_mut().insert(FromSocketFile);
        }
        if let Some(certificate) = &peer.certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        request.map(Body::new)
    });
    TowerToHyperService::new(service.map_err(|never: Infallible| never))
}

/// Shorter to write.
trait Service:
    hyper::service::Service<hyper::Request<Incoming>, Response = axum::response::Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<T> Service for T where
    T: hyper::service::Service<hyper::Request<Incoming>, Response = axum::response::Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

async fn over_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: impl Service,
    bounds: Bounds,
    stop: Stop,
) -> hyper::Result<()> {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        ended = &mut connection => ended,
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn over_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: impl Service,
    bounds: Http2,
    stop: Stop,
) -> hyper::Result<()> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(256 << 10)
        .keep_alive_interval(bounds.ping)
        .keep_alive_timeout(bounds.pong);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => ended,
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
