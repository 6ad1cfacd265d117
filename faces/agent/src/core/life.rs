//! What lives of a sandbox: its namespaces, its init, and the count of what runs in it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use enclos_sandbox::{Child, Command, Kept, Sandbox};

use super::fault;
use super::images::Shown;
use super::quota::Share;
use crate::api::{AgentError, Evidence, Result};

/// A living sandbox.
#[derive(Debug)]
pub struct Life {
    sandbox: Mutex<Option<Sandbox>>,
    env: std::collections::BTreeMap<String, String>,
    handle: Sandbox,
    commands: AtomicU64,
    /// It ends: nothing new is started in it.
    ending: AtomicBool,
    /// Processes that the kernel has killed at the memory limit, as far as somebody was told.
    out_of_memory: AtomicU64,
    /// What is told when the workspace holds too much.
    stops: Mutex<Vec<Arc<Stop>>>,
    /// Where its changes are.
    upper: PathBuf,
    /// One call at a time stops and looks.
    still: Mutex<()>,
    /// Its image is not removed meanwhile.
    _root: Option<Shown>,
    _share: Share,
}

/// One command of a life, counted until it is dropped.
#[derive(Debug)]
pub struct Running(Arc<Life>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.commands.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How one command is told that the workspace holds too much.
#[derive(Debug)]
struct Stop {
    hit: OnceLock<Evidence>,
    waker: OwnedFd,
}

/// A command that can be told; until it is dropped.
#[derive(Debug)]
pub struct Stoppable {
    life: Arc<Life>,
    stop: Arc<Stop>,
}

impl Stoppable {
    /// What it was told.
    #[must_use]
    pub fn hit(&self) -> Option<&Evidence> {
        self.stop.hit.get()
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        self.life.lock_stops().retain(|stop| !Arc::ptr_eq(stop, &self.stop));
    }
}

/// What a life is made from, but for the sandbox.
#[derive(Debug)]
pub struct Born {
    /// Variables of every command.
    pub env: std::collections::BTreeMap<String, String>,
    /// Its image, which is not removed meanwhile.
    pub root: Option<Shown>,
    /// Counts it.
    pub share: Share,
    /// Where its changes are.
    pub upper: PathBuf,
}

impl Life {
    /// Of this sandbox.
    #[must_use]
    pub fn new(sandbox: Sandbox, born: Born) -> Life {
        let Born { env, root, share, upper } = born;
        Life {
            stops: Mutex::default(),
            upper,
            handle: sandbox.clone(),
            env,
            _root: root,
            sandbox: Mutex::new(Some(sandbox)),
            commands: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            out_of_memory: AtomicU64::new(0),
            still: Mutex::default(),
            _share: share,
        }
    }

    /// A command to run in it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.handle.command(program);
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command
    }

    /// What it takes for another process to go on with it; `None`: it has ended.
    pub fn keep(&self) -> Option<(Kept, Vec<OwnedFd>)> {
        if self.ending.load(Ordering::Acquire) {
            return None;
        }
        self.handle.keep().ok()
    }

    /// Counts one more command.
    ///
    /// # Errors
    /// [`AgentError::Quota`]; [`AgentError::NotRunning`] when it ends.
    pub fn begin(self: &Arc<Self>, most: u64) -> Result<Running> {
        let before = self.commands.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(self));
        if before >= most {
            return Err(AgentError::Quota { what: "commands and sessions of one sandbox at once".to_owned(), limit: most });
        }
        if self.ending.load(Ordering::Acquire) {
            return Err(AgentError::NotRunning);
        }
        Ok(running)
    }

    /// Whether the kernel has killed more at the memory limit than was known: `seen` in all.
    pub fn more_out_of_memory(&self, seen: u64) -> bool {
        self.out_of_memory.fetch_max(seen, Ordering::AcqRel) < seen
    }

    /// Commands and sessions that run.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Acquire)
    }

    /// From now on nothing new is started. `false`: something runs, and `refuse` was said; then nothing changes.
    #[must_use]
    pub fn close(&self, refuse: bool) -> bool {
        self.ending.store(true, Ordering::Release);
        if refuse && self.commands() > 0 {
            self.ending.store(false, Ordering::Release);
            return false;
        }
        true
    }

    /// Does something while nothing in it runs.
    ///
    /// # Errors
    /// What it returns; [`AgentError::Unsupported`] where processes cannot be stopped.
    pub fn stilled<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let _one = self.still.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.freeze().map_err(|error| fault::of_engine(&error))?;
        let done = act();
        if let Err(error) = self.handle.thaw() {
            // It stays frozen: nothing of it runs any more, and it can only be ended.
            return Err(fault::of_engine(&error));
        }
        done
    }

    fn lock_stops(&self) -> MutexGuard<'_, Vec<Arc<Stop>>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a command told when the workspace holds too much. `waker`: an event descriptor it waits for.
    pub fn stoppable(self: &Arc<Self>, waker: OwnedFd) -> Stoppable {
        let stop = Arc::new(Stop { hit: OnceLock::new(), waker });
        self.lock_stops().push(Arc::clone(&stop));
        Stoppable { life: Arc::clone(self), stop }
    }

    /// Tells every command that runs, lets `warn` tell shells, and kills everything in it but its init and these processes of the host. No command begins meanwhile,
    /// and none that was told comes to its end: the next one would be killed without having been told.
    pub fn stop_commands(&self, hit: &Evidence, warn: impl FnOnce(), spared: &[u32]) {
        let stops = self.lock_stops();
        for stop in stops.iter() {
            let _ = stop.hit.set(hit.clone());
            // One that has been woken before is awake.
            let _ = rustix::io::write(&stop.waker, &1u64.to_ne_bytes());
        }
        warn();
        // An error means that it is gone.
        let _ = self.handle.kill_but(spared);
    }

    /// The host's numbers of what runs in it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.handle.processes().unwrap_or_default()
    }

    /// Where its changes are.
    #[must_use]
    pub fn upper(&self) -> &Path {
        &self.upper
    }

    /// Kills a command and everything it started.
    pub fn kill_tree(&self, child: &Child) {
        // An error means that it is gone.
        let _ = child.kill_tree();
    }

    /// Its mounted workspace.
    ///
    /// # Errors
    /// When it has none.
    pub fn workspace(&self) -> Result<BorrowedFd<'_>> {
        self.handle.workspace().ok_or_else(|| AgentError::Unsupported("this sandbox has no workspace".to_owned()))
    }

    /// Does something to files as this user and group inside would.
    ///
    /// # Errors
    /// Ids that this server may not take.
    pub fn with_ids<T>(&self, uid: u32, gid: u32, act: impl FnOnce() -> T) -> Result<T> {
        self.handle.with_ids(uid, gid, act).map_err(|error| fault::of_engine(&error))
    }

    /// The host's number of user 0 inside; the others follow it.
    #[must_use]
    pub fn first_id(&self) -> Option<u32> {
        self.handle.host_ids_of(0, 0).map(|(uid, _)| uid)
    }

    /// Kills everything in it; what is left of it is taken away in the background.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
        let sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sandbox) = sandbox {
            sandbox.end();
        }
    }
}
