//! One command in a sandbox of its own: the interface of [`std::process::Command`], with a policy and a report.

pub(crate) mod cpus;
mod ending;
mod run;
pub(crate) mod tree;
mod wiring;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use enclos_spec::{Policy, Report};
use rustix::event::EventfdFlags;

use crate::error::{Error, Failure, Result, Stage};
use crate::exec_request::Words;
use crate::files::Files;
use crate::forkserver::Template;
use crate::init::message::{self, Target};
use crate::launch;
use crate::plan::{Planned, Wants, plan};
use crate::probe::Facts;
use crate::sandbox::Inner;
pub use ending::Ending;
use run::Run;

/// What a standard stream of the command is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's own.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe to the caller: [`Child::stdin`], [`Child::stdout`], [`Child::stderr`]; kept in memory by [`Command::output`].
    Piped,
    /// This descriptor.
    Fd(OwnedFd),
}

/// A command to run confined. Built like [`std::process::Command`].
///
/// ```
/// # fn main() -> Result<(), enclos_sandbox::Error> {
/// use enclos_sandbox::Command;
/// use enclos_sandbox::spec::{Policy, Verdict};
///
/// let policy = Policy::from_toml("wall = \"10s\"\nprocesses = 64")?;
/// let output = Command::new("sh").args(["-c", "echo $USER; exit 3"]).policy(&policy).output()?;
/// assert_eq!(output.stdout, b"enclos\n");
/// assert_eq!(output.status.code(), Some(3));
/// assert_eq!(output.report.verdict, Verdict::RuntimeError);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    words: Words,
    home: Home,
    stdio: [Stdio; 3],
    terminal: bool,
    measure: bool,
    forward_signals: bool,
    files: Vec<(PathBuf, Files)>,
    collect: Option<PathBuf>,
    /// A private terminal for the caller: rows and columns.
    screen: Option<(u16, u16)>,
    extras: Vec<OwnedFd>,
    wall: Option<Duration>,
    subreaper: bool,
    cpus: Vec<usize>,
}

/// Where a command runs.
#[derive(Debug)]
pub(crate) enum Home {
    /// In a sandbox of its own, by this policy.
    Own(Box<Policy>),
    /// In a sandbox that lives.
    Shared(Arc<Inner>),
    /// In a fresh sandbox of a template.
    Template(Template),
}

/// How a command ended, and the report about it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As [`std::process::Child::wait`] gives it.
    pub status: ExitStatus,
    /// The report.
    pub report: Report,
    /// The directory of [`Command::collect`]; read it with [`collect`](crate::collect). `None`: not asked for, not there, not readable for the command, or
    /// init was killed with the command (out of memory).
    pub directory: Option<Arc<OwnedFd>>,
}

/// [`Outcome`] with everything that was written.
#[derive(Clone, Debug)]
pub struct Output {
    /// As [`std::process::Child::wait`] gives it.
    pub status: ExitStatus,
    /// Exact bytes.
    pub stdout: Vec<u8>,
    /// Exact bytes.
    pub stderr: Vec<u8>,
    /// The report.
    pub report: Report,
    /// As in [`Outcome`].
    pub directory: Option<Arc<OwnedFd>>,
}

