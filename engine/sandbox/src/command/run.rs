//! One run: everything that lives from the start of a command to its report.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use enclos_cgroup::Group;
use enclos_spec::Policy;
use enclos_sys::Errno;
use enclos_sys::signal::{self, SignalSet, set_mask};

use super::cpus;
use super::ending::status_of;
use super::wiring::{Wiring, own_pipes, pipe, wire};
use super::{Command, Home, Outcome};
use crate::error::{Error, Failure, Result, Stage};
use crate::exec_request::{make_layers, request};
use crate::files::directory_inside;
use crate::forkserver::Born;
use crate::init::Given;
use crate::init::message::{ExecRequest, MAX_COLLECTED, MAX_EXTRAS, MAX_SETS, Reply, flag};
use crate::launch::guardian::{Guardian, make_group};
use crate::launch::network::Network;
use crate::launch::{self, Launch, Started};
use crate::meter::{CpuClock, Evidence};
use crate::plan::{Planned, Resolved, plan};
use crate::probe::Facts;
use crate::sandbox::{Inner, Route};
use crate::watch::handed::Handed;
use crate::watch::relay::Relay;
use crate::watch::stream::{Sink, Stream};
use crate::watch::{self, Ended, FORWARDED, Watch};

/// Where the command runs, with the reins of that sandbox.
enum Place {
    /// In one of its own.
    Own(Box<Own>),
    /// In one that lives on.
    Shared(Arc<Inner>, Route),
    /// In a fresh one of a template.
    Born(Box<Born>),
}

struct Own {
    facts: Facts,
    planned: Planned,
    group: Option<Group>,
    /// After the group: it ends last.
    guardian: Option<Guardian>,
    started: Started,
}

pub(super) struct Run {
    place: Place,
    streams: Vec<Stream>,
    /// Our ends of pipes that nobody has taken: [input, output, error].
    pipes: [Option<OwnedFd>; 3],
    /// See [`Wiring::joined`].
    joined: bool,
    relay: Option<Relay>,
    handed: Option<Handed>,
    signals: Option<OwnedFd>,
    mask: Option<SignalSet>,
    name: String,
    wall: Option<Duration>,
    subreaper: bool,
    /// How many were chosen for it alone; 0: none.
    cpus: usize,
    /// The caller's end of the command's terminal.
    terminal: Option<OwnedFd>,
}

impl Place {
    fn planned(&self) -> &Planned {
        match self {
            Place::Own(own) => &own.planned,
            Place::Shared(inner, _) => inner.planned(),
            Place::Born(born) => &born.planned,
        }
    }
    fn facts(&self) -> &Facts {
        match self {
            Place::Own(own) => &own.facts,
            Place::Shared(inner, _) => inner.facts(),
            Place::Born(born) => &born.facts,
        }
    }
    fn group(&self) -> Option<&Group> {
        match self {
            Place::Own(own) => own.group.as_ref(),
            Place::Shared(inner, _) => inner.group(),
            Place::Born(born) => born.group.as_ref(),
        }
    }
    fn control(&self) -> BorrowedFd<'_> {
        match self {
            Place::Own(own) => own.started.control.as_fd(),
            Place::Shared(inner, _) => inner.control().as_fd(),
            Place::Born(born) => born.control.as_fd(),
        }
    }
    fn replies(&self) -> BorrowedFd<'_> {
        match self {
            Place::Shared(_, Route { replies: Some(replies), .. }) => replies.as_fd(),
            Place::Shared(..) | Place::Own(_) | Place::Born(_) => self.control(),
        }
    }
    fn pidfd(&self) -> BorrowedFd<'_> {
        match self {
            Place::Own(own) => own.started.pidfd.as_fd(),
            Place::Shared(inner, _) => inner.pidfd().as_fd(),
            Place::Born(born) => born.pidfd.as_fd(),
        }
    }
    fn pid(&self) -> Option<rustix::process::Pid> {
        match self {
            Place::Own(own) => Some(own.started.pid),
            Place::Shared(inner, _) => inner.pid(),
            Place::Born(born) => born.pid(),
        }
    }
}

