//! One answer, from the thread that makes it to whoever waits for it, thread or future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The promise was dropped unkept: the work was cancelled while it waited, or its handler ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was dropped before it had an answer")]
pub struct Dropped;

struct Slot<T> {
    answer: Option<Result<T, Dropped>>,
    waker: Option<Waker>,
}

struct Shared<T> {
    slot: Mutex<Slot<T>>,
    filled: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, answer: Result<T, Dropped>) {
        let mut slot = self.lock();
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        self.filled.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The side that answers.
pub struct Promise<T>(Option<Arc<Shared<T>>>);

/// The side that waits: a future, or a blocking call.
pub struct Pending<T>(Arc<Shared<T>>);

impl<T> std::fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Promise")
    }
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

/// Both sides of one answer.
#[must_use]
pub fn promise<T>() -> (Promise<T>, Pending<T>) {
    let shared = Arc::new(Shared { slot: Mutex::new(Slot { answer: None, waker: None }), filled: Condvar::new() });
    (Promise(Some(Arc::clone(&shared))), Pending(shared))
}

impl<T> Promise<T> {
    /// Gives the answer.
    pub fn keep(mut self, answer: T) {
        if let Some(shared) = self.0.take() {
            shared.fill(Ok(answer));
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.fill(Err(Dropped));
        }
    }
}

impl<T> Pending<T> {
    /// Waits in this thread.
    ///
    /// # Errors
    ///
    /// [`Dropped`]: there will be no answer.
    pub fn wait(self) -> Result<T, Dropped> {
        let mut slot = self.0.lock();
        loop {
            if let Some(answer) = slot.answer.take() {
                return answer;
            }
            slot = self.0.filled.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits in this thread, no longer than `patience`; `None`: no answer yet.
    pub fn wait_for(&self, patience: Duration) -> Option<Result<T, Dropped>> {
        let deadline = Instant::now() + patience;
        let mut slot = self.0.lock();
        loop {
            if let Some(answer) = slot.answer.take() {
                return Some(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            slot = self.0.filled.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Dropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_answer_wakes_the_future() {
        let (promise, mut pending) = promise();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut pending).poll(&mut context).is_pending());
        promise.keep(7);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(Pin::new(&mut pending).poll(&mut context), Poll::Ready(Ok(7)));
    }

    #[test]
    fn a_dropped_promise_ends_the_wait() {
        let (promise, pending) = promise::<u8>();
        assert_eq!(pending.wait_for(Duration::ZERO), None);
        std::thread::spawn(move || drop(promise));
        assert_eq!(pending.wait(), Err(Dropped));
    }
}
