//! Who holds each limit on this host. A limit that nobody can hold is refused, or weakened where the policy says `best-effort`.

use std::time::Duration;

use enclos_cgroup::{Controller, Limits as GroupLimits, Meters, Version};
use enclos_spec::plan::{Resource, Rlimit};
use enclos_spec::{Bound, CpuQuota, Policy, Size};
use serde::{Deserialize, Serialize};

use super::Wants;
use crate::error::{Error, Result};
use crate::probe::Facts;

/// Bytes of everything writable and private together, unless the policy says otherwise.
pub const DEFAULT_DISK: Size = Size::mib(1024);
/// Inodes of the same.
pub const DEFAULT_INODES: u64 = 262_144;
/// Processes and threads.
pub const DEFAULT_PROCESSES: u64 = 4096;

/// Who holds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A control group's controller.
    Cgroup,
    /// A resource limit of the process.
    Rlimit,
}

/// A limit and who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold<T> {
    /// How much.
    pub value: T,
    /// Who.
    pub by: By,
}

/// Every limit, resolved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resolved {
    /// Wall clock.
    pub wall: Option<Duration>,
    /// Longest time without output and CPU use.
    pub idle: Option<Duration>,
    /// CPU time of the tree.
    pub cpu: Option<Duration>,
    /// Bytes on each output stream.
    pub output: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<Hold<u64>>,
    /// Processes and threads (of the command: init is not counted here).
    pub processes: Option<Hold<u64>>,
    /// Bytes of everything writable and private.
    pub disk: Option<u64>,
    /// Inodes of the same.
    pub inodes: Option<u64>,
    /// Largest file.
    pub file_size: Option<u64>,
    /// CPU time of the tree, in thousandths of a CPU.
    pub cpu_quota: Option<u64>,
    /// Weight of the tree against others.
    pub cpu_shares: Option<u64>,
    /// What the control group is asked for; `None`: none is needed.
    #[serde(skip)]
    pub group: Option<GroupLimits>,
}

/// Resolves.
pub fn resolve(policy: &Policy, facts: &Facts, wants: Wants<'_>, weakened: &mut Vec<String>) -> Result<Resolved> {
    let span = |bound: Option<Bound<enclos_spec::Span>>| bound.and_then(Bound::value).map(|span| span.0);
    let size = |bound: Option<Bound<Size>>| bound.and_then(Bound::value).map(Size::bytes);
    for (field, bound) in [("wall", policy.wall), ("cpu", policy.cpu), ("idle", policy.idle)] {
        if span(bound).is_some_and(|s| s.is_zero()) {
            return Err(enclos_spec::PolicyError::value(field, "0", "write more than zero, or unlimited").into());
        }
    }
    if let Some(Bound::At(0)) = policy.processes {
        return Err(enclos_spec::PolicyError::value("processes", "0", "write at least 1: the command itself is one").into());
    }
    let mut group = GroupLimits::default();
    let memory = match size(policy.memory) {
        None => None,
        Some(value) => Some(memory(value, policy, facts, &mut group, weakened)?),
    };
    let processes = processes(policy, facts, &mut group);
    let (cpu_quota, cpu_shares) = cpu_time(policy, facts, &mut group, weakened)?;
    let cpu = span(policy.cpu);
    if cpu.is_some() && facts.cgroups.place(Controller::CpuAcct).is_err() {
        weakened.push(
            "cpu: no control group counts it here; it is read from the processes, which misses children that their parent never waits for"
                .to_owned(),
        );
    }
    group.meters = meters(wants.measure, cpu.is_some() || span(policy.idle).is_some(), &group, facts);
    group.freeze = wants.living && facts.cgroups.place(Controller::Freezer).is_ok();
    let needed = group != GroupLimits::default();
    Ok(Resolved {
        wall: span(policy.wall),
        idle: span(policy.idle),
        cpu,
        output: size(policy.output),
        memory,
        processes,
        disk: match policy.disk {
            None => Some(DEFAULT_DISK.bytes()),
            Some(bound) => bound.value().map(Size::bytes),
        },
        inodes: match policy.inodes {
            None => Some(DEFAULT_INODES),
            Some(bound) => bound.value(),
        },
        file_size: size(policy.file_size),
        cpu_quota: cpu_quota.map(|quota| quota.0),
        cpu_shares,
        group: needed.then_some(group),
    })
}

