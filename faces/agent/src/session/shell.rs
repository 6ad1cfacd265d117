//! A shell that is alive, and one command in it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_sandbox::{Child, Ending, Stdio};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::process::{Signal, pidfd_send_signal};

use super::leader::{End, Leader};
use super::{driver, tree};
use crate::api::{AgentError, Cancel, ExecResult, NewSession, NoWatcher, Result, Verdict, Watcher};
use crate::core::fault;
use crate::core::life::Life;
use crate::exec::{Capture, Limits, directory};

/// For a shell to answer the first time.
const HELLO: Duration = Duration::from_secs(10);
/// How often it is looked after while it does not do what it should.
const LOOK: Duration = Duration::from_millis(20);
/// After a command's processes were killed: for the shell to come back by itself, and for it to leave a loop of its own. Then it is killed.
const RETURN: Duration = Duration::from_millis(150);
const LEAVE: Duration = Duration::from_millis(1500);

/// A shell that is alive.
#[derive(Debug)]
pub struct Shell {
    life: Arc<Life>,
    leader: Leader,
    control: OwnedFd,
    /// It may have something to say still about a command of another server.
    behind: bool,
    capture: Capture,
    /// What the last command ended with.
    last: i32,
    reins: Reins,
}

/// What it takes to end a shell without waiting for the command that runs in it.
#[derive(Clone, Debug)]
pub struct Reins {
    life: Arc<Life>,
    pid: i32,
    /// `None`: it is gone, and its number may be another's.
    process: Option<Arc<OwnedFd>>,
}

impl Reins {
    /// Of a process.
    pub fn of(life: &Arc<Life>, child: &Child) -> Option<Reins> {
        let pid = i32::try_from(child.host_pid()?).ok()?;
        Some(Reins { life: Arc::clone(life), pid, process: Some(Arc::new(tree::descriptor(pid)?)) })
    }

    /// Of a process that has ended already.
    pub fn gone(life: &Arc<Life>) -> Reins {
        Reins { life: Arc::clone(life), pid: 0, process: None }
    }

    /// Kills the shell and everything below it.
    pub fn kill(&self) {
        let Some(process) = &self.process else { return };
        // First what it started, while that is below it.
        tree::kill_below(&self.life, self.pid, 0);
        let _ = pidfd_send_signal(process, Signal::KILL);
        tree::kill_below(&self.life, self.pid, 0);
    }

    /// Whether the shell has ended.
    pub fn has_ended(&self) -> bool {
        let Some(process) = &self.process else { return true };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)), Ok(1))
    }

    /// Of a process that another server has started.
    pub fn adopt(life: &Arc<Life>, pid: i32, process: OwnedFd) -> Reins {
        Reins { life: Arc::clone(life), pid, process: Some(Arc::new(process)) }
    }

    /// The process, and a descriptor of it.
    pub fn process(&self) -> (i32, Option<OwnedFd>) {
        (self.pid, self.process.as_ref().and_then(|process| process.try_clone().ok()))
    }

    /// Sends it a signal, by number.
    pub fn signal(&self, number: i32) {
        // An error means that it is gone.
        let _ = self.process.as_ref().map(|process| enclos_sys::signal::send(process, number));
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    /// For the caller.
    pub result: ExecResult,
    /// The shell has ended, with this.
    pub ended: Option<End>,
}

enum Answer {
    Status(i32),
    Ended,
    Nothing,
}

