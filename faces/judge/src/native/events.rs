//! Hearing of a run: from the judge's threads to the task that writes to the client.
//!
//! The channel is short, and the judge's threads wait when it is full: a client that reads slowly slows its own program, and holds no
//! memory of ours. When the client is gone, sending fails at once, and nobody waits.

use std::sync::Arc;

use enclos_host::tokio::sync::mpsc;

use super::input::Input;
use super::wire::{Event, Output};
use crate::api::{Controls, Observer, Step, StepReport, Stream, TestReport};

/// Events that wait for the client, at most.
const WAITING: usize = 16;

/// Tells a stream what happens.
pub struct Ears {
    sender: mpsc::Sender<Event>,
    live: bool,
    input: Option<Arc<Input>>,
}

/// Ears, and what they hear. `live`: output as it is written; `input`: where the client's words for the program go.
pub fn ears(live: bool, input: Option<Arc<Input>>) -> (Ears, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Ears { sender, live, input }, receiver)
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
        if let Some(input) = &self.input {
            input.close();
        }
        self.tell(Event::Test { test: index, report: Box::new(report.clone().into()) });
    }
}
