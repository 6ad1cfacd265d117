//! Init: the first process of a sandbox, after it has given everything up. Starts commands, reaps every orphan, reports.
//!
//! ```text
//!            ┌────────────── poll ──────────────┐
//!            ▼                                  │
//!   request on the control socket      a child changed (SIGCHLD)
//!     exec    → clone, execute           orphan  → reaped
//!     signal  → kill                     command → reply: ended, stopped, continued
//!     end, or the socket is closed       the last command → kill what is left, reap it, reply, exit
//!       → exit: the kernel kills
//!         what is left
//! ```
//!
//! One loop owns the state. It allocates nothing (see `enclos-sys`): the table of commands and the room for requests were made by the launcher.

pub mod command;
pub mod files;
pub mod message;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use enclos_sys::child::exit;
use enclos_sys::exec::StringBlock;
use enclos_sys::pages::Pages;
use enclos_sys::signal::{self, SignalSet};
use enclos_sys::wait::{self, How, Wait};
use enclos_sys::{Errno, fd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstatvfs;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::child::mounts::{Fault, Root};
use crate::child::{Context, fail};
use crate::error::Stage;
use message::{BLOCK, DATAGRAM, Disk, EXEC_HEADER, Exec, Reply, Request, Target, flag};

const SIGCHLD: i32 = rustix::process::Signal::CHILD.as_raw();
const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();

/// Most descriptors one message may carry.
pub const MAX_DESCRIPTORS: usize = 12;

/// Most commands of one sandbox that run at once.
pub const MAX_COMMANDS: usize = 512;

/// Room that init writes, made by the launcher. Untouched pages cost nothing.
#[derive(Debug)]
pub struct Room {
    request: Pages,
    strings: StringBlock,
    commands: Box<[Job]>,
}

/// Room that a parked command's process writes, apart from init's, whose memory it shares.
#[derive(Debug)]
pub struct ParkedRoom {
    request: Pages,
    strings: StringBlock,
}

impl ParkedRoom {
    /// Makes room.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new() -> Result<Self, Errno> {
        Ok(ParkedRoom { request: Pages::zeroed(EXEC_HEADER + BLOCK)?, strings: StringBlock::with_room()? })
    }
    fn parts(&mut self) -> (&mut [u8], &mut StringBlock) {
        (&mut self.request, &mut self.strings)
    }
}

/// One running command.
#[derive(Clone, Copy, Debug, Default)]
struct Job {
    /// 0: free.
    pid: i32,
    id: u32,
    last: bool,
    /// Where replies about it go, if not to the control socket.
    replies: Option<RawFd>,
}

impl Room {
    /// Makes room for so many commands at once.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new(commands: usize) -> Result<Self, Errno> {
        Ok(Room {
            request: Pages::zeroed(EXEC_HEADER + BLOCK)?,
            strings: StringBlock::with_room()?,
            commands: vec![Job::default(); commands].into_boxed_slice(),
        })
    }
}

/// Descriptors init keeps, at fixed numbers from here on.
const CONTROL: RawFd = 3;
const SIGNALS: RawFd = 4;
const SCRATCH: RawFd = 5;
const SYNC: RawFd = 6;
const LEASE: RawFd = 7;
const FIRST_FREE: RawFd = 8;

/// Init's state.
struct Init<'a> {
    context: &'a Context,
    control: BorrowedFd<'static>,
    signals: BorrowedFd<'static>,
    scratch: Option<BorrowedFd<'static>>,
    control_open: bool,
}