impl Run {
    /// `followed`: somebody will want to know its pid.
    pub fn start(command: &mut Command, followed: bool) -> Result<Run> {
        refuse_unshared(command)?;
        match &command.home {
            Home::Own(policy) => {
                let policy = policy.clone();
                Self::start_own(command, &policy)
            }
            Home::Shared(inner) => {
                let inner = Arc::clone(inner);
                let wiring = wire(command, &inner.planned().limits)?;
                let request = encode(command, inner.planned(), &wiring, if followed || command.subreaper { flag::ANNOUNCE } else { 0 })?;
                let route = inner.execute(request, &given(command, &wiring)?)?;
                let mut run = Self::with(command, Place::Shared(inner, route), wiring, None);
                if command.screen.is_some() {
                    run.await_terminal()?;
                }
                Ok(run)
            }
            Home::Template(template) => {
                let mut born = template.take()?;
                if !command.cpus.is_empty() {
                    cpus::choose(&mut born, &command.cpus)?;
                }
                let wiring = wire(command, &born.planned.limits)?;
                let request = encode(command, &born.planned, &wiring, flag::LAST)?;
                born.execute(&request, &given(command, &wiring)?)?;
                Ok(Self::with(command, Place::Born(Box::new(born)), wiring, None))
            }
        }
    }

    fn start_own(command: &mut Command, policy: &Policy) -> Result<Run> {
        // First, for it takes longest.
        let network = Network::ahead(policy);
        let facts = Facts::probe()?;
        let planned = plan(policy, &facts, command.wants())?;
        let (mut group, mut guardian) = (None, None);
        if let Some(limits) = &planned.limits.group {
            let made = make_group(&facts.cgroups, limits, command.forward_signals)?;
            (group, guardian) = (Some(made.0), made.1);
        }
        let wiring = wire(command, &planned.limits)?;
        let request = encode(command, &planned, &wiring, flag::LAST)?;
        let signals = if command.forward_signals {
            Some(signal::descriptor(FORWARDED).map_err(|e| Failure::about(Stage::Prepare, e, "signals"))?)
        } else {
            None
        };
        make_layers(policy)?;
        let launch = Launch {
            group: group.as_ref(),
            first: Some((&request, given_here(command, &wiring))),
            hold: false,
            lease: planned.lease.as_ref().map(|lease| &lease.file),
        };
        let started = launch::start_in(&planned.plan, &launch, network)?;
        started.release(&planned.plan)?;
        Ok(Self::with(command, Place::Own(Box::new(Own { facts, planned, guardian, group, started })), wiring, signals))
    }

    fn with(command: &Command, place: Place, wiring: Wiring, signals: Option<OwnedFd>) -> Run {
        // The command started with the mask we had; from here on these signals wait for us to read them.
        let mask = signals.as_ref().map(|_| {
            let old = set_mask(FORWARDED);
            set_mask(FORWARDED.and(old));
            old
        });
        let name = command.words.arguments[0].to_string_lossy().into_owned();
        // The command's ends of the pipes close here, with `wiring.owned`.
        Run {
            place,
            streams: wiring.streams,
            pipes: wiring.pipes,
            joined: wiring.joined,
            relay: wiring.relay,
            handed: wiring.handed,
            signals,
            mask,
            name,
            wall: command.wall,
            subreaper: command.subreaper,
            cpus: command.cpus.len(),
            terminal: None,
        }
    }

    /// The command's terminal comes with the word that it runs.
    fn await_terminal(&mut self) -> Result<()> {
        let (reply, terminal) = watch::next_reply_with(self.place.replies());
        let error = match reply {
            Ok(Reply::Started { pid, .. }) => {
                if let Place::Shared(_, route) = &self.place {
                    let _ = route.started.set(pid);
                }
                self.terminal = terminal;
                return Ok(());
            }
            Ok(Reply::NotStarted { stage, errno, .. }) => Failure::new(Stage::from_number(stage), Errno::from_raw_os_error(errno)).into(),
            Ok(other) => Error::InitLost(format!("{other:?}")),
            Err(errno) => Error::InitLost(errno.to_string()),
        };
        Err(self.name_command(error))
    }

    /// The sandbox it shares with others, and its pid there.
    pub fn shared(&self) -> Option<(Arc<Inner>, Arc<OnceLock<i32>>)> {
        match &self.place {
            Place::Shared(inner, route) => Some((Arc::clone(inner), Arc::clone(&route.started))),
            Place::Own(_) | Place::Born(_) => None,
        }
    }

    /// Where init tells of it, if not over the control socket.
    pub fn replies(&self) -> Option<Arc<OwnedFd>> {
        match &self.place {
            Place::Shared(_, route) => route.replies.clone(),
            Place::Own(_) | Place::Born(_) => None,
        }
    }

    pub fn take_terminal(&mut self) -> Option<std::fs::File> {
        self.terminal.take().map(Into::into)
    }

