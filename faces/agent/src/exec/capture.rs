//! What a command writes: told as it comes, kept up to a bound, counted beyond it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, read};

use crate::api::{Stream, Watcher};

/// Bytes read at once; at first, and at most.
const LITTLE: usize = 4 << 10;
const PIECE: usize = 64 << 10;

/// More than a terminal ever holds (the kernel's tty buffers, 64 KiB, and what its line discipline has taken).
const SHOWN: u64 = 256 << 10;

/// One stream of a command.
#[derive(Debug)]
struct Source {
    from: Option<OwnedFd>,
    kept: Vec<u8>,
    thrown: u64,
}

/// Both streams of a command.
#[derive(Debug)]
pub struct Capture {
    sources: [Source; 2],
    bound: usize,
    /// Nothing is kept: the watcher has it.
    told_only: bool,
    /// The first is the other end of a terminal.
    terminal: bool,
    buffer: Vec<u8>,
}

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Bytes of each that were thrown away.
    pub thrown: [u64; 2],
}

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

impl Capture {
    /// Of these pipes. `bound`: bytes kept of each.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(streams: [Option<OwnedFd>; 2], bound: u64, told_only: bool) -> Result<Capture, Errno> {
        for stream in streams.iter().flatten() {
            fcntl_setfl(stream, fcntl_getfl(stream)? | OFlags::NONBLOCK)?;
        }
        let sources = streams.map(|from| Source { from, kept: Vec::new(), thrown: 0 });
        let bound = usize::try_from(bound).unwrap_or(usize::MAX);
        Ok(Capture { sources, bound, told_only, terminal: false, buffer: vec![0; LITTLE] })
    }

    /// Of the other end of a terminal: all that is shown is standard output.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of_terminal(master: OwnedFd, bound: u64, told_only: bool) -> Result<Capture, Errno> {
        Ok(Capture { terminal: true, ..Capture::new([Some(master), None], bound, told_only)? })
    }

    /// What to wait for.
    pub fn open(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, source.from.as_ref()?.as_fd())))
    }

    /// Reads what one of them has now. `false`: the watcher wants no more.
    pub fn serve(&mut self, at: usize, watcher: &dyn Watcher) -> bool {
        self.take(at, PIECE, watcher).1
    }

    /// Reads what is in the pipes now, and not what is written from now on: the command has ended, and others may hold its pipes.
    pub fn drain(&mut self, watcher: &dyn Watcher) {
        for at in 0..2 {
            // A terminal's count leaves out what is still on its way through the kernel; reading does not (the kernel's `n_tty_read` waits for it before it says EAGAIN).
            let there = |from| if self.terminal { Ok(SHOWN) } else { ioctl_fionread(from) };
            let there = self.sources[at].from.as_ref().and_then(|from| there(from).ok()).unwrap_or(0);
            let mut left = usize::try_from(there).unwrap_or(usize::MAX);
            while left > 0 {
                let (count, _) = self.take(at, left.min(PIECE), watcher);
                if count == 0 {
                    break;
                }
                left -= count;
            }
        }
    }

    /// Takes both pipes out, for the next command of the same shell, with what was kept.
    pub fn finish(&mut self) -> Kept {
        let [out, err] = &mut self.sources;
        Kept {
            stdout: std::mem::take(&mut out.kept),
            stderr: std::mem::take(&mut err.kept),
            thrown: [std::mem::take(&mut out.thrown), std::mem::take(&mut err.thrown)],
        }
    }

    /// From now on output is only told, or kept too.
    pub fn set_told_only(&mut self, told_only: bool) {
        self.told_only = told_only;
    }

    fn take(&mut self, at: usize, most: usize, watcher: &dyn Watcher) -> (usize, bool) {
        let source = &mut self.sources[at];
        let Some(from) = &source.from else { return (0, true) };
        let room = most.min(self.buffer.len());
        let count = match read(from, &mut self.buffer[..room]) {
            Err(Errno::AGAIN | Errno::INTR) => return (0, true),
            Ok(0) | Err(_) => {
                source.from = None;
                return (0, true);
            }
            Ok(count) => count,
        };
        let bytes = &self.buffer[..count];
        if !self.told_only {
            let room = self.bound.saturating_sub(source.kept.len()).min(count);
            source.kept.extend_from_slice(&bytes[..room]);
            source.thrown += (count - room) as u64;
        }
        let wanted = watcher.wrote(STREAMS[at], bytes);
        // Most commands say little, and a large piece of memory costs more to have than to fill.
        if count == self.buffer.len() && count < PIECE {
            self.buffer.resize(PIECE, 0);
        }
        (count, wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::api::NoWatcher;

    #[test]
    fn what_is_there_is_read_and_the_rest_is_counted() {
        let (out, mut writer) = std::io::pipe().unwrap();
        let (err, other) = std::io::pipe().unwrap();
        let mut capture = Capture::new([Some(out.into()), Some(err.into())], 10, false).unwrap();
        writer.write_all(b"0123456789abcdef").unwrap();
        drop(other);
        assert!(capture.serve(1, &NoWatcher));
        assert_eq!(capture.open().count(), 1);
        capture.drain(&NoWatcher);
        let kept = capture.finish();
        assert_eq!((kept.stdout.as_slice(), kept.thrown), (&b"0123456789"[..], [6, 0]));
        // The writer lives: nothing waits for it.
        capture.drain(&NoWatcher);
        assert_eq!(capture.open().count(), 1);
        drop(writer);
        assert!(capture.serve(0, &NoWatcher) && capture.open().next().is_none());
        assert_eq!(capture.finish(), Kept::default());
    }
}
