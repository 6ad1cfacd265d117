//! A program with a terminal of its own, whose other end the caller gets.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use enclos_sandbox::Ending;

use super::leader::{End, Leader};
use super::shell::{Reins, no_shell, not_started};
use crate::api::{AgentError, NewSession, Result, Terminal};
use crate::core::fault;
use crate::core::life::Life;
use crate::exec::{TERM, directory};

/// For a program to be executed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program with a terminal.
#[derive(Debug)]
pub struct Screen {
    leader: Leader,
    master: OwnedFd,
    held: Arc<AtomicBool>,
    reins: Reins,
}

/// Who holds the terminal.
#[derive(Debug)]
struct Place(Arc<AtomicBool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Screen {
    /// Starts it.
    ///
    /// # Errors
    /// A program that is not there; a directory that is not there.
    pub fn start(life: &Arc<Life>, new: &NewSession, size: (u16, u16)) -> Result<Screen> {
        let shell = [if new.shell.is_empty() { "/bin/sh".to_owned() } else { new.shell.clone() }];
        let words = if new.argv.is_empty() { &shell[..] } else { &new.argv };
        let directory = directory(new.workdir.as_deref())?;
        let mut command = life.command(&words[0]);
        command.args(&words[1..]).subreaper(true).current_dir(&directory).terminal(size.0, size.1);
        command.env("TERM", TERM);
        for (name, value) in &new.env {
            command.env(name, value);
        }
        let mut child = command.spawn().map_err(|error| not_started(&error, &directory))?;
        // Told with the word that it runs.
        let until = Instant::now() + PATIENCE;
        let master = loop {
            // Asked first: what has ended has said before that it ran, if it did.
            let over = child.has_ended() || Instant::now() > until;
            match child.terminal() {
                Some(master) => break Some(master),
                None if over => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let Some(master) = master else { return Err(no_shell(child, &words[0], &directory)) };
        // One that does little has ended by now; what it showed is in its terminal still.
        let reins = Reins::of(life, &child).unwrap_or_else(|| Reins::gone(life));
        Ok(Screen { leader: Leader::Own(Box::new(child)), master: master.into(), held: Arc::default(), reins })
    }

    /// What it takes to end it.
    pub fn reins(&self) -> Reins {
        self.reins.clone()
    }

    /// What it has ended with, if it has.
    pub fn ended(&mut self) -> Option<End> {
        self.leader.has_ended(&self.reins).then(|| self.leader.exit_code())
    }

    /// What tells another server of its end.
    pub fn ending(&self) -> Option<Ending> {
        self.leader.ending()
    }

    /// Goes on with one that another server has started.
    pub fn adopt(life: &Arc<Life>, pid: i32, descriptors: Vec<OwnedFd>, ending: Option<Ending>) -> Option<Screen> {
        let [master, process] = <[OwnedFd; 2]>::try_from(descriptors).ok()?;
        Some(Screen { leader: Leader::Adopted(ending), master, held: Arc::default(), reins: Reins::adopt(life, pid, process) })
    }

    /// What it takes for another server to go on with it.
    pub fn keep(&self) -> Option<(i32, Vec<OwnedFd>)> {
        let (pid, process) = self.reins.process();
        Some((pid, vec![self.master.try_clone().ok()?, process?]))
    }

    /// The other end of its terminal, for one holder at a time.
    ///
    /// # Errors
    /// Somebody has it.
    pub fn attach(&self) -> Result<Terminal> {
        if self.held.swap(true, Ordering::AcqRel) {
            return Err(AgentError::Precondition("somebody is attached to this terminal".to_owned()));
        }
        let place = Box::new(Place(Arc::clone(&self.held)));
        let master = self.master.try_clone().map_err(|error| fault::internal("a terminal", &error))?;
        let reins = self.reins.clone();
        let signals = Box::new(move |number| reins.signal(number));
        Ok(Terminal { master: File::from(master), signals, place })
    }
}
