//! From a policy and the host's facts to a plan: what will be done, in order, and who holds each limit.
//!
//! Pure but for the lease of an id range, which must be reserved before it can be named.

mod identity;
mod limits;
mod root;
mod set_id;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use enclos_spec::plan::{Capabilities, FilterSource, Init, Landlock, Namespaces, Plan, Resource, Rlimit};
use enclos_spec::{Net, Policy, Seccomp, Switch};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::probe::Facts;
use crate::probe::ids::Lease;
pub use limits::{By, Hold, Resolved};
pub(crate) use limits::{resolve, rlimits as asked_rlimits};

/// Home of the command's user.
pub const HOME: &str = "/home/enclos";
/// Name of the command's user.
pub const USER: &str = "enclos";
/// Default user and group id inside.
pub const DEFAULT_ID: u32 = 1000;

/// A plan with everything the launcher and the watch need beside it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Planned {
    /// What the child does.
    pub plan: Plan,
    /// What the watch and the control group hold.
    pub limits: Resolved,
    /// Environment of the command.
    pub environment: Vec<(OsString, OsString)>,
    /// Directories to start in, in order of preference.
    pub directories: Vec<PathBuf>,
    /// What is weaker than asked, one line each.
    pub weakened: Vec<String>,
    /// How ids were chosen, in words.
    pub identity: String,
    /// Keeps the id range reserved.
    #[serde(skip)]
    pub lease: Option<Lease>,
}

/// What a front asks for beside the policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants<'a> {
    /// A private terminal.
    pub terminal: bool,
    /// Every meter, also where no limit needs it.
    pub measure: bool,
    /// The sandbox dies with the thread that makes it.
    pub die_with_thread: bool,
    /// A sandbox that lives: everything in it can be stopped and let go on, where the host can do that.
    pub living: bool,
    /// Where inside the overlay of a workspace is mounted.
    pub workspace: Option<&'a Path>,
}

/// Plans.
///
/// # Errors
/// A policy that makes no sense ([`Error::Policy`]), or one that this host cannot enforce ([`Error::Unenforceable`]).
pub fn plan(policy: &Policy, facts: &Facts, wants: Wants<'_>) -> Result<Planned> {
    check(policy, wants.workspace)?;
    let mut weakened = Vec::new();
    let chosen = identity::choose(policy, facts, wants.workspace.is_some(), &mut weakened)?;
    let limits = resolve(policy, facts, wants, &mut weakened)?;
    let shown = root::operations(policy, facts, wants, &chosen, &limits)?;
    let plan = Plan {
        namespaces: Namespaces {
            user: true,
            pid: true,
            net: policy.net != Net::Host,
            ipc: true,
            uts: true,
            cgroup: true,
            bound_counts: true,
            ..Namespaces::default()
        },
        identity: chosen.identity,
        ops: shown.ops,
        hostname: Some(policy.hostname.clone().unwrap_or_else(|| "enclos".to_owned())),
        loopback: policy.net == Net::Loopback,
        capabilities: Some(Capabilities { keep: Vec::new(), ambient: false, bound: true }),
        lock_securebits: true,
        seccomp: filters(&policy.seccomp)?,
        landlock: landlock(policy, facts, shown.writable, &mut weakened)?,
        rlimits: rlimits(policy, facts, &limits),
        cpus: policy.cpus.as_ref().map(|list| list.0.clone()).unwrap_or_default(),
        new_session: true,
        die_with_parent: wants.die_with_thread,
        init: Init::Reaper,
        hide_init: true,
        ..Plan::default()
    };
    Ok(Planned {
        plan,
        limits,
        environment: environment(policy, wants.terminal),
        directories: shown.directories,
        weakened,
        identity: chosen.words,
        lease: chosen.lease,
    })
}