    /// Where requests to init go.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.place.control()
    }

    /// Host pid of init.
    pub fn pid(&self) -> i32 {
        self.place.pid().map_or(0, |pid| pid.as_raw_nonzero().get())
    }

    /// The command's name in its sandbox.
    pub fn id(&self) -> u32 {
        match &self.place {
            Place::Shared(_, route) => route.id,
            Place::Own(_) | Place::Born(_) => launch::FIRST_ID,
        }
    }

    /// Piped output goes to memory.
    pub fn keep_output(&mut self) {
        let cap = self.place.planned().limits.output;
        for number in [1u8, 2] {
            if let Some(source) = self.pipes[usize::from(number)].take() {
                self.streams.push(Stream::new(number, source, Sink::Buffer(Vec::new()), cap));
            }
        }
    }

    /// Piped streams go to the caller, through the watch where a limit needs to see them.
    pub fn take_pipes(&mut self) -> Result<[Option<std::fs::File>; 3]> {
        let limits = &self.place.planned().limits;
        let (seen, cap) = (limits.output.is_some() || limits.idle.is_some(), limits.output);
        let mut files = [self.pipes[0].take().map(std::fs::File::from), None, None];
        for number in [1u8, 2] {
            let Some(source) = self.pipes[usize::from(number)].take() else { continue };
            files[usize::from(number)] = Some(if seen {
                let (reader, writer) = pipe()?;
                self.streams.push(Stream::new(number, source, Sink::Descriptor(writer), cap));
                reader.into()
            } else {
                source.into()
            });
        }
        Ok(files)
    }

    pub fn finish(mut self) -> Result<(Outcome, [Vec<u8>; 2])> {
        let ended = self.watch();
        self.relay = None;
        // Init has waited for everybody else and ends by itself. A program that does nothing but this command ends too, and need not see it.
        let alone = self.mask.is_some() && ended.as_ref().is_ok_and(|ended| ended.status.is_some());
        let reaped = match &self.place {
            Place::Own(own) if own.group.is_some() || !alone => watch::reap(&own.started.pidfd),
            Place::Own(_) | Place::Shared(..) | Place::Born(_) => None,
        };
        if let Some(mask) = self.mask.take() {
            set_mask(mask);
        }
        let mut ended = ended.map_err(|error| self.name_command(error))?;
        if let Place::Born(born) = &mut self.place
            && ended.status.is_some()
        {
            born.is_over();
        }
        if ended.status.is_none() {
            // What the clock saw last, unless more was waited for.
            ended.cpu_us = ended.cpu_us.max(reaped.map(|r| r.cpu_us));
        }
        let mut output = [None, None];
        let mut kept = [Vec::new(), Vec::new()];
        let mut refused = None;
        for stream in self.streams.drain(..) {
            let index = usize::from(stream.number()) - 1;
            refused = refused.or(stream.refused().map(|errno| (stream.number(), errno)));
            output[index] = Some(stream.bytes()).filter(|_| !self.joined);
            kept[index] = stream.into_buffer();
        }
        let group = self.place.group();
        let report = Evidence {
            planned: self.place.planned(),
            ended: &ended,
            usage: group.and_then(|group| group.usage().ok()),
            output,
            group,
            landlock_abi: self.place.facts().landlock_abi,
        }
        .report();
        if let Place::Own(own) = &mut self.place {
            if let Some(mut group) = own.group.take() {
                group.remove()?;
            }
            own.guardian = None;
        }
        if let Some((number, errno)) = refused {
            return Err(Failure::about(Stage::Output, errno, if number == 1 { "stdout" } else { "stderr" }).into());
        }
        // A command killed together with its init was killed by SIGKILL.
        let status = status_of(ended.status.unwrap_or(-9));
        Ok((Outcome { status, report, directory: ended.directory }, kept))
    }

    fn watch(&mut self) -> Result<Ended> {
        let place = &self.place;
        let cpus = if self.cpus == 0 { place.planned().plan.cpus.len() } else { self.cpus };
        let shared = matches!(place, Place::Shared(..));
        let own_wall = self.wall.map(|wall| Resolved { wall: Some(wall), ..place.planned().limits.clone() });
        let limits = own_wall.as_ref().unwrap_or(&place.planned().limits);
        let clock = CpuClock::new(limits.cpu.is_some() || limits.idle.is_some(), place.group(), || place.pid());
        let mut watch = Watch {
            plan: &place.planned().plan,
            limits,
            replies: place.replies(),
            requests: place.control(),
            pidfd: place.pidfd(),
            id: self.id(),
            last: !shared,
            shared: match place {
                Place::Shared(inner, route) => Some(watch::Shared { sandbox: inner, started: &route.started, whole_tree: self.subreaper }),
                Place::Own(_) | Place::Born(_) => None,
            },
            clock: if shared { clock.starting_now() } else { clock },
            group: place.group(),
            cpus: if cpus == 0 { place.facts().cpus } else { cpus },
            streams: std::mem::take(&mut self.streams),
            relay: self.relay.take(),
            handed: self.handed.take(),
            signals: self.signals.take(),
        };
        let ended = watch.run();
        let (streams, relay) = (watch.streams, watch.relay);
        if ended.is_err()
            && let Place::Own(own) = place
        {
            launch::end(&own.started.control, &own.started.pidfd);
        }
        self.streams = streams;
        self.relay = relay;
        ended
    }

    /// Faults around the execution are about the command's name or directory.
    fn name_command(&self, error: Error) -> Error {
        match error {
            Error::Step(mut failure) if failure.subject.is_none() => {
                failure.subject = match failure.stage {
                    Stage::Execute => Some(self.name.clone()),
                    Stage::Workdir => self.place.planned().directories.first().map(|d| d.display().to_string()),
                    _ => None,
                };
                Error::Step(failure)
            }
            other => other,
        }
    }
}

