//! One command in a sandbox of its own: the interface of [`std::process::Command`], with a policy and a report.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use enclos_cgroup::{Group, Name};
use enclos_spec::{Policy, Report};
use enclos_sys::signal::{self, SignalSet, set_mask};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Error, Failure, Result, Stage};
use crate::exec_request::{Words, request};
use crate::init::message::flag;
use crate::launch::{self, Launch, Started};
use crate::meter::{CpuClock, Evidence};
use crate::plan::{Planned, Wants, plan};
use crate::probe::Facts;
use crate::watch::relay::{Relay, is_terminal};
use crate::watch::stream::{Sink, Stream};
use crate::watch::{self, Ended, FORWARDED, Watch};

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
    policy: Policy,
    stdio: [Stdio; 3],
    terminal: bool,
    measure: bool,
    forward_signals: bool,
}

/// How a command ended, and the report about it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As [`std::process::Child::wait`] gives it.
    pub status: ExitStatus,
    /// The report.
    pub report: Report,
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
}

impl Command {
    /// A command by name (looked up in `PATH` inside the sandbox) or path (inside).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Command {
            words: Words::new(program.as_ref()),
            policy: Policy::default(),
            stdio: [Stdio::Inherit, Stdio::Inherit, Stdio::Inherit],
            terminal: false,
            measure: true,
            forward_signals: false,
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

    /// Confines by this policy. Without it: [`Policy::default`].
    pub fn policy(&mut self, policy: &Policy) -> &mut Self {
        self.policy = policy.clone();
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

    /// What would be done.
    ///
    /// # Errors
    /// A policy that makes no sense, or that this host cannot enforce.
    pub fn explain(&self) -> Result<Planned> {
        plan(&self.policy, &Facts::probe()?, self.wants())
    }

    fn wants(&self) -> Wants {
        Wants { terminal: self.terminal, measure: self.measure, die_with_thread: self.forward_signals }
    }

    /// Runs it and waits. Streams are inherited unless set.
    ///
    /// # Errors
    /// When Enclos fails; a failing command is no error.
    pub fn status(&mut self) -> Result<Outcome> {
        let run = Run::start(self)?;
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
        let mut run = Run::start(self)?;
        run.keep_output();
        let (outcome, [stdout, stderr]) = run.finish()?;
        Ok(Output { status: outcome.status, stdout, stderr, report: outcome.report })
    }

    /// Starts it. A thread of its own watches it, so that limits hold whether or not anybody waits.
    ///
    /// # Errors
    /// As for [`Command::status`]; a command that is not found is told by [`Child::wait`].
    pub fn spawn(&mut self) -> Result<Child> {
        let mut run = Run::start(self)?;
        let [stdin, stdout, stderr] = run.take_pipes()?;
        let killer = run.started.control.try_clone().map_err(|e| Failure::new(Stage::Prepare, launch::idmap::errno_of(&e)))?;
        let pid = run.started.pid.as_raw_nonzero().get();
        let thread = std::thread::Builder::new()
            .name("enclos-watch".to_owned())
            .spawn(move || run.finish().map(|(outcome, _)| outcome))
            .map_err(|e| Failure::about(Stage::Prepare, launch::idmap::errno_of(&e), "watching thread"))?;
        Ok(Child { stdin, stdout, stderr, control: killer, thread: Some(thread), pid, outcome: None })
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
    thread: Option<std::thread::JoinHandle<Result<Outcome>>>,
    pid: i32,
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
        let bytes = crate::init::message::signal(launch::FIRST_ID, number, crate::init::message::Target::Process);
        rustix::net::send(&self.control, &bytes, rustix::net::SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|e| Failure::new(Stage::Control, e).into())
    }

    /// Kills everything in the sandbox.
    ///
    /// # Errors
    /// When the sandbox is gone already.
    pub fn kill(&self) -> Result<()> {
        let kill = rustix::process::Signal::KILL.as_raw();
        let bytes = crate::init::message::signal(launch::FIRST_ID, kill, crate::init::message::Target::All);
        rustix::net::send(&self.control, &bytes, rustix::net::SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|e| Failure::new(Stage::Control, e).into())
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
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
        let Some(thread) = self.thread.take() else { return Err(Error::InitLost("waited for twice".to_owned())) };
        let outcome = thread.join().unwrap_or_else(|_| Err(Error::InitLost("the watching thread failed".to_owned())))?;
        self.outcome = Some(outcome.clone());
        Ok(outcome)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.kill();
            // The watch must not wait for a reader that is being dropped.
            (self.stdin, self.stdout, self.stderr) = (None, None, None);
            let _ = thread.join();
        }
    }
}

