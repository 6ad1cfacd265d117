//! How much of everything one caller has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::{AgentError, Result};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Sandboxes.
    Sandboxes,
    /// Open sessions.
    Sessions,
    /// Codebases.
    Codebases,
    /// Sandboxes that live, of everybody.
    Living,
}

impl Counted {
    fn words(self) -> &'static str {
        match self {
            Counted::Sandboxes => "sandboxes of one caller",
            Counted::Sessions => "open sessions of one caller",
            Counted::Codebases => "codebases of one caller",
            Counted::Living => "running sandboxes of this server",
        }
    }
}

#[derive(Debug, Default)]
struct Counts([AtomicU64; 3]);

/// Counters of every caller. The lock is held to find a counter, not to count.
#[derive(Debug, Default)]
pub struct Quotas {
    callers: Mutex<HashMap<String, Arc<Counts>>>,
    living: AtomicU64,
}

/// One of something; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Of,
}

#[derive(Debug)]
enum Of {
    Caller(Arc<Counts>, usize),
    Server(Arc<Quotas>),
}

impl Of {
    fn counter(&self) -> &AtomicU64 {
        match self {
            Of::Caller(counts, which) => &counts.0[*which],
            Of::Server(quotas) => &quotas.living,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.counter().fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quotas {
    /// Takes one if there are fewer than `limit`.
    ///
    /// # Errors
    /// [`AgentError::Quota`].
    pub fn take(self: &Arc<Self>, caller: &str, what: Counted, limit: u64) -> Result<Share> {
        let share = self.take_any(caller, what);
        if share.of.counter().load(Ordering::Relaxed) > limit {
            return Err(AgentError::Quota { what: what.words().to_owned(), limit });
        }
        Ok(share)
    }

    /// Takes one that is there already.
    pub fn take_any(self: &Arc<Self>, caller: &str, what: Counted) -> Share {
        let of = match what {
            Counted::Living => Of::Server(Arc::clone(self)),
            other => {
                let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
                let counts = match callers.get(caller) {
                    Some(counts) => Arc::clone(counts),
                    None => Arc::clone(callers.entry(caller.to_owned()).or_default()),
                };
                Of::Caller(counts, other as usize)
            }
        };
        of.counter().fetch_add(1, Ordering::Relaxed);
        Share { of }
    }

    /// Sessions that are open, of everybody.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.values().map(|counts| counts.0[Counted::Sessions as usize].load(Ordering::Relaxed)).sum()
    }

    /// Sandboxes that live.
    #[must_use]
    pub fn living(&self) -> u64 {
        self.living.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back() {
        let quotas = Arc::new(Quotas::default());
        let first = quotas.take("a", Counted::Sessions, 1).unwrap();
        let refused = quotas.take("a", Counted::Sessions, 1).unwrap_err();
        assert_eq!(refused.to_string(), "open sessions of one caller: 1 is the most");
        assert!(quotas.take("b", Counted::Sessions, 1).is_ok() && quotas.take("a", Counted::Sandboxes, 1).is_ok());
        drop(first);
        assert!(quotas.take("a", Counted::Sessions, 1).is_ok());
        let life = quotas.take("a", Counted::Living, 1).unwrap();
        assert!(quotas.take("b", Counted::Living, 1).is_err());
        assert_eq!(quotas.living(), 1);
        drop(life);
        assert_eq!(quotas.living(), 0);
    }
}
