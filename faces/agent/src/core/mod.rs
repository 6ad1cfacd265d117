//! The core of the face: everything behind the seam.
//!
//! ```text
//!   call ──► visible? (owner) ──► entry ──► turn, if it changes something ──► store, engine ──► records ──► audit
//! ```
//!
//! - [`entry`], [`table`]: what is known and what lives, in memory. - [`life`]: a living sandbox. - [`templates`]: warm ones. - [`policy`]: limits.
//! - [`create`], [`lifecycle`]: made, started, stopped, destroyed. - [`codebases`], [`changes`], [`sharing`]: versions and what goes into them.
//! - [`later`], [`ends`]: what nobody waits for. - [`expiry`]: the one timer. - [`growth`], [`nameless`]: how much is written. - [`quota`]: how much one caller has. - [`fault`]: faults in the words of the seam.

mod agent;
mod archives;
mod changes;
pub mod clock;
mod codebases;
mod create;
mod ends;
pub mod entry;
mod expiry;
pub mod fault;
mod growth;
mod images;
mod import;
mod inside;
mod keeping;
pub mod later;
pub mod life;
mod lifecycle;
mod nameless;
mod policy;
pub mod quota;
mod sharing;
mod table;
mod templates;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use enclos_cas::Quota;
use enclos_host::tracing;
use enclos_sandbox::Launcher;
use enclos_vfs::{By, Limits, Ownership, Vfs};

use crate::api::{AgentError, Caller, Cancel, Exec, NewSandbox, NoWatcher, Result};
use crate::audit::Audit;
use crate::figures::Figures;
use crate::image::Images;
use crate::keeper::Keeper;
use crate::session::Session;
use crate::settings::Settings;
use crate::state::{self, State, Status};
use ends::Ends;
use entry::Entry;
use later::Later;
use quota::{Counted, Quotas};
use table::Table;
use templates::Templates;

pub(crate) use inside::refused;

/// The agent face on this host.
#[derive(Clone, Debug)]
pub struct LocalAgent {
    inner: Arc<Inner>,
}

/// What all its threads share.
#[derive(Debug)]
pub(crate) struct Inner {
    settings: Settings,
    state: State,
    vfs: Vfs,
    templates: Templates,
    sandboxes: Table<Entry>,
    sessions: Table<Session>,
    /// Whose a codebase is.
    codebases: RwLock<HashMap<String, Codebase>>,
    images: Images,
    opened_at: i64,
    quotas: Arc<Quotas>,
    next_number: AtomicU64,
    figures: Figures,
    audit: Arc<Audit>,
    /// Sandboxes without a codebase stand on this one, which nobody sees.
    nowhere: String,
    timer: expiry::Timer,
    ground: growth::Ground,
    later: Later,
    ends: Ends,
    keeper: Option<Keeper>,
    ownership: Ownership,
}

/// A codebase and whose it is.
#[derive(Debug)]
struct Codebase {
    owner: Arc<str>,
    _share: quota::Share,
}

/// The note under which the codebase of those without one is kept.
const NOWHERE: &str = "nowhere";

