//! Reading what a command writes, until it has ended, or is to end.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::api::{Cancel, CancelGuard};

const CHUNK: usize = 64 * 1024;

/// A descriptor that becomes readable when a job is cancelled.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
    _guard: CancelGuard,
}

impl Alarm {
    /// For this job.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new(cancel: &Cancel) -> std::io::Result<Alarm> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let theirs = fd.try_clone()?;
        let guard = cancel.on_cancel(move || {
            // It can only fail when the counter is full, and then it is readable already.
            let _ = rustix::io::write(&theirs, &1u64.to_ne_bytes());
        });
        Ok(Alarm { fd, _guard: guard })
    }
}

/// One stream while it is read.
struct Reading {
    file: Option<File>,
    kept: Vec<u8>,
}

/// What [`drain`] tells of as it reads.
pub trait Heard {
    /// Bytes of stream 0 (output) or 1 (error).
    fn output(&mut self, stream: usize, bytes: &[u8]);
}

impl<F: FnMut(usize, &[u8])> Heard for F {
    fn output(&mut self, stream: usize, bytes: &[u8]) {
        self(stream, bytes);
    }
}

/// Reads both streams to their ends. The engine closes them when the command has ended, whatever the command does with its own. `kill` is called
/// once when the alarm sounds; reading goes on, since the end comes soon then. The engine caps what comes, so what is kept is bounded.
pub fn drain(files: [Option<File>; 2], alarm: &Alarm, kill: &dyn Fn(), ended: &dyn Fn() -> bool, heard: &mut dyn Heard) -> [Vec<u8>; 2] {
    let mut streams = files.map(|file| Reading { file, kept: Vec::new() });
    let mut sounded = false;
    let mut chunk = vec![0u8; CHUNK];
    let mut patience = 0u32;
    loop {
        let open: Vec<usize> = (0..2).filter(|&index| streams[index].file.is_some()).collect();
        if open.is_empty() && ended() {
            break;
        }
        let mut fds: Vec<PollFd<'_>> =
            open.iter().filter_map(|&index| streams[index].file.as_ref()).map(|file| readable(file.as_fd())).collect();
        if !sounded {
            fds.push(readable(alarm.fd.as_fd()));
        }
        // With both streams at their ends the rest is a moment's work of the watching thread.
        let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(pause(patience).subsec_nanos()) };
        let timeout = open.is_empty().then_some(&pause);
        patience += u32::from(open.is_empty());
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => {
                // No memory for a poll: without its readers the command ends too.
                drop(fds);
                kill();
                streams.iter_mut().for_each(|stream| stream.file = None);
                continue;
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if !sounded && ready.last() == Some(&true) {
            sounded = true;
            kill();
        }
        for (&index, ready) in open.iter().zip(ready) {
            if ready {
                streams[index].read(&mut chunk, index, heard);
            }
        }
    }
    streams.map(|stream| stream.kept)
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

fn pause(times: u32) -> Duration {
    if times < 40 { Duration::from_micros(50) } else { Duration::from_millis(5) }
}

impl Reading {
    fn read(&mut self, chunk: &mut [u8], index: usize, heard: &mut dyn Heard) {
        let Some(file) = &self.file else { return };
        match rustix::io::read(file, &mut *chunk) {
            Ok(0) => self.file = None,
            Ok(length) => {
                self.kept.extend_from_slice(&chunk[..length]);
                heard.output(index, &chunk[..length]);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.file = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;

    #[test]
    fn both_streams_are_read_to_their_ends() {
        let (out, mut out_writer) = pipe();
        let (err, mut err_writer) = pipe();
        let writer = std::thread::spawn(move || {
            out_writer.write_all(&[b'x'; 200_000]).unwrap();
            err_writer.write_all(b"message").unwrap();
        });
        let alarm = Alarm::new(&Cancel::new()).unwrap();
        let mut seen = [0, 0];
        let mut heard = |index: usize, bytes: &[u8]| seen[index] += bytes.len();
        let [stdout, stderr] = drain([Some(out), Some(err)], &alarm, &|| panic!("nobody cancelled"), &|| true, &mut heard);
        writer.join().unwrap();
        assert_eq!((stdout.len(), &stderr[..]), (200_000, &b"message"[..]));
        assert_eq!(seen, [200_000, 7]);
    }

    #[test]
    fn the_alarm_kills_once_and_reading_goes_on() {
        let (out, writer) = pipe();
        let cancel = Cancel::new();
        let alarm = Alarm::new(&cancel).unwrap();
        cancel.cancel();
        let writer = Cell::new(Some(writer));
        let kill = || {
            let mut writer = writer.take().expect("once");
            writer.write_all(b"last words").unwrap();
        };
        let [stdout, _] = drain([Some(out), None], &alarm, &kill, &|| true, &mut |_: usize, _: &[u8]| {});
        assert_eq!(stdout, b"last words");
    }

    fn pipe() -> (File, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        (reader.into(), writer.into())
    }
}
