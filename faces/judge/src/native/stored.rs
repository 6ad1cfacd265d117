//! Asynchronous runs: accepted on disk first, then queued; taken up again by the next server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use enclos_host::axum::http::StatusCode;
use enclos_host::tokio::sync::{Notify, mpsc};
use enclos_host::tokio::time::timeout;
use enclos_host::tracing;
use enclos_pool::{Begun, Entry, Halted, Id, Store, StoreError, Token};

use super::callbacks::Ended;
use super::problem::Problem;
use super::records::{no_batch, no_run, shown, summary};
use super::wire::{self, RunResult, Short, Status};
use super::{aside, build, decode};
use crate::api::{Answer, Cancel, Job, JobError, NoObserver};
use crate::work::{Jobs, Work, size, weight};

/// A run in the queue or running.
struct Live {
    /// Its name in the queue, once it has one.
    id: Option<Id>,
    ended: Arc<Notify>,
}

/// Asynchronous runs.
pub struct Stored {
    store: Arc<Store>,
    queue: Arc<Jobs>,
    live: Mutex<HashMap<Token, Live>>,
    /// Where ended runs go whose end somebody is to be told of; `None`: nobody can be told.
    told: Option<mpsc::UnboundedSender<Ended>>,
}

/// A request that was checked and can be stored.
pub struct Checked {
    /// As the client wrote it.
    pub body: Vec<u8>,
    /// What it means.
    pub job: Job,
    /// Whether somebody is to be told of the end.
    pub notify: bool,
}

impl Stored {
    /// Takes up what earlier servers accepted and did not finish. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn start(store: Arc<Store>, queue: Arc<Jobs>, told: Option<mpsc::UnboundedSender<Ended>>) -> Result<Arc<Self>, StoreError> {
        let stored = Arc::new(Self { store, queue, live: Mutex::default(), told });
        for run in stored.store.unfinished()? {
            match decode::json(&run.request).and_then(build::job) {
                Ok(job) => {
                    // The only refusal is that of a server that goes down: then the next one takes it up.
                    let _ = stored.enqueue(run.token, &run.owner, job, true);
                }
                // Accepted by a version that understood it.
                Err(problem) => stored.finish(&run.owner, &run.token, Err(problem)),
            }
        }
        if stored.told.is_some() {
            for (owner, record) in stored.store.notices()? {
                stored.tell(&owner, &record.token);
            }
        }
        Ok(stored)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a run. Once this is `Ok`, the run is promised. Blocks.
    ///
    /// # Errors
    ///
    /// No place in the queue (429, 503), or the store failed (500).
    pub fn accept(self: &Arc<Self>, owner: &str, checked: Checked) -> Result<Token, Problem> {
        let token = self.store.accept(owner, &checked.body, checked.notify)?;
        match self.enqueue(token, owner, checked.job, false) {
            Ok(()) => Ok(token),
            Err(problem) => {
                self.store.forget(&token)?;
                Err(problem)
            }
        }
    }

    /// Accepts a batch: all of it, or nothing. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Stored::accept`].
    pub fn accept_batch(self: &Arc<Self>, owner: &str, runs: Vec<Checked>) -> Result<enclos_pool::Batch, Problem> {
        let (requests, jobs): (Vec<_>, Vec<_>) = runs.into_iter().map(|run| ((run.body, run.notify), run.job)).unzip();
        let batch = self.store.accept_batch(owner, &requests)?;
        for (token, job) in batch.runs.iter().zip(jobs) {
            if let Err(problem) = self.enqueue(*token, owner, job, false) {
                // Forgotten first, so that none of those already queued begins.
                self.store.forget_batch(&batch.token)?;
                batch.runs.iter().for_each(|token| self.leave_queue(token));
                return Err(problem);
            }
        }
        Ok(batch)
    }

