//! Requests over HTTP/2 through a socket in the file system: their authority says nothing, and is replaced.
//!
//! gRPC's C library, on which its Python and Ruby stand, takes the percent-encoded path of the socket for the authority. RFC 3986 (section 3.2.2)
//! allows that; the `http` crate does not, and h2 ends the stream before anybody could look at it. So the bytes are changed on their way in:
//! the value of `:authority` in each HEADERS frame (RFC 9113 section 6.2) becomes one letter.
//!
//! Nothing needs to be decompressed for that (RFC 7541 section 6): a value is found by its length alone. The reader's table of names and values
//! then holds a shorter value than the writer's, so it forgets later, never earlier, and every number the writer uses still means the same.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the preface, which come before the first frame.
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
/// A larger frame than this is an error of the peer (RFC 9113 section 4.2), and is left to h2.
const LARGEST: usize = 16 << 10;
const HEADERS: u8 = 1;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
/// `:authority` in the static table (RFC 7541 appendix A).
const AUTHORITY: usize = 1;
/// The same written out, which is what the C library does: as it is, and in Huffman's code (RFC 7541 appendix B).
const NAMES: [&[u8]; 2] = [b"\x0a:authority", b"\x88\xb8\x3b\x53\x39\xec\x32\x7d\x7f"];
/// Length and text of what it becomes.
const NEW: [u8; 2] = [1, b'u'];

/// A connection whose authorities are replaced.
pub(crate) struct Anonymous<T> {
    io: T,
    /// Came, and is not looked at yet.
    incoming: BytesMut,
    /// Ready to be read.
    ready: BytesMut,
    /// Bytes that are passed on as they are.
    pass: usize,
}

impl<T> Anonymous<T> {
    pub(crate) fn new(io: T) -> Self {
        Anonymous { io, incoming: BytesMut::new(), ready: BytesMut::new(), pass: PREFACE }
    }

    /// Makes ready whatever can be.
    fn advance(&mut self) {
        loop {
            let passed = self.pass.min(self.incoming.len());
            self.ready.extend_from_slice(&self.incoming.split_to(passed));
            self.pass -= passed;
            if self.pass > 0 || self.incoming.len() < FRAME_HEAD {
                return;
            }
            let length = usize::from(self.incoming[0]) << 16 | usize::from(self.incoming[1]) << 8 | usize::from(self.incoming[2]);
            if self.incoming[3] != HEADERS || length > LARGEST {
                self.pass = FRAME_HEAD + length;
                continue;
            }
            if self.incoming.len() < FRAME_HEAD + length {
                return;
            }
            let mut head = self.incoming.split_to(FRAME_HEAD);
            let payload = self.incoming.split_to(length);
            match replaced(head[4], &payload) {
                None => append(&mut self.ready, &head, &payload),
                Some(payload) => {
                    let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
                    head[..3].copy_from_slice(&[high, middle, low]);
                    head[4] &= !PADDED;
                    append(&mut self.ready, &head, &payload);
                }
            }
        }
    }
}

fn append(to: &mut BytesMut, head: &[u8], payload: &[u8]) {
    to.extend_from_slice(head);
    to.extend_from_slice(payload);
}

/// The payload of a HEADERS frame with another authority and without padding; `None`: it has none, or makes no sense, which h2 will say.
fn replaced(flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let padded = usize::from(flags & PADDED != 0);
    let padding = if padded == 1 { usize::from(*payload.first()?) } else { 0 };
    let start = padded + if flags & PRIORITY != 0 { 5 } else { 0 };
    let inner = payload.get(padded..payload.len().checked_sub(padding)?)?;
    let block = inner.get(start - padded..)?;
    let (from, to) = authority(block)?;
    let before = start - padded + from;
    Some([&inner[..before], &NEW, &block[to..]].concat())
}

