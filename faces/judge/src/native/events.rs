//! Hearing of a run: from the judge's threads to the task that writes to the client.
//!
//! The channel is short, and the judge's threads wait when it is full: a client that reads slowly slows its own program, and holds no
//! memory of ours. When the client is gone, sending fails at once, and nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use enclos_host::tokio::sync::mpsc;

use super::input::Input;
use super::problem::Problem;
use super::wire::{Event, Output};
use crate::api::{Cancel, Controls, Observer, Step, StepReport, Stream, TestReport};

/// Events that wait for the client, at most.
const WAITING: usize = 16;

/// Ends a run whose programs print too much together.
#[derive(Clone, Debug)]
pub struct Bound {
    most: usize,
    left: Arc<AtomicUsize>,
    exceeded: Arc<AtomicBool>,
    cancel: Cancel,
}

impl Bound {
    /// `cancel` is called after `most` bytes.
    #[must_use]
    pub fn new(most: usize, cancel: Cancel) -> Self {
        Self { most, left: Arc::new(AtomicUsize::new(most)), exceeded: Arc::default(), cancel }
    }

    /// What to say when it was too much.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let detail = format!("the programs printed more than {} bytes together, and that is the limit", self.most);
        self.exceeded.load(Ordering::Acquire).then(|| Problem::refused("", &detail))
    }

    fn count(&self, step: &StepReport) {
        let files: usize = step.files.iter().filter_map(|file| file.contents.as_ref().ok()).map(Vec::len).sum();
        let size = step.stdout.len() + step.stderr.len() + files;
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(size)).is_err() {
            self.exceeded.store(true, Ordering::Release);
            self.cancel.cancel();
        }
    }

    fn count_test(&self, report: &TestReport) {
        report.step.iter().chain(report.check.iter().filter_map(|check| check.step.as_ref())).for_each(|step| self.count(step));
    }
}

impl Observer for Bound {
    fn compiled(&self, report: &StepReport) {
        self.count(report);
    }

    fn test(&self, _: usize, report: &TestReport) {
        self.count_test(report);
    }
}

/// Tells a stream what happens.
pub struct Ears {
    sender: mpsc::Sender<Event>,
    bound: Bound,
    live: bool,
    input: Option<Arc<Input>>,
}

/// Ears, and what they hear. `live`: output as it is written; `input`: where the client's words for the program go.
pub fn ears(bound: Bound, live: bool, input: Option<Arc<Input>>) -> (Ears, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Ears { sender, bound, live, input }, receiver)
}

impl Ears {
    fn tell(&self, event: Event) {
        // The client may be gone; its run is being cancelled then.
        let _ = self.sender.blocking_send(event);
    }
}

fn test_of(step: Step) -> Option<usize> {
    match step {
        Step::Compile => None,
        Step::Test(index) => Some(index),
    }
}

impl Observer for Ears {
    fn wants_output(&self) -> bool {
        self.live
    }

    fn compiled(&self, report: &StepReport) {
        self.bound.count(report);
        self.tell(Event::Compiled { report: Box::new(report.clone().into()) });
    }

    fn started(&self, step: Step, controls: &Controls) {
        if let (Some(input), Step::Test(_)) = (&self.input, step) {
            input.open(controls);
        }
        self.tell(Event::Started { test: test_of(step) });
    }

    fn output(&self, step: Step, stream: Stream, bytes: &[u8]) {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        self.tell(Event::Output { test: test_of(step), stream, output: Output::new(bytes.to_vec(), false) });
    }

    fn test(&self, index: usize, report: &TestReport) {
        self.bound.count_test(report);
        if let Some(input) = &self.input {
            input.close();
        }
        self.tell(Event::Test { test: index, report: Box::new(report.clone().into()) });
    }
}
