//! The one timer: destroys sandboxes whose time has come, and moves the log of the records.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use enclos_host::tracing;

use super::entry::Entry;
use super::{Inner, clock, lifecycle};

/// How often the log is moved.
const CHECKPOINT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Due {
    /// When, and which. One whose time was changed since is in here twice; it is asked when it comes up.
    heap: BinaryHeap<Reverse<(i64, String)>>,
    ended: bool,
}

/// What is to happen when.
#[derive(Debug, Default)]
pub struct Timer {
    due: Mutex<Due>,
    changed: Condvar,
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: i64, id: &str) {
        self.lock().heap.push(Reverse((at, id.to_owned())));
        self.changed.notify_all();
    }

    /// Nothing happens any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for the next thing to do; `None`: nothing but what is done from time to time.
    fn next(&self, patience: Duration) -> Option<String> {
        let until = Instant::now() + patience;
        let mut due = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if due.ended || left.is_zero() {
                return None;
            }
            let now = clock::now();
            let wait = match due.heap.peek() {
                Some(Reverse((at, _))) if *at <= now => return due.heap.pop().map(|Reverse((_, id))| id),
                Some(Reverse((at, _))) => left.min(Duration::from_millis(u64::try_from(at - now).unwrap_or(1))),
                None => left,
            };
            due = self.changed.wait_timeout(due, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Inner {
    /// Has a sandbox destroyed when its time comes.
    pub fn expire_later(&self, entry: &Entry) {
        if let Some(at) = entry.known().record.expires_at {
            self.timer.add(at, &entry.id);
        }
    }

    /// Has the gauges say what there is.
    fn count(&self) {
        self.figures.set(self.quotas.living(), self.sandboxes.len(), self.quotas.sessions());
    }

    fn expire(self: &Arc<Self>, id: &str) {
        let Some(entry) = self.sandboxes.get(id) else { return };
        let expires = entry.known().record.expires_at;
        if expires.is_some_and(|at| at <= clock::now()) {
            let owner = entry.owner.clone();
            let done = self.destroy_entry(&entry, lifecycle::Why::Expired);
            self.audit.write(&owner, "expire", id, done.as_ref().err());
            if let Err(error) = done {
                tracing::warn!(sandbox = id, %error, "a sandbox whose time had come could not be destroyed");
            }
        }
    }
}

/// Starts the thread.
pub fn start(inner: &Arc<Inner>) -> std::io::Result<()> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new().name("agent-timer".to_owned()).spawn(move || run(&weak)).map(drop)
}

fn run(weak: &Weak<Inner>) {
    let mut moved = Instant::now();
    loop {
        let Some(inner) = weak.upgrade() else { return };
        if inner.timer.lock().ended {
            return;
        }
        if let Some(id) = inner.timer.next(Duration::from_millis(500)) {
            inner.expire(&id);
        }
        inner.count();
        if moved.elapsed() >= CHECKPOINT {
            inner.state.checkpoint();
            moved = Instant::now();
        }
    }
}
