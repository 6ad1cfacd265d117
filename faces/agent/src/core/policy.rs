//! From what a caller asks for to the policy of the engine.

use std::path::Path;

use enclos_sandbox::Command;
use enclos_sandbox::spec::{Bound, CpuQuota, Net, Policy, Size};

use super::fault;
use crate::api::{AgentError, Network, NewSandbox, Resources, Result, Runtime};
use crate::exec::WORKSPACE;
use crate::settings::Settings;
use crate::state::Sandbox;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Limits that hold: what was asked for, else the server's own.
///
/// # Errors
/// More than the server's most, nothing at all, or what this engine cannot hold.
pub fn limits(asked: &Resources, settings: &Settings) -> Result<Resources> {
    let (usual, most) = (&settings.limits, &settings.most);
    let choose = |field: &str, asked: Option<u64>, usual: u64, most: u64, least: u64| match asked {
        None => Ok(Some(usual)),
        Some(asked) if asked > most => Err(AgentError::invalid(format!("resources.{field}"), format!("{asked}: {most} is the most"))),
        Some(asked) if asked < least => Err(AgentError::invalid(format!("resources.{field}"), format!("{asked}: {least} is the least"))),
        Some(asked) => Ok(Some(asked)),
    };
    let optional = |field: &str, asked: Option<u64>, least: u64, most: u64| match asked {
        None => Ok(None),
        Some(_) => choose(field, asked, least, most, least),
    };
    Ok(Resources {
        memory_bytes: choose("memory_bytes", asked.memory_bytes, usual.memory, most.memory, 1 << 20)?,
        pids_limit: choose("pids_limit", asked.pids_limit, usual.processes, most.processes, 2)?,
        disk_bytes: choose("disk_bytes", asked.disk_bytes, usual.disk, most.disk, 64 << 10)?,
        workspace_bytes: choose("workspace_bytes", asked.workspace_bytes, usual.workspace, most.workspace, 4096)?,
        // Held in thousandths of a CPU; what is said to hold is what does.
        cpu_quota: optional("cpu_quota", asked.cpu_quota, 1000, 1_000_000_000)?.map(|quota| quota.div_ceil(100) * 100),
        cpu_shares: optional("cpu_shares", asked.cpu_shares, 2, 262_144)?,
    })
}

/// Settings that ask for no weight where the host has no controller for it: it is no limit that anybody asked for.
///
/// # Errors
/// A weight that is none.
pub fn weighed(settings: Settings) -> Result<Settings> {
    let Some(shares) = settings.cpu_shares else { return Ok(settings) };
    let policy = Policy { cpu_shares: Some(shares), ..Policy::default() };
    match Command::new("true").policy(&policy).explain() {
        Ok(_) => Ok(settings),
        Err(enclos_sandbox::Error::Unenforceable { field: "cpu-shares", .. }) => Ok(Settings { cpu_shares: None, ..settings }),
        Err(error) => Err(fault::of_engine(&error)),
    }
}

/// The image that a sandbox names; `None`: the host's system directories.
///
/// # Errors
/// A runtime and an image that do not fit.
pub fn image(new: &NewSandbox) -> Result<Option<&str>> {
    match (new.runtime, new.image.as_deref().filter(|image| !image.is_empty())) {
        (Runtime::Bwrap, Some(name)) => {
            Err(AgentError::invalid("image", format!("{name:?}: an image needs the runtime docker, or no word about the runtime")))
        }
        (Runtime::Docker, None) => Err(AgentError::invalid("image", "the runtime docker needs an image")),
        (_, name) => Ok(name),
    }
}

/// The policy of a sandbox. Its own variables are not in it: they come with each command, so that sandboxes which differ in nothing else share a
/// template.
#[must_use]
pub fn policy(record: &Sandbox, root: Option<&Path>, settings: &Settings) -> Policy {
    let usual = [("PATH".to_owned(), PATH.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())];
    let cpus = |quota: u64| Bound::At(CpuQuota(quota / 100));
    let size = |bytes: Option<u64>| bytes.map(|bytes| Bound::At(Size(bytes)));
    Policy {
        root: root.map(Path::to_owned),
        workdir: Some(WORKSPACE.into()),
        env: usual.into(),
        net: match record.network() {
            Network::None => Net::None,
            Network::Loopback => Net::Loopback,
            Network::Host => Net::Host,
        },
        memory: size(record.limits.memory),
        disk: size(record.limits.disk),
        file_size: size(record.limits.workspace),
        processes: record.limits.processes.map(Bound::At),
        cpu_quota: record.limits.cpu_quota.map(cpus),
        cpu_shares: record.limits.cpu_shares.or(settings.cpu_shares),
        open_files: Some(Bound::At(settings.open_files)),
        best_effort: settings.best_effort,
        ..Policy::default()
    }
}