/// One run: everything that lives from the start of a command to its report.
struct Run {
    facts: Facts,
    planned: Planned,
    group: Option<Group>,
    started: Started,
    streams: Vec<Stream>,
    /// Our ends of pipes that nobody has taken: [input, output, error].
    pipes: [Option<OwnedFd>; 3],
    relay: Option<Relay>,
    signals: Option<OwnedFd>,
    mask: Option<SignalSet>,
    name: String,
}

/// The command's side and ours of the three standard streams.
#[derive(Default)]
struct Wiring {
    /// Kept open until the command has its copies.
    owned: Vec<OwnedFd>,
    /// The command's descriptors; `None`: the terminal.
    child: [Option<RawFd>; 3],
    pipes: [Option<OwnedFd>; 3],
    streams: Vec<Stream>,
    relay: Option<Relay>,
    flags: u8,
}

impl Run {
    fn start(command: &mut Command) -> Result<Run> {
        let facts = Facts::probe()?;
        let planned = plan(&command.policy, &facts, command.wants())?;
        let group = match &planned.limits.group {
            None => None,
            Some(limits) => {
                let name = Name::fresh().map_err(|e| Failure::new(Stage::Cgroup, launch::idmap::errno_of(&e)))?;
                Some(facts.cgroups.create(&name, limits)?)
            }
        };
        let wiring = wire(command, &planned)?;
        let mut request = request(&command.words, &planned.environment, &planned.directories)?;
        request.flags |= flag::LAST | wiring.flags;
        if wiring.flags & flag::TTY != 0 {
            request.flags |= flag::ANNOUNCE;
            request.window = wiring.relay.as_ref().map_or((0, 0), Relay::window);
        }
        let (signals, mask) = if command.forward_signals {
            let descriptor = signal::descriptor(FORWARDED).map_err(|e| Failure::about(Stage::Prepare, e, "signals"))?;
            (Some(descriptor), Some(()))
        } else {
            (None, None)
        };
        crate::exec_request::make_layers(&command.policy)?;
        let launch =
            Launch { group: group.as_ref(), first: Some((&request, wiring.child)), lease: planned.lease.as_ref().map(|lease| &lease.file) };
        let started = launch::start(&planned.plan, &launch)?;
        // The command starts with the mask we had; from here on the signals wait for us to read them.
        let mask = mask.map(|()| {
            let old = set_mask(FORWARDED);
            set_mask(FORWARDED.and(old));
            old
        });
        drop(wiring.owned);
        let name = command.words.arguments[0].to_string_lossy().into_owned();
        let run =
            Run { facts, planned, group, started, streams: wiring.streams, pipes: wiring.pipes, relay: wiring.relay, signals, mask, name };
        run.started.release(&run.planned.plan)?;
        Ok(run)
    }

    /// Piped output goes to memory.
    fn keep_output(&mut self) {
        let cap = self.planned.limits.output;
        for number in [1u8, 2] {
            if let Some(source) = self.pipes[usize::from(number)].take() {
                self.streams.push(Stream::new(number, source, Sink::Buffer(Vec::new()), cap));
            }
        }
    }

