//! What is left of workspaces of one call, until the kernel says that nobody has them mounted.
//!
//! ```text
//!   destroyed ──► watched (inotify(7)) ──► IN_UNMOUNT: the last mount and the last open file of the overlay are gone ──► kept for the next, or removed
//!                        │
//!                        └── too late: removed
//! ```
//!
//! The end of a sandbox's processes says less: a descriptor under way in a socket, or one of ours, still leads into the workspace. A watch holds the
//! inode and not the mount.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use enclos_host::tracing;
use enclos_vfs::Leftover;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// How long a mount may outlive its sandbox.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Leftovers that wait, and the thread that deals with them.
#[derive(Debug)]
pub struct Ends {
    waiting: Arc<Waiting>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Waiting {
    inotify: OwnedFd,
    woken: OwnedFd,
    ended: AtomicBool,
    /// By the name of the watch.
    leftovers: Mutex<HashMap<i32, (Leftover, Instant)>>,
}

impl Ends {
    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start() -> std::io::Result<Ends> {
        let waiting = Arc::new(Waiting {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            woken: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            ended: AtomicBool::new(false),
            leftovers: Mutex::default(),
        });
        let serving = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("agent-ends".to_owned()).spawn(move || serving.serve())?;
        Ok(Ends { waiting, thread: Mutex::new(Some(thread)) })
    }

    /// Deals with what is left of a workspace when it is mounted no more, or gives it back where that cannot be told. `top`: it is mounted, and this
    /// descriptor leads into it.
    pub fn push(&self, top: BorrowedFd<'_>, leftover: Leftover) -> Option<Leftover> {
        // Through the link on purpose: it is the kernel's, and leads to what is open. Nothing that a watch of this kind could tell happens to a mounted top.
        let path = format!("/proc/self/fd/{}", top.as_raw_fd());
        let mut leftovers = self.waiting.lock();
        if self.waiting.ended.load(Ordering::Acquire) {
            return Some(leftover);
        }
        match inotify::add_watch(&self.waiting.inotify, path, WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR) {
            Ok(watch) => {
                leftovers.insert(watch, (leftover, Instant::now()));
                None
            }
            Err(_) => Some(leftover),
        }
    }

    /// Removes everything that waits, and takes nothing more.
    pub fn end(&self) {
        self.waiting.ended.store(true, Ordering::Release);
        // Woken twice is awake.
        let _ = rustix::io::write(&self.waiting.woken, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.end();
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, (Leftover, Instant)>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut looked = Instant::now();
        while !self.ended.load(Ordering::Acquire) {
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
            match poll(&mut fds, Some(&PAUSE)) {
                Ok(_) | Err(Errno::INTR) => self.take_events(),
                Err(error) => {
                    tracing::error!(%error, "the ends of workspaces cannot be waited for");
                    self.ended.store(true, Ordering::Release);
                }
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.remove(|since| since.elapsed() >= PATIENCE);
            }
        }
        self.remove(|_| true);
    }

    fn take_events(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.inotify.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            // The watch is gone with what it watched; only an end that was told is one.
            let unmounted = event.events().contains(ReadFlags::UNMOUNT);
            let found = if unmounted { self.lock().remove(&event.wd()) } else { None };
            if let Some((leftover, _)) = found {
                warn(leftover.recycle());
            }
        }
    }

    /// Removes what waits since one of these moments.
    fn remove(&self, which: impl Fn(Instant) -> bool) {
        let late: Vec<i32> = self.lock().iter().filter(|(_, (_, since))| which(*since)).map(|(watch, _)| *watch).collect();
        for watch in late {
            let found = self.lock().remove(&watch);
            // It may have ended meanwhile.
            let _ = inotify::remove_watch(&self.inotify, watch);
            if let Some((leftover, _)) = found {
                warn(leftover.remove());
            }
        }
    }
}

fn warn(done: Result<(), enclos_vfs::VfsError>) {
    if let Err(error) = done {
        // The next start tries again.
        tracing::warn!(%error, "a workspace could not be removed");
    }
}
