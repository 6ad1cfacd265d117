//! How large and how slow the body of a request may be, and how much all bodies together, of requests and answers, may hold.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// 413.
    #[error("the body is larger than {limit} bytes, and that is the limit")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// 408.
    #[error("the body did not come within {} s", .patience.as_secs_f64())]
    TooSlow {
        /// The time there was.
        patience: Duration,
    },
    /// 503: other bodies hold the memory there is.
    #[error("the server holds as much request data as it may; try again")]
    NoRoom,
    /// The peer broke the protocol, or went away.
    #[error("the body broke off")]
    Broken,
}

/// Reads bodies. Clones share one budget.
#[derive(Clone, Debug)]
pub struct Bodies {
    budget: Arc<Budget>,
    patience: Duration,
}

#[derive(Debug)]
struct Budget {
    left: AtomicUsize,
}

/// A body that was read, and its share of the budget, given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    /// Keep it for as long as anything made from the bytes is kept.
    pub share: Share,
}

/// A share of the budget.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    size: usize,
}

impl Share {
    fn grow(&mut self, by: usize) -> Result<(), BodyError> {
        let taken = self.budget.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(by));
        taken.map_err(|_| BodyError::NoRoom)?;
        self.size += by;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.size, Ordering::AcqRel);
    }
}

impl Bodies {
    /// Bodies may hold `budget` bytes together, and each must come within `patience`.
    #[must_use]
    pub fn new(budget: usize, patience: Duration) -> Self {
        Bodies { budget: Arc::new(Budget { left: AtomicUsize::new(budget) }), patience }
    }

    /// Takes `size` bytes of the budget, for an answer that waits to be read.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`].
    pub fn share(&self, size: usize) -> Result<Share, BodyError> {
        let mut share = Share { budget: Arc::clone(&self.budget), size: 0 };
        share.grow(size)?;
        Ok(share)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read(&self, body: Body, limit: usize) -> Result<Held, BodyError> {
        match tokio::time::timeout(self.patience, self.collect(body, limit)).await {
            Ok(held) => held,
            Err(_) => Err(BodyError::TooSlow { patience: self.patience }),
        }
    }

    async fn collect(&self, mut body: Body, limit: usize) -> Result<Held, BodyError> {
        if body.size_hint().lower() > limit as u64 {
            discard(&mut body, limit.max(DISCARD)).await;
            return Err(BodyError::TooLarge { limit });
        }
        let mut share = self.share(0)?;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                drop((bytes, share));
                discard(&mut body, limit.max(DISCARD)).await;
                return Err(BodyError::TooLarge { limit });
            }
            share.grow(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.freeze(), share })
    }
}

/// A body that keeps `kept` until it is sent, or its client is gone: a share of the budget, a place in a quota.
pub fn keeping(bytes: Bytes, kept: impl Send + 'static) -> Body {
    Body::new(Keeping { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), _kept: kept })
}

struct Keeping<T> {
    bytes: Option<Bytes>,
    _kept: T,
}

impl<T> Unpin for Keeping<T> {}

impl<T> HttpBody for Keeping<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // In pieces: the connection holds no more of it than it can send, and lets go of what it keeps only with the last.
        let piece = self.bytes.as_mut().map(|bytes| bytes.split_to(bytes.len().min(PIECE)));
        if self.bytes.as_ref().is_some_and(Bytes::is_empty) {
            self.bytes = None;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The same body, of which some must come within `patience`, again and again until its end: whoever stops in the middle is given up.
pub fn prompt(body: Body, patience: Duration) -> Body {
    Body::new(Prompt { body, patience, waiting: None })
}

struct Prompt {
    body: Body,
    patience: Duration,
    waiting: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl HttpBody for Prompt {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame);
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waiting.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(BodyError::TooSlow { patience }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The same body, which keeps `kept` until it has ended, or its client is gone.
pub fn holding(body: Body, kept: impl Send + 'static) -> Body {
    Body::new(Holding { body, kept: Some(kept) })
}

struct Holding<T> {
    body: Body,
    kept: Option<T>,
}

impl<T> Unpin for Holding<T> {}

impl<T> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.kept = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How much of an answer is handed to a connection at once.
pub(crate) const PIECE: usize = 256 << 10;

/// How much of a body that is too large is read all the same.
pub(crate) const DISCARD: usize = 1 << 20;

/// Reads on for a while and forgets it: most clients read an answer only when they have written their request, and a connection that is
/// closed under them takes the answer with it.
pub(crate) async fn discard(body: &mut Body, mut most: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        let Some(left) = most.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        most = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> Bodies {
        Bodies::new(10, Duration::from_millis(50))
    }

    #[tokio::test]
    async fn the_limit_is_the_last_byte_that_passes() {
        let bodies = bodies();
        assert_eq!(bodies.read(Body::from("12345"), 5).await.unwrap().bytes, "12345");
        assert_eq!(bodies.read(Body::from("123456"), 5).await.unwrap_err(), BodyError::TooLarge { limit: 5 });
    }

    #[tokio::test]
    async fn the_budget_is_shared_and_given_back() {
        let bodies = bodies();
        let first = bodies.read(Body::from("123456"), 8).await.unwrap();
        assert_eq!(bodies.clone().read(Body::from("12345"), 8).await.unwrap_err(), BodyError::NoRoom);
        let second = bodies.read(Body::from("1234"), 8).await.unwrap();
        drop((first, second));
        assert!(bodies.read(Body::from("12345678"), 8).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::new(Never);
        assert!(matches!(bodies().read(never, 5).await.unwrap_err(), BodyError::TooSlow { .. }));
    }

    #[tokio::test]
    async fn an_answer_keeps_its_share_until_it_is_sent_or_dropped() {
        let bodies = Bodies::new(2 * PIECE, Duration::from_secs(1));
        let text = Bytes::from("x".repeat(PIECE + 1));
        let answer = keeping(text.clone(), bodies.share(2 * PIECE).unwrap());
        assert_eq!(answer.size_hint().exact(), Some(text.len() as u64));
        assert_eq!(bodies.share(1).unwrap_err(), BodyError::NoRoom);
        assert_eq!(answer.collect().await.unwrap().to_bytes(), text);
        drop(keeping(text, bodies.share(2 * PIECE).unwrap()));
        assert!(bodies.share(2 * PIECE).is_ok());
        assert!(keeping(Bytes::new(), ()).is_end_stream());
    }

    #[tokio::test]
    async fn a_body_that_stops_in_the_middle_is_given_up() {
        let error = prompt(Body::new(Never), Duration::from_millis(20)).collect().await.unwrap_err();
        assert_eq!(error.to_string(), "the body did not come within 0.02 s");
        let whole = prompt(Body::from("text"), Duration::ZERO);
        assert_eq!((whole.size_hint().exact(), whole.collect().await.unwrap().to_bytes()), (Some(4), "text".into()));
    }

    #[tokio::test]
    async fn what_a_body_holds_is_let_go_with_its_end_or_with_it() {
        let held = Arc::new(());
        let body = holding(Body::from("text"), Arc::clone(&held));
        assert_eq!(body.size_hint().exact(), Some(4));
        let dropped = holding(Body::new(Never), Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 3);
        drop(dropped);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "text");
        assert_eq!(Arc::strong_count(&held), 1);
    }

    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
            std::task::Poll::Pending
        }
    }
}