impl Command {
    /// A command by name (looked up in `PATH` inside the sandbox) or path (inside).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::at_home(program.as_ref(), Home::Own(Box::default()))
    }

    pub(crate) fn at_home(program: &OsStr, home: Home) -> Self {
        Command {
            words: Words::new(program),
            home,
            stdio: [Stdio::Inherit, Stdio::Inherit, Stdio::Inherit],
            terminal: false,
            measure: true,
            forward_signals: false,
            files: Vec::new(),
            collect: None,
            screen: None,
            extras: Vec::new(),
            wall: None,
            subreaper: false,
            cpus: Vec::new(),
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.words.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = A>) -> &mut Self {
        self.words.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable, over the policy's.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.words.environment.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Directory (inside) to start in, over the policy's.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.words.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Runs it in a sandbox of its own, confined by this policy. Without it: [`Policy::default`].
    pub fn policy(&mut self, policy: &Policy) -> &mut Self {
        self.home = Home::Own(Box::new(policy.clone()));
        self
    }

    /// Standard input; default: inherited.
    pub fn stdin(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[0] = stdio;
        self
    }

    /// Standard output; default: inherited.
    pub fn stdout(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[1] = stdio;
        self
    }

    /// Standard error; default: inherited.
    pub fn stderr(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[2] = stdio;
        self
    }

    /// A private terminal stands in for each standard stream that is inherited and a terminal, or for all of them when none is.
    pub fn tty(&mut self, terminal: bool) -> &mut Self {
        self.terminal = terminal;
        self
    }

    /// Reads every meter for the report, also those that no limit needs (default). Off saves a control group.
    pub fn measure(&mut self, measure: bool) -> &mut Self {
        self.measure = measure;
        self
    }

    /// Passes signals of this process on to the command, and stops when it is stopped. For a program that does nothing else; it must have one thread.
    pub fn forward_signals(&mut self, forward: bool) -> &mut Self {
        self.forward_signals = forward;
        self
    }

    /// Writes these files below a directory (inside, absolute) before the command executes, with its own rights. At most four sets.
    pub fn files(&mut self, directory: impl AsRef<Path>, files: &Files) -> &mut Self {
        self.files.push((directory.as_ref().to_owned(), files.clone()));
        self
    }

    /// Hands a directory (inside, absolute) over when the command has ended and everything else in its sandbox is dead: [`Outcome::directory`].
    pub fn collect(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.collect = Some(directory.as_ref().to_owned());
        self
    }

    /// Gives it a private terminal of this size for each stream that is inherited, and the caller the other end: [`Child::terminal`]. For commands of living
    /// sandboxes, and callers that have an event loop of their own; no byte passes through a thread of ours.
    pub fn terminal(&mut self, rows: u16, columns: u16) -> &mut Self {
        self.screen = Some((rows, columns));
        self
    }

    /// Gives it one more descriptor: the first is 3, the second 4. At most two, for commands of living sandboxes. What it leads to is in the command's hands.
    pub fn descriptor(&mut self, descriptor: OwnedFd) -> &mut Self {
        self.extras.push(descriptor);
        self
    }

    /// Ends it after this time by the wall clock, whatever the policy says.
    pub fn wall(&mut self, limit: Duration) -> &mut Self {
        self.wall = Some(limit);
        self
    }

    /// Orphans among its descendants become its children, not init's (prctl(2), `PR_SET_CHILD_SUBREAPER`), so that [`Child::kill_tree`] and a limit find them.
    pub fn subreaper(&mut self, subreaper: bool) -> &mut Self {
        self.subreaper = subreaper;
        self
    }

    /// Lets it and all it starts run on these CPUs only (numbers as in cpuset(7)), some of those that the policy's `cpus` names. For commands of a template,
    /// whose sandboxes are made before it is known which CPUs are free; elsewhere the policy says it. Needs what
    /// [`can_choose_cpus`](crate::can_choose_cpus) looks for.
    pub fn cpus(&mut self, cpus: &[usize]) -> &mut Self {
        self.cpus = cpus.to_vec();
        self
    }

    /// What would be done.
    ///
    /// # Errors
    /// A policy that makes no sense, or that this host cannot enforce.
    pub fn explain(&self) -> Result<Planned> {
        match &self.home {
            Home::Own(policy) => plan(policy, &Facts::probe()?, self.wants()),
            Home::Shared(_) | Home::Template(_) => {
                Err(Error::Unenforceable { field: "explain", missing: "a command of a living sandbox has no plan of its own".to_owned() })
            }
        }
    }

    fn wants(&self) -> Wants<'static> {
        Wants { terminal: self.terminal, measure: self.measure, die_with_thread: self.forward_signals, ..Wants::default() }
    }

    /// Runs it and waits. Streams are inherited unless set.
    ///
    /// # Errors
    /// When Enclos fails; a failing command is no error.
    pub fn status(&mut self) -> Result<Outcome> {
        let run = Run::start(self, false)?;
        run.finish().map(|(outcome, _)| outcome)
    }

    /// Runs it, waits, and gives what it wrote. Streams that were not set: input empty, output kept.
    ///
    /// # Errors
    /// As for [`Command::status`].
    pub fn output(&mut self) -> Result<Output> {
        for (index, stdio) in self.stdio.iter_mut().enumerate() {
            if matches!(stdio, Stdio::Inherit) {
                *stdio = if index == 0 { Stdio::Null } else { Stdio::Piped };
            }
        }
        let mut run = Run::start(self, false)?;
        run.keep_output();
        let (outcome, [stdout, stderr]) = run.finish()?;
        Ok(Output { status: outcome.status, stdout, stderr, report: outcome.report, directory: outcome.directory })
    }

    /// Starts it. A thread watches it, so that limits hold whether or not anybody waits.
    ///
    /// # Errors
    /// As for [`Command::status`]; a command that is not found is told by [`Child::wait`].
    pub fn spawn(&mut self) -> Result<Child> {
        let mut run = Run::start(self, true)?;
        let [stdin, stdout, stderr] = run.take_pipes()?;
        let killer = run.control().try_clone_to_owned().map_err(|e| Failure::new(Stage::Prepare, launch::idmap::errno_of(&e)))?;
        let (pid, id, shared, replies, terminal) = (run.pid(), run.id(), run.shared(), run.replies(), run.take_terminal());
        let end = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Failure::about(Stage::Prepare, e, "eventfd"))?;
        let end = Arc::new(end);
        let told = TellsEnd(Arc::clone(&end));
        let watch = move || {
            let _told = told;
            run.finish().map(|(outcome, _)| outcome)
        };
        let watched = crate::watch::threads::run(watch)
            .map_err(|e| Failure::about(Stage::Prepare, launch::idmap::errno_of(&e), "watching thread"))?;
        Ok(Child {
            stdin,
            stdout,
            stderr,
            control: killer,
            watched: Some(Mutex::new(watched)),
            end,
            pid,
            id,
            shared,
            replies,
            terminal,
            outcome: None,
        })
    }
}