    /// Piped streams go to the caller, through the watch where a limit needs to see them.
    fn take_pipes(&mut self) -> Result<[Option<std::fs::File>; 3]> {
        let limits = &self.planned.limits;
        let seen = limits.output.is_some() || limits.idle.is_some();
        let mut files = [self.pipes[0].take().map(std::fs::File::from), None, None];
        for number in [1u8, 2] {
            let Some(source) = self.pipes[usize::from(number)].take() else { continue };
            files[usize::from(number)] = Some(if seen {
                let (reader, writer) = pipe()?;
                self.streams.push(Stream::new(number, source, Sink::Descriptor(writer), limits.output));
                reader.into()
            } else {
                source.into()
            });
        }
        Ok(files)
    }

    fn finish(mut self) -> Result<(Outcome, [Vec<u8>; 2])> {
        let ended = self.watch();
        self.relay = None;
        let reaped = watch::reap(&self.started.pidfd);
        if let Some(mask) = self.mask.take() {
            set_mask(mask);
        }
        let mut ended = ended.map_err(|error| self.name_command(error))?;
        if ended.cpu_us.is_none() {
            ended.cpu_us = reaped.map(|r| r.cpu_us);
        }
        let usage = self.group.as_ref().and_then(|group| group.usage().ok());
        let mut output = [None, None];
        let mut kept = [Vec::new(), Vec::new()];
        for stream in self.streams.drain(..) {
            let index = usize::from(stream.number()) - 1;
            output[index] = Some(stream.bytes());
            kept[index] = stream.into_buffer();
        }
        let evidence = Evidence {
            planned: &self.planned,
            ended: &ended,
            usage,
            output,
            group: self.group.as_ref(),
            landlock_abi: self.facts.landlock_abi,
        };
        let report = evidence.report();
        if let Some(mut group) = self.group.take() {
            group.remove()?;
        }
        // A command killed together with its init was killed by SIGKILL.
        let status = match ended.status.unwrap_or(-9) {
            code @ 0.. => ExitStatus::from_raw((code & 0xff) << 8),
            signal => ExitStatus::from_raw(-signal),
        };
        Ok((Outcome { status, report }, kept))
    }

    fn watch(&mut self) -> Result<Ended> {
        let policy_cpus = self.planned.plan.cpus.len();
        let mut watch = Watch {
            plan: &self.planned.plan,
            limits: &self.planned.limits,
            replies: self.started.control.as_fd(),
            requests: self.started.control.as_fd(),
            pidfd: self.started.pidfd.as_fd(),
            id: launch::FIRST_ID,
            last: true,
            clock: CpuClock::new(self.group.as_ref(), self.started.pid),
            group: self.group.as_ref(),
            cpus: if policy_cpus == 0 { self.facts.cpus } else { policy_cpus },
            streams: std::mem::take(&mut self.streams),
            relay: self.relay.take(),
            signals: self.signals.take(),
        };
        let ended = watch.run();
        let (streams, relay) = (watch.streams, watch.relay);
        self.streams = streams;
        self.relay = relay;
        if ended.is_err() {
            launch::end(&self.started.control, &self.started.pidfd);
        }
        ended
    }

    /// Faults around the execution are about the command's name or directory.
    fn name_command(&self, error: Error) -> Error {
        match error {
            Error::Step(mut failure) if failure.subject.is_none() => {
                failure.subject = match failure.stage {
                    Stage::Execute => Some(self.name.clone()),
                    Stage::Workdir => self.planned.directories.first().map(|d| d.display().to_string()),
                    _ => None,
                };
                Error::Step(failure)
            }
            other => other,
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| Failure::about(Stage::Prepare, e, "pipe").into())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, mode)
        .map_err(|e| Failure::about(Stage::Streams, e, path.display().to_string()).into())
}

