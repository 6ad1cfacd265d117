//! Clocks, caps and the kill ladder: one loop owns the state of one running command.
//!
//! ```text
//!        running ──(limit hit)──► killing: init kills all ──(too slow)──► killing: the kernel kills init, and with it all
//!           │                          │                                         │
//!           └────(init: ended)─────────┴─────────────► ended ◄───(pidfd)─────────┘
//!                                                        │ streams are read to their end
//!                                                        ▼
//!                                                      done
//! ```
//!
//! There is no tick: the loop sleeps until a descriptor or the nearest deadline wakes it. The CPU clock's next deadline is the earliest moment at which
//! the limit could be reached: what is left of it, divided by the CPUs the command may use.

pub mod handed;
pub mod relay;
pub mod stream;
pub mod threads;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use enclos_cgroup::Group;
use enclos_spec::plan::Plan;
use enclos_sys::signal::{self, SignalSet};
use enclos_sys::{Errno, wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::command::tree;
use crate::error::{Error, Failure, Result, Stage};
use crate::init::message::{self, Disk, Reply, Target};
use crate::launch;
use crate::meter::CpuClock;
use crate::plan::Resolved;
use crate::sandbox::Inner;
use relay::Relay;
use stream::Stream;

/// `CLOCK_MONOTONIC` now.
#[must_use]
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether a descriptor can be read, now or within this time.
pub(crate) fn is_readable(fd: &OwnedFd, patience: Duration) -> bool {
    let time = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
    matches!(poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&time)), Ok(1))
}

/// Which limit ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Wall clock.
    Wall,
    /// Nothing happened for too long.
    Idle,
    /// CPU time.
    Cpu,
    /// Too much output on this stream (1 or 2).
    Output(u8),
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Exit status, or minus a signal; `None` when init was killed before it could tell.
    pub status: Option<i32>,
    /// The limit that ended it.
    pub cause: Option<Cause>,
    /// From its start to its end.
    pub wall: Duration,
    /// CPU time of the tree as init counted it, µs; as the clock saw it last where init was killed before it could tell.
    pub cpu_us: Option<u64>,
    /// Largest resident set of any one process, bytes.
    pub max_resident: u64,
    /// The private tmpfs at the end.
    pub disk: Disk,
    /// The directory that was to be handed over.
    pub directory: Option<Arc<OwnedFd>>,
}

/// How long init may take to kill everything before the kernel is asked to kill init.
const PATIENCE: Duration = Duration::from_millis(200);
/// Least time between two looks at the CPU clock.
const GRAIN: Duration = Duration::from_millis(1);

/// The sandbox of a command that is one of many.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// Where it runs.
    pub sandbox: &'a Inner,
    /// Its pid there, once it is known.
    pub started: &'a OnceLock<i32>,
    /// What a limit ends is everything it has started.
    pub whole_tree: bool,
}

/// One running command and everything that watches it.
#[derive(Debug)]
pub struct Watch<'a> {
    /// For the words of a fault.
    pub plan: &'a Plan,
    /// Limits in force.
    pub limits: &'a Resolved,
    /// Where replies about this command arrive.
    pub replies: BorrowedFd<'a>,
    /// Where requests to init go.
    pub requests: BorrowedFd<'a>,
    /// Init.
    pub pidfd: BorrowedFd<'a>,
    /// The command's name.
    pub id: u32,
    /// The sandbox ends with it: what is left is killed by init.
    pub last: bool,
    /// Others live in its sandbox.
    pub shared: Option<Shared<'a>>,
    /// CPU time of the tree.
    pub clock: CpuClock<'a>,
    /// The control group.
    pub group: Option<&'a Group>,
    /// CPUs it may use.
    pub cpus: usize,
    /// Output and input that passes through us.
    pub streams: Vec<Stream>,
    /// The private terminal, once it is there.
    pub relay: Option<Relay>,
    /// The caller's terminal, where the command has it.
    pub handed: Option<handed::Handed>,
    /// Signals of ours that pass to the command.
    pub signals: Option<OwnedFd>,
}

