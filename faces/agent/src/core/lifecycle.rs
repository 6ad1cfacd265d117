//! Starting, stopping, destroying.

use std::collections::BTreeMap;
use std::sync::Arc;

use enclos_host::tracing;
use enclos_sandbox::Workspace;
use enclos_vfs::{Leftover, Ownership, Rules, Writable};

use super::entry::{Entry, Known};
use super::images::Shown;
use super::life::{Born, Life};
use super::quota::Counted;
use super::{Inner, clock, fault, policy};
use crate::api::{AgentError, Endings, Result};
use crate::state::{Sandbox, Status};

/// Why a sandbox is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody asked.
    Asked,
    /// Its time has come.
    Expired,
    /// The server ends.
    Leaving,
}

impl Inner {
    /// Brings a sandbox to life.
    pub fn start_entry(&self, entry: &Entry) -> Result<Arc<Known>> {
        let _turn = entry.turn()?;
        if entry.life().is_some() {
            return Err(AgentError::AlreadyRunning);
        }
        let life = Arc::new(self.bear(entry)?);
        self.keep(entry, &life);
        entry.set_life(Some(life));
        let known = entry.change(&self.state, |record| {
            record.status = Status::Running;
            record.problem = None;
            record.started_at = Some(clock::now());
        })?;
        Ok(known)
    }

    /// Makes its namespaces on its workspace.
    pub fn bear(&self, entry: &Entry) -> Result<Life> {
        let known = entry.known();
        let share = self.quotas.take(&entry.owner, Counted::Living, self.settings.sandboxes)?;
        let root = known.record.image.as_deref().map(|name| self.root(name)).transpose()?;
        let policy = policy::policy(&known.record, root.as_ref().map(Shown::path), &self.settings);
        let mut workspace = self.workspace(&known)?;
        workspace.lasting = !entry.is_passing();
        let sandbox = self.templates.sandbox(&policy, &workspace)?;
        self.figures.life();
        if known.record.status == Status::Pending {
            self.starts_empty(entry);
        }
        let env = self.env(&known.record, root.as_ref());
        Ok(Life::new(sandbox, Born { env, root, share, upper: workspace.upper }))
    }

    /// Variables of every command: those of the image, and over them the sandbox's own.
    pub(super) fn env(&self, record: &Sandbox, root: Option<&Shown>) -> BTreeMap<String, String> {
        let of_image = root.into_iter().flat_map(Shown::env).map(|(name, value)| (name.to_owned(), value.to_owned()));
        of_image.chain(record.env.clone()).collect()
    }

    /// What is mounted for a sandbox.
    fn workspace(&self, known: &Known) -> Result<Workspace> {
        let record = &known.record;
        let layers = self.vfs.layers(&record.workspace, &known.rules, self.ownership).map_err(fault::of_store)?;
        let mut workspace = Workspace::new(layers.lower, layers.upper, layers.work);
        if self.ownership == Ownership::One {
            // Owners cannot tell what may be written, so the second wall must.
            let writable = self.writable(record, &known.rules)?;
            let all = writable.whole.iter().chain(&writable.files).chain(&writable.open);
            workspace.writable = Some(all.map(|path| path.as_path().to_owned()).collect());
        }
        Ok(workspace)
    }

    /// Where commands may write, for a server that has one id for everything.
    ///
    /// # Errors
    /// Rules that cannot be held then, unless that is allowed.
    pub(super) fn writable(&self, record: &Sandbox, rules: &Rules) -> Result<Writable> {
        let version = self.vfs.version(&record.codebase, Some(record.version)).map_err(fault::of_store)?;
        let writable = self.vfs.writable(&version.tree, rules).map_err(fault::of_store)?;
        match &writable.exposed {
            Some(path) if !self.settings.best_effort => Err(AgentError::Unsupported(format!(
                "permissions: {path} is shown and protected in a directory that may be written, which a server that is no root cannot hold inside: \
                 run it as root, let all of the directory be written or none, or allow it by agent.best-effort (commits hold it back all the same)"
            ))),
            _ => Ok(writable),
        }
    }

    /// Ends every process of a sandbox.
    pub fn stop_entry(&self, entry: &Entry, why: Why) -> Result<Arc<Known>> {
        let _turn = entry.turn()?;
        let Some(life) = entry.life() else { return Err(AgentError::NotRunning) };
        self.take_life(entry, &life);
        if why == Why::Asked {
            self.publish_ended(entry);
        }
        entry.change(&self.state, |record: &mut Sandbox| {
            record.status = Status::Stopped;
            record.stopped_at = Some(clock::now());
        })
    }

    /// Ends what lives of a sandbox, sessions first in the words of their commands.
    pub fn take_life(&self, entry: &Entry, life: &Life) {
        let _ = life.close(false);
        entry.set_life(None);
        life.end();
        if !entry.is_passing() {
            self.let_go(&entry.id);
        }
        for session in entry.sessions() {
            session.lost(&self.state);
            self.let_go(&session.id);
        }
    }

    /// Ends a sandbox and removes it. Its files go in the background.
    pub fn destroy_entry(self: &Arc<Self>, entry: &Arc<Entry>, _why: Why) -> Result<()> {
        let _turn = entry.last_turn()?;
        let life = entry.life();
        if let Some(life) = &life {
            self.take_life(entry, life);
            self.publish_ended(entry);
        }
        self.sandboxes.remove(entry.number, &entry.id);
        for session in entry.sessions() {
            self.sessions.remove(session.number, &session.id);
        }
        entry.forget(&self.state)?;
        let leftover = self.vfs.delete_workspace(&entry.known().record.workspace).map_err(fault::of_store)?;
        self.clear_away(entry, life.as_deref(), leftover);
        Ok(())
    }

    /// Has what is left of a workspace removed, or kept for the next where that is worth waiting for its end.
    fn clear_away(&self, entry: &Entry, life: Option<&Life>, leftover: Leftover) {
        let top = life.filter(|_| entry.is_passing()).and_then(|life| life.workspace().ok());
        let leftover = match top {
            None => Some(leftover),
            Some(top) => self.ends.push(top, leftover),
        };
        let Some(leftover) = leftover else { return };
        self.later.push(move || {
            if let Err(error) = leftover.remove() {
                // The next start tries again.
                tracing::warn!(%error, "a workspace could not be removed");
            }
        });
    }

    /// Ends what runs so that something else can be put in its place, and does that; what ran before runs again on it. The caller has the turn.
    pub fn remade<T>(&self, entry: &Entry, endings: Endings, act: impl FnOnce() -> Result<T>) -> Result<T> {
        entry.lasting()?;
        let Some(life) = entry.life() else { return act() };
        let open = entry.sessions().iter().filter(|session| !session.is_closed(&self.state)).count();
        if !life.close(endings == Endings::Refuse) {
            let running = life.commands();
            return Err(AgentError::Precondition(format!(
                "{running} commands and sessions run in it ({open} sessions), and this would end them: end them first, or allow it"
            )));
        }
        self.take_life(entry, &life);
        drop(life);
        let done = act();
        match self.bear(entry) {
            Ok(life) => {
                let life = Arc::new(life);
                self.keep(entry, &life);
                entry.set_life(Some(life));
            }
            Err(error) => {
                tracing::error!(sandbox = entry.id, %error, "a sandbox could not be made anew");
                entry.change(&self.state, |record| {
                    record.status = Status::Error;
                    record.problem = Some(format!("it could not be made anew: {error}"));
                    record.stopped_at = Some(clock::now());
                })?;
            }
        }
        done
    }
}
