//! One command's process, from its clone to its execution.

use std::ffi::c_int;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use enclos_sys::clone::{Until, clone_sharing_memory};
use enclos_sys::exec::StringBlock;
use enclos_sys::{Errno, fd, seccomp, signal, terminal, wait};
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, chdir, setrlimit, setsid, umask};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::message::{DATAGRAM, EXEC_HEADER, Exec, MAX_EXTRAS, Request, flag};
use super::{Given, files, read_file_part, receive};
use crate::child::program::Program;
use crate::child::{self, Context};
use crate::error::Stage;

/// How the first command fared.
#[derive(Debug)]
pub enum First {
    /// There is none yet.
    None,
    /// It runs.
    Started {
        /// Its pid inside.
        pid: i32,
        /// The caller's name for it.
        id: u32,
        /// The sandbox ends with it.
        last: bool,
        /// Report the start.
        announce: bool,
        /// Master side of its terminal.
        terminal: Option<OwnedFd>,
    },
    /// It could not be started.
    Failed {
        /// The caller's name for it.
        id: u32,
        /// Which step.
        stage: Stage,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// What the command's process needs; lies in init's memory, which it shares until it executes.
struct Ready<'a> {
    program: &'a Program,
    exec: Exec<'a>,
    strings: std::cell::RefCell<&'a mut StringBlock>,
    given: Given,
    terminal: Option<RawFd>,
    /// What [`prepare_ahead`] does is done.
    ahead: bool,
    failure: Failure,
}

/// Written by the command's process, read by init after it has ended or executed.
#[derive(Debug)]
struct Failure {
    stage: AtomicU8,
    errno: AtomicI32,
}

impl Failure {
    const fn none() -> Self {
        Failure { stage: AtomicU8::new(0), errno: AtomicI32::new(0) }
    }
    fn set(&self, (stage, errno): (Stage, Errno)) {
        self.stage.store(stage as u8, Ordering::SeqCst);
        self.errno.store(errno.raw_os_error(), Ordering::SeqCst);
    }
    fn get(&self) -> Option<(Stage, Errno)> {
        match self.errno.load(Ordering::SeqCst) {
            0 => None,
            errno => Some((Stage::from_number(self.stage.load(Ordering::SeqCst)), Errno::from_raw_os_error(errno))),
        }
    }
}

/// Starts the first command, whose request and streams were there before the clone.
pub fn start_first(context: &Context) -> First {
    let program = &context.program;
    let Some(first) = &program.start.first else { return First::None };
    let Some(Request::Exec(exec)) = Request::decode(&first.request) else {
        return First::Failed { id: 0, stage: Stage::Control, errno: Errno::INVAL };
    };
    let mut room = context.room.borrow_mut();
    match start(program, &exec, &mut room.strings, first.given) {
        Ok((pid, terminal)) => {
            let (last, announce) = (exec.flags & flag::LAST != 0, exec.flags & flag::ANNOUNCE != 0);
            First::Started { pid, id: exec.id, last, announce, terminal }
        }
        Err((stage, errno)) => First::Failed { id: exec.id, stage, errno },
    }
}

/// Without an init: this process becomes the first command. A failure travels over the control socket, which execution closes.
pub fn become_first(context: &Context) -> ! {
    let program = &context.program;
    let request = program.start.first.as_ref().and_then(|first| match Request::decode(&first.request) {
        Some(Request::Exec(exec)) => Some((exec, first.given)),
        _ => None,
    });
    let Some((exec, given)) = request else { crate::child::fail(program, (Stage::Control, None, Errno::INVAL)) };
    let mut room = context.room.borrow_mut();
    let ready = Ready {
        program,
        exec,
        strings: std::cell::RefCell::new(&mut room.strings),
        given,
        terminal: None,
        ahead: false,
        failure: Failure::none(),
    };
    let (stage, errno) = execute(&ready);
    crate::child::fail(program, (stage, None, errno))
}

/// Starts a command; gives its pid and the master side of its terminal.
pub fn start(
    program: &Program,
    exec: &Exec<'_>,
    strings: &mut StringBlock,
    given: Given,
) -> Result<(i32, Option<OwnedFd>), (Stage, Errno)> {
    let pair = if exec.flags & flag::TTY != 0 { Some(open_terminal(exec.window).map_err(|e| (Stage::Terminal, e))?) } else { None };
    let ready = Ready {
        program,
        exec: *exec,
        strings: std::cell::RefCell::new(strings),
        given,
        terminal: pair.as_ref().map(|(_, slave)| std::os::fd::AsRawFd::as_raw_fd(slave)),
        ahead: false,
        failure: Failure::none(),
    };
    let run = |ready: &Ready<'_>| {
        let failure = execute(ready);
        ready.failure.set(failure);
        c_int::from(enclos_spec::exit::FAILURE)
    };
    let pid = clone_sharing_memory(&program.start.stack, Until::Executed, run, &ready).map_err(|e| (Stage::Fork, e))?;
    if let Some(failure) = ready.failure.get() {
        let _ = wait::wait_pid(pid, wait::Wait::Ended);
        return Err(failure);
    }
    Ok((pid.as_raw_nonzero().get(), pair.map(|(master, _)| master)))
}

