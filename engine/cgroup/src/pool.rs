//! Groups made ahead: a group is used once, and making one takes a good part of what starting a sandbox takes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{CgroupError, Group, Host, Limits, Name};

/// Prepared groups, all with the same limits. The pool never refills itself: its owner calls [`Pool::fill`] when there is time.
#[derive(Debug)]
pub struct Pool {
    host: Arc<Host>,
    limits: Limits,
    ready: Mutex<Vec<Group>>,
}

impl Pool {
    /// An empty pool of groups with `limits`.
    #[must_use]
    pub fn new(host: Arc<Host>, limits: Limits) -> Pool {
        Pool { host, limits, ready: Mutex::default() }
    }

    /// Makes groups until `count` are ready; gives how many were made.
    ///
    /// # Errors
    /// As for [`Host::create`]; those made before stay ready.
    pub fn fill(&self, count: usize) -> Result<usize, CgroupError> {
        let mut made = 0;
        while self.len() < count {
            // Made outside the lock: who takes one does not wait for it.
            let group = self.make()?;
            self.ready().push(group);
            made += 1;
        }
        Ok(made)
    }

    /// A group nobody has used; made now when none is ready. Limits other than the pool's: [`Group::set_memory`], [`Group::set_pids`].
    ///
    /// # Errors
    /// As for [`Host::create`].
    pub fn take(&self) -> Result<Group, CgroupError> {
        let ready = self.ready().pop();
        ready.map_or_else(|| self.make(), Ok)
    }

    /// How many are ready.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready().len()
    }

    /// Whether none is ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all that are ready; the pool stays usable.
    ///
    /// # Errors
    /// The first failure of [`Group::remove`]; the others are tried all the same.
    pub fn clear(&self) -> Result<(), CgroupError> {
        let groups = std::mem::take(&mut *self.ready());
        let failures: Vec<_> = groups.into_iter().filter_map(|mut group| group.remove().err()).collect();
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn make(&self) -> Result<Group, CgroupError> {
        let name = Name::fresh().map_err(|error| CgroupError::Io {
            action: "read",
            path: "/proc/self/stat".into(),
            errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        })?;
        self.host.create(&name, &self.limits)
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Vec<Group>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
