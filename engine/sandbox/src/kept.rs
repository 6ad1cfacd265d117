//! Sandboxes that outlive the process which made them: kept by whoever holds their descriptors, adopted by another process.
//!
//! ```text
//!   server ──keep──► record and descriptors ──► keeper          the server is killed: nothing in the sandbox notices
//!                                                 │
//!   next server ◄──────────────adopt──────────────┘
//! ```
//!
//! A sandbox lives while its control socket is held, its slot and its launcher while theirs are; its range of ids is held by its init; its control group is no leftover
//! while its directory is held.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use enclos_cgroup::{ControllerSet, Group, KeptNode, Limits, Name, Version};
use enclos_spec::PolicyError;
use enclos_spec::plan::Plan;
use rustix::net::SendFlags;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::command::tree;
use crate::error::{Error, Failure, Result, Stage};
use crate::forkserver::pid_of;
use crate::init::message::END_REQUEST;
use crate::launch::idmap::errno_of;
use crate::plan::Planned;
use crate::probe::Facts;
use crate::sandbox::{Life, Sandbox};
use crate::watch::is_readable;

/// What must be known of a sandbox to go on with it, beside its descriptors. To be stored, not to be looked into.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Of this record's form.
    schema: u32,
    planned: Planned,
    generation: u32,
    /// What the descriptors are, in order.
    held: Vec<Held>,
    group: Option<KeptGroup>,
}

/// Raised when a record of an earlier program cannot be read as one of this.
const SCHEMA: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Held {
    /// The control socket.
    Control,
    /// Init's pidfd.
    Init,
    /// The merged workspace.
    Workspace,
    /// A directory of its control group.
    Group,
    /// The slot's socket, or the launcher's: they end with it.
    Maker,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptGroup {
    name: String,
    memory: Option<u64>,
    nodes: Vec<KeptDirectory>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptDirectory {
    v2: bool,
    controllers: u8,
    path: PathBuf,
}

/// What an adopted sandbox is held by.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub facts: Facts,
    pub planned: Planned,
    pub group: Option<Group>,
    pub control: OwnedFd,
    pub pidfd: OwnedFd,
    pub pid: Pid,
    /// Slot, launcher, control group.
    others: Vec<OwnedFd>,
}

impl Sandbox {
    /// Everything by which another process can go on with this sandbox ([`Sandbox::adopt`]): a record, and the descriptors that keep it alive. Nothing in it ends while
    /// somebody holds them, whatever becomes of this process; so do not lose track of them. Commands that run then run on; of the end of one hears who holds its [`crate::Ending`].
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub fn keep(&self) -> Result<(Kept, Vec<OwnedFd>)> {
        let inner = &self.inner;
        let mut held = Vec::new();
        let mut descriptors = Vec::new();
        let mut add = |kind: Held, descriptor: OwnedFd| {
            held.push(kind);
            descriptors.push(descriptor);
        };
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), "kept sandbox"));
        add(Held::Control, copy(inner.control())?);
        add(Held::Init, copy(inner.pidfd())?);
        if let Some(workspace) = &inner.workspace {
            add(Held::Workspace, copy(workspace)?);
        }
        let group = match inner.group().filter(|group| !group.is_nowhere()) {
            None => None,
            Some(group) => {
                if let Some(directory) = group.keep()? {
                    add(Held::Group, directory);
                }
                let directory = |node: KeptNode| KeptDirectory {
                    v2: node.version == Version::V2,
                    controllers: node.controllers.bits(),
                    path: node.path,
                };
                let nodes = group.kept_nodes().into_iter().map(directory).collect();
                let memory = inner.planned().limits.memory.map(|limit| limit.value);
                Some(KeptGroup { name: group.name().as_str().to_owned(), memory, nodes })
            }
        };
        match &inner.life {
            Life::Cold(_) => {}
            Life::Warm(warm) => {
                if let Some(slot) = warm.born.slot_socket() {
                    add(Held::Maker, copy(slot)?);
                }
                add(Held::Maker, warm.template.launcher_socket()?);
            }
            Life::Adopted(adopted) => {
                for other in &adopted.others {
                    add(Held::Maker, copy(other)?);
                }
            }
        }
        let planned = after_set_up(inner.planned());
        Ok((Kept { schema: SCHEMA, planned, generation: inner.generation, held, group }, descriptors))
    }

    /// Goes on with a sandbox that another process has kept. If it was frozen it is thawed.
    ///
    /// # Errors
    /// A record that is none of ours, or does not fit its descriptors; a sandbox that has ended ([`Error::InitLost`]); a control group that is gone. The sandbox ends then,
    /// unless somebody else holds its descriptors too.
    pub fn adopt(kept: Kept, descriptors: Vec<OwnedFd>) -> Result<Sandbox> {
        let wrong = |value: &str, wanted: &str| Error::from(PolicyError::value("kept sandbox", value, wanted));
        if kept.schema != SCHEMA {
            return Err(wrong(&format!("schema {}", kept.schema), &format!("this program reads schema {SCHEMA}")));
        }
        if kept.held.len() != descriptors.len() {
            return Err(wrong(&format!("{} descriptors", descriptors.len()), &format!("its record names {}", kept.held.len())));
        }
        let (mut control, mut pidfd, mut workspace, mut others) = (None, None, None, Vec::new());
        for (kind, descriptor) in kept.held.iter().zip(descriptors) {
            match kind {
                Held::Control => control = Some(descriptor),
                Held::Init => pidfd = Some(descriptor),
                Held::Workspace => workspace = Some(descriptor),
                Held::Group | Held::Maker => others.push(descriptor),
            }
        }
        let (Some(control), Some(pidfd)) = (control, pidfd) else {
            return Err(wrong("no control socket or no pidfd", "keep all that Sandbox::keep gave"));
        };
        let ended = || Error::InitLost("the kept sandbox has ended meanwhile".to_owned());
        if is_readable(&pidfd, Duration::ZERO) {
            return Err(ended());
        }
        let pid = pid_of(&pidfd).ok_or_else(ended)?;
        let group = kept.group.map(adopt_group).transpose()?;
        if let Some(group) = &group {
            // Whoever froze it cannot say any more that it may go on.
            let _ = group.thaw();
        }
        let facts = Facts::probe()?;
        let adopted = Adopted { facts, planned: kept.planned, group, control, pidfd, pid, others };
        let sandbox = Sandbox::in_generation(Life::Adopted(Box::new(adopted)), workspace, kept.generation.wrapping_add(1));
        if sandbox.inner.group().is_none() {
            // The same where it was stopped process by process, init with the rest.
            tree::wake(&sandbox.inner);
        }
        Ok(sandbox)
    }
}

