//! Shells that last.
//!
//! - [`driver`]: what a shell is told. - [`leader`]: the process of a session, and what it ends with. - [`shell`]: a shell that is alive, and one command in it. - [`tree`]: the processes below it, and their end.
//! - [`turns`]: who is next. - [`screen`]: a program with a terminal.
//!
//! A session whose shell has ended stays known, closed, with what the shell ended with, until its sandbox is destroyed.

mod driver;
mod leader;
mod screen;
mod shell;
mod tree;
mod turns;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::api::{AgentError, Cancel, ExecResult, NewSession, Result, Terminal, Verdict, Watcher};
use crate::audit::{About, Audit};
use crate::core::clock::now;
use crate::core::life::{Life, Running};
use crate::core::quota::Share;
use crate::exec::Limits;
use crate::keeper::Item;
use crate::state::{self, State};
use enclos_sandbox::Ending;
use leader::End;
use screen::Screen;
use shell::{Reins, Shell};
use turns::Turns;

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its place in the order.
    pub number: u64,
    /// `sess_…`.
    pub id: String,
    /// Its sandbox.
    pub sandbox: String,
    /// Whose it is.
    pub owner: String,
    known: RwLock<Arc<state::Session>>,
    turns: Turns,
    alive: Mutex<Option<Alive>>,
    reins: Mutex<Option<Reins>>,
    /// Where its end is written down; `None`: it has ended.
    audit: Option<Arc<Audit>>,
}

#[derive(Debug)]
struct Alive {
    what: What,
    _running: Running,
    _share: Share,
}

/// What lives of it.
#[derive(Debug)]
enum What {
    Shell(Box<Shell>),
    Screen(Box<Screen>),
}

impl Alive {
    /// What it has ended with, if it has.
    fn ended(&mut self) -> Option<End> {
        match &mut self.what {
            What::Shell(shell) => shell.ended(),
            What::Screen(screen) => screen.ended(),
        }
    }
}

impl Session {
    /// Starts one.
    ///
    /// # Errors
    /// A shell that is not there, or is none.
    pub fn start(number: u64, record: state::Session, owner: &str, start: Start<'_>) -> Result<Session> {
        let (what, reins) = match start.new.terminal {
            Some(size) => {
                let screen = Screen::start(start.life, start.new, size)?;
                let reins = screen.reins();
                (What::Screen(Box::new(screen)), reins)
            }
            None => {
                let shell = Shell::start(start.life, start.new, start.output)?;
                let reins = shell.reins();
                (What::Shell(Box::new(shell)), reins)
            }
        };
        let session = Session { audit: Some(start.audit), ..Session::closed(number, record, owner) };
        *session.reins.lock().unwrap_or_else(PoisonError::into_inner) = Some(reins);
        *session.lock() = Some(Alive { what, _running: start.running, _share: start.share });
        Ok(session)
    }

