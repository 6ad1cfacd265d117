//! One command, from its start to its result.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_sandbox::{Child, Command, Outcome, Stage, Stdio};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::capture::Capture;
use super::input::Input;
use super::{directory, words};
use crate::api::{AgentError, Cancel, Exec, ExecResult, Interaction, Result, Verdict, Watcher};
use crate::core::fault;
use crate::core::life::Life;

/// What a command may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of each stream.
    pub output: u64,
    /// Wall clock.
    pub timeout: Duration,
}

/// What a program with a terminal takes it for, unless the caller says otherwise.
pub const TERM: &str = "xterm-256color";

/// After everything was killed, for the engine to say so.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a command was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Timeout,
    Cancelled,
    /// The workspace holds too much; the sandbox's guard has killed it already.
    Limit,
}

/// Runs a command in a sandbox; `with`: somebody talks to it meanwhile.
///
/// # Errors
/// A command that cannot be started, by what is wrong with it.
pub fn run(
    life: &Arc<Life>,
    exec: &Exec,
    with: Option<&Interaction>,
    limits: Limits,
    cancel: &Cancel,
    watcher: &dyn Watcher,
) -> Result<ExecResult> {
    let words = words(exec)?;
    super::check_env("env", &exec.env)?;
    let directory = directory(exec.workdir.as_deref())?;
    if cancel.is_cancelled() {
        return Err(AgentError::Cancelled);
    }
    let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| fault::internal("an event descriptor", &e))?;
    let waker = woken.try_clone().map_err(|e| fault::internal("an event descriptor", &e))?;
    let _guard = cancel.on_cancel(move || {
        let _ = rustix::io::write(&waker, &1u64.to_ne_bytes());
    });
    let stop = life.stoppable(woken.try_clone().map_err(|e| fault::internal("an event descriptor", &e))?);
    let mut command = life.command(&words[0]);
    command.args(&words[1..]).current_dir(&directory).subreaper(true);
    let talk = with.map(|with| &with.talk);
    match with.and_then(|with| with.terminal) {
        Some((rows, columns)) => {
            command.terminal(rows, columns).env("TERM", TERM);
        }
        None => {
            let stdin = if exec.stdin.is_empty() && talk.is_none() { Stdio::Null } else { Stdio::Piped };
            command.stdin(stdin).stdout(Stdio::Piped).stderr(Stdio::Piped);
        }
    }
    for (name, value) in &exec.env {
        command.env(name, value);
    }
    let started = Instant::now();
    let mut child = match begun(&mut command, life, &directory, exec)? {
        Ok(child) => child,
        Err(result) => return Ok(*result),
    };
    watcher.started();
    let (mut capture, mut stdin) = if let Some(master) = child.terminal() {
        let keys = master.try_clone().map_err(|e| fault::internal("a terminal", &e))?;
        let shows = Capture::of_terminal(master.into(), limits.output, watcher.takes_output());
        (shows, Input::new(Some(keys), &exec.stdin, talk, true)?)
    } else {
        let streams = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let streams = Capture::new(streams, limits.output, watcher.takes_output());
        (streams, Input::new(child.stdin.take(), &exec.stdin, talk, false)?)
    };
    let capture = capture.as_mut().map_err(|errno| fault::internal("a pipe", errno))?;
    let deadline = started.checked_add(limits.timeout);
    let mut cause = None;
    // Until when something is waited for: first the command's own end, then, when it was killed, the engine's word of it.
    let mut until = deadline;
    while !child.has_ended() {
        if cause.is_none() {
            cause = if stop.hit().is_some() { Some(Cause::Limit) } else { ended_by(deadline, cancel) };
            if cause.is_some() {
                life.kill_tree(&child);
                until = Some(Instant::now() + LAST_WORDS);
            }
        } else if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        // What has woken it once stays readable.
        let woken = cause.is_none().then(|| woken.as_fd());
        if !wait_and_serve(capture, &mut stdin, &child, woken, until, watcher)? {
            cancel.cancel();
        }
    }
    capture.drain(watcher);
    drop(stdin);
    let outcome = child.wait();
    let wall = started.elapsed();
    let kept = capture.finish();
    // It was killed, and had ended before this was looked at.
    let cause = cause.or_else(|| stop.hit().map(|_| Cause::Limit));
    let (mut result, engine) = told(life, outcome, cause, &directory, exec)?;
    result.wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
    result.cpu_us = engine.as_ref().and_then(|outcome| figure(outcome, "cpu"));
    result.memory_peak = engine.as_ref().and_then(|outcome| figure(outcome, "memory-peak"));
    result.truncated = kept.thrown;
    if result.verdict == Verdict::DiskLimit {
        result.evidence = stop.hit().cloned();
    }
    if result.verdict == Verdict::Ended && kept.thrown != [0, 0] {
        result.verdict = Verdict::Truncated;
    }
    (result.stdout, result.stderr) = (kept.stdout, kept.stderr);
    Ok(result)
}

fn figure(outcome: &Outcome, name: &str) -> Option<u64> {
    outcome.report.figure(name).map(|figure| figure.value)
}

fn ended_by(deadline: Option<Instant>, cancel: &Cancel) -> Option<Cause> {
    if cancel.is_cancelled() {
        Some(Cause::Cancelled)
    } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        Some(Cause::Timeout)
    } else {
        None
    }
}