/// What of a plan matters once it has been carried out: who the command is, what confines it, and its limits.
fn after_set_up(planned: &Planned) -> Planned {
    let plan = &planned.plan;
    Planned {
        plan: Plan {
            namespaces: plan.namespaces,
            identity: plan.identity.clone(),
            loopback: plan.loopback,
            capabilities: plan.capabilities.clone(),
            lock_securebits: plan.lock_securebits,
            seccomp: plan.seccomp.clone(),
            landlock: plan.landlock.clone(),
            cpus: plan.cpus.clone(),
            ..Plan::default()
        },
        limits: planned.limits.clone(),
        environment: planned.environment.clone(),
        directories: planned.directories.clone(),
        weakened: planned.weakened.clone(),
        identity: planned.identity.clone(),
        lease: None,
    }
}

fn adopt_group(kept: KeptGroup) -> Result<Group> {
    let name = Name::parse(&kept.name)
        .ok_or_else(|| PolicyError::value("kept sandbox", &kept.name, "a control group of ours is named enclos-PID-START-PIDNS-N"))?;
    let nodes = kept.nodes.into_iter().map(|node| KeptNode {
        version: if node.v2 { Version::V2 } else { Version::V1 },
        controllers: ControllerSet::from_bits(node.controllers),
        path: node.path,
    });
    Ok(Group::adopt(&name, &Limits { memory: kept.memory, ..Limits::default() }, nodes.collect())?)
}

/// How long an ending sandbox is waited for before its control group is removed.
const PATIENCE: Duration = Duration::from_secs(2);

impl Adopted {
    /// Ends it. It is no child of this process, so there is nobody to be waited for.
    pub fn end(&self) {
        let _ = rustix::net::send(&self.control, &END_REQUEST, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        let _ = enclos_sys::signal::send(self.pidfd.as_fd(), Signal::KILL.as_raw());
    }

    /// Removes its control group when it has ended, in the background.
    pub fn retire(&mut self) {
        let (Some(group), Ok(pidfd)) = (self.group.take(), self.pidfd.try_clone()) else { return };
        let others = std::mem::take(&mut self.others);
        let remove = move || {
            is_readable(&pidfd, PATIENCE);
            // Dropping a group removes it.
            drop((group, others));
        };
        // Without a thread the group is dropped here, with what was to be done, and that too removes it.
        let _ = std::thread::Builder::new().name("enclos-retire".to_owned()).spawn(remove);
    }
}