/// Where the value of `:authority` is, with its length in front.
fn authority(block: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(first) = block.get(at) {
        let (prefix, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let (index, mut next) = integer(block, at, prefix)?;
        if literal {
            let mut found = index == AUTHORITY;
            if index == 0 {
                let name = next;
                next = text(block, name)?;
                found = NAMES.contains(&&block[name..next]);
            }
            let from = next;
            next = text(block, from)?;
            if found && block[from] & 0x7f != 0 {
                return Some((from, next));
            }
        }
        at = next;
    }
    None
}

/// A number (RFC 7541 section 5.1), and what comes after it.
fn integer(block: &[u8], at: usize, prefix: u32) -> Option<(usize, usize)> {
    let most = (1usize << prefix) - 1;
    let mut value = usize::from(*block.get(at)?) & most;
    let mut next = at + 1;
    if value < most {
        return Some((value, next));
    }
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(next)?;
        next += 1;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, next));
        }
    }
    None
}

/// What comes after a text (RFC 7541 section 5.2).
fn text(block: &[u8], at: usize) -> Option<usize> {
    let (length, next) = integer(block, at, 7)?;
    next.checked_add(length).filter(|end| *end <= block.len())
}

impl<T: AsyncRead + Unpin> AsyncRead for Anonymous<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() {
            let mut space = [0; 8 << 10];
            let mut came = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut came))?;
            if came.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.incoming.extend_from_slice(came.filled());
            this.advance();
        }
        let length = this.ready.len().min(buffer.remaining());
        buffer.put_slice(&this.ready[..length]);
        this.ready.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Anonymous<T> {
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
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// `:method: POST`, then an authority, then a field with a name of its own.
    fn block(authority: &[u8]) -> Vec<u8> {
        [&[0x83, 0x41, authority.len() as u8], authority, &[0x00, 1, b'a', 1, b'b']].concat()
    }

    async fn through(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (ours, mut theirs) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            theirs.write_all(&bytes).await.unwrap();
        });
        let mut read = Vec::new();
        Anonymous::new(ours).read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        read
    }

    #[tokio::test]
    async fn the_authority_and_nothing_else_is_replaced() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let (settings, data) = (frame(4, 0, &[0; 6]), frame(0, 0, &block(b"tmp%2Fs")));
        let plain = frame(HEADERS, 4, &block(b"tmp%2Fs"));
        let full = [&[2, 0, 0, 0, 0, 9], &block(b"tmp%2Fs")[..], &[0, 0]].concat();
        let full = frame(HEADERS, 4 | PADDED | PRIORITY, &full);
        let none = frame(HEADERS, 4, &[0x83, 0x84]);
        let spelt = |name: &[u8], value: &[u8]| frame(HEADERS, 4, &[&[0x83, 0x40], name, value, &[0x84]].concat());
        for name in NAMES {
            let sent = [&preface[..], &spelt(name, b"\x03a%2")].concat();
            assert_eq!(through(&sent, 4096).await, [&preface[..], &spelt(name, &NEW)].concat());
        }
        let other = [&preface[..], &spelt(b"\x0a:authoritx", b"\x03a%2")].concat();
        assert_eq!(through(&other, 4096).await, other);
        let sent = [&preface[..], &settings, &plain, &data, &full, &none, &plain].concat();
        let new = frame(HEADERS, 4, &block(b"u"));
        let new_full = frame(HEADERS, 4 | PRIORITY, &[&[0, 0, 0, 0, 9], &block(b"u")[..]].concat());
        let wanted = [&preface[..], &settings, &new, &data, &new_full, &none, &new].concat();
        for piece in [1, 7, 4096] {
            assert_eq!(through(&sent, piece).await, wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_left() {
        for payload in [&[][..], &[0x41], &[0x41, 5, b'a'], &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x41, 0xff, 0xff], &[0x41, 0]] {
            for flags in [0, PADDED, PRIORITY, PADDED | PRIORITY] {
                assert_eq!(replaced(flags, payload), None, "{payload:?} {flags}");
            }
        }
    }

    #[test]
    fn numbers_are_those_of_the_examples() {
        // RFC 7541 appendix C.1: 10, 1337 and 42.
        assert_eq!(integer(&[0x0a], 0, 5), Some((10, 1)));
        assert_eq!(integer(&[0x1f, 0x9a, 0x0a], 0, 5), Some((1337, 3)));
        assert_eq!(integer(&[0x2a], 0, 8), Some((42, 1)));
    }
}
