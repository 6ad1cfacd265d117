//! What a client of `sandbox.v1` takes for granted: a sandbox and its codebase are one place.
//!
//! - Somebody looks into the codebase: what shared sandboxes of it have changed is put there first. Commands do not wait for it (W-29).
//! - Somebody uploads a file: it appears in shared sandboxes that run, but never over what the sandbox changed itself (W-28).
//! - A shared sandbox ends: what it changed is put into the codebase.

use std::collections::BTreeMap;
use std::sync::Arc;

use enclos_cas::Entry as Stored;
use enclos_host::tracing;
use enclos_vfs::files::acting_as;
use enclos_vfs::{Marks, Ownership, TreePath};

use super::entry::Entry;
use super::{Inner, fault};
use crate::api::Result;

impl Inner {
    fn shared(&self, codebase: &str) -> Vec<Arc<Entry>> {
        let shares = |entry: &Arc<Entry>| {
            let known = entry.known();
            known.record.shared && known.record.codebase == codebase && entry.life().is_some()
        };
        self.sandboxes.all().into_iter().filter(shares).collect()
    }

    /// Puts what running shared sandboxes of a codebase have changed there.
    pub fn publish_shared(&self, codebase: &str) -> Result<()> {
        for entry in self.shared(codebase) {
            // One that is being removed publishes by itself.
            let Ok(_turn) = entry.turn() else { continue };
            if entry.life().is_none() || !entry.take_touched() {
                continue;
            }
            if let Err(error) = self.publish_quietly(&entry, &entry.known()) {
                entry.touch();
                tracing::warn!(sandbox = entry.id, %error, "what a shared sandbox changed could not be published");
            }
        }
        Ok(())
    }

    /// The same for one in which nothing runs any more, and which then stands on the newest version if nothing keeps it from that. The caller has
    /// the turn.
    pub fn publish_ended(&self, entry: &Entry) {
        let known = entry.known();
        if !known.record.shared {
            return;
        }
        let settled = self.publish_quietly(entry, &known).and_then(|()| self.settle(entry, &known));
        if let Err(error) = settled {
            tracing::warn!(sandbox = entry.id, %error, "what a shared sandbox changed could not be published");
        }
    }

    /// Puts an uploaded file into running shared sandboxes.
    pub fn push_shared(&self, codebase: &str, path: &TreePath, file: &Stored) {
        for entry in self.shared(codebase) {
            let Ok(_turn) = entry.turn() else { continue };
            if let Err(error) = self.push(&entry, path, file) {
                tracing::warn!(sandbox = entry.id, %error, "an uploaded file could not be put into a shared sandbox");
            }
        }
    }

    /// Puts one file into one of them, unless the rules hide it there or the sandbox has something else there. The caller has the turn.
    fn push(&self, entry: &Entry, path: &TreePath, file: &Stored) -> Result<()> {
        let Some(life) = entry.life() else { return Ok(()) };
        let known = entry.known();
        let (workspace, top) = (&known.record.workspace, life.workspace()?);
        let done = life.stilled(|| {
            if self.vfs.changed_in(workspace, path, Marks::User).map_err(fault::of_store)? {
                return Ok(false);
            }
            let put = |host| self.vfs.push(top, path, file, &known.rules, host);
            match (self.ownership, life.first_id()) {
                (Ownership::One, _) | (_, None) => put(Ownership::One),
                (two, Some(first)) => acting_as(first, first, true, || put(two.on_host(first))),
            }
            .map_err(fault::of_store)
        })?;
        if done {
            let pushed = BTreeMap::from([(path.clone(), file.clone())]);
            self.vfs.pushed(workspace, &pushed).map_err(fault::of_store)?;
        }
        Ok(())
    }
}