/// The rest of init's life.
pub fn serve(context: &Context, root: Root) -> ! {
    let program = &context.program;
    let start = &program.start;
    if !start.init {
        command::become_first(context);
    }
    let signals = match signal::descriptor(SignalSet::of(&[SIGCHLD])) {
        Ok(signals) => signals,
        Err(errno) => fail(program, (Stage::Process, None, errno)),
    };
    // It runs before this process has its filters; until then nothing may trace this process.
    if guards_itself(program)
        && let Err(errno) = enclos_sys::child::set_not_dumpable()
    {
        fail(program, (Stage::Process, None, errno));
    }
    // The first command inherits its streams from here, so it starts before everything else is closed.
    let mut early = Init { context, control: borrowed(&program.control), signals: borrowed(&signals), scratch: None, control_open: true };
    let spawned = command::start_first(context);
    match spawned {
        command::First::None => {
            let mut parked = 0;
            if start.park.is_some() {
                match command::park(context) {
                    Ok(pid) => {
                        parked = pid;
                        early.record(Job { pid, id: 0, last: true, replies: None });
                    }
                    Err(errno) => fail(program, (Stage::Fork, None, errno)),
                }
            }
            early.reply(Reply::Ready { parked }, root.workspace());
        }
        command::First::Started { pid, id, last, announce, terminal } => {
            early.record(Job { pid, id, last, replies: None });
            if announce {
                early.reply(Reply::Started { id, pid }, terminal.as_ref().map(AsFd::as_fd));
            }
        }
        command::First::Failed { id, stage, errno } => {
            early.reply(Reply::NotStarted { id, stage: stage as u8, errno: errno.raw_os_error() }, None);
            exit(i32::from(enclos_spec::exit::FAILURE));
        }
    }
    let mut init = match keep_only(context, &signals, root) {
        Ok(init) => init,
        Err((stage, errno)) => fail(program, (stage, None, errno)),
    };
    if let Err((stage, op, errno)) = init.hold_locks().and_then(|()| init.share_filters()) {
        init.reply(Reply::Failed { stage: stage as u8, op: op.unwrap_or(u32::MAX), errno: errno.raw_os_error() }, None);
        exit(1);
    }
    init.run()
}

/// Whether init shares filters of the caller's that it gets only after the first command runs.
fn guards_itself(program: &crate::child::program::Program) -> bool {
    !program.hide_init && !program.start.filters.is_empty()
}

/// A borrow that ends with the process. (Children never close by dropping: `exit` ends them.)
fn borrowed(fd: &OwnedFd) -> BorrowedFd<'static> {
    match fd::borrow(fd.as_raw_fd()) {
        Ok(fd) => fd,
        Err(_) => exit(i32::from(enclos_spec::exit::FAILURE)),
    }
}

/// Moves what init needs to fixed numbers and closes everything else, the caller's streams included: a pipe must end when the command does.
fn keep_only<'a>(context: &'a Context, signals: &OwnedFd, root: Root) -> Result<Init<'a>, (Stage, Errno)> {
    let program = &context.program;
    let streams = |e| (Stage::Streams, e);
    // Copies above every fixed number first, so that no move overwrites another's source.
    let high = |from: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(from, FIRST_FREE).map_err(streams);
    let control = high(program.control.as_fd())?;
    let signals = high(signals.as_fd())?;
    let scratch = root.into_scratch().map(|s| high(s.as_fd())).transpose()?;
    let by_number = |number: Option<RawFd>| number.map(|n| fd::borrow(n).map_err(streams).and_then(high)).transpose();
    let (sync, lease) = (by_number(program.start.sync_fd)?, by_number(program.start.lease)?);
    fd::copy_to(control.as_fd(), CONTROL, true).map_err(streams)?;
    fd::copy_to(signals.as_fd(), SIGNALS, true).map_err(streams)?;
    for (fd, number) in [(&scratch, SCRATCH), (&sync, SYNC), (&lease, LEASE)] {
        match fd {
            Some(fd) => fd::copy_to(fd.as_fd(), number, true).map_err(streams)?,
            None => fd::close_between(number, number, false).map_err(streams)?,
        }
    }
    fd::close_between(0, 2, false).map_err(streams)?;
    fd::close_from(FIRST_FREE, false).map_err(streams)?;
    // The owners of these numbers were closed above; their values must not close the numbers again, which are now others'.
    std::mem::forget((control, signals, scratch, sync, lease));
    let fixed = |number| fd::borrow(number).map_err(streams);
    let has_scratch = program.scratch.is_some();
    Ok(Init {
        context,
        control: fixed(CONTROL)?,
        signals: fixed(SIGNALS)?,
        scratch: if has_scratch { Some(fixed(SCRATCH)?) } else { None },
        control_open: true,
    })
}

