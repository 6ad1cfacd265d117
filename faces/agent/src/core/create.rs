//! Making a sandbox.

use std::sync::Arc;

use enclos_vfs::{Preset, Rules};

use super::entry::{Entry, rule_fault};
use super::quota::Counted;
use super::{Inner, clock, fault, policy};
use crate::api::{AgentError, Caller, Network, NewSandbox, Result};
use crate::exec::check_env;
use crate::state::{Sandbox, Status, network_word, runtime_word};

/// Most labels, and most bytes of them.
const MOST_LABELS: usize = 64;
const MOST_LABEL_BYTES: usize = 16 << 10;

impl Inner {
    /// Makes a sandbox; nothing runs yet. `passing`: it ends with this call.
    pub fn create(&self, caller: &Caller, new: &NewSandbox, passing: bool) -> Result<Arc<Entry>> {
        let record = self.record(caller, new)?;
        let share = self.quotas.take(&caller.name, Counted::Sandboxes, self.settings.quota_sandboxes)?;
        let workspace = if passing && !record.named {
            self.vfs.create_passing(&record.codebase, new.version, &record.owner, record.created_at)
        } else {
            self.vfs.create_workspace(&record.codebase, new.version, record.created_at)
        };
        let workspace = workspace.map_err(fault::of_store)?;
        let record = Sandbox { workspace: workspace.id.clone(), version: workspace.version, ..record };
        let number = self.number();
        let make = if passing { Entry::passing } else { Entry::new };
        let made = make(number, record, share).and_then(|entry| entry.save(&self.state).map(|()| entry));
        let entry = match made {
            Ok(entry) => Arc::new(entry),
            Err(error) => {
                // What is left of it is removed at the next start.
                drop(self.vfs.delete_workspace(&workspace.id));
                return Err(error);
            }
        };
        self.sandboxes.insert(number, &entry.id, Arc::clone(&entry));
        self.expire_later(&entry);
        Ok(entry)
    }

    /// What is kept of a sandbox, but for its workspace.
    fn record(&self, caller: &Caller, new: &NewSandbox) -> Result<Sandbox> {
        let codebase = match new.codebase_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => {
                self.check_codebase(caller, id)?;
                id.to_owned()
            }
            None => self.nowhere.clone(),
        };
        let named = codebase != self.nowhere;
        if !named && new.version.is_some() {
            return Err(AgentError::invalid("version", "a version needs a codebase"));
        }
        let rules = if named || !new.rules.is_empty() { new.rules.clone() } else { Preset::FullAccess.rules() };
        Rules::new(&rules).map_err(|bad| rule_fault(&rules, &bad))?;
        check_labels(&new.labels)?;
        check_env("env", &new.env)?;
        if new.network == Network::Host && !self.settings.host_network {
            return Err(AgentError::Unsupported("network: this server lets no sandbox on the host's network".to_owned()));
        }
        if let Some(name) = policy::image(new)? {
            self.root(name)?;
        }
        let limits = policy::limits(&new.resources, &self.settings)?;
        let created_at = clock::now();
        Ok(Sandbox {
            id: clock::new_id("sb")?,
            owner: caller.name.to_string(),
            workspace: String::new(),
            codebase,
            named,
            version: 0,
            rules,
            labels: new.labels.clone(),
            env: new.env.clone(),
            runtime: runtime_word(new.runtime).to_owned(),
            image: new.image.clone().filter(|image| !image.is_empty()),
            limits: (&limits).into(),
            network: network_word(new.network).to_owned(),
            shared: new.shared && named,
            status: Status::Pending,
            problem: None,
            created_at,
            started_at: None,
            stopped_at: None,
            expires_at: self.expiry(created_at, new.expires_in_ms, true)?,
        })
    }

    /// When a life that is asked for ends. `usual`: without a word the server's own holds.
    pub fn expiry(&self, from: i64, asked: Option<u64>, usual: bool) -> Result<Option<i64>> {
        let milliseconds = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let most = self.settings.most_expiry.map(milliseconds);
        let span = match asked {
            Some(asked) => Some(asked),
            None if usual => self.settings.expiry.map(milliseconds),
            None => None,
        };
        match (span, most) {
            (Some(0), _) => Err(AgentError::invalid("expires_in", "0: it must be more")),
            (Some(span), Some(most)) if span > most => Err(AgentError::invalid("expires_in", format!("{span} ms: {most} ms is the most"))),
            (None, Some(most)) => Err(AgentError::invalid("expires_in", format!("never: {most} ms is the most"))),
            (None, None) => Ok(None),
            (Some(span), _) => Ok(Some(from.saturating_add(i64::try_from(span).unwrap_or(i64::MAX)))),
        }
    }
}

fn check_labels(labels: &std::collections::BTreeMap<String, String>) -> Result<()> {
    if labels.len() > MOST_LABELS {
        return Err(AgentError::invalid("labels", format!("{} labels: {MOST_LABELS} are the most", labels.len())));
    }
    if labels.keys().any(String::is_empty) {
        return Err(AgentError::invalid("labels", "\"\": a label has a name"));
    }
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_LABEL_BYTES {
        return Err(AgentError::invalid("labels", format!("{bytes} bytes: {MOST_LABEL_BYTES} are the most")));
    }
    Ok(())
}