    /// Puts a stored run into the queue. `promised`: bounds or not.
    fn enqueue(self: &Arc<Self>, token: Token, owner: &str, job: Job, promised: bool) -> Result<(), Problem> {
        let cancel = Cancel::new();
        let (weight, size) = (weight(&job), size(&job));
        let given_up = Arc::new(Mutex::new(None));
        let begun = {
            // Weak: work that waits must not keep alive what the queue itself belongs to.
            let (stored, cancel, given_up) = (Arc::downgrade(self), cancel.clone(), Arc::clone(&given_up));
            move |_: &enclos_pool::Lease| {
                if let Err(why) = begin(&stored, &token) {
                    *given_up.lock().unwrap_or_else(PoisonError::into_inner) = why;
                    cancel.cancel();
                }
            }
        };
        let ended = {
            let (stored, owner) = (Arc::downgrade(self), owner.to_owned());
            move |answer: Result<Answer, JobError>| {
                let given_up = given_up.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(stored) = stored.upgrade() {
                    stored.ended(&owner, &token, answer, given_up);
                }
            }
        };
        let on_cancel = {
            let cancel = cancel.clone();
            Arc::new(move || cancel.cancel())
        };
        let work = Work { job, cancel, observer: Box::new(NoObserver), begun: Box::new(begun), ended: Box::new(ended) };
        // Known as live before it can end.
        self.lock().insert(token, Live { id: None, ended: Arc::default() });
        let entry = Entry { key: owner.to_owned(), weight, size, work, on_cancel };
        match if promised { self.queue.readmit(entry) } else { self.queue.submit(entry) } {
            Ok(id) => {
                if let Some(live) = self.lock().get_mut(&token) {
                    live.id = Some(id);
                }
                Ok(())
            }
            Err(refusal) => {
                self.lock().remove(&token);
                Err(refusal.into())
            }
        }
    }

    /// A worker is done with a run.
    fn ended(&self, owner: &str, token: &Token, answer: Result<Answer, JobError>, instead: Option<Problem>) {
        match (answer, instead) {
            (_, Some(problem)) => self.finish(owner, token, Err(problem)),
            (Ok(answer), None) => self.finish(owner, token, Ok(answer)),
            // Cancelled by its owner, which the store knows, or by a server that goes down: then it is the next one's.
            (Err(JobError::Cancelled), None) => {
                if let Err(error) = self.store.put_back(token) {
                    tracing::error!(%error, "a run could not be put back");
                }
                self.announce(token);
            }
            (Err(error), None) => self.finish(owner, token, Err(error.into())),
        }
    }