impl Init<'_> {
    /// Opens and locks the plan's files, and holds them for life.
    fn hold_locks(&self) -> Result<(), Fault> {
        for (index, path) in self.context.program.start.lock_files.iter().enumerate() {
            let at = |stage: Stage| move |errno: Errno| (stage, Some(index as u32), errno);
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(at(Stage::LockOpen))?;
            rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).map_err(at(Stage::LockTake))?;
            std::mem::forget(file);
        }
        Ok(())
    }

    /// The caller's own filters bind init too where a command could trace it: else it could make init do what it may not.
    fn share_filters(&self) -> Result<(), Fault> {
        let program = &self.context.program;
        if !program.hide_init {
            for filter in &program.start.filters {
                enclos_sys::seccomp::install(filter).map_err(|errno| (Stage::Seccomp, None, errno))?;
            }
            if guards_itself(program) {
                enclos_sys::child::set_dumpable().map_err(|errno| (Stage::Process, None, errno))?;
            }
        }
        Ok(())
    }

    fn run(&mut self) -> ! {
        loop {
            let mut events = [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.control, PollFlags::IN)];
            let watched = if self.control_open { &mut events[..] } else { &mut events[..1] };
            match poll(watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => exit(i32::from(enclos_spec::exit::FAILURE)),
            }
            let (child_changed, requested) = (!events[0].revents().is_empty(), self.control_open && !events[1].revents().is_empty());
            if child_changed {
                // One of a kind is pending at most.
                let _ = signal::read(self.signals);
                self.reap();
            }
            if requested {
                self.request();
            }
        }
    }

    fn reply(&self, reply: Reply, descriptor: Option<BorrowedFd<'_>>) {
        // A launcher that has gone needs no reply; the closed socket is noticed by the loop.
        let _ = send_with(self.control, &reply.encode(), descriptor);
    }

    fn with_room<R>(&self, act: impl FnOnce(&mut Room) -> R) -> R {
        act(&mut self.context.room.borrow_mut())
    }

    /// To whoever waits for this command.
    fn reply_about(&self, job: Job, reply: Reply, descriptor: Option<BorrowedFd<'_>>) {
        match job.replies.map(fd::borrow) {
            Some(Ok(socket)) => drop(send_with(socket, &reply.encode(), descriptor)),
            _ => self.reply(reply, descriptor),
        }
    }

    /// What nobody needs to hear: a command that stops and goes on as fast as it can holds nobody up.
    fn mention(&self, job: Job, reply: Reply) {
        let socket = job.replies.and_then(|number| fd::borrow(number).ok()).unwrap_or(self.control);
        let _ = rustix::net::send(socket, &reply.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    fn record(&mut self, new: Job) {
        self.with_room(|room| {
            if let Some(free) = room.commands.iter_mut().find(|job| job.pid == 0) {
                *free = new;
            }
        });
    }

    fn job_of_pid(&self, pid: i32) -> Option<Job> {
        self.with_room(|room| room.commands.iter().find(|job| job.pid == pid).copied())
    }

    /// Its place is free again, and whoever waited for it sees the end of its replies.
    fn forget(&mut self, gone: Job) {
        self.with_room(|room| {
            if let Some(job) = room.commands.iter_mut().find(|job| job.pid == gone.pid) {
                *job = Job::default();
            }
        });
        if let Some(number) = gone.replies {
            let _ = fd::close_between(number, number, false);
        }
    }

    /// Takes every change of every child; orphans end here.
    fn reap(&mut self) {
        loop {
            let changed = match wait::wait_any(Wait::ChangedAlready) {
                Ok(Some(changed)) => changed,
                Ok(None) => return,
                Err(_) => {
                    if self.context.program.start.linger {
                        exit(0);
                    }
                    return;
                }
            };
            let Some(job) = self.job_of_pid(changed.pid) else { continue };
            match changed.how {
                How::Stopped(signal) => self.mention(job, Reply::Stopped { id: job.id, signal }),
                How::Continued => self.mention(job, Reply::Continued { id: job.id }),
                How::Exited(_) | How::Signaled(_) => self.ended(job, &changed),
            }
        }
    }

    fn ended(&mut self, job: Job, changed: &wait::Changed) {
        let status = match changed.how {
            How::Exited(status) => status,
            How::Signaled(signal) => -signal,
            How::Stopped(_) | How::Continued => return,
        };
        let last = job.last && !command::leaves_others(job.id);
        if let Some((stage, errno)) = command::parked_failure(job.id, job.last) {
            self.reply(Reply::NotStarted { id: job.id, stage: stage as u8, errno: errno.raw_os_error() }, None);
            if last {
                exit(0);
            }
            return self.forget(job);
        }
        let finish = last && !self.context.program.start.linger;
        let (mut cpu_us, mut max_resident) = (changed.cpu_us, changed.max_resident);
        if finish {
            // What the command left behind dies with it, and its CPU time counts.
            // Whoever is left is a child of ours by now: without one, nobody needs to be looked for.
            if is_first() && wait::wait_any(Wait::EndedAlready).is_ok() {
                let _ = signal::kill(-1, SIGKILL);
                while let Ok(Some(_)) = wait::wait_any(Wait::Ended) {}
            }
            let (cpu, resident) = wait::usage_of_tree();
            (cpu_us, max_resident) = (cpu_us.max(cpu), max_resident.max(resident));
        }
        // Only now is nobody left who could change it.
        let directory = if finish { files::collected() } else { None };
        let reply = Reply::Ended { id: job.id, status, cpu_us, max_resident, disk: self.disk() };
        self.reply_about(job, reply, directory.as_ref().map(AsFd::as_fd));
        if finish {
            exit(0);
        }
        self.forget(job);
    }

    fn disk(&self) -> Disk {
        let Some(scratch) = self.scratch else { return Disk::default() };
        let Ok(stat) = fstatvfs(scratch) else { return Disk::default() };
        Disk {
            bytes: (stat.f_blocks - stat.f_bfree) * stat.f_frsize,
            inodes: stat.f_files - stat.f_ffree,
            full: stat.f_blocks > 0 && stat.f_bfree == 0,
            inodes_full: stat.f_files > 0 && stat.f_ffree == 0,
        }
    }

    fn request(&mut self) {
        let mut descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS] = [const { None }; MAX_DESCRIPTORS];
        let received = self.with_room(|room| receive(self.control, &mut room.request[..DATAGRAM + EXEC_HEADER], &mut descriptors));
        let length = match received {
            Ok(0) => return self.closed(),
            Err(Errno::INTR | Errno::AGAIN) => return,
            Err(_) => return self.closed(),
            Ok(length) => length,
        };
        // Decoding borrows the room; a signal is small enough to copy out of it.
        let signal = self.with_room(|room| match Request::decode(&room.request[..length]) {
            Some(Request::Signal { id, signal, target }) => Some((id, signal, target)),
            Some(Request::End) => exit(0),
            _ => None,
        });
        match signal {
            Some((id, signal, target)) => self.send_signal(id, signal, target),
            None => self.execute(length, descriptors),
        }
    }

    fn closed(&mut self) {
        if self.context.program.start.linger {
            self.control_open = false;
        } else {
            exit(0);
        }
    }

    fn send_signal(&self, id: u32, signal: i32, target: Target) {
        let pid = self.with_room(|room| room.commands.iter().find(|job| job.pid != 0 && job.id == id).map(|job| job.pid));
        let _ = match (target, pid) {
            (Target::All, _) if is_first() => signal::kill(-1, signal),
            (Target::All, Some(pid)) => signal::kill(pid, signal),
            (Target::Process, Some(pid)) => signal::kill(pid, signal),
            (Target::Group, Some(pid)) => signal::kill(-pid, signal).or_else(|_| signal::kill(pid, signal)),
            (_, None) => Ok(()),
        };
    }

    fn execute(&mut self, length: usize, mut descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS]) {
        let mut room = self.context.room.borrow_mut();
        let Room { request, strings, commands, .. } = &mut *room;
        let Some(length) = read_file_part(request, length, &descriptors) else { return };
        let Some(Request::Exec(exec)) = Request::decode(&request[..length]) else { return };
        let (id, announce, last) = (exec.id, exec.flags & flag::ANNOUNCE != 0, exec.flags & flag::LAST != 0);
        let given = Given::of(&exec, &descriptors);
        let started = if commands.iter().all(|job| job.pid != 0) {
            Err((Stage::Fork, Errno::AGAIN))
        } else {
            command::start(&self.context.program, &exec, strings, given)
        };
        drop(room);
        let job = Job { pid: 0, id, last, replies: given.replies };
        match started {
            Ok((pid, terminal)) => {
                // Kept until the command has ended.
                for kept in descriptors.iter_mut().filter(|fd| fd.as_ref().map(AsRawFd::as_raw_fd) == given.replies) {
                    std::mem::forget(kept.take());
                }
                let job = Job { pid, ..job };
                self.record(job);
                if announce {
                    self.reply_about(job, Reply::Started { id, pid }, terminal.as_ref().map(AsFd::as_fd));
                }
            }
            Err((stage, errno)) => self.reply_about(job, Reply::NotStarted { id, stage: stage as u8, errno: errno.raw_os_error() }, None),
        }
    }
}

