//! Threads for calls that block for long: as many at once as there are threads, and no queue in which one would wait for another's end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a thread without work is kept.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    idle: usize,
    all: usize,
    closed: bool,
}

struct Shared {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded number of threads, made when they are needed. Work under way goes on when this is dropped.
pub struct Threads {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("name", &self.shared.name).field("most", &self.shared.most).finish_non_exhaustive()
    }
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// Every thread there may be is at work.
    #[error("{most} calls are under way, and that is the most")]
    Full {
        /// The bound.
        most: usize,
    },
    /// It panicked.
    #[error("the call panicked")]
    Panicked,
}

impl Threads {
    /// At most `most` threads, with this name.
    #[must_use]
    pub fn new(name: &'static str, most: usize) -> Self {
        Threads { shared: Arc::new(Shared { name, most, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Starts a piece of work now. Dropping the future does not end it.
    ///
    /// # Errors
    /// [`NotDone::Full`]; the future: [`NotDone::Panicked`].
    pub fn run<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> Result<impl Future<Output = Result<T, NotDone>> + Send + use<T, W>, NotDone> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move || {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                // Nobody may wait for it any more.
                let _ = sender.send(result);
            }
        });
        self.begin(work)?;
        Ok(async move { receiver.await.map_err(|_| NotDone::Panicked) })
    }

    fn begin(&self, work: Work) -> Result<(), NotDone> {
        let full = NotDone::Full { most: self.shared.most };
        let mut state = self.shared.lock();
        if state.idle > state.waiting.len() {
            state.waiting.push_back(work);
            drop(state);
            self.shared.changed.notify_one();
            return Ok(());
        }
        if state.all >= self.shared.most {
            return Err(full);
        }
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name(self.shared.name.to_owned()).spawn(move || serve(&shared, work)).map_err(|error| {
            tracing::error!(%error, "no thread could be started");
            full
        })?;
        state.all += 1;
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

fn serve(shared: &Shared, first: Work) {
    first();
    let mut state = shared.lock();
    loop {
        if let Some(work) = state.waiting.pop_front() {
            drop(state);
            work();
            state = shared.lock();
            continue;
        }
        if state.closed {
            break;
        }
        state.idle += 1;
        let (woken, wait) = shared.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
        state = woken;
        state.idle -= 1;
        if wait.timed_out() && state.waiting.is_empty() {
            break;
        }
    }
    state.all -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[tokio::test]
    async fn as_many_at_once_as_may_be_and_the_next_is_refused() {
        let threads = Threads::new("test", 3);
        let together = Arc::new(Barrier::new(4));
        for _ in 0..3 {
            let running: Vec<_> = (0..3)
                .map(|n| {
                    let together = Arc::clone(&together);
                    threads.run(move || {
                        together.wait();
                        n
                    })
                })
                .map(Result::unwrap)
                .collect();
            assert_eq!(threads.run(|| ()).err(), Some(NotDone::Full { most: 3 }));
            together.wait();
            for (n, one) in running.into_iter().enumerate() {
                assert_eq!(one.await, Ok(n));
            }
            // The last of them may not have lain down yet.
            while threads.shared.lock().idle < 3 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(threads.shared.lock().all, 3);
    }

    #[tokio::test]
    async fn what_panics_harms_nobody() {
        let threads = Threads::new("test", 1);
        assert_eq!(threads.run(|| panic!("as it should")).unwrap().await, Err::<(), _>(NotDone::Panicked));
        while threads.shared.lock().idle < 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(threads.run(|| 5).unwrap().await, Ok(5));
    }
}