/// A private terminal of the sandbox's own devpts.
fn open_terminal((rows, columns): (u16, u16)) -> Result<(OwnedFd, OwnedFd), Errno> {
    let master = rustix::fs::open(c"/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    if rows > 0 && columns > 0 {
        tcsetwinsize(&slave, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    }
    Ok((master, slave))
}

/// In the command's process: everything up to execution. Comes back only with the step that failed.
fn execute(ready: &Ready<'_>) -> (Stage, Errno) {
    match prepare(ready) {
        Err(failure) => failure,
        Ok(block) => {
            let mut strings = ready.strings.borrow_mut();
            (Stage::Execute, execute_first_found(&mut strings, &ready.exec, block))
        }
    }
}

fn prepare<'a>(ready: &Ready<'a>) -> Result<&'a [u8], (Stage, Errno)> {
    let at = |stage: Stage| move |errno: Errno| (stage, errno);
    let (program, exec) = (ready.program, &ready.exec);
    let start = &program.start;
    // Where init is process 1 the kernel ends everything with it. (Which process is above this one now says nothing: init may have ended.)
    if program.die_with_parent && start.init && !program.own_pid_namespace {
        child::die_with_parent(program).map_err(at(Stage::Process))?;
    }
    if !ready.ahead && (start.new_session || ready.terminal.is_some()) {
        setsid().map_err(at(Stage::Session))?;
    }
    if let Some(number) = ready.terminal {
        terminal::make_controlling(fd::borrow(number).map_err(at(Stage::Terminal))?).map_err(at(Stage::Terminal))?;
    }
    // Before the streams are moved, which may cover the descriptors that came along; before the limits, which are the command's.
    bring_files(exec, &ready.given).map_err(at(Stage::WriteFiles))?;
    let extras = lift_extras(&ready.given.extras).map_err(at(Stage::Streams))?;
    connect_streams(&ready.given.streams, ready.terminal).map_err(at(Stage::Streams))?;
    let first_free = connect_extras(&extras).map_err(at(Stage::Streams))?;
    if exec.subreaper {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(at(Stage::Process))?;
    }
    set_limits(program, |resource| !ready.ahead || !is_set_ahead(resource)).map_err(at(Stage::Rlimit))?;
    if let Some(block) = start.block_fd {
        let mut byte = [0u8; 1];
        let fd = fd::borrow(block).map_err(at(Stage::Block))?;
        let _ = rustix::io::read(fd, &mut byte);
    }
    match &start.keep_all_but {
        None => fd::close_from(first_free, false).map_err(at(Stage::Streams))?,
        Some(but) => {
            for (first, last) in but {
                fd::close_between(*first, *last, false).map_err(at(Stage::Streams))?;
            }
        }
    }
    umask(Mode::from_raw_mode(start.umask));
    let (chosen, files) = enter_directory(exec)?;
    let arguments = Exec::skip(files, usize::from(exec.files)).ok_or((Stage::Control, Errno::INVAL))?;
    let alternatives = if exec.flags & flag::PWD != 0 { usize::from(exec.directories) } else { 0 };
    let mut strings = ready.strings.borrow_mut();
    strings.lay_out(arguments, exec.arguments as usize, exec.variables as usize, alternatives, chosen).map_err(at(Stage::Execute))?;
    drop(strings);
    signal::set_mask(start.mask);
    for filter in &start.filters {
        seccomp::install(filter).map_err(at(Stage::Seccomp))?;
    }
    Ok(files)
}

/// Writes the files that came along, and remembers what is to be handed over.
fn bring_files(exec: &Exec<'_>, given: &Given) -> Result<(), Errno> {
    if exec.sets == 0 && !exec.collects {
        return Ok(());
    }
    let mut rest = exec.sets_block().ok_or(Errno::INVAL)?;
    for set in given.sets.iter().take(usize::from(exec.sets)) {
        let (Some(directory), Some(set)) = (Exec::first(rest), set) else { return Err(Errno::INVAL) };
        files::write_set(directory, fd::borrow(*set)?)?;
        rest = Exec::skip(rest, 1).ok_or(Errno::INVAL)?;
    }
    if exec.collects { files::remember(Exec::first(rest).ok_or(Errno::INVAL)?) } else { Ok(()) }
}

