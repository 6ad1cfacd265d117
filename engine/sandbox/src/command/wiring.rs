//! What each standard stream of a command is: inherited, a pipe, a file, our relay, or the private terminal.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use enclos_spec::PolicyError;
use enclos_spec::plan::{IdRange, Identity};
use rustix::fs::{CWD, FileType, FsWord, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fcntl_getfl, fcntl_setfl, fstat, fstatfs, openat2};
use rustix::pipe::{PipeFlags, pipe_with};

use super::{Command, Home, Stdio};
use crate::error::{Failure, Result, Stage};
use crate::init::message::flag;
use crate::plan::Resolved;
use crate::watch::handed::Handed;
use crate::watch::relay::{Relay, is_terminal};
use crate::watch::stream::{Sink, Stream};

/// The command's side and ours of the three standard streams.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    /// Kept open until the command has its copies.
    pub owned: Vec<OwnedFd>,
    /// The command's descriptors; `None`: the terminal.
    pub child: [Option<RawFd>; 3],
    pub pipes: [Option<OwnedFd>; 3],
    pub streams: Vec<Stream>,
    /// Output and error go through one pipe, to one file: the order of what is written stays, and nobody can tell whose a byte was.
    pub joined: bool,
    pub relay: Option<Relay>,
    /// The caller's terminal, where the command gets it as its input.
    pub handed: Option<Handed>,
    pub flags: u8,
}

pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| Failure::about(Stage::Prepare, e, "pipe").into())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o666);
    let failed = |e| Failure::about(Stage::Streams, e, path.display().to_string());
    // What an earlier command may have planted is not followed, wherever on the path, and not waited for: a link, a FIFO. What lies below /dev (`/dev/stdout`) is the
    // host's own.
    let planted = !path.starts_with("/dev");
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = if planted {
        let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
        openat2(CWD, path, flags | OFlags::NONBLOCK, mode, ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
    } else {
        rustix::fs::open(path, flags, mode)
    }
    .map_err(failed)?;
    if planted {
        if !flags.contains(OFlags::WRONLY) && FileType::from_raw_mode(fstat(&file).map_err(failed)?.st_mode).is_fifo() {
            let wanted = "name a regular file: a FIFO would hold the run up until somebody writes to it (with < FILE the shell waits)";
            return Err(PolicyError::value("stdin", &path.display().to_string(), wanted).into());
        }
        fcntl_setfl(&file, fcntl_getfl(&file).map_err(failed)? - OFlags::NONBLOCK).map_err(failed)?;
    }
    Ok(file)
}

/// A directory as a stream would be a way into the host's tree.
fn refuse_directories(wiring: &Wiring) -> Result<()> {
    for (number, name) in wiring.child.iter().zip(["stdin", "stdout", "stderr"]) {
        let Some(fd) = number.and_then(|number| enclos_sys::fd::borrow(number).ok()) else { continue };
        if fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
            return Err(Failure::about(Stage::Streams, enclos_sys::Errno::ISDIR, name).into());
        }
    }
    Ok(())
}