/// Signals that pass through to the command.
pub const FORWARDED: SignalSet = SignalSet::of(&[
    Signal::TERM.as_raw(),
    Signal::INT.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
    Signal::ALARM.as_raw(),
    Signal::WINCH.as_raw(),
    Signal::TSTP.as_raw(),
    Signal::CONT.as_raw(),
]);

struct State {
    started: Duration,
    ended: Option<Ended>,
    cause: Option<Cause>,
    /// When to stop waiting for init.
    kill_by: Option<Duration>,
    next_cpu: Option<Duration>,
    idle: Option<Idle>,
}

struct Idle {
    since: Duration,
    cpu: u64,
    bytes: u64,
    next: Duration,
}

impl Watch<'_> {
    /// Watches until the command has ended and its streams have been read. `on_terminal` gets the master side of the private terminal.
    ///
    /// # Errors
    /// A fault of set-up, a command that could not be started, or an init that was lost.
    pub fn run(&mut self) -> Result<Ended> {
        let started = now();
        let mut state = State {
            started,
            ended: None,
            cause: None,
            kill_by: None,
            next_cpu: self.limits.cpu.map(|limit| started + self.soonest(limit)),
            idle: self.limits.idle.map(|limit| Idle { since: started, cpu: 0, bytes: 0, next: started + limit / 10 }),
        };
        loop {
            if state.ended.is_some() && self.drained() {
                break;
            }
            self.wait_and_serve(&mut state)?;
            self.look_at_clocks(&mut state)?;
        }
        state.ended.ok_or_else(|| Error::InitLost("no end was reported".to_owned()))
    }

    /// The shortest time in which this much CPU time can be used.
    fn soonest(&self, left: Duration) -> Duration {
        (left / u32::try_from(self.cpus.max(1)).unwrap_or(1)).max(GRAIN)
    }

    fn drained(&self) -> bool {
        self.streams.iter().all(Stream::is_done) && self.relay.as_ref().is_none_or(Relay::is_done)
    }

    fn timeout(&self, state: &State) -> Option<Duration> {
        let wall = if state.ended.is_none() && state.cause.is_none() { self.limits.wall.map(|limit| state.started + limit) } else { None };
        let others = if state.cause.is_none() { [state.next_cpu, state.idle.as_ref().map(|idle| idle.next)] } else { [None, None] };
        let soonest = [wall, state.kill_by, others[0], others[1]].into_iter().flatten().min()?;
        Some(soonest.saturating_sub(now()))
    }

    fn wait_and_serve(&mut self, state: &mut State) -> Result<()> {
        let timeout = self.timeout(state).map(|span| Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) });
        let ended = state.ended.is_some();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(8);
        let replies = (!ended).then(|| {
            fds.push(PollFd::from_borrowed_fd(self.replies, PollFlags::IN));
            fds.len() - 1
        });
        let signals = self.signals.as_ref().map(|signals| {
            fds.push(PollFd::new(signals, PollFlags::IN));
            fds.len() - 1
        });
        let streams: Vec<Option<usize>> = self
            .streams
            .iter()
            .map(|stream| {
                stream.interest().map(|(fd, flags)| {
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                    fds.len() - 1
                })
            })
            .collect();
        let relay = self.relay.as_ref().map(|relay| {
            let first = fds.len();
            relay.interests(&mut fds);
            first..fds.len()
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(Failure::about(Stage::Control, errno, "poll").into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for (stream, index) in self.streams.iter_mut().zip(streams) {
            if index.is_some_and(|index| happened[index])
                && let Some(number) = stream.serve()
            {
                state.cause.get_or_insert(Cause::Output(number));
            }
        }
        if let (Some(relay), Some(range)) = (&mut self.relay, relay) {
            relay.serve(&happened[range]);
            if relay.is_full() {
                state.cause.get_or_insert(Cause::Output(1));
            }
        }
        if state.cause.is_some() && state.kill_by.is_none() && !ended {
            self.kill(state);
        }
        if signals.is_some_and(|index| happened[index]) {
            self.pass_signals();
        }
        if replies.is_some_and(|index| happened[index]) {
            self.take_reply(state)?;
        }
        Ok(())
    }

    fn take_reply(&mut self, state: &mut State) -> Result<()> {
        let mut bytes = [0u8; message::REPLY];
        let mut descriptors: [Option<OwnedFd>; crate::init::MAX_DESCRIPTORS] = [const { None }; crate::init::MAX_DESCRIPTORS];
        let length = match crate::init::receive(self.replies, &mut bytes, &mut descriptors) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(_) => 0,
        };
        match Reply::decode(&bytes[..length]) {
            Some(Reply::Ended { status, cpu_us, max_resident, disk, .. }) => {
                let wall = now().saturating_sub(state.started);
                let directory = descriptors.into_iter().flatten().next().map(Arc::new);
                state.ended =
                    Some(Ended { status: Some(status), cause: state.cause, wall, cpu_us: Some(cpu_us), max_resident, disk, directory });
                self.command_is_gone();
            }
            Some(Reply::Failed { stage, op, errno }) => return Err(launch::failure_of(self.plan, stage, op, errno).into()),
            Some(Reply::NotStarted { stage, errno, .. }) => {
                return Err(Failure::new(Stage::from_number(stage), Errno::from_raw_os_error(errno)).into());
            }
            // A command that stops itself stops nobody else: its clocks run on.
            Some(Reply::Started { pid, .. }) => {
                if let Some(shared) = &self.shared {
                    let _ = shared.started.set(pid);
                }
                if let (Some(master), Some(relay)) = (descriptors.into_iter().flatten().next(), &mut self.relay) {
                    relay.connect(master);
                }
            }
            Some(Reply::Ready { .. } | Reply::Stopped { .. } | Reply::Continued { .. } | Reply::Born) => {}
            None => self.init_lost(state)?,
        }
        Ok(())
    }

    /// The control socket closed without a word: init was killed, by our ladder or by the kernel (out of memory).
    fn init_lost(&mut self, state: &mut State) -> Result<()> {
        let wall = now().saturating_sub(state.started);
        let cpu_us = self.clock.now().as_micros() as u64;
        let was_killed =
            state.cause.is_some() || self.group.is_some_and(|group| group.usage().is_ok_and(|u| u.oom_kills.is_some_and(|k| k.value > 0)));
        if !was_killed {
            return Err(Error::InitLost("killed from outside, or the host ran out of memory".to_owned()));
        }
        state.ended = Some(Ended {
            status: None,
            cause: state.cause,
            wall,
            cpu_us: Some(cpu_us),
            max_resident: 0,
            disk: Disk::default(),
            directory: None,
        });
        self.command_is_gone();
        Ok(())
    }

    fn command_is_gone(&mut self) {
        // Before what is left of its output is written there.
        if self.last {
            self.handed = None;
        }
        if let Some(relay) = &mut self.relay {
            relay.command_ended();
        }
        for stream in &mut self.streams {
            stream.command_ended(self.last);
        }
    }

    fn look_at_clocks(&mut self, state: &mut State) -> Result<()> {
        if state.ended.is_some() {
            return Ok(());
        }
        let time = now();
        if state.cause.is_some() {
            // Nobody in a frozen sandbox can do anything, init neither.
            if self.shared.is_some_and(|shared| shared.sandbox.is_frozen()) {
                state.kill_by = state.kill_by.map(|_| time + PATIENCE);
            }
            if state.kill_by.is_some_and(|by| time >= by) {
                // Init did not manage: take the whole namespace, and whatever the group still holds. Its children then end without an account (an init that
                // dies ignores SIGCHLD), so what they used is read now.
                let _ = self.clock.now();
                let _ = signal::send(self.pidfd, Signal::KILL.as_raw());
                if let Some(group) = self.group.filter(|group| !group.is_nowhere()) {
                    group.kill()?;
                }
                state.kill_by = None;
            }
            return Ok(());
        }
        if self.limits.wall.is_some_and(|limit| time >= state.started + limit) {
            state.cause = Some(Cause::Wall);
        } else if self.cpu_limit_hit(state, time) {
            state.cause = Some(Cause::Cpu);
        } else if self.is_idle(state, time) {
            state.cause = Some(Cause::Idle);
        }
        if state.cause.is_some() {
            self.kill(state);
        }
        Ok(())
    }

    fn cpu_limit_hit(&mut self, state: &mut State, time: Duration) -> bool {
        let (Some(limit), Some(next)) = (self.limits.cpu, state.next_cpu) else { return false };
        if time < next {
            return false;
        }
        let used = self.clock.now();
        if used >= limit {
            return true;
        }
        state.next_cpu = Some(time + self.soonest(limit - used));
        false
    }

    fn is_idle(&mut self, state: &mut State, time: Duration) -> bool {
        let (Some(limit), Some(idle)) = (self.limits.idle, &mut state.idle) else { return false };
        if time < idle.next {
            return false;
        }
        let cpu = self.clock.now().as_micros() as u64;
        let bytes = self.streams.iter().map(Stream::bytes).sum::<u64>() + self.relay.as_ref().map_or(0, Relay::bytes);
        // Waking up and going to sleep again is not work.
        if bytes != idle.bytes || cpu > idle.cpu + 1_000 {
            (idle.since, idle.cpu, idle.bytes) = (time, cpu, bytes);
        }
        idle.next = (time + limit / 10).min(idle.since + limit);
        time >= idle.since + limit
    }

    /// First rung: init kills everything else, reaps it and reports. Unlike init's own death this leaves the figures intact.
    fn kill(&mut self, state: &mut State) {
        if let Some(Shared { sandbox, started, whole_tree: true }) = &self.shared
            && let Some(pid) = started.get()
        {
            let _ = tree::kill(sandbox, *pid);
        }
        let target = if self.last { Target::All } else { Target::Group };
        self.send_signal(Signal::KILL.as_raw(), target);
        state.kill_by = Some(now() + PATIENCE);
    }

    fn send_signal(&self, signal: i32, target: Target) {
        // A full or closed socket: the second rung is there.
        let _ = rustix::net::send(self.requests, &message::signal(self.id, signal, target), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    fn pass_signals(&mut self) {
        let Some(signals) = &self.signals else { return };
        while let Ok(Some(received)) = signal::read(signals) {
            if received.signal == Signal::WINCH.as_raw() {
                if let Some(relay) = &self.relay {
                    relay.resize();
                }
            } else if received.signal == Signal::TSTP.as_raw() {
                // A process group without a shell above it ignores the terminal's stop; STOP it cannot ignore.
                self.send_signal(Signal::TSTP.as_raw(), Target::Group);
                self.send_signal(Signal::STOP.as_raw(), Target::Group);
                // We stop as asked, whether or not init can say that the command has: one that waits for a vforked child cannot stop before that child goes on.
                if let Some(relay) = &self.relay {
                    relay.leave_raw();
                }
                signal::stop_self();
            } else {
                if received.signal == Signal::CONT.as_raw()
                    && let Some(relay) = &self.relay
                {
                    relay.enter_raw();
                }
                self.send_signal(received.signal, Target::Group);
            }
        }
    }
}

/// Waits until init is gone and reaped; everything of its pid namespace is dead then.
pub fn reap(pidfd: impl AsFd) -> Option<wait::Changed> {
    wait::wait_pidfd(pidfd, wait::Wait::Ended).ok().flatten()
}

/// The same, with what came along.
pub fn next_reply_with(socket: impl AsFd) -> (Result<Reply, Errno>, Option<OwnedFd>) {
    let mut bytes = [0u8; message::REPLY];
    let mut descriptors: [Option<OwnedFd>; crate::init::MAX_DESCRIPTORS] = [const { None }; crate::init::MAX_DESCRIPTORS];
    loop {
        match crate::init::receive(socket.as_fd(), &mut bytes, &mut descriptors) {
            Ok(length) => {
                let [descriptor, ..] = descriptors;
                return (Reply::decode(&bytes[..length]).ok_or(Errno::PIPE), descriptor);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return (Err(errno), None),
        }
    }
}

/// Takes one reply, blocking; for callers without a loop.
///
/// # Errors
/// What recv(2) says; `EPIPE` when init is gone.
pub fn next_reply(socket: impl AsFd) -> Result<Reply, Errno> {
    let mut bytes = [0u8; message::REPLY];
    loop {
        match rustix::net::recv(&socket, &mut bytes[..], RecvFlags::empty()) {
            Ok((_, length)) => return Reply::decode(&bytes[..length]).ok_or(Errno::PIPE),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
