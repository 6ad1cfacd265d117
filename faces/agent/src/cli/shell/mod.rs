//! `enclos agent shell`: a sandbox on a copy of a directory, without a server.
//!
//! Theory of operation: the whole agent face runs in this process, on a directory of its own that is gone at the end; the sandboxes come from a
//! launcher that is started first, while there is one thread. The directory is copied into the face's store as version 1 of a codebase. The shell,
//! or the command, runs in a sandbox on that version; what it changed becomes version 2; and what of it is wanted is brought back
//! ([`super::keep`]), against version 1. The directory itself is never shown to the sandbox.
//!
//! Signals that end programs are read from a descriptor, so that the terminal is always put back and the sandbox always ends.

mod changes;
mod command;
mod copy;
pub mod terminal;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_host::settings::Settings as Configuration;
use enclos_sandbox::Launcher;
use enclos_sandbox::spec::exit;
use rustix::fs::{Mode, OFlags};

use super::arguments::{Accept, Shell};
use super::{say, state};
use crate::LocalAgent;
use crate::api::{Agent, Caller, NewCodebase, NewSandbox};
use crate::image::{Images, Root};
use crate::settings;
use changes::Decision;

/// A command that names no time may run for this long: the user sits in front of it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How what ran has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With this status.
    Exited(u8),
    /// At its time.
    TimedOut,
    /// By a signal to us.
    Told(i32),
    /// Whoever sat at the terminal is gone.
    HungUp,
}

/// Runs it; gives the exit code.
///
/// # Errors
/// One line.
pub fn run(wanted: &Shell, launcher: impl FnOnce() -> Result<Launcher, enclos_sandbox::Error>) -> Result<u8, String> {
    let shown = wanted.directory.display().to_string();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(&wanted.directory, flags, Mode::empty()).map_err(|errno| format!("{shown}: {errno}"))?;
    let launcher = launcher().map_err(|error| error.to_string())?;
    // Before any thread, so that none of them is where a signal goes.
    let signals = terminal::signals()?;
    let base = state::server(wanted.state.as_deref())?;
    let home = base.join("agent-shell");
    let private = state::Private::make(&home).or_else(|line| match wanted.state {
        Some(_) => Err(line),
        None => state::Private::make(&std::env::temp_dir().join(format!("enclos-{}", rustix::process::geteuid().as_raw()))),
    })?;
    // Held to the end, so that nobody removes it meanwhile.
    let image = match &wanted.image {
        None => None,
        Some(name) => Some(Images::open(&base.join("agent")).and_then(|images| images.root(name)).map_err(|error| error.to_string())?),
    };
    let agent = LocalAgent::open(settings(wanted, private.path(), image.as_ref())?, launcher, None).map_err(|error| error.to_string())?;
    let caller = Caller { name: Arc::from("shell"), operator: true };
    let ended = Session { wanted, agent: &agent, caller, image: image.as_ref() }.run(&directory, &shown, &home, &signals);
    agent.leave();
    drop((agent, private));
    ended
}

/// The face's settings: its defaults, and what only whoever sits at this machine may have.
fn settings(wanted: &Shell, private: &Path, image: Option<&Root>) -> Result<settings::Settings, String> {
    let groups: Vec<_> = settings::GROUPS.to_vec();
    let configuration = Configuration::read(&groups, "", &[])
        .map_err(|errors| errors.first().map_or_else(|| "the settings cannot be read".to_owned(), ToString::to_string))?;
    let mut own = settings::of(&configuration, private.join("agent"));
    own.keep_on_exit = false;
    own.host_network = true;
    // No server waits behind what runs here.
    own.cpu_shares = None;
    own.best_effort = wanted.best_effort;
    (own.timeout, own.most_timeout) = (LONGEST, LONGEST);
    own.most.memory = u64::MAX;
    own.most.processes = u64::from(u32::MAX);
    own.most.disk = u64::MAX;
    own.images = image.map(|root| (root.record().name.clone(), root.path().to_owned())).into_iter().collect();
    Ok(own)
}

struct Session<'a> {
    wanted: &'a Shell,
    agent: &'a LocalAgent,
    caller: Caller,
    image: Option<&'a Root>,
}

impl Session<'_> {
    fn run(&self, directory: &OwnedFd, shown: &str, home: &Path, signals: &OwnedFd) -> Result<u8, String> {
        let told = |error: crate::api::AgentError| error.to_string();
        let new = NewCodebase { name: shown.chars().take(80).collect(), owner_id: "shell".to_owned() };
        let codebase = self.agent.create_codebase(&self.caller, &new).map_err(told)?.id;
        let version = copy::copy(self.agent, &self.caller, &codebase, directory, home)?;
        let new = NewSandbox {
            codebase_id: Some(codebase.clone()),
            rules: self.wanted.rules.clone(),
            image: self.wanted.image.clone(),
            resources: self.wanted.resources.clone(),
            network: self.wanted.network,
            env: self.env(),
            ..NewSandbox::default()
        };
        let sandbox = self.agent.create_sandbox(&self.caller, &new).map_err(told)?.id;
        self.agent.start(&self.caller, &sandbox).map_err(told)?;
        let deadline = self.wanted.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let end = if interactive { self.on_terminal(&sandbox, signals, deadline) } else { self.piped(&sandbox, signals) }?;
        self.agent.stop(&self.caller, &sandbox).map_err(told)?;
        let decision = match (self.wanted.accept, end) {
            (Some(Accept::All), _) => Decision::All,
            (Some(Accept::None), _) => Decision::None,
            (None, End::HungUp | End::Told(_)) => Decision::Aside,
            (None, _) if interactive => Decision::Ask,
            (None, _) => Decision::Unasked,
        };
        let made = changes::Made { agent: self.agent, caller: &self.caller, codebase: &codebase, sandbox: &sandbox, version };
        let whole = made.settle(directory, home, decision)?;
        Ok(match end {
            _ if !whole => exit::FAILURE,
            End::Exited(code) => code,
            End::TimedOut => {
                say("it was ended at its time (--timeout)");
                exit::SIGNAL_BASE + 9
            }
            End::Told(signal) => exit::SIGNAL_BASE + signal as u8,
            End::HungUp => exit::SIGNAL_BASE + 1,
        })
    }

    /// What the image's maker wants, and over it what was asked for.
    fn env(&self) -> BTreeMap<String, String> {
        let of_image = self.image.into_iter().flat_map(|root| &root.record().env).filter_map(|word| word.split_once('='));
        let mut env: BTreeMap<String, String> = of_image.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.extend(self.wanted.env.clone());
        env
    }

    /// The shell: what was asked for, else bash where there is one.
    fn shell(&self) -> String {
        let bash = self.wanted.image.is_none() && Path::new("/bin/bash").exists();
        self.wanted.shell.clone().unwrap_or_else(|| if bash { "/bin/bash" } else { "/bin/sh" }.to_owned())
    }
}