/// Sets the plan's limits on those resources.
fn set_limits(program: &Program, wanted: impl Fn(Resource) -> bool) -> Result<(), Errno> {
    program
        .start
        .rlimits
        .iter()
        .filter(|(resource, _)| wanted(*resource))
        .try_for_each(|(resource, value)| setrlimit(*resource, Rlimit { current: Some(*value), maximum: Some(*value) }))
}

/// Limits that a parked process takes before it has its request: all but those that would bind what it then still does for the command (files, and room to read them).
fn is_set_ahead(resource: Resource) -> bool {
    !matches!(resource, Resource::Fsize | Resource::As | Resource::Nofile)
}

/// What of [`prepare`] no request changes, done while a parked process has time.
fn prepare_ahead(program: &Program, socket: RawFd) -> Result<(), (Stage, Errno)> {
    let at = |stage: Stage| move |errno: Errno| (stage, errno);
    if program.start.new_session {
        setsid().map_err(at(Stage::Session))?;
    }
    set_limits(program, is_set_ahead).map_err(at(Stage::Rlimit))?;
    if program.start.keep_all_but.is_none() {
        fd::close_between(3, socket - 1, false).and_then(|()| fd::close_from((socket + 1).max(3), false)).map_err(at(Stage::Streams))?;
    }
    Ok(())
}

/// Enters the first directory that lets us; gives its number and the rest of the block.
fn enter_directory<'a>(exec: &Exec<'a>) -> Result<(usize, &'a [u8]), (Stage, Errno)> {
    let malformed = (Stage::Control, Errno::INVAL);
    let mut rest = exec.block;
    let mut answer: Result<usize, Errno> = Ok(0);
    for index in 0..usize::from(exec.directories) {
        let directory = Exec::first(rest).ok_or(malformed)?;
        if index == 0 || answer.is_err() {
            answer = chdir(directory).map(|()| index);
        }
        rest = Exec::skip(rest, 1).ok_or(malformed)?;
    }
    answer.map(|chosen| (chosen, rest)).map_err(|errno| (Stage::Workdir, errno))
}

/// As `execvp(3)`: the first file that can be executed; a file that exists but cannot be decides the error over ones that do not exist.
fn execute_first_found(strings: &mut StringBlock, exec: &Exec<'_>, files: &[u8]) -> Errno {
    let mut rest = files;
    let mut answer = Errno::NOENT;
    for _ in 0..exec.files {
        let (Some(file), Some(next)) = (Exec::first(rest), Exec::skip(rest, 1)) else { return Errno::INVAL };
        match strings.execute(file, files) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => answer = Errno::ACCESS,
            // A script without `#!` is the shell's.
            Errno::NOEXEC if exec.flags & flag::SHELL != 0 => return strings.execute_by_shell(file, files),
            other => return other,
        }
        rest = next;
    }
    answer
}

/// Puts the streams at 0, 1 and 2; those without a descriptor get the terminal.
fn connect_streams(streams: &[Option<RawFd>; 3], terminal: Option<RawFd>) -> Result<(), Errno> {
    // A source numbered 0 to 2 would be overwritten before its turn unless it is already in place: copy it up first.
    let mut sources = [0 as RawFd; 3];
    for (target, stream) in streams.iter().enumerate() {
        let number = match (stream, terminal) {
            (Some(number), _) => *number,
            (None, Some(number)) => number,
            // A caller without this stream: the command has none either.
            (None, None) => -1,
        };
        sources[target] = if (0..=2).contains(&number) && number != target as RawFd {
            let copy = fcntl_dupfd_cloexec(fd::borrow(number)?, 3)?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&copy);
            // Closed with everything else above 2, or at execution.
            std::mem::forget(copy);
            number
        } else {
            number
        };
    }
    for (target, source) in sources.into_iter().enumerate() {
        if source >= 0 {
            fd::copy_to(fd::borrow(source)?, target as RawFd, false)?;
        }
    }
    Ok(())
}

/// Above every number that the command's own descriptors get.
const LIFTED: RawFd = 32;
/// Number of the first extra descriptor.
const FIRST_EXTRA: RawFd = 3;

