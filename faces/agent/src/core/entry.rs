//! One sandbox: what is known of it, and what lives of it.
//!
//! Three locks, each for one thing. `known` and `life` are held for the copy of a pointer, so that whoever reads waits for nobody. `turn` is held by
//! the one call that may start, stop, change or remove the sandbox, for as long as that takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use enclos_vfs::Rules;

use super::growth::Growth;
use super::life::Life;
use super::quota::Share;
use crate::api::{AgentError, Result};
use crate::session::Session;
use crate::state::{Sandbox, State};

/// What is known of a sandbox; never changed, only replaced.
#[derive(Debug)]
pub struct Known {
    /// As it is kept.
    pub record: Sandbox,
    /// Its rules, compiled.
    pub rules: Arc<Rules>,
}

/// One sandbox.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the order.
    pub number: u64,
    /// `sb_…`.
    pub id: String,
    /// Who made it.
    pub owner: String,
    known: RwLock<Arc<Known>>,
    life: RwLock<Option<Arc<Life>>>,
    turn: Mutex<()>,
    sessions: Mutex<Vec<Arc<Session>>>,
    /// Something ran since the workspace was published.
    unpublished: AtomicBool,
    /// It is being removed, or is.
    gone: AtomicBool,
    /// It ends with the call that made it: no record outlives this process, and no keeper has it.
    passing: bool,
    growth: Growth,
    _share: Share,
}

impl Entry {
    /// From what is kept.
    ///
    /// # Errors
    /// Rules that make no sense.
    pub fn new(number: u64, record: Sandbox, share: Share) -> Result<Entry> {
        Self::made(number, record, share, false)
    }

    /// Of a sandbox that ends with the call that makes it. What a killed server leaves of it, its workspace, is removed at the next start.
    ///
    /// # Errors
    /// As for [`Entry::new`].
    pub fn passing(number: u64, record: Sandbox, share: Share) -> Result<Entry> {
        Self::made(number, record, share, true)
    }

    fn made(number: u64, record: Sandbox, share: Share, passing: bool) -> Result<Entry> {
        let rules = compile(&record)?;
        Ok(Entry {
            number,
            id: record.id.clone(),
            owner: record.owner.clone(),
            known: RwLock::new(Arc::new(Known { record, rules })),
            life: RwLock::default(),
            turn: Mutex::default(),
            sessions: Mutex::default(),
            unpublished: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            passing,
            growth: Growth::default(),
            _share: share,
        })
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the right to change it.
    ///
    /// # Errors
    /// It is removed meanwhile.
    pub fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gone.load(Ordering::Acquire) {
            return Err(AgentError::not_found("sandbox", self.id.clone()));
        }
        Ok(turn)
    }

    /// The same, and from then on nobody else gets it.
    ///
    /// # Errors
    /// Somebody else removes it.
    pub fn last_turn(&self) -> Result<MutexGuard<'_, ()>> {
        let turn = self.turn()?;
        self.gone.store(true, Ordering::Release);
        Ok(turn)
    }

    /// Changes what is known, in the records first. The caller has the turn.
    ///
    /// # Errors
    /// The records'.
    pub fn change(&self, state: &State, change: impl FnOnce(&mut Sandbox)) -> Result<Arc<Known>> {
        let was = self.known();
        let mut record = was.record.clone();
        change(&mut record);
        let rules = if record.rules == was.record.rules { Arc::clone(&was.rules) } else { compile(&record)? };
        self.record(state, &record)?;
        let now = Arc::new(Known { record, rules });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&now);
        Ok(now)
    }

    /// Writes down what is known of it.
    ///
    /// # Errors
    /// The records'.
    pub fn save(&self, state: &State) -> Result<()> {
        self.record(state, &self.known().record)
    }

    /// Removes that again.
    ///
    /// # Errors
    /// The records'.
    pub fn forget(&self, state: &State) -> Result<()> {
        if self.passing { Ok(()) } else { state.remove_sandbox(&self.id) }
    }

    fn record(&self, state: &State, record: &Sandbox) -> Result<()> {
        if self.passing { Ok(()) } else { state.put_sandbox(self.number, record) }
    }

    /// How much of its workspace it uses.
    pub fn growth(&self) -> &Growth {
        &self.growth
    }

    /// Whether it ends with the call that made it.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// Refuses what is only for one that goes on.
    ///
    /// # Errors
    /// [`AgentError::Precondition`] for one that ends with the call that made it.
    pub fn lasting(&self) -> Result<()> {
        if !self.passing {
            return Ok(());
        }
        Err(AgentError::Precondition("it runs one command and ends with it: make a sandbox of its own for this".to_owned()))
    }

    /// What lives of it.
    pub fn life(&self) -> Option<Arc<Life>> {
        self.life.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What lives of it, for a call that needs it.
    ///
    /// # Errors
    /// [`AgentError::NotRunning`].
    pub fn living(&self) -> Result<Arc<Life>> {
        self.life().ok_or(AgentError::NotRunning)
    }

    /// Brings it to life, or takes its life. The caller has the turn.
    pub fn set_life(&self, life: Option<Arc<Life>>) -> Option<Arc<Life>> {
        std::mem::replace(&mut *self.life.write().unwrap_or_else(PoisonError::into_inner), life)
    }

    /// Its sessions, closed ones too.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.lock_sessions().clone()
    }

    /// Adds a session.
    pub fn add_session(&self, session: Arc<Session>) {
        self.lock_sessions().push(session);
    }

    fn lock_sessions(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something runs in it, or wrote into it.
    pub fn touch(&self) {
        self.unpublished.store(true, Ordering::Release);
    }

    /// Whether something ran since this was asked last.
    pub fn take_touched(&self) -> bool {
        self.unpublished.swap(false, Ordering::AcqRel)
    }
}

fn compile(record: &Sandbox) -> Result<Arc<Rules>> {
    Rules::new(&record.rules).map(Arc::new).map_err(|bad| rule_fault(&record.rules, &bad))
}

/// A rule that cannot be, by its place in the list.
#[must_use]
pub fn rule_fault(rules: &[enclos_vfs::Rule], bad: &enclos_vfs::RuleError) -> AgentError {
    match rules.iter().position(|rule| bad.pattern == rule.pattern || rule.pattern.starts_with(&bad.pattern)) {
        Some(at) => AgentError::invalid(format!("permissions[{at}].pattern"), format!("{:?}: {}", bad.pattern, bad.why)),
        None => AgentError::invalid("permissions", format!("{:?}: {}", bad.pattern, bad.why)),
    }
}
