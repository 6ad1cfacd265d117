//! A bound on what the answer of one request may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::api::{Cancel, Observer, StepReport, TestReport};

/// Counts what the programs of a job printed, and ends the job when that is too much.
#[derive(Clone, Debug)]
pub struct AnswerBound {
    left: Arc<AtomicUsize>,
    exceeded: Arc<AtomicBool>,
    cancel: Cancel,
}

impl AnswerBound {
    /// `cancel` is called after `most` bytes.
    #[must_use]
    pub fn new(most: usize, cancel: Cancel) -> Self {
        AnswerBound { left: Arc::new(AtomicUsize::new(most)), exceeded: Arc::default(), cancel }
    }

    /// Whether it was too much.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Acquire)
    }

    fn count(&self, step: &StepReport) {
        let size = step.stdout.len() + step.stderr.len();
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(size)).is_err() {
            self.exceeded.store(true, Ordering::Release);
            self.cancel.cancel();
        }
    }
}

impl Observer for AnswerBound {
    fn compiled(&self, report: &StepReport) {
        self.count(report);
    }

    fn test(&self, _: usize, report: &TestReport) {
        if let Some(step) = &report.step {
            self.count(step);
        }
    }
}