/// What only a sandbox that lives can give to a command.
fn refuse_unshared(command: &Command) -> Result<()> {
    if command.extras.len() > MAX_EXTRAS {
        let why = format!("{} extra descriptors, {MAX_EXTRAS} at most", command.extras.len());
        return Err(Failure::about(Stage::Streams, Errno::TOOBIG, why).into());
    }
    if !command.cpus.is_empty() && !matches!(command.home, Home::Template(_)) {
        let missing = "only a command of a template has CPUs of its own; elsewhere the policy names them".to_owned();
        return Err(Error::Unenforceable { field: "cpus", missing });
    }
    let asked = [("terminal", command.screen.is_some()), ("descriptor", !command.extras.is_empty()), ("subreaper", command.subreaper)];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) if !matches!(command.home, Home::Shared(_)) => {
            Err(Error::Unenforceable { field, missing: "only a command of a living sandbox can have one".to_owned() })
        }
        _ => Ok(()),
    }
}

/// The request, with what the wiring asks for.
fn encode(command: &Command, planned: &Planned, wiring: &Wiring, flags: u8) -> Result<ExecRequest> {
    let mut request = request(&command.words, &planned.environment, &planned.directories)?;
    own_pipes(wiring, &planned.plan.identity);
    if command.files.len() > MAX_SETS {
        return Err(
            Failure::about(Stage::WriteFiles, Errno::TOOBIG, format!("{} sets of files, {MAX_SETS} at most", command.files.len())).into()
        );
    }
    for (directory, _) in &command.files {
        request.sets.push(directory_inside(directory)?);
    }
    if let Some(directory) = &command.collect {
        let name = directory_inside(directory)?;
        if name.as_bytes_with_nul().len() > MAX_COLLECTED || flags & flag::LAST == 0 {
            // In a sandbox that lives others go on writing.
            let why = format!("{}: collected from a sandbox of its own, by a path shorter than {MAX_COLLECTED} bytes", directory.display());
            return Err(Failure::about(Stage::WriteFiles, Errno::INVAL, why).into());
        }
        request.collect = Some(name);
    }
    request.flags |= flags | wiring.flags;
    if wiring.flags & flag::TTY != 0 {
        request.flags |= flag::ANNOUNCE;
        request.window = command.screen.or(wiring.relay.as_ref().map(Relay::window)).unwrap_or((0, 0));
    }
    (request.subreaper, request.extras) = (command.subreaper, command.extras.len() as u8);
    Ok(request)
}

/// The command's ends of its streams and its sets of files, to be sent along with a request.
fn given<'a>(command: &'a Command, wiring: &Wiring) -> Result<Vec<BorrowedFd<'a>>> {
    let mut given = Vec::with_capacity(3 + command.files.len());
    for number in wiring.child.iter().flatten() {
        given.push(enclos_sys::fd::borrow(*number).map_err(|e| Failure::new(Stage::Streams, e))?);
    }
    given.extend(command.files.iter().map(|(_, files)| files.as_fd()));
    given.extend(command.extras.iter().map(AsFd::as_fd));
    Ok(given)
}

/// The same for a command whose process is cloned from this one.
fn given_here(command: &Command, wiring: &Wiring) -> Given {
    let mut given = Given { streams: wiring.child, ..Given::default() };
    for (set, (_, files)) in given.sets.iter_mut().zip(&command.files) {
        *set = Some(files.as_fd().as_raw_fd());
    }
    given
}
