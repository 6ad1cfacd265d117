//! Groups that have served and serve again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{CgroupError, Group, Limits};

/// Spare groups: those of sandboxes that have ended, made as good as new ([`Group::renew`]). What cannot be is removed.
#[derive(Debug)]
pub struct Pool {
    most: usize,
    /// `None`: it takes no more.
    spare: Mutex<Option<Vec<Group>>>,
}

impl Pool {
    /// An empty one that keeps at most `most`.
    #[must_use]
    pub fn new(most: usize) -> Pool {
        Pool { most, spare: Mutex::new(Some(Vec::new())) }
    }

    /// One that limits and measures just this, if there is one.
    #[must_use]
    pub fn take(&self, limits: &Limits) -> Option<Group> {
        let mut spare = self.spare();
        let spare = spare.as_mut()?;
        let at = spare.iter().rposition(|group| group.limits() == limits)?;
        Some(spare.swap_remove(at))
    }

    /// Takes a group whose processes have ended or are about to. Waits for that a moment; so it is not for a thread that somebody waits for.
    pub fn put(&self, mut group: Group) {
        // One that cannot be made as good as new, for whatever reason, is removed by its drop.
        let room = |spare: &Option<Vec<Group>>| spare.as_ref().is_some_and(|spare| spare.len() < self.most);
        if !room(&self.spare()) || !group.renew().unwrap_or(false) {
            return;
        }
        let mut spare = self.spare();
        if room(&spare)
            && let Some(spare) = &mut *spare
        {
            spare.push(group);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spare().as_ref().map_or(0, Vec::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all there are; it can be filled again.
    ///
    /// # Errors
    /// The first failure of [`Group::remove`]; the others are tried all the same.
    pub fn clear(&self) -> Result<(), CgroupError> {
        let groups = self.spare().as_mut().map(std::mem::take).unwrap_or_default();
        remove(groups)
    }

    /// Removes all there are, and from now on whatever is put in.
    ///
    /// # Errors
    /// As for [`Pool::clear`].
    pub fn close(&self) -> Result<(), CgroupError> {
        let groups = self.spare().take().unwrap_or_default();
        remove(groups)
    }

    fn spare(&self) -> MutexGuard<'_, Option<Vec<Group>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(groups: Vec<Group>) -> Result<(), CgroupError> {
    let failures: Vec<_> = groups.into_iter().filter_map(|mut group| group.remove().err()).collect();
    failures.into_iter().next().map_or(Ok(()), Err)
}
