//! The queue in this process: lanes under one lock, and a worker thread for each core.
//!
//! Theory of operation. One mutex holds the lanes, what runs, and the figures. A worker takes the next job under the lock and runs the
//! handler outside it; no callback and no destructor of work runs while the lock is held. `work` wakes one worker when there is a job or a
//! core; `quiet` wakes whoever drains. As many threads as cores are enough, because a job holds at least one core.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fair::{Fair, Turn, Waiting};
use crate::metrics::{Histogram, Metrics};
use crate::queue::{Cancelled, Drained, Entry, Id, Lease, OnCancel, Position, Queue, Refusal};

/// Bounds of a [`Local`] queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Cores that jobs may use together: as many threads work. At least one.
    pub cores: usize,
    /// Jobs that may wait.
    pub capacity: usize,
    /// Jobs of one key that may wait.
    pub per_key: usize,
    /// Bytes of memory that the jobs that wait may hold together; one that is larger alone waits alone.
    pub bytes: usize,
}

impl Settings {
    /// All cores this process may use, and room for some seconds of work.
    #[must_use]
    pub fn of_this_host() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores, capacity: 1024, per_key: 512, bytes: 512 << 20 }
    }
}

/// A mean that forgets: one part in this many is new.
const MEMORY: u32 = 20;
/// What a job is taken to cost before any has ended.
const FIRST_GUESS: Duration = Duration::from_millis(50);
/// The bounds of an estimate of when to try again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// When a server that goes down may have a successor.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

struct Job<W> {
    work: W,
    on_cancel: OnCancel,
    since: Instant,
    size: usize,
}

struct Running {
    on_cancel: Option<OnCancel>,
    since: Instant,
}

struct State<W> {
    fair: Fair<Job<W>>,
    running: HashMap<Id, Running>,
    free: usize,
    draining: bool,
    stopped: bool,
    ids: u64,
    figures: Metrics,
}

struct Shared<W> {
    settings: Settings,
    state: Mutex<State<W>>,
    work: Condvar,
    quiet: Condvar,
}

/// A queue whose work is done by threads of this process.
pub struct Local<W: Send + 'static> {
    shared: Arc<Shared<W>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Send + 'static> std::fmt::Debug for Local<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl<W: Send + 'static> Local<W> {
    /// Starts the workers. `handler` does the work; it may block, and a panic in it ends its job alone.
    ///
    /// # Errors
    ///
    /// A thread could not be started (`pthread_create(3)`).
    pub fn start(settings: Settings, handler: impl Fn(W, &Lease) + Send + Sync + 'static) -> std::io::Result<Self> {
        let settings = Settings { cores: settings.cores.max(1), ..settings };
        let Settings { cores, capacity, per_key, .. } = settings;
        let figures = Metrics { cores, capacity, per_key, mean_service: FIRST_GUESS, ..Metrics::default() };
        let state = State {
            fair: Fair::default(),
            running: HashMap::new(),
            free: settings.cores,
            draining: false,
            stopped: false,
            ids: 0,
            figures,
        };
        let shared = Arc::new(Shared { settings, state: Mutex::new(state), work: Condvar::new(), quiet: Condvar::new() });
        // Made before the threads, so that those already started end when a later one cannot be.
        let queue = Self { shared, threads: Mutex::new(Vec::new()) };
        let handler = Arc::new(handler);
        for number in 0..settings.cores {
            let (shared, handler) = (Arc::clone(&queue.shared), Arc::clone(&handler));
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || shared.serve(&*handler))?;
            queue.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(queue)
    }

    fn admit(&self, entry: Entry<W>, bounded: bool) -> Result<Id, Refusal> {
        let mut state = self.shared.lock();
        if let Some(refusal) = state.refusal(&self.shared.settings, &entry, bounded) {
            state.figures.refused += 1;
            drop(state);
            return Err(refusal);
        }
        state.ids += 1;
        state.figures.accepted += 1;
        let id = Id(state.ids);
        state.figures.bytes += entry.size;
        let job = Job { work: entry.work, on_cancel: entry.on_cancel, since: Instant::now(), size: entry.size };
        state.fair.push(&entry.key, Waiting { id, weight: entry.weight, item: job });
        drop(state);
        self.shared.work.notify_one();
        Ok(id)
    }
}