/// Whether this is process 1 of a pid namespace, so that "every process" means those of the sandbox. Elsewhere it would mean the host's.
fn is_first() -> bool {
    rustix::process::getpid().as_raw_nonzero().get() == 1
}

/// Descriptors that came along with a request, in order: one for each stream that is not on the terminal, one for each set of files, the extra ones, the socket for
/// replies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// Standard input, output, error; `None`: the terminal.
    pub streams: [Option<RawFd>; 3],
    /// Sets of files.
    pub sets: [Option<RawFd>; message::MAX_SETS],
    /// What the command has from 3 on.
    pub extras: [Option<RawFd>; message::MAX_EXTRAS],
    /// Where replies about it go.
    pub replies: Option<RawFd>,
}

impl Given {
    fn of(exec: &Exec<'_>, descriptors: &[Option<OwnedFd>; MAX_DESCRIPTORS]) -> Given {
        let mut given = descriptors.iter().flatten().map(AsRawFd::as_raw_fd);
        let streams =
            [flag::TTY_STDIN, flag::TTY_STDOUT, flag::TTY_STDERR].map(|bit| if exec.flags & bit != 0 { None } else { given.next() });
        let mut sets = [None; message::MAX_SETS];
        for set in sets.iter_mut().take(usize::from(exec.sets)) {
            *set = given.next();
        }
        let mut extras = [None; message::MAX_EXTRAS];
        for extra in extras.iter_mut().take(usize::from(exec.extras)) {
            *extra = given.next();
        }
        let replies = if exec.replies { given.next() } else { None };
        Given { streams, sets, extras, replies }
    }
}

/// Appends the strings of a request that travels in a memory file; gives the whole length.
fn read_file_part(request: &mut [u8], length: usize, descriptors: &[Option<OwnedFd>; MAX_DESCRIPTORS]) -> Option<usize> {
    if request.get(1)? & flag::IN_FILE == 0 {
        return Some(length);
    }
    let file = descriptors.iter().flatten().last()?;
    let mut end = EXEC_HEADER;
    loop {
        match rustix::io::pread(file, &mut request[end..], (end - EXEC_HEADER) as u64) {
            Ok(0) => return Some(end),
            Ok(read) => end += read,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Sends one datagram, with a descriptor or without. Child-safe.
pub(crate) fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|fd| [fd]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        match sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one datagram and its descriptors. Child-safe.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut [Option<OwnedFd>; MAX_DESCRIPTORS],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(12))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [std::io::IoSliceMut::new(buffer)];
    let message = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut index = 0;
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = item {
            for fd in received {
                if let Some(slot) = descriptors.get_mut(index) {
                    *slot = Some(fd);
                    index += 1;
                }
            }
        }
    }
    Ok(message.bytes)
}