/// One more to wait for; gives its index.
fn add<'a>(fds: &mut Vec<PollFd<'a>>, fd: BorrowedFd<'a>, flags: PollFlags) -> Option<usize> {
    fds.push(PollFd::from_borrowed_fd(fd, flags));
    Some(fds.len() - 1)
}

/// Sleeps until something happens, and takes it. `false`: the watcher wants no more.
fn wait_and_serve(
    capture: &mut Capture,
    stdin: &mut Input<'_>,
    child: &Child,
    woken: Option<BorrowedFd<'_>>,
    until: Option<Instant>,
    watcher: &dyn Watcher,
) -> Result<bool> {
    let time = until.map(|until| until.saturating_duration_since(Instant::now()));
    let time =
        time.map(|time| Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) });
    let (mut which, mut told, mut written, mut moved) = ([None; 2], None, None, None);
    let happened: Vec<bool> = {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(6);
        for event in [Some(child.end()), woken].into_iter().flatten() {
            add(&mut fds, event, PollFlags::IN);
        }
        if let Some(held_up) = watcher.held_up() {
            moved = add(&mut fds, held_up, PollFlags::IN);
        } else {
            for (at, stream) in capture.open() {
                which[at] = add(&mut fds, stream, PollFlags::IN);
            }
        }
        if let Some(talk) = stdin.told() {
            told = add(&mut fds, talk, PollFlags::IN);
        }
        if let Some(pipe) = stdin.waits() {
            written = add(&mut fds, pipe, PollFlags::OUT);
        }
        match poll(&mut fds, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(fault::internal("waiting for a command", &errno)),
        }
        fds.iter().map(|fd| !fd.revents().is_empty()).collect()
    };
    let has = |index: Option<usize>| index.is_some_and(|index| happened[index]);
    if has(told) {
        stdin.hear(child);
    }
    if has(written) {
        stdin.serve();
    }
    let mut wanted = !(has(moved) && watcher.is_gone());
    for (at, index) in which.into_iter().enumerate() {
        if has(index) {
            wanted &= capture.serve(at, watcher);
        }
    }
    Ok(wanted)
}

/// Starts it; or what came of it. Of one with a terminal it is known here already that it cannot be executed, of others at their end.
fn begun(command: &mut Command, life: &Life, directory: &std::path::Path, exec: &Exec) -> Result<Result<Child, Box<ExecResult>>> {
    match command.spawn() {
        Ok(child) => Ok(Ok(child)),
        Err(error) if error.failure().is_some_and(|failure| matches!(failure.stage, Stage::Workdir | Stage::Execute)) => {
            told(life, Err(error), None, directory, exec).map(|(result, _)| Err(Box::new(result)))
        }
        Err(error) => Err(fault::of_engine(&error)),
    }
}

/// What the engine says about the end, in the words of the seam.
fn told(
    life: &Life,
    outcome: enclos_sandbox::Result<Outcome>,
    cause: Option<Cause>,
    directory: &std::path::Path,
    exec: &Exec,
) -> Result<(ExecResult, Option<Outcome>)> {
    let mut result = ExecResult {
        stdout: Vec::new(),
        stderr: Vec::new(),
        exit_code: -1,
        signal: None,
        verdict: Verdict::Lost,
        truncated: [0, 0],
        wall_us: 0,
        cpu_us: None,
        memory_peak: None,
        evidence: None,
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            if let Some(failure) = error.failure() {
                match failure.stage {
                    Stage::Workdir => {
                        return Err(AgentError::invalid("workdir", format!("{}: {}", directory.display(), failure.reason())));
                    }
                    Stage::Execute if exec.command.is_empty() => {
                        // As a shell tells it: a command that cannot be executed has ended.
                        result.exit_code = i32::from(error.exit_code());
                        result.verdict = Verdict::Ended;
                        return Ok((result, None));
                    }
                    _ => return Err(fault::of_engine(&error)),
                }
            }
            // Its sandbox was ended under it.
            match cause {
                Some(Cause::Timeout) => result.verdict = Verdict::TimedOut,
                Some(Cause::Cancelled) => result.verdict = Verdict::Cancelled,
                Some(Cause::Limit) => result.verdict = Verdict::DiskLimit,
                None => {}
            }
            return Ok((result, None));
        }
    };
    result.signal = outcome.status.signal();
    result.exit_code = outcome.status.code().unwrap_or_else(|| 128 + outcome.status.signal().unwrap_or(0));
    // The figure is of the whole sandbox: a kill that an earlier command was told of says nothing of this one.
    let out_of_memory = figure(&outcome, "oom-kills").is_some_and(|kills| life.more_out_of_memory(kills)) && result.exit_code != 0;
    result.verdict = match (cause, out_of_memory) {
        (Some(Cause::Timeout), _) => Verdict::TimedOut,
        (Some(Cause::Cancelled), _) => Verdict::Cancelled,
        // One that came to its own end a moment before was not ended.
        (Some(Cause::Limit), _) if result.exit_code != 0 => Verdict::DiskLimit,
        (_, true) => Verdict::OutOfMemory,
        (_, false) if result.signal.is_some() => Verdict::Signaled,
        (_, false) => Verdict::Ended,
    };
    if result.verdict == Verdict::TimedOut {
        result.exit_code = -1;
    }
    Ok((result, Some(outcome)))
}