impl<W> State<W> {
    fn refusal(&self, settings: &Settings, entry: &Entry<W>, bounded: bool) -> Option<Refusal> {
        let (waiting, own) = (self.fair.waiting(), self.fair.waiting_of(&entry.key));
        let no_memory = waiting > 0 && self.figures.bytes.saturating_add(entry.size) > settings.bytes;
        if self.draining {
            Some(Refusal::Draining { retry_after: AFTER_DRAIN })
        } else if !bounded {
            None
        } else if waiting >= settings.capacity || no_memory {
            Some(Refusal::Full { waiting, retry_after: self.retry_after(settings, waiting, 1) })
        } else if own >= settings.per_key {
            Some(Refusal::KeyFull { waiting: own, retry_after: self.retry_after(settings, own, self.fair.keys()) })
        } else {
            None
        }
    }

    /// Until a tenth of what waits is gone, for a caller who shares the cores with `keys`.
    fn retry_after(&self, settings: &Settings, waiting: usize, keys: usize) -> Duration {
        let seconds = self.wait_for(settings, waiting.div_ceil(10), keys).as_secs_f64().ceil();
        Duration::from_secs_f64(seconds).clamp(RETRY.0, RETRY.1)
    }

    /// Until `jobs` jobs have run on a share of the cores.
    fn wait_for(&self, settings: &Settings, jobs: usize, keys: usize) -> Duration {
        let seconds = self.figures.mean_service.as_secs_f64() * jobs as f64 * keys.max(1) as f64 / settings.cores as f64;
        Duration::from_secs_f64(seconds.min(RETRY.1.as_secs_f64() * 12.0))
    }

    /// The next job, counted as running.
    fn begin(&mut self, now: Instant) -> Option<(Turn<W>, Lease)> {
        let Turn { id, key, cores, item: Job { work, on_cancel, since, size } } = self.fair.next(self.free)?;
        let waited = now.saturating_duration_since(since);
        self.free -= cores;
        self.figures.bytes -= size;
        self.running.insert(id, Running { on_cancel: Some(on_cancel), since: now });
        self.figures.waits.observe(waited);
        Some((Turn { id, key, cores, item: work }, Lease { id, cores, waited }))
    }

    fn end(&mut self, lease: &Lease, key: &Arc<str>, panicked: bool, now: Instant) -> Option<Running> {
        let running = self.running.remove(&lease.id);
        self.free += lease.cores;
        self.fair.done(key, lease.cores);
        self.figures.finished += 1;
        self.figures.panicked += u64::from(panicked);
        if let Some(running) = &running {
            let spent = now.saturating_duration_since(running.since).saturating_mul(u32::try_from(lease.cores).unwrap_or(u32::MAX));
            let mean = self.figures.mean_service;
            self.figures.mean_service = mean.saturating_sub(mean / MEMORY).saturating_add(spent / MEMORY);
        }
        running
    }

    fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.fair.waiting() == 0
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life.
    fn serve(&self, handler: &(impl Fn(W, &Lease) + ?Sized)) {
        while let Some((Turn { key, item: work, .. }, lease)) = self.take() {
            let panicked = catch_unwind(AssertUnwindSafe(|| handler(work, &lease))).is_err();
            let mut state = self.lock();
            let ended = state.end(&lease, &key, panicked, Instant::now());
            let quiet = state.is_quiet();
            drop(state);
            // What it holds may be the last of its kind: its destructor is the caller's code.
            drop(ended);
            // More than one job may fit into the cores that became free.
            self.work.notify_all();
            if quiet {
                self.quiet.notify_all();
            }
        }
    }