/// Decides what each stream of the command is.
fn wire(command: &mut Command, planned: &Planned) -> Result<Wiring> {
    let mut wiring = Wiring::default();
    let files: [Option<PathBuf>; 3] = [command.policy.stdin.clone(), command.policy.stdout.clone(), command.policy.stderr.clone()];
    for (stdio, (file, flags)) in command.stdio.iter_mut().zip(files.into_iter().zip([
        OFlags::RDONLY,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
    ])) {
        if let Some(path) = file {
            *stdio = Stdio::Fd(open(&path, flags)?);
        }
    }
    let on_terminal = terminal_streams(command);
    for (number, stdio) in command.stdio.iter_mut().enumerate() {
        if on_terminal[number] {
            wiring.flags |= [flag::TTY_STDIN, flag::TTY_STDOUT, flag::TTY_STDERR][number];
        } else {
            wire_one(number, std::mem::take(stdio), planned, &mut wiring)?;
        }
    }
    if wiring.flags & flag::TTY != 0 {
        let copy = |number: RawFd| -> Result<OwnedFd> {
            let fd = enclos_sys::fd::borrow(number).map_err(|e| Failure::about(Stage::Terminal, e, "standard stream"))?;
            rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|e| Failure::new(Stage::Terminal, e).into())
        };
        let input = if on_terminal[0] { Some(copy(0)?) } else { None };
        let output = if on_terminal[1] {
            1
        } else if on_terminal[2] {
            2
        } else {
            0
        };
        wiring.relay = Some(Relay::new(input, copy(output)?));
    }
    Ok(wiring)
}

/// Which streams the private terminal serves.
fn terminal_streams(command: &Command) -> [bool; 3] {
    if !command.terminal {
        return [false; 3];
    }
    let inherited = [0, 1, 2].map(|n| matches!(command.stdio[n], Stdio::Inherit));
    let terminals = [0, 1, 2].map(|n| inherited[n] && enclos_sys::fd::borrow(n as RawFd).is_ok_and(is_terminal));
    if terminals.contains(&true) { terminals } else { inherited }
}

fn wire_one(number: usize, stdio: Stdio, planned: &Planned, wiring: &mut Wiring) -> Result<()> {
    let limits = &planned.limits;
    let seen = number > 0 && (limits.output.is_some() || limits.idle.is_some());
    let keep = |wiring: &mut Wiring, fd: OwnedFd| {
        wiring.child[number] = Some(fd.as_raw_fd());
        wiring.owned.push(fd);
    };
    // What the watch must see passes through a pipe of ours.
    let through_us = |wiring: &mut Wiring, sink: OwnedFd| -> Result<()> {
        let (reader, writer) = pipe()?;
        wiring.streams.push(Stream::new(number as u8, reader, Sink::Descriptor(sink), limits.output));
        wiring.child[number] = Some(writer.as_raw_fd());
        wiring.owned.push(writer);
        Ok(())
    };
    match stdio {
        Stdio::Inherit => match enclos_sys::fd::borrow(number as RawFd) {
            // A caller without this stream gives the command an empty one.
            Err(_) => keep(wiring, open(Path::new("/dev/null"), OFlags::RDWR)?),
            Ok(fd) if seen => {
                let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|e| Failure::new(Stage::Streams, e))?;
                through_us(wiring, copy)?;
            }
            Ok(_) => wiring.child[number] = Some(number as RawFd),
        },
        Stdio::Null => keep(wiring, open(Path::new("/dev/null"), if number == 0 { OFlags::RDONLY } else { OFlags::WRONLY })?),
        Stdio::Fd(fd) if seen => through_us(wiring, fd)?,
        Stdio::Fd(fd) => keep(wiring, fd),
        Stdio::Piped => {
            let (reader, writer) = pipe()?;
            let (ours, theirs) = if number == 0 { (writer, reader) } else { (reader, writer) };
            wiring.pipes[number] = Some(ours);
            keep(wiring, theirs);
        }
    }
    Ok(())
}
