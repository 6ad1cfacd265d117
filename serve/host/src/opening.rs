//! What a connection begins with: the preface of HTTP/2 (RFC 9113 section 3.4), or anything else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a peer speaks.
pub(crate) enum Opening<T> {
    /// HTTP/2.
    Http2(Begun<T>),
    /// Something that is not HTTP/2.
    Other(Begun<T>),
}

/// Reads until it is clear what the peer speaks. No byte is lost.
pub(crate) async fn begin<T: AsyncRead + Unpin>(mut io: T) -> io::Result<Opening<T>> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    loop {
        // Never more than the preface: what is behind it belongs to whoever reads on.
        let mut rest = (&mut io).take((PREFACE.len() - read.len()) as u64);
        if rest.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&read) {
            return Ok(Opening::Other(Begun { read: read.freeze(), io }));
        }
        if read.len() == PREFACE.len() {
            return Ok(Opening::Http2(Begun { read: read.freeze(), io }));
        }
    }
}

/// A connection of which something was read already.
pub(crate) struct Begun<T> {
    read: Bytes,
    io: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Begun<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Begun<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(Pin::new(&mut self.io).poll_flush(context)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn open(parts: &[&[u8]]) -> io::Result<(bool, Vec<u8>)> {
        let (ours, mut theirs) = tokio::io::duplex(256);
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let writing = tokio::spawn(async move {
            for part in parts {
                theirs.write_all(&part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (is_http2, mut begun) = match begin(ours).await? {
            Opening::Http2(begun) => (true, begun),
            Opening::Other(begun) => (false, begun),
        };
        writing.await.unwrap();
        let mut all = Vec::new();
        begun.read_to_end(&mut all).await.unwrap();
        Ok((is_http2, all))
    }

    #[tokio::test]
    async fn what_was_read_to_find_out_is_read_again() {
        let whole = [PREFACE, b"more"].concat();
        assert_eq!(open(&[&whole]).await.unwrap(), (true, whole.clone()));
        assert_eq!(open(&[&whole[..1], &whole[1..23], &whole[23..]]).await.unwrap(), (true, whole));
        for other in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!", b"PUT /"] {
            let found = open(&[other]).await;
            if PREFACE.starts_with(other) {
                assert_eq!(found.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            } else {
                assert_eq!(found.unwrap(), (false, other.to_vec()));
            }
        }
    }
}