    /// Waits for a job; `None`: the queue is gone.
    fn take(&self) -> Option<(Turn<W>, Lease)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.begin(Instant::now()) {
                return Some(next);
            }
            if state.stopped {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until nothing waits or runs; `false`: not by the deadline.
    fn wait_quiet(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        while !state.is_quiet() {
            let Some(deadline) = deadline else {
                state = self.quiet.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.quiet.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Drops all work that waits and cancels all that runs.
    fn abandon(&self) -> (u64, u64) {
        let mut state = self.lock();
        let dropped = state.fair.clear();
        state.figures.bytes = 0;
        let running: Vec<OnCancel> = state.running.values_mut().filter_map(|running| running.on_cancel.take()).collect();
        state.figures.cancelled += (dropped.len() + running.len()) as u64;
        drop(state);
        let counts = (dropped.len() as u64, running.len() as u64);
        drop(dropped);
        running.into_iter().for_each(|cancel| cancel());
        self.quiet.notify_all();
        counts
    }
}

impl<W: Send + 'static> Queue<W> for Local<W> {
    fn submit(&self, entry: Entry<W>) -> Result<Id, Refusal> {
        self.admit(entry, true)
    }

    fn readmit(&self, entry: Entry<W>) -> Result<Id, Refusal> {
        self.admit(entry, false)
    }

    fn cancel(&self, id: Id) -> Cancelled {
        let mut state = self.shared.lock();
        if let Some(job) = state.fair.remove(id) {
            state.figures.cancelled += 1;
            state.figures.bytes -= job.size;
            let quiet = state.is_quiet();
            drop(state);
            drop(job);
            if quiet {
                self.shared.quiet.notify_all();
            }
            return Cancelled::Waiting;
        }
        let Some(running) = state.running.get_mut(&id) else { return Cancelled::Unknown };
        let first = running.on_cancel.take();
        state.figures.cancelled += u64::from(first.is_some());
        drop(state);
        if let Some(cancel) = first {
            cancel();
        }
        Cancelled::Running
    }

    fn position(&self, id: Id) -> Option<Position> {
        let state = self.shared.lock();
        if let Some(running) = state.running.get(&id) {
            return Some(Position::Running { since: running.since.elapsed() });
        }
        let ahead = state.fair.ahead(id)?;
        // A neighbour may have the shorter lane: then this is an upper bound.
        let (waiting, keys) = (state.fair.waiting(), state.fair.keys());
        let before = ((ahead + 1) * keys.max(1)).min(waiting);
        Some(Position::Waiting { ahead, waiting, estimate: state.wait_for(&self.shared.settings, before, 1) })
    }

    fn metrics(&self) -> Metrics {
        let state = self.shared.lock();
        let oldest = state.fair.heads().map(|job| job.since).min().map_or(Duration::ZERO, |since| since.elapsed());
        let waits: Histogram = state.figures.waits.clone();
        Metrics {
            cores_in_use: self.shared.settings.cores - state.free,
            waiting: state.fair.waiting(),
            running: state.running.len(),
            keys: state.fair.keys(),
            oldest,
            waits,
            ..state.figures.clone()
        }
    }

    fn drain(&self, patience: Duration) -> Drained {
        let mut state = self.shared.lock();
        state.draining = true;
        let before = state.figures.finished;
        drop(state);
        // A patience beyond what a clock can hold is one without end.
        let in_time = self.shared.wait_quiet(Instant::now().checked_add(patience));
        let (dropped, cancelled) = if in_time { (0, 0) } else { self.shared.abandon() };
        self.shared.wait_quiet(None);
        let finished = (self.shared.lock().figures.finished - before).saturating_sub(cancelled);
        Drained { finished, dropped, cancelled }
    }
}

/// Drops what waits, cancels what runs and waits for its end.
impl<W: Send + 'static> Drop for Local<W> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.draining = true;
        state.stopped = true;
        drop(state);
        self.shared.abandon();
        self.shared.work.notify_all();
        let own = std::thread::current().id();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            // The last owner may be a handler's work: a thread cannot wait for itself.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}
