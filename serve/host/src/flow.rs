//! Bodies of any size, in constant memory: a request read by a thread that blocks, an answer written from what a thread reads.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Duration, Instant, timeout_at};

use crate::body::{Bodies, BodyError, DISCARD, PIECE, discard};

/// Pieces of a body that wait for the thread that reads them.
const WAITING: usize = 2;

/// What is counted of the budget for a body under way: the pieces that wait, and those at each end.
const COUNTED: usize = 1 << 20;

/// Bytes in a second below which a body comes too slowly, once its patience is over.
const SLOWEST: u64 = 16 << 10;

/// A body, for a thread that may block. Its end is the end of the body: one that breaks off is an error.
#[derive(Debug)]
pub struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                // What is sent is never empty but at the end.
                Some(piece) if piece.is_empty() => self.ended = true,
                Some(piece) => self.piece = piece,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, BodyError::Broken)),
            }
        }
        let length = self.piece.len().min(into.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

impl Bodies {
    /// A body of at most `limit` bytes for a thread that may block, and what brings it there: to be awaited beside the thread. Its error is why
    /// the thread got one. When the thread wants no more, the rest is thrown away.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`], [`BodyError::TooLarge`].
    pub fn flow(
        &self,
        body: Body,
        limit: u64,
    ) -> Result<(Incoming, impl Future<Output = Result<(), BodyError>> + Send + use<>), BodyError> {
        let share = self.share(COUNTED)?;
        let (sender, pieces) = mpsc::channel(WAITING);
        let patience = self.patience();
        let feed = async move {
            let _share = share;
            feed(body, limit, patience, sender).await
        };
        Ok((Incoming { pieces, piece: Bytes::new(), ended: false }, feed))
    }
}

async fn feed(mut body: Body, limit: u64, patience: Duration, sender: mpsc::Sender<Bytes>) -> Result<(), BodyError> {
    let too_large = BodyError::TooLarge { limit: usize::try_from(limit).unwrap_or(usize::MAX) };
    if body.size_hint().lower() > limit {
        drop(sender);
        discard(&mut body, DISCARD).await;
        return Err(too_large);
    }
    let begun = Instant::now();
    // The time that the reader takes is not the client's.
    let (mut received, mut reading) = (0_u64, Duration::ZERO);
    loop {
        let until = begun + reading + patience + Duration::from_millis(received.saturating_mul(1000) / SLOWEST);
        let frame = timeout_at(until, body.frame()).await.map_err(|_| BodyError::TooSlow { patience })?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.is_empty() {
            continue;
        }
        received += data.len() as u64;
        if received > limit {
            drop(sender);
            discard(&mut body, DISCARD).await;
            return Err(too_large);
        }
        let handed = Instant::now();
        if sender.send(data).await.is_err() {
            discard(&mut body, DISCARD).await;
            return Ok(());
        }
        reading += handed.elapsed();
    }
    // Nobody may want it any more.
    let _ = sender.send(Bytes::new()).await;
    Ok(())
}

/// An answer that is read as it is sent. `length`: bytes, where they are known; when other ones come, the connection breaks. `kept` is dropped
/// when all is sent, or the client is gone. No thread is held while the client takes its time.
pub fn outgoing(from: Box<dyn Read + Send>, length: Option<u64>, kept: impl Send + 'static) -> Body {
    Body::new(Outgoing { state: State::Idle(from), left: length, _kept: kept })
}

/// What is read from, and what came.
type Done = (Box<dyn Read + Send>, io::Result<Vec<u8>>);

enum State {
    Idle(Box<dyn Read + Send>),
    Reading(JoinHandle<Done>),
    Ended,
}

struct Outgoing<T> {
    state: State,
    left: Option<u64>,
    _kept: T,
}

impl<T> Unpin for Outgoing<T> {}

fn piece(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl<T> Outgoing<T> {
    /// A piece, counted.
    fn count(&mut self, read: &[u8]) -> io::Result<()> {
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left.checked_sub(read.len() as u64).ok_or_else(|| io::Error::other("more came than was announced"))?;
        if read.is_empty() && *left > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "less came than was announced"));
        }
        Ok(())
    }
}

impl<T> HttpBody for Outgoing<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(mut from) => {
                    self.state = State::Reading(spawn_blocking(move || {
                        let read = piece(&mut *from);
                        (from, read)
                    }));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready(done) = Pin::new(&mut reading).poll(context) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    let (from, read) = done.map_err(io::Error::other)?;
                    let read = read?;
                    self.count(&read)?;
                    if read.is_empty() {
                        return Poll::Ready(None);
                    }
                    if self.left != Some(0) {
                        self.state = State::Idle(from);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(read.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> Bodies {
        Bodies::new(4 << 20, Duration::from_millis(100))
    }

    async fn through(body: Body, limit: u64, most: usize) -> (Result<(), BodyError>, io::Result<Vec<u8>>) {
        let (mut incoming, feed) = bodies().flow(body, limit).unwrap();
        let reading = spawn_blocking(move || {
            let mut bytes = Vec::new();
            (&mut incoming).take(most as u64).read_to_end(&mut bytes).map(|_| bytes)
        });
        let (fed, read) = tokio::join!(feed, reading);
        (fed, read.unwrap())
    }

    #[tokio::test]
    async fn what_comes_is_what_a_thread_reads() {
        let text = vec![7; 3 * PIECE];
        let from = outgoing(Box::new(io::Cursor::new(text.clone())), Some(text.len() as u64), ());
        let (fed, read) = through(from, u64::MAX, usize::MAX).await;
        assert_eq!((fed, read.unwrap()), (Ok(()), text.clone()));
        // A reader that has enough does not hold up the client.
        let (fed, read) = through(outgoing(Box::new(io::Cursor::new(text.clone())), None, ()), u64::MAX, 5).await;
        assert_eq!((fed, read.unwrap().len()), (Ok(()), 5));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_has_no_end() {
        let short = outgoing(Box::new(io::Cursor::new(b"1234")), Some(5), ());
        let (fed, read) = through(short, 100, usize::MAX).await;
        assert_eq!((fed, read.unwrap_err().kind()), (Err(BodyError::Broken), io::ErrorKind::UnexpectedEof));
        let (fed, read) = through(outgoing(Box::new(io::Cursor::new(b"123456")), None, ()), 5, usize::MAX).await;
        assert_eq!(fed, Err(BodyError::TooLarge { limit: 5 }));
        assert!(read.is_err());
        // The client goes away: whoever reads is told.
        let (mut incoming, feed) = bodies().flow(Body::from("12"), 5).unwrap();
        drop(feed);
        assert!(spawn_blocking(move || incoming.read_to_end(&mut Vec::new())).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up() {
        /// A byte every 20 ms.
        struct Drip(Pin<Box<tokio::time::Sleep>>);
        impl HttpBody for Drip {
            type Data = Bytes;
            type Error = io::Error;
            fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
                std::task::ready!(self.0.as_mut().poll(context));
                self.0 = Box::pin(tokio::time::sleep(Duration::from_millis(20)));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
            }
        }
        let (fed, _) = through(Body::new(Drip(Box::pin(tokio::time::sleep(Duration::ZERO)))), 1000, usize::MAX).await;
        assert_eq!(fed, Err(BodyError::TooSlow { patience: Duration::from_millis(100) }));
    }
}
