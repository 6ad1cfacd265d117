//! Hearing of a job while it runs, and talking to its program.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{StepReport, TestReport};

/// Which step of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Compiling (of a pipeline: any stage).
    Compile,
    /// The test at this position.
    Test(usize),
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Hears of what happens in a job. Called from several threads at once when tests run in parallel. A call that blocks holds up the step it
/// tells of, which is the back-pressure for slow readers; its clocks run on.
pub trait Observer: Sync {
    /// Whether [`Observer::output`] is wanted; asked once. Without it output is only kept.
    fn wants_output(&self) -> bool {
        false
    }
    /// The compiler has ended (or an earlier result is used). Not called for languages that are not compiled.
    fn compiled(&self, report: &StepReport) {
        let _ = report;
    }
    /// A step has started. With [`Job::interactive`](super::Job::interactive), `controls` reach its program.
    fn started(&self, step: Step, controls: &Controls) {
        let _ = (step, controls);
    }
    /// Bytes of a running step, as they come, never more than the output limit.
    fn output(&self, step: Step, stream: Stream, bytes: &[u8]) {
        let _ = (step, stream, bytes);
    }
    /// A test has ended or was skipped. Exactly once for each test, in any order.
    fn test(&self, index: usize, report: &TestReport) {
        let _ = (index, report);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// Reaches a running program. Clones reach the same one; after its end everything fails with `BrokenPipe`.
#[derive(Clone, Debug)]
pub struct Controls {
    inner: Arc<Inner>,
}

type Signaller = Box<dyn Fn(i32) -> io::Result<()> + Send>;

struct Inner {
    stdin: Mutex<Option<File>>,
    signal: Mutex<Option<Signaller>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("stdin", &self.stdin).finish_non_exhaustive()
    }
}

impl Controls {
    /// For a program whose standard input is the read end of `stdin`'s pipe (`None`: not open), and which `signal` signals.
    #[must_use]
    pub fn new(stdin: Option<File>, signal: impl Fn(i32) -> io::Result<()> + Send + 'static) -> Self {
        Controls { inner: Arc::new(Inner { stdin: Mutex::new(stdin), signal: Mutex::new(Some(Box::new(signal))) }) }
    }

    /// Writes to its standard input. Blocks while the pipe is full and the program does not read.
    ///
    /// # Errors
    /// `BrokenPipe` when the program has ended or closed its input, or [`Controls::close_stdin`] was called.
    pub fn write_stdin(&self, bytes: &[u8]) -> io::Result<()> {
        // Its own descriptor, so that closing does not wait for a write that blocks.
        let file = match &*self.inner.stdin.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.try_clone()?,
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        (&file).write_all(bytes)
    }

    /// Ends its standard input.
    pub fn close_stdin(&self) {
        *self.inner.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends it a signal by number, 1 to 64.
    ///
    /// # Errors
    /// `InvalidInput` for another number; `BrokenPipe` when it has ended.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        if !(1..=64).contains(&number) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match &*self.inner.signal.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(signal) => signal(number),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The program has ended: everything fails from now on.
    pub fn ended(&self) {
        self.close_stdin();
        *self.inner.signal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