/// With ids of its own the command is nobody on the host, and could not open again (`/dev/stdout`) a pipe that it has open: it is made the owner. A pipe has no other
/// name through which anybody else would notice.
pub(super) fn own_pipes(wiring: &Wiring, identity: &Identity) {
    let outside =
        |map: &[IdRange], inside: Option<u32>| map.first().zip(inside).map(|(range, inside)| range.outside + (inside - range.inside));
    let (true, Some(uid), Some(gid)) =
        (identity.setup.is_some(), outside(&identity.uid_map, identity.uid), outside(&identity.gid_map, identity.gid))
    else {
        return;
    };
    for number in wiring.child.iter().flatten() {
        let Ok(fd) = enclos_sys::fd::borrow(*number) else { continue };
        if fstatfs(fd).is_ok_and(|stat| stat.f_type == PIPEFS_MAGIC) {
            // Without the right to (an ordinary user's range) the pipe only stays another's.
            let _ = fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
}

/// Whether a descriptor for output stays with us, behind a pipe. A terminal: whoever holds it can also read from it, and change it. A regular file: whoever holds
/// it can cut it, overwrite what stood there before (`O_APPEND` is a flag that its holder clears), lock it, and, as its owner, open it to others.
fn is_kept_back(fd: BorrowedFd<'_>) -> bool {
    is_terminal(fd) || is_file(fd)
}

fn is_file(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
}

/// Whether both lead to the same file or terminal.
fn are_one(a: &OwnedFd, b: &OwnedFd) -> bool {
    matches!((fstat(a), fstat(b)), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// `statfs(2)`.
const PIPEFS_MAGIC: FsWord = 0x5049_5045;

/// Decides what each stream of the command is.
pub(super) fn wire(command: &mut Command, limits: &Resolved) -> Result<Wiring> {
    let mut wiring = Wiring::default();
    let files = match &command.home {
        Home::Own(policy) => [policy.stdin.clone(), policy.stdout.clone(), policy.stderr.clone()],
        Home::Shared(_) | Home::Template(_) => [None, None, None],
    };
    let same_file = files[1].is_some() && files[1] == files[2];
    for (stdio, (file, flags)) in command.stdio.iter_mut().zip(files.into_iter().zip([
        OFlags::RDONLY,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
    ])) {
        if let Some(path) = file {
            *stdio = Stdio::Fd(open(&path, flags)?);
        }
    }
    // One file for both is opened once, so that what is written last does not overwrite what was written first.
    if same_file && let Stdio::Fd(out) = &command.stdio[1] {
        let copy = out.try_clone().map_err(|e| Failure::about(Stage::Streams, crate::launch::idmap::errno_of(&e), "stdout"))?;
        command.stdio[2] = Stdio::Fd(copy);
    }
    let on_terminal = terminal_streams(command);
    for (number, stdio) in command.stdio.iter_mut().enumerate() {
        if on_terminal[number] {
            wiring.flags |= [flag::TTY_STDIN, flag::TTY_STDOUT, flag::TTY_STDERR][number];
        } else {
            wire_one(number, std::mem::take(stdio), limits, &mut wiring)?;
        }
    }
    refuse_directories(&wiring)?;
    if wiring.flags & flag::TTY != 0 && command.screen.is_none() {
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
        let mut relay = Relay::new(input, copy(output)?);
        relay.cap_at(limits.output);
        wiring.relay = Some(relay);
    }
    Ok(wiring)
}

/// Which streams the private terminal serves.
fn terminal_streams(command: &Command) -> [bool; 3] {
    let inherited = [0, 1, 2].map(|n| matches!(command.stdio[n], Stdio::Inherit));
    if command.screen.is_some() {
        return inherited;
    }
    if !command.terminal {
        return [false; 3];
    }
    let terminals = [0, 1, 2].map(|n| inherited[n] && enclos_sys::fd::borrow(n as RawFd).is_ok_and(is_terminal));
    if terminals.contains(&true) { terminals } else { inherited }
}

fn wire_one(number: usize, stdio: Stdio, limits: &Resolved, wiring: &mut Wiring) -> Result<()> {
    let seen = number > 0 && (limits.output.is_some() || limits.idle.is_some());
    let keep = |wiring: &mut Wiring, fd: OwnedFd| {
        wiring.child[number] = Some(fd.as_raw_fd());
        wiring.owned.push(fd);
    };
    // What the watch must see, or the command must not hold, passes through a pipe of ours.
    let through_us = |wiring: &mut Wiring, sink: OwnedFd| -> Result<()> {
        if !seen && number == 2 && wiring.streams.first().and_then(Stream::descriptor).is_some_and(|first| are_one(first, &sink)) {
            wiring.child[2] = wiring.child[1];
            wiring.joined = true;
            return Ok(());
        }
        // The bound on each file that the command writes holds here, where it is not the command that writes.
        let bound = limits.file_size.filter(|_| is_file(sink.as_fd()));
        let cap = limits.output.into_iter().chain(bound).min();
        let (reader, writer) = pipe()?;
        wiring.streams.push(Stream::new(number as u8, reader, Sink::Descriptor(sink), cap));
        wiring.child[number] = Some(writer.as_raw_fd());
        wiring.owned.push(writer);
        Ok(())
    };
    match stdio {
        Stdio::Inherit => match enclos_sys::fd::borrow(number as RawFd) {
            // A caller without this stream gives the command an empty one.
            Err(_) => keep(wiring, open(Path::new("/dev/null"), OFlags::RDWR)?),
            Ok(fd) if seen || (number > 0 && is_kept_back(fd)) => {
                let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|e| Failure::new(Stage::Streams, e))?;
                through_us(wiring, copy)?;
            }
            Ok(fd) => {
                if number == 0 && is_terminal(fd) {
                    let failed = |e| Failure::about(Stage::Streams, e, "stdin");
                    wiring.handed = Some(Handed::over(fd).map_err(failed)?);
                }
                wiring.child[number] = Some(number as RawFd);
            }
        },
        Stdio::Null => keep(wiring, open(Path::new("/dev/null"), if number == 0 { OFlags::RDONLY } else { OFlags::WRONLY })?),
        Stdio::Fd(fd) if seen || (number > 0 && is_kept_back(fd.as_fd())) => through_us(wiring, fd)?,
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
