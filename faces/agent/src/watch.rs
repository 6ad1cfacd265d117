//! Who changes what, told by inotify(7).
//!
//! Only what happens below a directory of the workspace is told. A watch is set on a descriptor of each directory, opened as everything here is; what the kernel then tells are names, and no name is looked up but
//! to open a new directory, again while nothing runs. What was made in a new directory before it was watched is told from a listing.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use enclos_vfs::{TreePath, VfsError};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::api::{AgentError, Cancel, Result, WatchEvent};
use crate::core::{fault, refused};

/// Directories that are watched at once.
const MOST: usize = 8192;
/// Directories in each other.
const DEPTH: usize = 128;

const WANTED: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

struct Watched {
    inotify: OwnedFd,
    directories: HashMap<i32, TreePath>,
}

/// Does something as a command would, while nothing in the sandbox runs.
pub type Stilled<'a> = dyn Fn(&mut dyn FnMut() -> Result<()>) -> Result<()> + 'a;

/// Tells of changes below a directory. `top`: the mounted workspace. `alive`: whether there is still a sandbox.
///
/// # Errors
/// As the kernel says to a command; more directories than can be watched.
pub fn watch(
    top: BorrowedFd<'_>,
    path: &TreePath,
    cancel: &Cancel,
    stilled: &Stilled<'_>,
    alive: &dyn Fn() -> bool,
    receive: &mut dyn FnMut(WatchEvent) -> bool,
) -> Result<()> {
    let internal = |errno: Errno| fault::internal("watching files", &errno);
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(internal)?;
    let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(internal)?;
    let waker = woken.try_clone().map_err(|error| internal(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let _guard = cancel.on_cancel(move || {
        let _ = rustix::io::write(&waker, &1u64.to_ne_bytes());
    });
    let mut watched = Watched { inotify, directories: HashMap::new() };
    stilled(&mut || watched.add(top, path, None))?;
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    while !cancel.is_cancelled() {
        let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        let mut fds = [PollFd::new(&watched.inotify, PollFlags::IN), PollFd::new(&woken, PollFlags::IN)];
        match poll(&mut fds, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(internal(errno)),
        }
        if !alive() {
            return Err(AgentError::NotRunning);
        }
        let mut told = Vec::new();
        let mut fresh = Vec::new();
        let reader = watched.inotify.try_clone().map_err(|error| internal(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut reader = Reader::new(reader, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(errno) => return Err(internal(errno)),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Some were lost: whoever listens looks again.
                told.push(WatchEvent { path: shown(path), kind: "modified" });
                continue;
            }
            if flags.contains(ReadFlags::IGNORED) {
                watched.directories.remove(&event.wd());
                continue;
            }
            let (Some(directory), Some(name)) = (watched.directories.get(&event.wd()), event.file_name()) else { continue };
            let name = OsStr::from_bytes(name.to_bytes());
            let at = directory.join(name);
            let kind = if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                "added"
            } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                "deleted"
            } else {
                "modified"
            };
            if kind == "added" && flags.contains(ReadFlags::ISDIR) {
                fresh.push(at.clone());
            }
            told.push(WatchEvent { path: shown(&at), kind });
        }
        if !fresh.is_empty() {
            let mut found = Vec::new();
            stilled(&mut || {
                for path in &fresh {
                    match watched.add(top, path, Some(&mut found)) {
                        // Gone again, or not for this sandbox to see.
                        Ok(()) | Err(AgentError::NotFound { .. } | AgentError::Denied { .. } | AgentError::Precondition(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })?;
            told.extend(found);
        }
        told.dedup();
        for event in told {
            if !receive(event) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Opens a directory as everything in a workspace is opened.
fn open(top: BorrowedFd<'_>, path: &TreePath, flags: OFlags) -> Result<OwnedFd> {
    let safe = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let name = if path.is_top() { std::path::Path::new(".") } else { path.as_path() };
    loop {
        match openat2(top, name, flags | OFlags::CLOEXEC, Mode::empty(), safe) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other.map_err(|errno| told(path, errno)),
        }
    }
}

fn told(path: &TreePath, errno: Errno) -> AgentError {
    match errno {
        Errno::NOENT => AgentError::not_found("file", path.to_string()),
        Errno::NOTDIR => AgentError::Precondition(format!("{path}: it is not a directory")),
        Errno::LOOP => AgentError::Precondition(format!("{path}: a symbolic link is on the way, and none is followed")),
        errno => refused(VfsError::System { doing: "watching", path: path.as_path().to_owned(), errno }),
    }
}

fn shown(path: &TreePath) -> String {
    path.to_string().trim_start_matches('/').to_owned()
}

impl Watched {
    /// Watches a directory and everything below it; what is in it is told.
    fn add(&mut self, top: BorrowedFd<'_>, path: &TreePath, mut found: Option<&mut Vec<WatchEvent>>) -> Result<()> {
        let mut waiting = vec![(path.clone(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            if self.directories.len() >= MOST {
                return Err(AgentError::Quota { what: "directories watched at once".to_owned(), limit: MOST as u64 });
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let directory = match open(top, &path, flags) {
                Ok(directory) => directory,
                // Only what was asked for must be there.
                Err(error) if depth == 0 => return Err(error),
                Err(_) => continue,
            };
            // The descriptor's own link in /proc leads to the directory that was opened, whatever is at its path by now.
            let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
            let watch = add_watch(&self.inotify, link.as_str(), WANTED).map_err(|errno| told(&path, errno))?;
            self.directories.insert(watch, path.clone());
            for name in enclos_cas::beneath::names(&directory).map_err(|errno| told(&path, errno))? {
                let below = path.join(&name);
                let Ok(stat) = rustix::fs::statat(&directory, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else { continue };
                if let Some(found) = found.as_deref_mut() {
                    found.push(WatchEvent { path: shown(&below), kind: "added" });
                }
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && depth < DEPTH {
                    waiting.push((below, depth + 1));
                }
            }
        }
        Ok(())
    }
}
