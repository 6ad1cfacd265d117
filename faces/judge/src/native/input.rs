//! Standard input and signals of an interactive run, on their way from the client.
//!
//! Theory of operation. The task of the connection must never wait for the program, or a signal could not pass a program that does not
//! read. So input is put into a buffer with a bound, and a thread, one for each running test, writes from it into the program's pipe; it may
//! block there. When the test ends the pipe breaks, which frees the thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::api::Controls;

/// Bytes that may wait for the program to read them.
pub const MOST: usize = 4 << 20;

/// How many are written at once.
const CHUNK: usize = 64 << 10;

#[derive(Default)]
struct State {
    waiting: VecDeque<u8>,
    ended: bool,
    controls: Option<Controls>,
    /// How many tests had their start: a thread that wakes in another one's time ends.
    test: u64,
}

/// What a client says to its program.
#[derive(Default)]
pub struct Input {
    state: Mutex<State>,
    changed: Condvar,
}

/// More input waits than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} bytes of standard input wait for the program to read them, and that is the limit", MOST)]
pub struct TooMuch;

impl Input {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Input of the client. What comes before the program has started waits for it.
    ///
    /// # Errors
    ///
    /// [`TooMuch`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), TooMuch> {
        let mut state = self.lock();
        if state.ended {
            return Ok(());
        }
        if state.waiting.len() + bytes.len() > MOST {
            return Err(TooMuch);
        }
        state.waiting.extend(bytes);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// The client's input ends.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Sends the program a signal; `false`: none runs.
    pub fn signal(&self, number: i32) -> bool {
        let controls = self.lock().controls.clone();
        controls.is_some_and(|controls| controls.signal(number).is_ok())
    }

    /// A test has started. Called by the judge.
    pub fn open(self: &Arc<Self>, controls: &Controls) {
        let mut state = self.lock();
        state.controls = Some(controls.clone());
        state.test += 1;
        let test = state.test;
        drop(state);
        let (input, writer) = (Arc::clone(self), controls.clone());
        let started = std::thread::Builder::new().name("input".to_owned()).spawn(move || input.feed(test, &writer));
        if let Err(error) = started {
            enclos_host::tracing::error!(%error, "no thread for the input of an interactive run");
            controls.close_stdin();
        }
    }

    /// The test has ended: what it did not read is forgotten. Called by the judge.
    pub fn close(&self) {
        let mut state = self.lock();
        state.controls = None;
        state.test += 1;
        state.waiting.clear();
        state.ended = false;
        drop(state);
        self.changed.notify_all();
    }

    /// The thread of one test.
    fn feed(&self, test: u64, controls: &Controls) {
        while let Some(bytes) = self.next(test) {
            if controls.write_stdin(&bytes).is_err() {
                // It has closed its input, or ended: what comes is for nobody.
                return self.discard(test);
            }
        }
        controls.close_stdin();
    }

    /// The next bytes; `None`: the input or the test has ended.
    fn next(&self, test: u64) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.test != test {
                return None;
            }
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(CHUNK);
                return Some(state.waiting.drain(..count).collect());
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn discard(&self, test: u64) {
        while self.next(test).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::*;

    /// A program: the read end of its standard input, and its controls.
    fn program(signals: &Arc<AtomicI32>) -> (std::fs::File, Controls) {
        let (reader, writer) = std::io::pipe().unwrap();
        let signals = Arc::clone(signals);
        let signal = move |number| {
            signals.store(number, Ordering::SeqCst);
            Ok(())
        };
        let file = |end: std::os::fd::OwnedFd| std::fs::File::from(end);
        (file(reader.into()), Controls::new(Some(file(writer.into())), signal))
    }

    #[test]
    fn input_comes_in_order_also_what_was_written_before_the_start() {
        let input = Arc::new(Input::default());
        input.write(b"before ").unwrap();
        let (mut reader, controls) = program(&Arc::default());
        input.open(&controls);
        drop(controls);
        input.write(b"after").unwrap();
        input.end();
        input.write(b"not this").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "before after");
    }

    #[test]
    fn a_program_that_does_not_read_gets_signals_all_the_same_and_bounds_what_waits() {
        let (input, signals) = (Arc::new(Input::default()), Arc::new(AtomicI32::new(0)));
        assert!(!input.signal(2));
        let (reader, controls) = program(&signals);
        input.open(&controls);
        let chunk = vec![0; CHUNK];
        let mut written = 0;
        while input.write(&chunk).is_ok() {
            written += CHUNK;
            // The pipe holds some as well.
            assert!(written <= MOST + 16 * CHUNK);
        }
        assert!(input.signal(2));
        assert_eq!(signals.load(Ordering::SeqCst), 2);
        input.close();
        assert!(!input.signal(2));
        drop(reader);
    }

    #[test]
    fn the_next_test_starts_with_new_input() {
        let input = Arc::new(Input::default());
        let (_reader, first) = program(&Arc::default());
        input.open(&first);
        input.end();
        input.close();
        let (mut reader, second) = program(&Arc::default());
        input.open(&second);
        drop(second);
        input.write(b"second").unwrap();
        input.end();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "second");
    }
}
