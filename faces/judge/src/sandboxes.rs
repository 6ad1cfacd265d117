//! Warm sandboxes: one template for each policy, kept while it is used, and sandboxes parked ahead of demand.
//!
//! Limits are part of a policy, so jobs with the same limits share a template. The least recently used one goes when there are too many.
//! Parking happens in a thread of its own, off the path of a request.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Command, Error, Launcher, Template};

/// Templates by policy.
#[derive(Debug)]
pub struct Sandboxes {
    launcher: Launcher,
    kept: Mutex<Vec<Kept>>,
    most: usize,
    refill: SyncSender<Template>,
}

#[derive(Debug)]
struct Kept {
    policy: Policy,
    template: Template,
}

/// Asks for a sandbox to be parked in the place of the one that was taken.
#[derive(Debug)]
#[must_use = "without it the next command of this policy waits for its sandbox"]
pub struct Refill<'a> {
    queue: &'a SyncSender<Template>,
    /// `None`: the policy was never used before, and may never be again.
    template: Option<Template>,
}

impl Refill<'_> {
    /// Call it when the command has started.
    pub fn ask(self) {
        if let Some(template) = self.template {
            // A full queue means that the parking thread is behind: it has enough to do.
            let _ = self.queue.try_send(template);
        }
    }
}

impl Sandboxes {
    /// Made by `launcher`, at most `most` templates, each with up to `parked` sandboxes ahead of demand.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(launcher: Launcher, most: usize, parked: usize) -> std::io::Result<Sandboxes> {
        let (refill, wanted) = sync_channel(64);
        std::thread::Builder::new().name("judge-park".to_owned()).spawn(move || park(&wanted, parked))?;
        Ok(Sandboxes { launcher, kept: Mutex::new(Vec::new()), most: most.max(1), refill })
    }

    /// A command in a fresh sandbox of this policy.
    ///
    /// # Errors
    /// A policy that cannot be enforced here.
    pub fn command(&self, policy: &Policy, program: &str) -> Result<(Command, Refill<'_>), Error> {
        let (template, repeated) = self.template(policy)?;
        let command = template.command(program);
        Ok((command, Refill { queue: &self.refill, template: repeated.then_some(template) }))
    }

    /// Makes the template of a policy that will be wanted.
    ///
    /// # Errors
    /// A policy that cannot be enforced here.
    pub fn prepare(&self, policy: &Policy) -> Result<(), Error> {
        self.template(policy).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The template, and whether it was there before.
    fn template(&self, policy: &Policy) -> Result<(Template, bool), Error> {
        if let Some(template) = self.known(policy) {
            return Ok((template, true));
        }
        // Not under the lock: others need not wait for this one.
        let template = self.launcher.template(policy)?;
        let mut kept = self.lock();
        if let Some(other) = kept.iter().find(|kept| kept.policy == *policy) {
            return Ok((other.template.clone(), true));
        }
        let gone = (kept.len() >= self.most).then(|| kept.remove(0));
        kept.push(Kept { policy: policy.clone(), template: template.clone() });
        drop(kept);
        // Its end waits for its sandboxes; not under the lock either.
        drop(gone);
        Ok((template, false))
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

fn park(wanted: &Receiver<Template>, parked: usize) {
    while let Ok(template) = wanted.recv() {
        let missing = parked.saturating_sub(template.parked());
        // A failure here shows again, and is told, when a command wants the sandbox.
        let _ = template.park(missing);
    }
}
