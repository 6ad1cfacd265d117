//! What waits in the queue: one kind of work for every interface, so that one queue is fair between all of them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use enclos_pool::{Entry, Lease, Pending, Position, Queue, Refusal, promise};

use crate::api::{Answer, Cancel, Job, JobError, Judge, NoObserver, Observer, SourceFile, Test};

/// A job with a place in the queue.
pub struct Work {
    /// What to do.
    pub job: Job,
    /// Ends it.
    pub cancel: Cancel,
    /// Hears of it.
    pub observer: Box<dyn Observer + Send>,
    /// Called when a worker has it, before anything is run.
    pub begun: Box<dyn FnOnce(&Lease) + Send>,
    /// Called with what came of it, by the worker. Dropped uncalled when the job leaves the queue before a worker has it.
    pub ended: Box<dyn FnOnce(Result<Answer, JobError>) + Send>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("language", &self.job.language).field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// The queue that the interfaces of the judge share.
pub type Jobs = dyn Queue<Work>;

/// What the workers do.
pub fn handler(judge: Arc<dyn Judge>) -> impl Fn(Work, &Lease) + Send + Sync + 'static {
    move |work, lease| {
        (work.begun)(lease);
        // Nobody uses again what a panic may have left half done: the judge's own state is behind locks that survive one.
        let answer = catch_unwind(AssertUnwindSafe(|| judge.run(&work.job, &work.cancel, &*work.observer)));
        (work.ended)(answer.unwrap_or_else(|_| Err(JobError::Internal("internal error".to_owned()))));
    }
}

/// A job that somebody waits for. Dropping it cancels the job, wherever it is: a client that goes away frees its place at once.
#[derive(Debug)]
pub struct Submitted {
    answer: Pending<Result<Answer, JobError>>,
    _guard: CancelOnDrop,
}

struct CancelOnDrop {
    queue: Arc<Jobs>,
    id: enclos_pool::Id,
}

impl fmt::Debug for CancelOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Of a job that has ended the queue knows nothing, and this does nothing.
        self.queue.cancel(self.id);
    }
}

/// Cores a job can use: its tests run side by side.
#[must_use]
pub fn weight(job: &Job) -> usize {
    if job.interactive || job.stop_at_first_failure || job.tests.iter().any(|test| test.fatal) { 1 } else { job.tests.len().max(1) }
}

/// Bytes of memory that a job holds while it waits, nearly.
#[must_use]
pub fn size(job: &Job) -> usize {
    let sources = |files: &[SourceFile]| files.iter().map(|file| file.contents.len()).sum::<usize>();
    let test = |test: &Test| test.stdin.len() + test.expected.as_ref().map_or(0, Vec::len) + sources(&test.files_in) + size_of::<Test>();
    sources(&job.sources) + job.tests.iter().map(test).sum::<usize>() + size_of::<Work>()
}

/// Puts a job into the lane of `key`.
///
/// # Errors
/// [`Refusal`]: too much waits, or the server ends.
pub fn submit(queue: &Arc<Jobs>, key: &str, job: Job) -> Result<Submitted, Refusal> {
    submit_observed(queue, key, job, Cancel::new(), Box::new(NoObserver))
}

/// Puts a job into the lane of `key`, with ears and an end of its own.
///
/// # Errors
/// As [`submit`].
pub fn submit_observed(
    queue: &Arc<Jobs>,
    key: &str,
    job: Job,
    cancel: Cancel,
    observer: Box<dyn Observer + Send>,
) -> Result<Submitted, Refusal> {
    let (promise, answer) = promise();
    let on_cancel = {
        let cancel = cancel.clone();
        Arc::new(move || cancel.cancel())
    };
    let (weight, size) = (weight(&job), size(&job));
    let work = Work { job, cancel, observer, begun: Box::new(|_| ()), ended: Box::new(|answer| promise.keep(answer)) };
    let id = queue.submit(Entry { key: key.to_owned(), weight, size, work, on_cancel })?;
    Ok(Submitted { answer, _guard: CancelOnDrop { queue: Arc::clone(queue), id } })
}

impl Submitted {
    /// Where it is; `None`: it has ended.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self._guard.queue.position(self._guard.id)
    }

    /// What came of it. A job that was dropped by a queue that drains is [`JobError::Cancelled`].
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn answer(self) -> Result<Answer, JobError> {
        self.answer.await.unwrap_or(Err(JobError::Cancelled))
    }
}
