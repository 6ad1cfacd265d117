//! What was changed in a workspace, and what becomes of it.

use std::sync::Arc;

use enclos_vfs::{Bounds, Change as Changed, Committed as Done, Conflicts, HeldBack, Marks, VfsError, View, What};

use super::codebases::as_shown;
use super::entry::{Entry, Known};
use super::{Inner, by, clock, fault, may_see};
use crate::api::{
    AgentError, Caller, Change, Commit, Committed, Conflict, Endings, Explanation, Page, PageRequest, Result, Rule, Snapshot,
};
use crate::state::{Sandbox, Status};

/// What is there, in a word.
fn what(what: &What) -> &'static str {
    match what {
        What::File { .. } => "file",
        What::Link { .. } => "link",
        What::Directory { .. } => "directory",
        What::Special(kind) => kind,
    }
}

fn change_shown(change: &Changed) -> Change {
    let kind = match (&change.before, &change.after) {
        (None, _) => "added",
        (Some(_), Some(_)) => "modified",
        (Some(_), None) => "deleted",
    };
    let (size, mode) = match &change.after {
        Some(What::File { size, mode, .. }) => (Some(*size), Some(*mode)),
        Some(What::Directory { mode }) => (None, Some(*mode)),
        Some(What::Link { target }) => (Some(target.len() as u64), None),
        Some(What::Special(_)) | None => (None, None),
    };
    Change {
        path: as_shown(&change.path),
        kind,
        what: change.after.as_ref().or(change.before.as_ref()).map_or("file", what),
        size,
        mode,
        denied: change.denied.as_ref().map(ToString::to_string),
    }
}

fn conflict_shown(conflict: &enclos_vfs::Conflict) -> Conflict {
    let words = |state: &Option<What>| state.as_ref().map_or("nothing", what);
    Conflict {
        path: as_shown(&conflict.path),
        why: format!(
            "it was {}, became {} in the codebase and {} here",
            words(&conflict.base),
            words(&conflict.theirs),
            words(&conflict.ours)
        ),
    }
}