impl LocalAgent {
    /// Opens the directory of the face and takes up what it knows. `launcher`: where sandboxes come from; it may outlive this
    /// process, so it serves nothing else. `keeper`: the program whose `keep PATH` is [`crate::keeper::serve`]; without it, and where the settings say so,
    /// sandboxes end with this process.
    ///
    /// # Errors
    /// A directory that cannot be opened, or that another process has open.
    pub fn open(settings: Settings, launcher: Launcher, keeper: Option<&Path>) -> Result<LocalAgent> {
        let settings = policy::weighed(settings)?;
        let privileged = rustix::process::geteuid().is_root();
        let at = settings.state.clone();
        make_directory(&at)?;
        let quota = Quota { bytes: settings.store, ..Quota::default() };
        let limits = Limits {
            codebases_per_owner: u64::MAX >> 1,
            bytes: settings.codebase_bytes,
            files: settings.codebase_files,
            ..Limits::default()
        };
        let vfs = Vfs::open(at.join("store"), quota, limits).map_err(fault::of_store)?;
        let state = State::open(&at.join("agent.sqlite"))?;
        let nowhere = nowhere(&vfs, &state)?;
        let images = Images::open(&at).map_err(|error| fault::internal("the images", &error))?;
        let audit = Audit::open(settings.audit.as_deref()).map_err(|error| AgentError::Internal(format!("agent.audit: {error}")))?;
        let templates = Templates::new(launcher, settings.templates);
        if !settings.keep_on_exit {
            Keeper::dismiss(&at.join("keeper.sock"));
        }
        let keeper = keeper.filter(|_| settings.keep_on_exit);
        let keeper = keeper.map(|program| Keeper::connect(&at.join("keeper.sock"), program, settings.keep)).transpose();
        let keeper = keeper.map_err(|error| AgentError::Internal(format!("the keeper of sandboxes could not be started: {error}")))?;
        let inner = Arc::new(Inner {
            templates,
            state,
            vfs,
            sandboxes: Table::default(),
            sessions: Table::default(),
            codebases: RwLock::default(),
            images,
            opened_at: clock::now(),
            quotas: Arc::default(),
            next_number: AtomicU64::new(1),
            figures: Figures::default(),
            audit: Arc::new(audit),
            nowhere,
            timer: expiry::Timer::default(),
            ground: growth::Ground::new(&at).map_err(|error| fault::internal("the directory of the state", &error))?,
            keeper,
            later: Later::start().map_err(|error| fault::internal("a thread", &error))?,
            ends: Ends::start().map_err(|error| fault::internal("a thread", &error))?,
            ownership: if privileged { Ownership::USUAL } else { Ownership::One },
            settings,
        });
        inner.take_up()?;
        expiry::start(&inner).map_err(|error| fault::internal("the timer's thread", &error))?;
        growth::start(&inner).map_err(|error| fault::internal("a thread", &error))?;
        Ok(LocalAgent { inner })
    }

    /// What it counts.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.inner.figures.clone()
    }

    /// Runs one command in a sandbox of its own.
    ///
    /// # Errors
    /// Why this host cannot.
    pub fn trial(&self) -> Result<()> {
        let caller = Caller { name: Arc::from("enclos"), operator: true };
        let exec = Exec { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), ": > tried".to_owned()], ..Exec::default() };
        let done = self.inner.run_once(&caller, &NewSandbox::default(), &exec, &Cancel::new(), &NoWatcher)?;
        match done.exit_code {
            0 => Ok(()),
            code => Err(AgentError::Unsupported(format!(
                "a command that only writes a file ended with {code}: {}",
                String::from_utf8_lossy(&done.stderr).trim()
            ))),
        }
    }

    /// Ends: what runs is ended, or left for the next server.
    pub fn leave(&self) {
        self.inner.timer.end();
        self.inner.ground.end();
        if self.inner.keeper.is_some() {
            return self.inner.hand_over();
        }
        for entry in self.inner.sandboxes.all() {
            if entry.life().is_some()
                && let Err(error) = self.inner.stop_entry(&entry, lifecycle::Why::Leaving)
            {
                tracing::warn!(sandbox = entry.id, %error, "a sandbox could not be stopped");
            }
        }
        self.inner.later.end();
        self.inner.ends.end();
        self.inner.state.checkpoint();
    }
}

impl Inner {
    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// The sandbox of this id, if the caller may see it.
    fn visible(&self, caller: &Caller, id: &str) -> Result<Arc<Entry>> {
        let entry = if clock::is_id("sb", id) { self.sandboxes.get(id) } else { None };
        entry.filter(|entry| may_see(caller, &entry.owner)).ok_or_else(|| AgentError::not_found("sandbox", id))
    }

    /// Whether the caller may see this codebase.
    fn check_codebase(&self, caller: &Caller, id: &str) -> Result<()> {
        let known = self.codebases.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(id) {
            Some(codebase) if may_see(caller, &codebase.owner) => Ok(()),
            _ => Err(AgentError::not_found("codebase", id)),
        }
    }

