//! Takes connections and answers them, until told to stop.
//!
//! ```text
//!  accept (at most N at once) ─► HTTP/1 ─► the application
//!     head must come within `head`; what we write must be read within `write`
//!  stop: no more is accepted; idle connections close; the others end with the answer they wait for, or after `drain` are dropped
//! ```
//!
//! A peer that goes away drops the future of its request: whatever that future owns is let go then.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::hosts::FromSocketFile;
use crate::listen::Listener;
use crate::patient::Patient;
use crate::stop::Stop;

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At once, over all listeners; the next waits in the kernel until one ends.
    pub connections: usize,
    /// For the head of a request, and for the next request on a connection that is kept.
    pub head: Duration,
    /// For the peer to read some of what we write.
    pub write: Duration,
    /// For answers under way when the end is asked for.
    pub drain: Duration,
}

/// Serves `app` on every listener until `stop`; comes back when every connection has ended. Gives the number of those that were dropped
/// because `drain` was over.
pub async fn serve(listeners: Vec<Listener>, app: Router, bounds: Bounds, stop: Stop) -> usize {
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
            tasks.spawn(accepted.answer(app.clone(), bounds, stop.clone()));
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
    Unix(tokio::net::UnixStream),
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
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are written whole; waiting for more to send would only delay them.
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Listener::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

impl Accepted {
    async fn answer(self, app: Router, bounds: Bounds, stop: Stop) {
        let _place = self.place;
        match self.stream {
            Stream::Tcp(stream) => answer(stream, app, bounds, stop).await,
            Stream::Unix(stream) => answer(stream, app.layer(Extension(FromSocketFile)), bounds, stop).await,
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router, bounds: Bounds, stop: Stop) {
    let service = app.map_request(|request: hyper::Request<Incoming>| request.map(Body::new));
    let service = TowerToHyperService::new(service.map_err(|never: Infallible| never));
    let io = TokioIo::new(Patient::new(stream, bounds.write));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A peer that goes away in the middle is no news.
        tracing::debug!(%error, "a connection ended early");
    }
}