impl Inner {
    /// How the upper of a workspace is read.
    fn view<'a>(&self, known: &'a Known) -> View<'a> {
        let bounds = Bounds { bytes: known.record.limits.workspace.unwrap_or(u64::MAX), ..Bounds::default() };
        View { rules: &known.rules, ownership: self.ownership, marks: Marks::User, bounds }
    }

    /// Does something while nothing in the sandbox runs, whether it lives or not. The caller has the turn.
    pub fn at_rest<T>(&self, entry: &Entry, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match entry.life() {
            Some(life) => life.stilled(act),
            None => act(),
        }
    }

    /// What was changed and is in no version.
    pub fn changes(&self, entry: &Entry) -> Result<Vec<Change>> {
        let _turn = entry.turn()?;
        let known = entry.known();
        let found = self.at_rest(entry, || self.vfs.diff(&known.record.workspace, &self.view(&known)).map_err(fault::of_store))?;
        Ok(found.iter().map(change_shown).collect())
    }

    /// Makes a version of what was changed.
    pub fn make_version(&self, caller: &Caller, entry: &Entry, commit: &Commit) -> Result<Committed> {
        let _turn = entry.turn()?;
        let known = entry.known();
        if !known.record.named {
            return Err(AgentError::Precondition("this sandbox has no codebase to commit to".to_owned()));
        }
        let author = if commit.author.is_empty() { &*caller.name } else { commit.author.as_str() };
        let held_back = if commit.drop_denied { HeldBack::Drop } else { HeldBack::Refuse };
        let publish = || {
            self.vfs.publish(&known.record.workspace, &self.view(&known), held_back, Conflicts::Refuse, by(author)).map_err(fault::of_store)
        };
        Ok(match self.at_rest(entry, publish)? {
            Done::Made { version, changes, held_back, .. } => Committed::Made {
                version: version.number,
                changes: changes.iter().map(change_shown).collect(),
                dropped: held_back.iter().map(change_shown).collect(),
            },
            Done::Nothing { .. } => Committed::Nothing,
            Done::Denied(changes) => Committed::Denied(changes.iter().map(change_shown).collect()),
            Done::Conflicts(conflicts) => Committed::Conflicts(conflicts.iter().map(conflict_shown).collect()),
        })
    }

    /// Publishes what a shared sandbox changed: conflicts stay as the codebase has them, and are told to the log and the audit.
    pub fn publish_quietly(&self, entry: &Entry, known: &Known) -> Result<()> {
        let publish = || {
            self.vfs
                .publish(&known.record.workspace, &self.view(known), HeldBack::Drop, Conflicts::Skip, by(&known.record.owner))
                .map_err(fault::of_store)
        };
        let done = self.at_rest(entry, publish)?;
        let (Done::Made { conflicts, .. } | Done::Nothing { conflicts, .. }) = done else { return Ok(()) };
        if !conflicts.is_empty() {
            let paths: Vec<String> = conflicts.iter().take(20).map(|conflict| as_shown(&conflict.path)).collect();
            let told = AgentError::Conflict(format!("{} paths stay as the codebase has them: {}", conflicts.len(), paths.join(", ")));
            enclos_host::tracing::warn!(sandbox = entry.id, %told, "a shared sandbox and its codebase differ");
            self.audit.write(&entry.owner, "publish", &entry.id, Some(&told));
        }
        Ok(())
    }

    /// Lets a sandbox in which nothing runs stand on the newest version, if everything it changed is in it.
    pub fn settle(&self, entry: &Entry, known: &Known) -> Result<()> {
        let settled = self.vfs.settle(&known.record.workspace, &self.view(known)).map_err(fault::of_store)?;
        if let Some(now) = settled {
            entry.change(&self.state, |record| record.version = now.version)?;
        }
        Ok(())
    }

    /// Which rule decides a path.
    pub fn explained(&self, entry: &Entry, path: &str) -> Result<Explanation> {
        let path = super::codebases::tree_path("path", path)?;
        Ok(entry.known().rules.explain(&path))
    }

    /// Puts other rules in place.
    pub fn put_rules(&self, entry: &Entry, rules: &[Rule], endings: Endings) -> Result<Arc<Known>> {
        let new = enclos_vfs::Rules::new(rules).map_err(|bad| super::entry::rule_fault(rules, &bad))?;
        let _turn = entry.turn()?;
        if self.ownership == enclos_vfs::Ownership::One {
            // Before anything is ended.
            self.writable(&entry.known().record, &new)?;
        }
        self.remade(entry, endings, || entry.change(&self.state, |record| record.rules = rules.to_vec()))?;
        Ok(entry.known())
    }

    /// Throws away what was changed.
    pub fn roll_back(&self, entry: &Entry, onto: Option<u64>, endings: Endings) -> Result<Arc<Known>> {
        let _turn = entry.turn()?;
        let known = entry.known();
        if let Some(version) = onto {
            // Before anything is ended.
            self.vfs.version(&known.record.codebase, Some(version)).map_err(fault::of_store)?;
        }
        self.remade(entry, endings, || {
            let now = self.vfs.rollback(&known.record.workspace, onto).map_err(fault::of_store)?;
            entry.growth().forget();
            entry.change(&self.state, |record| record.version = now.version)
        })?;
        Ok(entry.known())
    }

    /// Copies what was changed.
    pub fn take_snapshot(&self, entry: &Entry) -> Result<Snapshot> {
        let _turn = entry.turn()?;
        let known = entry.known();
        let take = || self.vfs.snapshot(&known.record.workspace, Marks::User, clock::now()).map_err(fault::of_store);
        let taken = self.at_rest(entry, take)?;
        self.state.put_snapshot(&taken.id, &entry.id, &entry.owner)?;
        Ok(Snapshot { id: taken.id, sandbox_id: entry.id.clone(), version: taken.version, created_at: taken.created })
    }

    /// Lists snapshots of a sandbox.
    pub fn list_snapshots(&self, entry: &Entry, page: &PageRequest) -> Result<Page<Snapshot>> {
        let found = self.vfs.snapshots(Some(&entry.known().record.workspace), page).map_err(fault::of_store)?;
        let shown = |taken: enclos_vfs::Snapshot| Snapshot {
            id: taken.id,
            sandbox_id: entry.id.clone(),
            version: taken.version,
            created_at: taken.created,
        };
        Ok(Page { items: found.items.into_iter().map(shown).collect(), next: found.next })
    }

    /// Checks that a snapshot is there and may be seen.
    fn check_snapshot(&self, caller: &Caller, id: &str) -> Result<()> {
        let known = if clock::is_id("sn", id) { self.state.snapshot(id)? } else { None };
        match known {
            Some((_, owner)) if may_see(caller, &owner) => Ok(()),
            _ => Err(AgentError::not_found("snapshot", id)),
        }
    }

    /// Puts a snapshot in place.
    pub fn put_snapshot_back(&self, caller: &Caller, entry: &Entry, snapshot: &str, endings: Endings) -> Result<Arc<Known>> {
        self.check_snapshot(caller, snapshot)?;
        let _turn = entry.turn()?;
        let known = entry.known();
        self.remade(entry, endings, || {
            let now = self.vfs.restore(&known.record.workspace, snapshot, Marks::User).map_err(fault::of_store)?;
            entry.growth().forget();
            entry.change(&self.state, |record| record.version = now.version)
        })?;
        Ok(entry.known())
    }

    /// Removes a snapshot.
    pub fn remove_snapshot(&self, caller: &Caller, id: &str) -> Result<()> {
        self.check_snapshot(caller, id)?;
        match self.vfs.delete_snapshot(id) {
            Ok(()) | Err(VfsError::Unknown { .. }) => self.state.remove_snapshot(id),
            Err(error) => Err(fault::of_store(error)),
        }
    }

    /// Makes a second sandbox of the same files.
    pub fn fork_entry(&self, caller: &Caller, entry: &Entry) -> Result<Arc<Entry>> {
        let share = self.quotas.take(&caller.name, super::quota::Counted::Sandboxes, self.settings.quota_sandboxes)?;
        let _turn = entry.turn()?;
        let known = entry.known();
        let created_at = clock::now();
        let fork = || self.vfs.fork(&known.record.workspace, Marks::User, created_at).map_err(fault::of_store);
        let workspace = self.at_rest(entry, fork)?;
        let lives = known.record.expires_at.map(|at| at.saturating_sub(known.record.created_at));
        let record = Sandbox {
            id: clock::new_id("sb")?,
            owner: caller.name.to_string(),
            workspace: workspace.id,
            version: workspace.version,
            status: Status::Stopped,
            problem: None,
            created_at,
            started_at: None,
            stopped_at: Some(created_at),
            expires_at: lives.map(|span| created_at.saturating_add(span)),
            ..known.record.clone()
        };
        let number = self.number();
        let made = Arc::new(Entry::new(number, record, share)?);
        made.save(&self.state)?;
        self.sandboxes.insert(number, &made.id, Arc::clone(&made));
        self.expire_later(&made);
        Ok(made)
    }
}
