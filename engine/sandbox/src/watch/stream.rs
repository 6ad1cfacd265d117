//! One output stream that passes through us: counted, capped, and handed on.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use enclos_sys::Errno;
use rustix::event::PollFlags;

/// Where what was read goes.
#[derive(Debug)]
pub enum Sink {
    /// Kept in memory.
    Buffer(Vec<u8>),
    /// Written to a descriptor.
    Descriptor(OwnedFd),
}

/// A stream from the command to its reader.
#[derive(Debug)]
pub struct Stream {
    number: u8,
    source: Option<OwnedFd>,
    sink: Sink,
    pending: Vec<u8>,
    bytes: u64,
    cap: Option<u64>,
    /// The cap was passed.
    full: bool,
    /// What kept the sink from taking more, where that was not its reader's going.
    refused: Option<Errno>,
}

const CHUNK: usize = 64 * 1024;
/// poll(2) says a pipe can be written when this much fits (pipe(7), PIPE_BUF), so a blocking reader never blocks us.
const PIECE: usize = 4096;

impl Stream {
    /// Stream `number` (1 or 2), read from `source`, at most `cap` bytes.
    #[must_use]
    pub fn new(number: u8, source: OwnedFd, sink: Sink, cap: Option<u64>) -> Self {
        Stream { number, source: Some(source), sink, pending: Vec::new(), bytes: 0, cap, full: false, refused: None }
    }

    /// Bytes the command wrote, the ones past the cap not counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// 1 or 2.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// What was kept in memory.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        match self.sink {
            Sink::Buffer(bytes) => bytes,
            Sink::Descriptor(_) => Vec::new(),
        }
    }

    /// Where it goes, if that is a descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Option<&OwnedFd> {
        match &self.sink {
            Sink::Buffer(_) => None,
            Sink::Descriptor(sink) => Some(sink),
        }
    }

    /// Why not everything was handed on: a full disk, a limit on the size of files.
    #[must_use]
    pub fn refused(&self) -> Option<Errno> {
        self.refused
    }

    /// Everything was read and handed on.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.source.is_none() && self.pending.is_empty()
    }

    /// What to wait for.
    #[must_use]
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.sink, &self.source) {
            (Sink::Descriptor(sink), _) if !self.pending.is_empty() => Some((sink.as_fd(), PollFlags::OUT)),
            (_, Some(source)) if !self.full => Some((source.as_fd(), PollFlags::IN)),
            (_, _) => None,
        }
    }

    /// Reads or writes what is ready. Gives the stream's number when the cap is reached.
    pub fn serve(&mut self) -> Option<u8> {
        if self.pending.is_empty() { self.read() } else { self.write() }
    }

    fn read(&mut self) -> Option<u8> {
        let source = self.source.as_ref()?;
        // Not cleared before it is read into: most commands write nothing, and clearing costs more than the rest of this.
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let chunk = match rustix::io::read(source, &mut chunk) {
            Ok((chunk, _)) => chunk,
            Err(Errno::INTR | Errno::AGAIN) => return None,
            Err(_) => &mut [],
        };
        let read = chunk.len();
        if read == 0 {
            self.source = None;
            return None;
        }
        if self.full {
            return None;
        }
        let room = self.cap.map_or(u64::MAX, |cap| cap - self.bytes);
        let over = read as u64 > room;
        let kept = if over { usize::try_from(room).unwrap_or(read) } else { read };
        self.bytes += kept as u64;
        match &mut self.sink {
            Sink::Buffer(bytes) => bytes.extend_from_slice(&chunk[..kept]),
            Sink::Descriptor(_) => self.pending.extend_from_slice(&chunk[..kept]),
        }
        if over {
            // Neither read on nor closed: the command waits at a full pipe for its end, and dies of its limit, not of a closed pipe or not at all.
            self.full = true;
            return Some(self.number);
        }
        None
    }

    fn write(&mut self) -> Option<u8> {
        let Sink::Descriptor(sink) = &self.sink else { return None };
        let piece = &self.pending[..self.pending.len().min(PIECE)];
        match rustix::io::write(sink, piece) {
            Ok(written) => drop(self.pending.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The reader has gone: closing our end lets the command have its SIGPIPE.
            Err(errno) => {
                self.refused = matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO).then_some(errno);
                self.pending.clear();
                self.source = None;
            }
        }
        None
    }

    /// The command has ended. With the sandbox gone too the pipe ends by itself; else its background processes may hold it open for ever: what is in it now is read,
    /// and no more.
    pub fn command_ended(&mut self, sandbox_ends: bool) {
        if self.full {
            self.source = None;
        }
        if sandbox_ends {
            return;
        }
        let Some(source) = &self.source else { return };
        let _ = rustix::io::ioctl_fionbio(source, true);
        while self.source.is_some() {
            let before = self.bytes;
            if self.read().is_some() || self.bytes == before {
                break;
            }
        }
        self.source = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe().unwrap()
    }

    #[test]
    fn what_is_written_is_kept_up_to_the_cap() {
        let (reader, writer) = pipe();
        let mut stream = Stream::new(1, reader, Sink::Buffer(Vec::new()), Some(5));
        rustix::io::write(&writer, b"abc").unwrap();
        assert_eq!(stream.serve(), None);
        rustix::io::write(&writer, b"defgh").unwrap();
        assert_eq!(stream.serve(), Some(1));
        assert!(stream.interest().is_none() && !stream.is_done());
        rustix::io::write(&writer, b"more").unwrap();
        stream.command_ended(true);
        assert!(stream.is_done());
        assert_eq!((stream.bytes(), stream.into_buffer()), (5, b"abcde".to_vec()));
    }

    #[test]
    fn exactly_the_cap_is_allowed() {
        let (reader, writer) = pipe();
        let mut stream = Stream::new(2, reader, Sink::Buffer(Vec::new()), Some(3));
        rustix::io::write(&writer, b"abc").unwrap();
        drop(writer);
        assert_eq!(stream.serve(), None);
        assert_eq!(stream.serve(), None);
        assert!(stream.is_done());
    }

    #[test]
    fn a_descriptor_gets_everything_in_order() {
        let (reader, writer) = pipe();
        let (out, sink) = pipe();
        let mut stream = Stream::new(1, reader, Sink::Descriptor(sink), None);
        rustix::io::write(&writer, &[7u8; 10_000]).unwrap();
        drop(writer);
        while !stream.is_done() {
            stream.serve();
        }
        let mut all = vec![0u8; 20_000];
        let read = rustix::io::read(&out, &mut all[..]).unwrap();
        assert_eq!(read, 10_000);
    }
}
