//! Ending a piece of work from outside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Waker = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// A flag that ends a piece of work. Cheap to clone; all clones are one flag.
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// While it lives, what was given to [`Cancel::on_cancel`] is called when the flag is set.
#[must_use = "dropping it forgets what was to be called"]
pub struct CancelGuard {
    state: Arc<Mutex<State>>,
    key: Option<u64>,
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelGuard").finish_non_exhaustive()
    }
}

impl Cancel {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Cancel::default()
    }

    /// Sets it, and calls everybody who waits for that. Setting it again does nothing.
    pub fn cancel(&self) {
        let wakers = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.cancelled = true;
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers.into_values() {
            waker();
        }
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// Calls `waker` when the flag is set, on the thread that sets it; at once when it is set already. It must not block.
    pub fn on_cancel(&self, waker: impl FnOnce() + Send + 'static) -> CancelGuard {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            drop(state);
            waker();
            return CancelGuard { state: Arc::clone(&self.state), key: None };
        }
        let key = state.next;
        state.next += 1;
        state.wakers.insert(key, Box::new(waker));
        CancelGuard { state: Arc::clone(&self.state), key: Some(key) }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // Dropped after the lock is released: a waker may own what locks.
            let waker = self.state.lock().unwrap_or_else(PoisonError::into_inner).wakers.remove(&key);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn every_waker_is_called_once_and_a_dropped_guard_never() {
        let cancel = Cancel::new();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = || {
            let calls = Arc::clone(&calls);
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let kept = cancel.on_cancel(counted());
        drop(cancel.on_cancel(counted()));
        cancel.clone().cancel();
        cancel.cancel();
        assert!(cancel.is_cancelled());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let late = cancel.on_cancel(counted());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        drop((kept, late));
    }
}