    fn finish(&self, owner: &str, token: &Token, answer: Result<Answer, Problem>) {
        let (short, json) = match answer {
            Ok(answer) => {
                let result = RunResult::from(answer);
                let short = Short {
                    status: Status::Finished,
                    verdict: Some(result.verdict),
                    score: Some(result.score),
                    points: Some(result.points),
                };
                (short, serde_json::to_vec(&result))
            }
            Err(problem) => (Short { status: Status::Failed, verdict: None, score: None, points: None }, serde_json::to_vec(&problem)),
        };
        let stored = match (json, serde_json::to_string(&short)) {
            (Ok(json), Ok(short)) => self.store.finish(token, &json, &short),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "a result could not be written");
                Ok(false)
            }
        };
        match stored {
            Ok(true) => self.tell(owner, token),
            // It was cancelled or deleted in the meantime.
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a result could not be stored; the run will be done again at the next start"),
        }
        self.announce(token);
    }

    /// Hands a run that has ended to whoever makes callbacks, and who sees whether one was asked for.
    fn tell(&self, owner: &str, token: &Token) {
        if let Some(told) = &self.told {
            // It is gone only when the server goes down; the next one finds what is due.
            let _ = told.send((owner.to_owned(), *token));
        }
    }

    /// Wakes whoever waits for the end of a run.
    fn announce(&self, token: &Token) {
        let live = self.lock().remove(token);
        if let Some(live) = live {
            live.ended.notify_waiters();
        }
    }

    /// Stops a run that waits or runs.
    fn leave_queue(&self, token: &Token) {
        let id = self.lock().get(token).and_then(|live| live.id);
        if let Some(id) = id {
            self.queue.cancel(id);
        }
        self.announce(token);
    }

    /// Cancels a run of this owner; what has ended stays as it is. Blocks.
    ///
    /// # Errors
    ///
    /// 404, or the store failed.
    pub fn cancel(&self, owner: &str, token: &Token) -> Result<(), Problem> {
        match self.store.cancel(owner, token)? {
            Halted::Now => {
                self.leave_queue(token);
                self.tell(owner, token);
            }
            Halted::Already(_) => {}
            Halted::Unknown => return Err(no_run()),
        }
        Ok(())
    }

    /// Cancels a run of this owner, and forgets it. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Stored::cancel`].
    pub fn delete(&self, owner: &str, token: &Token) -> Result<(), Problem> {
        self.cancel(owner, token)?;
        Ok(self.store.forget(token)?)
    }

    /// A run of this owner. Blocks.
    ///
    /// # Errors
    ///
    /// 404, or the store failed.
    pub fn record(&self, owner: &str, token: &Token) -> Result<wire::RunRecord, Problem> {
        let record = self.store.get(owner, token)?.ok_or_else(no_run)?;
        let place = self.lock().get(token).and_then(|live| live.id).and_then(|id| self.queue.position(id));
        shown(record, place)
    }

    /// Waits until a run of this owner has ended, no longer than `patience`, and gives it as it is then.
    ///
    /// # Errors
    ///
    /// As [`Stored::record`].
    pub async fn wait(self: &Arc<Self>, owner: &str, token: Token, patience: Duration) -> Result<wire::RunRecord, Problem> {
        let ended = self.lock().get(&token).map(|live| Arc::clone(&live.ended));
        if let Some(ended) = ended.filter(|_| !patience.is_zero()) {
            // Made before the look below, so that an end in between is not missed.
            let ended = ended.notified();
            let record = self.read(owner, token).await?;
            if !matches!(record.status, Status::Waiting | Status::Running) {
                return Ok(record);
            }
            let _ = timeout(patience, ended).await;
        }
        self.read(owner, token).await
    }

    async fn read(self: &Arc<Self>, owner: &str, token: Token) -> Result<wire::RunRecord, Problem> {
        let (stored, owner) = (Arc::clone(self), owner.to_owned());
        aside(move || stored.record(&owner, &token)).await?
    }

    /// A batch of this owner. Blocks.
    ///
    /// # Errors
    ///
    /// 404, or the store failed.
    pub fn batch(&self, owner: &str, token: &Token) -> Result<wire::BatchRecord, Problem> {
        let records = self.store.batch(owner, token)?;
        if records.is_empty() {
            return Err(no_batch());
        }
        let runs: Vec<wire::RunSummary> = records.into_iter().map(summary).collect();
        let ended = runs.iter().all(|run| !matches!(run.status, Status::Waiting | Status::Running));
        Ok(wire::BatchRecord { token: token.to_string(), ended, runs })
    }

    /// Cancels every run of a batch of this owner, and forgets them. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Stored::batch`].
    pub fn delete_batch(&self, owner: &str, token: &Token) -> Result<(), Problem> {
        let records = self.store.batch(owner, token)?;
        if records.is_empty() {
            return Err(no_batch());
        }
        self.store.forget_batch(token)?;
        records.iter().for_each(|record| self.leave_queue(&record.token));
        Ok(())
    }
}

/// A worker has a run. `Err`: it is not to be executed; with what is to be its result, where it has none yet.
fn begin(stored: &Weak<Stored>, token: &Token) -> Result<(), Option<Problem>> {
    let Some(stored) = stored.upgrade() else { return Err(None) };
    match stored.store.begin(token) {
        Ok(Begun::Attempt(_)) => Ok(()),
        Ok(Begun::Ended) => Err(None),
        Ok(Begun::GivenUp) => {
            let detail = format!("the server ended {} times while it executed this run; it is not tried again", Store::ATTEMPTS);
            Err(Some(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "given-up", "The run was given up", detail)))
        }
        Err(error) => {
            tracing::error!(%error, "a run could not be begun; it will be tried again at the next start");
            Err(None)
        }
    }
}