/// The resource limits that a policy's limits come to. `open_files`: where the policy says nothing.
pub fn rlimits(policy: &Policy, facts: &Facts, limits: &Resolved, open_files: Option<u64>) -> Vec<Rlimit> {
    let mut out = Vec::new();
    let mut push = |resource, value| out.push(Rlimit { resource, value });
    let open_files = match policy.open_files {
        None => open_files,
        Some(bound) => bound.value(),
    };
    if let Some(value) = open_files {
        push(Resource::OpenFiles, facts.open_files_limit.map_or(value, |hard| value.min(hard)));
    }
    if let Some(Bound::At(size)) = policy.file_size {
        push(Resource::FileSize, size.bytes());
    }
    if let Some(Bound::At(size)) = policy.stack {
        push(Resource::Stack, size.bytes());
    }
    if let Some(span) = limits.cpu {
        // The backstop for a single process, should the watch be gone; whole seconds, rounded up, and one more.
        push(Resource::Cpu, span.as_secs() + 2);
    }
    if let Some(Hold { value, by: By::Rlimit }) = limits.processes {
        push(Resource::Processes, value);
    }
    if let Some(Hold { value, by: By::Rlimit }) = limits.memory {
        push(Resource::AddressSpace, value);
    }
    out
}

/// What the group measures beside its limits. On a host whose v2 tree has the controllers one directory measures everything, and the sandbox is born in it: worth having
/// for a report. Where a v1 hierarchy has them each costs a directory and a move, for which the kernel stops all clones and exits of the machine
/// (`cgroup_threadgroup_rwsem`: milliseconds on a busy one): only a limit is worth that. CPU time alone needs no group: init waits for the whole pid namespace.
fn meters(measure: bool, cpu_needed: bool, group: &GroupLimits, facts: &Facts) -> Meters {
    let on_v2 =
        |controller| !facts.cgroups.is_on_v1(controller) && facts.cgroups.place(controller).is_ok_and(|place| place.version == Version::V2);
    let limited = group.memory.is_some() || group.pids.is_some() || cpu_needed;
    Meters {
        cpu: cpu_needed || (measure && (limited || on_v2(Controller::Memory))),
        memory: measure && (group.memory.is_some() || on_v2(Controller::Memory)),
        pids: measure && (group.pids.is_some() || on_v2(Controller::Pids)),
    }
}

/// Nothing but the controller can slow a tree down, or let it go first.
fn cpu_time(
    policy: &Policy,
    facts: &Facts,
    group: &mut GroupLimits,
    weakened: &mut Vec<String>,
) -> Result<(Option<CpuQuota>, Option<u64>)> {
    let (mut quota, mut shares) = (policy.cpu_quota.and_then(Bound::value), policy.cpu_shares);
    if let Some(shares) = shares.filter(|shares| !(2..=262_144).contains(shares)) {
        return Err(enclos_spec::PolicyError::value("cpu-shares", &shares.to_string(), "write a number from 2 to 262144").into());
    }
    if let Err(missing) = facts.cgroups.place(Controller::Cpu) {
        for (field, asked) in [("cpu-quota", quota.is_some()), ("cpu-shares", shares.is_some())] {
            if asked && policy.best_effort {
                weakened.push(format!("{field}: {missing}; not held"));
            } else if asked {
                let missing = format!("{missing} (`enclos doctor` names the remedy; --best-effort does without)");
                return Err(Error::Unenforceable { field, missing });
            }
        }
        (quota, shares) = (None, None);
    }
    (group.cpu_quota, group.cpu_shares) = (quota.map(CpuQuota::usec_per_period), shares);
    Ok((quota, shares))
}

fn memory(value: u64, policy: &Policy, facts: &Facts, group: &mut GroupLimits, weakened: &mut Vec<String>) -> Result<Hold<u64>> {
    const LEAST: u64 = 1 << 20;
    if value < LEAST {
        return Err(enclos_spec::PolicyError::value("memory", &Size(value).to_string(), "write at least 1MiB").into());
    }
    match facts.cgroups.place(Controller::Memory) {
        Ok(_) => {
            group.memory = Some(value);
            Ok(Hold { value, by: By::Cgroup })
        }
        Err(missing) if policy.best_effort => {
            weakened.push(format!("memory: {missing}; held by RLIMIT_AS instead: address space of each process, not memory of the tree"));
            Ok(Hold { value, by: By::Rlimit })
        }
        Err(missing) => Err(Error::Unenforceable {
            field: "memory",
            missing: format!("{missing} (`enclos doctor` names the remedy; --best-effort takes RLIMIT_AS for each process instead)"),
        }),
    }
}

/// Without a pids controller `RLIMIT_NPROC` holds the same bound: in a user namespace of its own the kernel counts this user's
/// processes there alone (`user_namespaces(7)`, since Linux 5.14).
fn processes(policy: &Policy, facts: &Facts, group: &mut GroupLimits) -> Option<Hold<u64>> {
    match policy.processes {
        Some(Bound::Unlimited) => None,
        None => Some(Hold { value: DEFAULT_PROCESSES, by: By::Rlimit }),
        Some(Bound::At(value)) => {
            if facts.cgroups.place(Controller::Pids).is_ok() {
                // Init is in the group too.
                group.pids = Some(value.saturating_add(1));
                Some(Hold { value, by: By::Cgroup })
            } else {
                Some(Hold { value, by: By::Rlimit })
            }
        }
    }
}