impl Shell {
    /// Starts a shell and waits until it answers.
    ///
    /// # Errors
    /// A shell that is not there or is none; a directory that is not there.
    pub fn start(life: &Arc<Life>, new: &NewSession, output: u64) -> Result<Shell> {
        let path = path(new);
        let directory = directory(new.workdir.as_deref())?;
        let (control, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            .map_err(|e| fault::internal("a socket", &e))?;
        blocking(&theirs)?;
        let mut command = life.command(path);
        command.subreaper(true).current_dir(&directory).stdin(Stdio::Fd(theirs)).stdout(Stdio::Piped).stderr(Stdio::Piped);
        for (name, value) in &new.env {
            command.env(name, value);
        }
        let mut child = command.spawn().map_err(|error| fault::of_engine(&error))?;
        drop(command);
        let streams = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let capture = Capture::new(streams, output, false).map_err(|e| fault::internal("a pipe", &e))?;
        write_all(&control, driver::HELLO.as_bytes());
        if !hello(&control, &child) {
            return Err(no_shell(child, path, &directory));
        }
        let Some(reins) = Reins::of(life, &child) else { return Err(no_shell(child, path, &directory)) };
        Ok(Shell { life: Arc::clone(life), leader: Leader::Own(Box::new(child)), control, behind: false, capture, last: 0, reins })
    }

    /// Goes on with one that another server has started.
    pub fn adopt(life: &Arc<Life>, pid: i32, descriptors: Vec<OwnedFd>, ending: Option<Ending>, output: u64) -> Option<Shell> {
        let [control, process, stdout, stderr] = <[OwnedFd; 4]>::try_from(descriptors).ok()?;
        let capture = Capture::new([Some(stdout), Some(stderr)], output, false).ok()?;
        let reins = Reins { life: Arc::clone(life), pid, process: Some(Arc::new(process)) };
        Some(Shell { life: Arc::clone(life), leader: Leader::Adopted(ending), control, behind: true, capture, last: 0, reins })
    }

    /// What it takes for another server to go on with it: its number, and descriptors.
    pub fn keep(&self) -> Option<(i32, Vec<OwnedFd>)> {
        let mut descriptors = vec![self.control.try_clone().ok()?, self.reins.process.as_ref()?.try_clone().ok()?];
        for (_, stream) in self.capture.open() {
            descriptors.push(stream.try_clone_to_owned().ok()?);
        }
        Some((self.reins.pid, descriptors))
    }

    fn has_ended(&self) -> bool {
        self.leader.has_ended(&self.reins)
    }

    /// What tells another server of its end.
    pub fn ending(&self) -> Option<Ending> {
        self.leader.ending()
    }

    /// What it takes to end it.
    pub fn reins(&self) -> Reins {
        self.reins.clone()
    }

    /// What it has ended with, if it has.
    pub fn ended(&mut self) -> Option<End> {
        self.has_ended().then(|| self.leader.exit_code())
    }

    /// Runs a command.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(&mut self, command: &str, limits: Limits, cancel: &Cancel, watcher: &dyn Watcher) -> Result<Ran> {
        let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| fault::internal("an event descriptor", &e))?;
        let waker = woken.try_clone().map_err(|e| fault::internal("an event descriptor", &e))?;
        let _guard = cancel.on_cancel(move || {
            let _ = rustix::io::write(&waker, &1u64.to_ne_bytes());
        });
        let stop = self.life.stoppable(woken.try_clone().map_err(|e| fault::internal("an event descriptor", &e))?);
        // What others wrote while nothing ran here is of nobody's command; it is the first that hears of it.
        self.capture.set_told_only(watcher.takes_output());
        let lines = driver::lines(command, self.last);
        // The command itself only when the shell has come to it: until then what it writes is of another.
        let mut behind = self.behind;
        let mut unsent = if behind { driver::MARK_LINE.as_bytes() } else { &lines[..] };
        let since = tree::ticks();
        let started = Instant::now();
        let deadline = started.checked_add(limits.timeout);
        watcher.started();
        let mut verdict = Verdict::Ended;
        let mut asked = None;
        let mut heard = Vec::new();
        let mut silent = false;
        let answer = loop {
            match self.listen(&mut heard, &mut silent) {
                Answer::Status(status) => break Answer::Status(status),
                Answer::Ended => break Answer::Ended,
                Answer::Nothing => {}
            }
            if std::mem::replace(&mut behind, self.behind) && !self.behind {
                unsent = &lines[..];
            }
            let now = Instant::now();
            if asked.is_none() && (cancel.is_cancelled() || deadline.is_some_and(|deadline| now >= deadline)) {
                verdict = if cancel.is_cancelled() { Verdict::Cancelled } else { Verdict::TimedOut };
                asked = Some(now);
            }
            if asked.is_none() && stop.hit().is_some() {
                verdict = Verdict::DiskLimit;
                asked = Some(now);
            }
            if let Some(asked) = asked {
                // A shell that writes too much itself is told at once.
                let ahead = if verdict == Verdict::DiskLimit { RETURN + LOOK } else { Duration::ZERO };
                self.press(now.duration_since(asked) + ahead, since);
            }
            let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(now).min(LOOK * 50));
            let patience = if asked.is_some() || silent { LOOK } else { left };
            if !self.wait(&mut unsent, &woken, silent, patience, watcher)? {
                cancel.cancel();
            }
        };
        self.capture.drain(watcher);
        let kept = self.capture.finish();
        let ended = match answer {
            Answer::Status(status) => {
                self.last = status;
                None
            }
            _ => Some(self.leader.exit_code()),
        };
        // An end of which nobody can say anything has no number, and says so.
        if ended == Some(None) && verdict == Verdict::Ended {
            verdict = Verdict::Lost;
        }
        let status = ended.map_or(self.last, |end| end.unwrap_or(-1));
        // What it ran was killed, or its loop left, and it has said so before this was looked at.
        if verdict == Verdict::Ended && stop.hit().is_some() {
            verdict = Verdict::DiskLimit;
        }
        if verdict == Verdict::Ended && kept.thrown != [0, 0] {
            verdict = Verdict::Truncated;
        }
        let result = ExecResult {
            stdout: kept.stdout,
            stderr: kept.stderr,
            exit_code: if verdict == Verdict::TimedOut { -1 } else { status },
            signal: None,
            verdict,
            truncated: kept.thrown,
            wall_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            cpu_us: None,
            memory_peak: None,
            evidence: if verdict == Verdict::DiskLimit { stop.hit().cloned() } else { None },
        };
        Ok(Ran { result, ended })
    }

    /// Reads what the shell says. `silent`: it will say no more, but may live on as what it executed.
    fn listen(&mut self, heard: &mut Vec<u8>, silent: &mut bool) -> Answer {
        let mut buffer = [0u8; 64];
        while !*silent {
            match rustix::io::read(&self.control, &mut buffer) {
                Ok(0) | Err(Errno::CONNRESET | Errno::PIPE) => *silent = true,
                Ok(count) => {
                    heard.extend_from_slice(&buffer[..count]);
                    if self.behind {
                        let Some(at) = heard.windows(driver::MARK.len()).position(|part| part == driver::MARK.as_bytes()) else { continue };
                        // What came before is about the command of another server, and so is its output.
                        heard.drain(..at + driver::MARK.len());
                        self.behind = false;
                        self.capture.drain(&NoWatcher);
                        drop(self.capture.finish());
                    }
                    if let Some(status) = driver::answer(heard) {
                        return Answer::Status(status);
                    }
                }
                Err(_) => break,
            }
        }
        // Who it left behind may hold its socket.
        if self.has_ended() { Answer::Ended } else { Answer::Nothing }
    }

    /// What is done about a command that has to end, `waited` after that was clear.
    fn press(&self, waited: Duration, since: u64) {
        tree::kill_below(&self.life, self.reins.pid, since);
        if waited > LEAVE {
            self.reins.kill();
        } else if waited > RETURN {
            self.reins.signal(Signal::INT.as_raw());
        }
    }

    /// Sleeps until something happens, and takes it. `false`: the watcher wants no more.
    fn wait(&mut self, unsent: &mut &[u8], woken: &OwnedFd, silent: bool, patience: Duration, watcher: &dyn Watcher) -> Result<bool> {
        let time = Timespec { tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(patience.subsec_nanos()) };
        let mut which = [None; 2];
        let happened: Vec<bool> = {
            let mut fds = vec![PollFd::new(woken, PollFlags::IN)];
            if let Some(held_up) = watcher.held_up() {
                fds.push(PollFd::from_borrowed_fd(held_up, PollFlags::IN));
            } else {
                for (at, stream) in self.capture.open() {
                    which[at] = Some(fds.len());
                    fds.push(PollFd::from_borrowed_fd(stream, PollFlags::IN));
                }
            }
            if !silent {
                let flags = if unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
                fds.push(PollFd::from_borrowed_fd(self.control.as_fd(), flags));
            }
            match poll(&mut fds, Some(&time)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(fault::internal("waiting for a command", &errno)),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        let mut wanted = !watcher.is_gone();
        for (at, index) in which.into_iter().enumerate() {
            if index.is_some_and(|index| happened[index]) {
                wanted &= self.capture.serve(at, watcher);
            }
        }
        if !silent && !unsent.is_empty() {
            match send(&self.control, unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => *unsent = &unsent[count..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => *unsent = &[],
            }
        }
        Ok(wanted)
    }
}

/// Path of the shell.
fn path(new: &NewSession) -> &str {
    if new.shell.is_empty() { "/bin/sh" } else { &new.shell }
}

fn blocking(socket: &OwnedFd) -> Result<()> {
    let clear = || rustix::fs::fcntl_setfl(socket, rustix::fs::fcntl_getfl(socket)? - rustix::fs::OFlags::NONBLOCK);
    clear().map_err(|e| fault::internal("a socket", &e))
}

/// A few lines, which fit the socket.
fn write_all(control: &OwnedFd, bytes: &[u8]) {
    // What cannot be written is not answered either.
    let _ = send(control, bytes, SendFlags::NOSIGNAL);
}

/// Waits for the first answer.
fn hello(control: &OwnedFd, child: &Child) -> bool {
    let end = Instant::now() + HELLO;
    let mut heard = Vec::new();
    while Instant::now() < end {
        let time = Timespec { tv_sec: 0, tv_nsec: i64::try_from(LOOK.as_nanos()).unwrap_or(0) };
        let _ = poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&time));
        let mut buffer = [0u8; 64];
        match rustix::io::read(control, &mut buffer) {
            Ok(0) | Err(Errno::CONNRESET) => return false,
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(_) if child.has_ended() => return false,
            Err(_) => {}
        }
        if driver::answer(&heard).is_some() {
            return true;
        }
    }
    false
}

/// Why there is no shell.
pub(super) fn no_shell(mut child: Child, path: &str, directory: &std::path::Path) -> AgentError {
    // Its socket closes a moment before the engine says why.
    let until = Instant::now() + LEAVE;
    while !child.has_ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    if !child.has_ended() {
        // Dropping it kills it.
        drop(child);
        return AgentError::invalid("shell", format!("{path:?} does not answer as a shell does (sh, dash, bash and busybox's ash do)"));
    }
    match child.wait() {
        Err(error) => not_started(&error, directory),
        Ok(_) => {
            AgentError::invalid("shell", format!("{path:?} has ended at once: it must be a shell (sh, dash, bash and busybox's ash are)"))
        }
    }
}

/// Why it could not be started.
pub(super) fn not_started(error: &enclos_sandbox::Error, directory: &std::path::Path) -> AgentError {
    match error.failure().map(|failure| (failure.stage, failure.reason())) {
        Some((enclos_sandbox::Stage::Workdir, reason)) => AgentError::invalid("workdir", format!("{}: {reason}", directory.display())),
        Some((enclos_sandbox::Stage::Execute, _)) => AgentError::invalid("shell", error.to_string()),
        _ => fault::of_engine(error),
    }
}
