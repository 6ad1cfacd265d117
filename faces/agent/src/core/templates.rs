//! Warm sandboxes: one template for each policy, the least recently used one goes when there are too many.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Launcher, Sandbox, Template, Workspace};

use super::fault;
use crate::api::Result;

/// Sandboxes parked ahead of demand, for a policy that was used before.
const AHEAD: usize = 4;

/// Templates by policy.
#[derive(Debug)]
pub struct Templates {
    launcher: Launcher,
    most: usize,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    policy: Policy,
    template: Template,
}

impl Templates {
    /// Made by `launcher`, at most `most`.
    pub fn new(launcher: Launcher, most: usize) -> Templates {
        Templates { launcher, most: most.max(1), kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox of this policy with this workspace.
    ///
    /// # Errors
    /// A policy that this host cannot hold; a workspace that cannot be mounted.
    pub fn sandbox(&self, policy: &Policy, workspace: &Workspace) -> Result<Sandbox> {
        self.template(policy)?.sandbox(Some(workspace)).map_err(|error| fault::of_engine(&error))
    }

    fn template(&self, policy: &Policy) -> Result<Template> {
        if let Some(template) = self.known(policy) {
            // A second call changes nothing; the first one costs whoever comes second, and nobody after.
            template.park_ahead(AHEAD).map_err(|error| fault::of_engine(&error))?;
            return Ok(template);
        }
        // Not under the lock: others need not wait for this one.
        let at = Path::new(Workspace::AT);
        let template = self.launcher.living_template(policy, Some(at)).map_err(|error| fault::of_engine(&error))?;
        let mut kept = self.lock();
        if let Some(other) = kept.iter().find(|kept| kept.policy == *policy) {
            return Ok(other.template.clone());
        }
        let gone = (kept.len() >= self.most).then(|| kept.remove(0));
        kept.push(Kept { policy: policy.clone(), template: template.clone() });
        drop(kept);
        // Its end takes a while; not under the lock either.
        drop(gone);
        Ok(template)
    }

    /// Most recently used last.
    fn known(&self, policy: &Policy) -> Option<Template> {
        let mut kept = self.lock();
        let index = kept.iter().position(|kept| kept.policy == *policy)?;
        let found = kept.remove(index);
        let template = found.template.clone();
        kept.push(found);
        Some(template)
    }
}
