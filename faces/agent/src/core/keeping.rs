//! What is handed to the keeper, and taken back from it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use enclos_host::tracing;
use enclos_sandbox::{Kept, Sandbox};

use super::Inner;
use super::entry::Entry;
use super::life::{Born, Life};
use super::quota::Counted;
use crate::keeper::Item;
use crate::session::{Adopted, Session};
use crate::state;

/// What was kept, by name.
pub(super) type Found = HashMap<String, Item>;

impl Inner {
    /// Has a living sandbox kept.
    pub(super) fn keep(&self, entry: &Entry, life: &Arc<Life>) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| !entry.is_passing()) else { return };
        let life = Arc::clone(life);
        keeper.put(&entry.id, move || {
            let (kept, descriptors) = life.keep()?;
            Some((serde_json::to_vec(&kept).ok()?, descriptors))
        });
    }

    /// Has a session kept.
    pub(super) fn keep_session(&self, id: &str, kept: Option<(Vec<u8>, Vec<OwnedFd>)>) {
        if let (Some(keeper), Some(kept)) = (&self.keeper, kept) {
            keeper.put(id, move || Some(kept));
        }
    }

    /// Whether there is a keeper.
    pub(super) fn keeps(&self) -> bool {
        self.keeper.is_some()
    }

    /// Has something let go.
    pub(super) fn let_go(&self, name: &str) {
        if let Some(keeper) = &self.keeper {
            keeper.drop(name);
        }
    }

    /// What an earlier server has left.
    pub(super) fn kept(&self) -> Found {
        let Some(keeper) = &self.keeper else { return Found::new() };
        let items = keeper.all().unwrap_or_else(|error| {
            tracing::error!(%error, "what was kept cannot be had");
            Vec::new()
        });
        items.into_iter().map(|item| (item.name.clone(), item)).collect()
    }

    /// Goes on with a sandbox.
    pub(super) fn adopt(&self, record: &state::Sandbox, found: &mut Found) -> Option<Arc<Life>> {
        let item = found.remove(&record.id)?;
        let adopt = || -> Result<Sandbox, String> {
            let kept: Kept = serde_json::from_slice(&item.record).map_err(|error| error.to_string())?;
            Sandbox::adopt(kept, item.descriptors).map_err(|error| error.to_string())
        };
        match adopt() {
            Ok(sandbox) => {
                let share = self.quotas.take_any(&record.owner, Counted::Living);
                let root = record.image.as_deref().and_then(|name| self.root(name).ok());
                let env = self.env(record, root.as_ref());
                // One whose workspace is not known is in no record either.
                let upper = self.vfs.upper(&record.workspace).unwrap_or_default();
                Some(Arc::new(Life::new(sandbox, Born { env, root, share, upper })))
            }
            Err(error) => {
                tracing::warn!(sandbox = record.id, error, "a sandbox that was kept has ended");
                self.let_go(&record.id);
                None
            }
        }
    }

    /// Goes on with a session.
    pub(super) fn adopt_session(&self, entry: &Entry, number: u64, record: &state::Session, found: &mut Found) -> Option<Session> {
        let item = found.remove(&record.id)?;
        let life = entry.life()?;
        let running = life.begin(u64::MAX).ok()?;
        let share = self.quotas.take_any(&entry.owner, Counted::Sessions);
        let adopted = Adopted { life: &life, item, output: self.settings.output, running, share, audit: Arc::clone(&self.audit) };
        let session = Session::adopt(number, record.clone(), &entry.owner, adopted);
        if session.is_none() {
            self.let_go(&record.id);
        }
        session
    }

    /// Leaves everything to the keeper. Nothing of it may be dropped here any more.
    pub(super) fn hand_over(self: &Arc<Self>) {
        if let Some(keeper) = &self.keeper {
            keeper.settle();
        }
        self.later.end();
        self.ends.end();
        self.state.checkpoint();
        // What is dropped is ended; what this process holds when it exits is not.
        std::mem::forget(Arc::clone(self));
    }
}