    /// What it takes for another server to go on with it; `None`: it has ended.
    pub fn keep(&self) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let alive = self.lock();
        let ((pid, mut descriptors), ending) = match &alive.as_ref()?.what {
            What::Shell(shell) => (shell.keep()?, shell.ending()),
            What::Screen(screen) => (screen.keep()?, screen.ending()),
        };
        let mut record = pid.to_string();
        if let Some((id, replies)) = ending.map(Ending::into_parts) {
            record.push_str(&format!(" {id}"));
            descriptors.push(replies);
        }
        Some((record.into_bytes(), descriptors))
    }

    /// Goes on with one that another server has kept; `None`: there is nothing to go on with.
    pub fn adopt(number: u64, record: state::Session, owner: &str, adopted: Adopted<'_>) -> Option<Session> {
        let Adopted { life, item, output, running, share, audit } = adopted;
        let mut numbers = std::str::from_utf8(&item.record).ok()?.split(' ');
        let (pid, mut descriptors) = (numbers.next()?.parse().ok()?, item.descriptors);
        // Earlier servers kept no word of its end.
        let ending = match numbers.next() {
            Some(id) => Some(Ending::new(id.parse().ok()?, descriptors.pop()?)),
            None => None,
        };
        let (what, reins) = if record.terminal {
            let screen = Screen::adopt(life, pid, descriptors, ending)?;
            let reins = screen.reins();
            (What::Screen(Box::new(screen)), reins)
        } else {
            let shell = Shell::adopt(life, pid, descriptors, ending, output)?;
            let reins = shell.reins();
            (What::Shell(Box::new(shell)), reins)
        };
        let session = Session { audit: Some(audit), ..Session::closed(number, record, owner) };
        *session.reins.lock().unwrap_or_else(PoisonError::into_inner) = Some(reins);
        *session.lock() = Some(Alive { what, _running: running, _share: share });
        Some(session)
    }

    /// One whose shell has ended.
    #[must_use]
    pub fn closed(number: u64, record: state::Session, owner: &str) -> Session {
        Session {
            number,
            id: record.id.clone(),
            sandbox: record.sandbox.clone(),
            owner: owner.to_owned(),
            known: RwLock::new(Arc::new(record)),
            turns: Turns::default(),
            alive: Mutex::default(),
            reins: Mutex::default(),
            audit: None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Alive>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it. A shell that has ended meanwhile is noticed, unless a command runs in it, which notices.
    pub fn known(&self, state: &State) -> Arc<state::Session> {
        if let Ok(mut alive) = self.alive.try_lock()
            && let Some(code) = alive.as_mut().and_then(Alive::ended)
        {
            self.close(&mut alive, code, state);
        }
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it is closed.
    pub fn is_closed(&self, state: &State) -> bool {
        self.known(state).closed_at.is_some()
    }

    /// Runs a command in its shell.
    ///
    /// # Errors
    /// [`AgentError::SessionClosed`], [`AgentError::Cancelled`] before it began.
    pub fn run(&self, command: &str, limits: Limits, cancel: &Cancel, watcher: &dyn Watcher, state: &State) -> Result<ExecResult> {
        let _turn = self.turns.wait(cancel)?;
        let mut alive = self.lock();
        if let Some(code) = alive.as_mut().and_then(Alive::ended) {
            self.close(&mut alive, code, state);
        }
        let Some(living) = alive.as_mut() else { return Err(AgentError::SessionClosed) };
        let What::Shell(shell) = &mut living.what else {
            return Err(AgentError::Precondition("this session has a terminal: attach to it".to_owned()));
        };
        let mut ran = shell.run(command, limits, cancel, watcher)?;
        if self.reins.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            // Somebody has ended the session; what its processes say of that is no word of theirs.
            ran.result.verdict = Verdict::Lost;
        }
        if let Some(code) = ran.ended {
            self.close(&mut alive, code, state);
        }
        Ok(ran.result)
    }

    /// The host's number of its shell, or of the program with its terminal; `None`: it has ended.
    pub fn leader(&self) -> Option<u32> {
        let reins = self.reins.lock().unwrap_or_else(PoisonError::into_inner);
        reins.as_ref().filter(|reins| !reins.has_ended()).map(|reins| reins.process().0.unsigned_abs())
    }

    /// Tells a shell in which a command runs to leave its loop. Before what it waits for is killed: a shell that hears of the death first goes on
    /// with what its command says about that, `|| exit` for one.
    pub fn leave_loop(&self) {
        let reins = self.reins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reins) = reins.as_ref().filter(|_| self.turns.is_taken()) {
            reins.signal(rustix::process::Signal::INT.as_raw());
        }
    }

    /// Its terminal.
    ///
    /// # Errors
    /// When it has none, or somebody has it already; [`AgentError::SessionClosed`].
    pub fn attach(&self, state: &State) -> Result<Terminal> {
        let mut alive = self.lock();
        if let Some(code) = alive.as_mut().and_then(Alive::ended) {
            self.close(&mut alive, code, state);
        }
        match alive.as_ref().map(|alive| &alive.what) {
            Some(What::Screen(screen)) => screen.attach(),
            Some(What::Shell(_)) => Err(AgentError::Precondition("this session has no terminal".to_owned())),
            None => Err(AgentError::SessionClosed),
        }
    }

    /// Ends its shell and everything that started. Waits for the command that runs in it to say so.
    pub fn end(&self, state: &State) {
        self.turns.close();
        let reins = self.reins.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reins) = &reins {
            reins.kill();
        }
        let mut alive = self.lock();
        let code = alive.as_mut().and_then(Alive::ended);
        self.close(&mut alive, code.unwrap_or(Some(128 + 9)), state);
    }

    /// It was ended with its sandbox.
    pub fn lost(&self, state: &State) {
        self.turns.close();
        self.reins.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut alive = self.lock();
        self.close(&mut alive, Some(128 + 9), state);
    }

    fn close(&self, alive: &mut Option<Alive>, code: Option<i32>, state: &State) {
        self.turns.close();
        let was = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        if was.closed_at.is_none() {
            let record = state::Session { closed_at: Some(now()), exit_code: code, ..(*was).clone() };
            // What is not written is found closed at the next start all the same: nothing of it lives then.
            let _ = state.put_session(self.number, &record);
            if let Some(audit) = &self.audit {
                let about = About { exit_code: code, ..About::default() }.of(Some(&self.sandbox));
                audit.write_about(&self.owner, "session.end", &self.id, about, None);
            }
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
        }
        *alive = None;
    }
}

/// What it takes to go on with one.
#[derive(Debug)]
pub struct Adopted<'a> {
    /// Where.
    pub life: &'a Arc<Life>,
    /// What was kept.
    pub item: Item,
    /// Bytes kept of each stream of a command.
    pub output: u64,
    /// Counts it in its sandbox.
    pub running: Running,
    /// Counts it for its owner.
    pub share: Share,
    /// Where its end is written down.
    pub audit: Arc<Audit>,
}

/// What it takes to start one.
#[derive(Debug)]
pub struct Start<'a> {
    /// Where.
    pub life: &'a Arc<Life>,
    /// What.
    pub new: &'a NewSession,
    /// Bytes kept of each stream of a command.
    pub output: u64,
    /// Counts it in its sandbox.
    pub running: Running,
    /// Counts it for its owner.
    pub share: Share,
    /// Where its end is written down.
    pub audit: Arc<Audit>,
}