/// A running command. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    /// Write end of its standard input, when piped.
    pub stdin: Option<std::fs::File>,
    /// Read end of its standard output, when piped.
    pub stdout: Option<std::fs::File>,
    /// Read end of its standard error, when piped.
    pub stderr: Option<std::fs::File>,
    control: OwnedFd,
    /// Where the outcome arrives, once.
    watched: Option<Mutex<Receiver<Result<Outcome>>>>,
    /// An event descriptor (eventfd(2)) that the watching thread makes readable.
    end: Arc<OwnedFd>,
    pid: i32,
    /// The command's name in its sandbox.
    id: u32,
    /// The sandbox it shares with others, and its pid there.
    shared: Option<(Arc<Inner>, Arc<OnceLock<i32>>)>,
    /// Where init tells of it; `None`: over the control socket.
    replies: Option<Arc<OwnedFd>>,
    terminal: Option<std::fs::File>,
    outcome: Option<Outcome>,
}

impl Child {
    /// Host pid of the sandbox's init.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Sends a signal to the command.
    ///
    /// # Errors
    /// When the sandbox is gone.
    pub fn signal(&self, number: i32) -> Result<()> {
        self.send(number, Target::Process)
    }

    /// Sends a signal to the command's process group, as the key of a terminal would.
    ///
    /// # Errors
    /// When the sandbox is gone.
    pub fn signal_group(&self, number: i32) -> Result<()> {
        self.send(number, Target::Group)
    }

    /// Kills the command's process group; a sandbox of its own ends with the command, and everything in it.
    ///
    /// # Errors
    /// When the sandbox is gone already.
    pub fn kill(&self) -> Result<()> {
        self.send(rustix::process::Signal::KILL.as_raw(), Target::Group)
    }

    fn send(&self, number: i32, target: Target) -> Result<()> {
        let bytes = message::signal(self.id, number, target);
        rustix::net::send(&self.control, &bytes, rustix::net::SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|e| Failure::new(Stage::Control, e).into())
    }

    /// The other end of its private terminal ([`Command::terminal`]), once. What is written there the command reads as keys; its size is set there too
    /// (ioctl_tty(2), `TIOCSWINSZ`). When no process has the terminal open any more, reading gives `EIO`.
    pub fn terminal(&mut self) -> Option<std::fs::File> {
        self.terminal.take()
    }

    /// Host pid of the command itself; `None` when it has ended, and for one in a sandbox of its own.
    #[must_use]
    pub fn host_pid(&self) -> Option<u32> {
        let (sandbox, started) = self.shared.as_ref()?;
        tree::host_pid(sandbox, tree::await_pid(started, || self.has_ended())?)
    }

    /// Kills the command and everything that descends from it; of a command that is a subreaper ([`Command::subreaper`]) that is everything it has started. Others in
    /// the sandbox live on; it is frozen for a moment, where the host can do that.
    ///
    /// # Errors
    /// When the sandbox is gone already.
    pub fn kill_tree(&self) -> Result<()> {
        let Some((sandbox, started)) = &self.shared else { return self.kill() };
        match tree::await_pid(started, || self.has_ended()) {
            Some(pid) if !self.has_ended() => tree::kill(sandbox, pid),
            _ => Ok(()),
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        crate::watch::is_readable(&self.end, Duration::ZERO)
    }

    /// A descriptor that becomes readable (poll(2), `POLLIN`) when it has ended, and stays so. Nothing is to be read from it.
    #[must_use]
    pub fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Closes its input and waits.
    ///
    /// # Errors
    /// As for [`Command::status`].
    pub fn wait(&mut self) -> Result<Outcome> {
        self.stdin = None;
        if let Some(outcome) = &self.outcome {
            return Ok(outcome.clone());
        }
        let Some(watched) = self.watched.take() else { return Err(Error::InitLost("waited for twice".to_owned())) };
        let outcome = answer(watched).unwrap_or_else(|| Err(Error::InitLost("the watching thread failed".to_owned())))?;
        self.outcome = Some(outcome.clone());
        Ok(outcome)
    }
}

/// Waits for what the thread that watches has to say.
fn answer(watched: Mutex<Receiver<Result<Outcome>>>) -> Option<Result<Outcome>> {
    watched.into_inner().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Held by the thread that watches: told however that thread ends.
struct TellsEnd(Arc<OwnedFd>);

impl Drop for TellsEnd {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take() {
            let _ = self.kill();
            // The watch must not wait for a reader that is being dropped.
            (self.stdin, self.stdout, self.stderr) = (None, None, None);
            let _ = answer(watched);
        }
    }
}