    /// Takes up what earlier servers left.
    fn take_up(self: &Arc<Self>) -> Result<()> {
        let mut last = 0;
        {
            let mut codebases = self.codebases.write().unwrap_or_else(PoisonError::into_inner);
            for (id, owner) in self.state.codebases()? {
                let share = self.quotas.take_any(&owner, Counted::Codebases);
                codebases.insert(id, Codebase { owner: owner.into(), _share: share });
            }
        }
        let mut kept = self.kept();
        let mut workspaces = std::collections::HashSet::new();
        for (number, mut record) in self.state.sandboxes()? {
            last = last.max(number);
            workspaces.insert(record.workspace.clone());
            let life = if record.status == Status::Running { self.adopt(&record, &mut kept) } else { None };
            if record.status == Status::Running && life.is_none() {
                record.status = Status::Error;
                record.problem = Some("the server ended and nobody kept it".to_owned());
                record.stopped_at = Some(clock::now());
                self.state.put_sandbox(number, &record)?;
            }
            let share = self.quotas.take_any(&record.owner, Counted::Sandboxes);
            let entry = Arc::new(Entry::new(number, record, share)?);
            entry.set_life(life);
            self.expire_later(&entry);
            self.sandboxes.insert(number, &entry.id.clone(), entry);
        }
        for (number, mut record) in self.state.sessions()? {
            last = last.max(number);
            let Some(entry) = self.sandboxes.get(&record.sandbox) else { continue };
            let adopted = if record.closed_at.is_none() { self.adopt_session(&entry, number, &record, &mut kept) } else { None };
            let session = match adopted {
                Some(session) => Arc::new(session),
                None => {
                    if record.closed_at.is_none() {
                        record.closed_at = Some(clock::now());
                        self.state.put_session(number, &record)?;
                    }
                    Arc::new(Session::closed(number, record, &entry.owner))
                }
            };
            entry.add_session(Arc::clone(&session));
            self.sessions.insert(number, &session.id.clone(), session);
        }
        self.next_number.store(last + 1, Ordering::Relaxed);
        if let Some(keeper) = &self.keeper {
            // Nobody knows them any more.
            kept.keys().for_each(|name| keeper.drop(name));
        }
        drop(kept);
        self.drop_unknown_workspaces(&workspaces)
    }

    /// Removes workspaces of sandboxes that nobody knows: their server was killed while it made or removed them.
    fn drop_unknown_workspaces(&self, known: &std::collections::HashSet<String>) -> Result<()> {
        let mut page = enclos_vfs::PageRequest { size: 1000, token: String::new() };
        loop {
            let found = self.vfs.workspaces(None, &page).map_err(fault::of_store)?;
            for workspace in found.items.iter().filter(|workspace| !known.contains(&workspace.id)) {
                if let Err(error) = self.vfs.delete_workspace(&workspace.id).and_then(enclos_vfs::workspace::Leftover::remove) {
                    tracing::warn!(%error, workspace = workspace.id, "a left workspace could not be removed");
                }
            }
            match found.next {
                Some(token) => page.token = token,
                None => return Ok(()),
            }
        }
    }
}

/// Whether a caller may see what belongs to somebody.
fn may_see(caller: &Caller, owner: &str) -> bool {
    caller.operator || *caller.name == *owner
}

fn by(author: &str) -> By<'_> {
    By { author, now: clock::now() }
}

/// The codebase of sandboxes that have none.
fn nowhere(vfs: &Vfs, state: &State) -> Result<String> {
    if let Some(id) = state.note(NOWHERE)?
        && vfs.codebase(&id).is_ok()
    {
        return Ok(id);
    }
    let made = vfs.create_codebase("nowhere", "enclos", clock::now()).map_err(fault::of_store)?;
    state.put_note(NOWHERE, &made.id)?;
    Ok(made.id)
}

fn make_directory(at: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(at);
    made.map_err(|error| AgentError::Internal(format!("agent.state: {}: {error}", at.display())))
}

/// What the records say of one sandbox that a caller may see.
fn shown(record: &state::Sandbox) -> crate::api::Sandbox {
    record.shown()
}