/// Copies the extra descriptors to where neither streams nor other extra ones are going to be.
fn lift_extras(extras: &[Option<RawFd>; MAX_EXTRAS]) -> Result<[Option<RawFd>; MAX_EXTRAS], Errno> {
    let mut lifted = [None; MAX_EXTRAS];
    for (lifted, extra) in lifted.iter_mut().zip(extras) {
        if let Some(number) = extra {
            let copy = fcntl_dupfd_cloexec(fd::borrow(*number)?, LIFTED)?;
            *lifted = Some(std::os::fd::AsRawFd::as_raw_fd(&copy));
            // Closed by number, with everything else.
            std::mem::forget(copy);
        }
    }
    Ok(lifted)
}

/// Puts the extra descriptors at 3 and up; gives the first number after them.
fn connect_extras(extras: &[Option<RawFd>; MAX_EXTRAS]) -> Result<RawFd, Errno> {
    let mut next = FIRST_EXTRA;
    for number in extras.iter().flatten() {
        fd::copy_to(fd::borrow(*number)?, next, false)?;
        next += 1;
    }
    Ok(next)
}

static PARKED_FAILURE: Failure = Failure::none();

/// What has become of the parked process: written by itself when it has its request, in the memory it shares with init.
static PARKED: AtomicU8 = AtomicU8::new(NOT_PARKED);
const NOT_PARKED: u8 = 0;
/// It waits. Killed now, it was no command, and nothing ends with it.
const WAITS: u8 = 1;
/// It is the only command of its sandbox.
const ALONE: u8 = 2;
/// It is one of many.
const ONE_OF_MANY: u8 = 3;

/// Whether the sandbox lives on after the first command, for which the process was parked.
pub fn leaves_others(id: u32) -> bool {
    id == 0 && matches!(PARKED.load(Ordering::SeqCst), WAITS | ONE_OF_MANY)
}

/// What kept a parked command from running, if it was it that ended.
pub fn parked_failure(id: u32, last: bool) -> Option<(Stage, Errno)> {
    if id == 0 && last { PARKED_FAILURE.get() } else { None }
}

/// Makes the first command's process ahead of its request: a message is then all that stands before the execution.
pub fn park(context: &Context) -> Result<i32, Errno> {
    let run = |context: &Context| {
        let failure = await_request(context);
        PARKED_FAILURE.set(failure);
        c_int::from(enclos_spec::exit::FAILURE)
    };
    let park = context.program.start.park.as_ref().ok_or(Errno::BADF)?;
    PARKED.store(WAITS, Ordering::SeqCst);
    clone_sharing_memory(&park.stack, Until::Cloned, run, context).map(|pid| pid.as_raw_nonzero().get())
}

/// In the parked process: waits, then executes. It shares init's memory; what it writes (`parked`, `parked_strings`) init does not touch.
fn await_request(context: &Context) -> (Stage, Errno) {
    let program = &context.program;
    let Some(socket) = program.start.park.as_ref().map(|park| &park.socket) else { return (Stage::Control, Errno::BADF) };
    if let Err(failure) = prepare_ahead(program, std::os::fd::AsRawFd::as_raw_fd(socket)) {
        return failure;
    }
    let mut descriptors: [Option<OwnedFd>; crate::init::MAX_DESCRIPTORS] = [const { None }; crate::init::MAX_DESCRIPTORS];
    let buffer = &context.parked;
    let mut buffer = buffer.borrow_mut();
    let (bytes, strings) = buffer.parts();
    let length = loop {
        match receive(socket.as_fd(), &mut bytes[..DATAGRAM + EXEC_HEADER], &mut descriptors) {
            Ok(0) => return (Stage::Control, Errno::PIPE),
            Ok(length) => break length,
            Err(Errno::INTR) => {}
            Err(errno) => return (Stage::Control, errno),
        }
    };
    let Some(length) = read_file_part(bytes, length, &descriptors) else { return (Stage::Control, Errno::INVAL) };
    let Some(Request::Exec(exec)) = Request::decode(&bytes[..length]) else { return (Stage::Control, Errno::INVAL) };
    PARKED.store(if exec.flags & flag::LAST != 0 { ALONE } else { ONE_OF_MANY }, Ordering::SeqCst);
    let given = Given::of(&exec, &descriptors);
    let ready =
        Ready { program, exec, strings: std::cell::RefCell::new(strings), given, terminal: None, ahead: true, failure: Failure::none() };
    let failure = execute(&ready);
    // Closed by number on the way to the execution: their values must not close them again.
    std::mem::forget(descriptors);
    failure
}