/// Values that no host could make sense of.
fn check(policy: &Policy, workspace: Option<&Path>) -> Result<()> {
    let absolute = |field: &'static str, path: &Path| {
        if path.is_absolute() {
            Ok(())
        } else {
            Err(enclos_spec::PolicyError::value(field, &path.display().to_string(), "write an absolute path"))
        }
    };
    let lists = [("ro", &policy.ro), ("rw", &policy.rw), ("hide", &policy.hide), ("tmpfs", &policy.tmpfs), ("dev", &policy.dev)];
    for (field, paths) in lists {
        for path in paths {
            absolute(field, path)?;
        }
    }
    for (field, path) in [("root", &policy.root), ("workdir", &policy.workdir)] {
        if let Some(path) = path {
            absolute(field, path)?;
        }
    }
    // Shown whole, either would undo what the sandbox puts there itself.
    let shown =
        policy.ro.iter().map(|p| ("ro", p)).chain(policy.rw.iter().map(|p| ("rw", p))).chain(policy.tmpfs.iter().map(|p| ("tmpfs", p)));
    let shown = shown.chain(policy.bind.iter().map(|b| ("bind", &b.dst))).chain(policy.overlay.iter().map(|o| ("overlay", &o.path)));
    let shown = shown.chain(policy.current_directory.iter().map(|p| ("current-directory", p))).map(|(field, path)| (field, path.as_path()));
    if let Some(path) = workspace {
        absolute("workspace", path)?;
    }
    for (field, path) in shown.chain(workspace.map(|path| ("workspace", path))) {
        if path.parent().is_none() || path.starts_with("/proc") {
            let wanted = "the sandbox has its own; name directories below it (a whole root file system goes with root)";
            return Err(enclos_spec::PolicyError::value(field, &path.display().to_string(), wanted).into());
        }
    }
    if let Some(name) = &policy.hostname {
        let fine = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !fine {
            return Err(enclos_spec::PolicyError::value("hostname", name, "write 1 to 64 letters, digits, - or .").into());
        }
    }
    for (field, id) in [("uid", policy.uid), ("gid", policy.gid)] {
        if let Some(id) = id
            && id >= identity::SETUP_ID
        {
            return Err(enclos_spec::PolicyError::value(field, &id.to_string(), "write a number below 65533").into());
        }
    }
    for (key, value) in &policy.env {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            return Err(enclos_spec::PolicyError::value("env", key, "write NAME=VALUE without zero bytes").into());
        }
    }
    Ok(())
}

fn filters(seccomp: &Seccomp) -> Result<Vec<FilterSource>> {
    Ok(match seccomp {
        Seccomp::Default => vec![FilterSource::Default],
        Seccomp::Log => vec![FilterSource::Log],
        Seccomp::None => Vec::new(),
        Seccomp::File(path) => {
            let bytes = std::fs::read(path).map_err(|e| Error::Filter { path: path.clone(), message: e.to_string() })?;
            enclos_seccomp::Program::from_bytes(&bytes).map_err(|e| Error::Filter { path: path.clone(), message: e.to_string() })?;
            vec![FilterSource::Program(bytes)]
        }
    })
}

fn landlock(policy: &Policy, facts: &Facts, write: Vec<PathBuf>, weakened: &mut Vec<String>) -> Result<Option<Landlock>> {
    if policy.landlock == Switch::Off {
        return Ok(None);
    }
    if facts.landlock_abi == 0 {
        // The second wall is a default, not something asked for by name: its absence is told, the first wall stands.
        weakened.push("landlock: this kernel has none; mounts and namespaces alone confine the file system".to_owned());
        return Ok(None);
    }
    Ok(Some(Landlock { write, exact: Vec::new(), deny_tcp: policy.net == Net::None }))
}

fn rlimits(policy: &Policy, facts: &Facts, limits: &Resolved) -> Vec<Rlimit> {
    // Pending signals (timers among them) and message queues are counted for the user on the host too, whose other programs need theirs. 128 KiB: one queue of the
    // default size (mq_overview(7)).
    let fixed = [
        (Resource::Core, 0),
        (Resource::PendingSignals, 1024),
        (Resource::MessageQueue, 128 << 10),
        (Resource::RealTimePriority, 0),
        (Resource::Nice, 0),
    ];
    let fixed = fixed.into_iter().map(|(resource, value)| Rlimit { resource, value });
    fixed.chain(asked_rlimits(policy, facts, limits, Some(4096))).collect()
}

/// A clean environment: what every program expects, and what the policy says.
fn environment(policy: &Policy, terminal: bool) -> Vec<(OsString, OsString)> {
    let mut variables: std::collections::BTreeMap<OsString, OsString> = [
        ("HOME", HOME),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", USER),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SHELL", "/bin/sh"),
        ("USER", USER),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value.into()))
    .collect();
    if terminal {
        variables.insert("TERM".into(), "xterm".into());
    }
    variables.extend(policy.env.iter().map(|(key, value)| (key.into(), value.into())));
    variables.into_iter().collect()
}
