//! What commands write into their workspaces, bounded in sum while they write it.
//!
//! ```text
//!   free space of the state's file system, ten times a second ──► by how much it has fallen in all
//!       │ as much as one has left to write (or 5 s without a look)
//!   that one's upper is measured as it runs
//!       │ beyond its bound; or not, and yet something has taken the space
//!   measured again while it is frozen, with the files its processes hold that have no name
//!       │ beyond its bound
//!   what runs in it is killed, and says why
//! ```
//!
//! Nobody can write more than the free space falls, so whoever has more room than that need not be looked at. Others' writes make the look come
//! sooner, and others' deletions later: for those there is a look without a sign.
//!
//! The first stroke kills everything but the shells of sessions; if it still grows, the second kills these too. Commands may run while too much is
//! there, to delete it; after [`MOST_STROKES`] that wrote instead there are no more, until files are removed through the interface or changes are
//! thrown away. So what one sandbox takes is its bound and what it writes in a few looks.
//!
//! Not seen: files without a name that no process has open or mapped (descriptors under way in a socket).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use enclos_host::tracing;
use enclos_vfs::{Used, VfsError};

use super::entry::Entry;
use super::life::Life;
use super::{Inner, nameless};
use crate::api::{AgentError, Evidence, Result};

/// How often free space is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often a sandbox is measured without a sign.
const UNASKED: Duration = Duration::from_secs(5);
/// What may be written beyond a bound before the next look.
const STEP: Used = Used { bytes: 1 << 20, names: 256 };
/// How long what was killed may take to end, and a shell to leave its loop.
const SETTLE: Duration = Duration::from_millis(250);
/// Growth that is none: the blocks of a directory, a line of history.
const SLACK: Used = Used { bytes: 64 << 10, names: 16 };
/// How often commands may write while too much is there.
const MOST_STROKES: u32 = 3;
/// What is measured faster than this is measured at once; everything else by threads of its own, of which there are at most so many.
const AT_ONCE: Duration = Duration::from_millis(3);
const THREADS: usize = 4;
/// A measurement is paid for by this many times its own length without one.
const REST: u32 = 2;

/// How much of its workspace a sandbox uses, as far as somebody has looked.
#[derive(Debug, Default)]
pub struct Growth {
    seen: Mutex<Seen>,
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    /// `None`: nobody has looked.
    used: Option<Used>,
    /// By how much free space had fallen then.
    fallen: Used,
    at: Option<Instant>,
    took: Duration,
    over: Option<Over>,
}

/// It uses more than it may.
#[derive(Debug)]
struct Over {
    strokes: u32,
    /// When it was struck last.
    since: Instant,
    /// What is there and may stay; `None`: what was struck still ends.
    level: Option<Used>,
}

impl Growth {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something else lies in the workspace now.
    pub fn forget(&self) {
        *self.lock() = Seen::default();
        self.refused.store(false, Ordering::Release);
    }
}

/// Looks at free space, and at those who may have taken it.
#[derive(Debug)]
pub struct Ground {
    directory: OwnedFd,
    told: Mutex<Told>,
    changed: Condvar,
    threads: AtomicUsize,
    /// Some sandbox uses more than it may.
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Used>,
    /// Sum of all falls.
    fallen: Used,
    ended: bool,
}

impl Ground {
    /// Below the directory of the face's state.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(state: &std::path::Path) -> std::io::Result<Ground> {
        let directory = std::fs::File::open(state)?.into();
        Ok(Ground {
            directory,
            told: Mutex::default(),
            changed: Condvar::new(),
            threads: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody looks any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Looks; by how much free space has fallen since the server began, and whether it has since the last look.
    fn look(&self) -> (Used, bool) {
        let mut told = self.lock();
        match rustix::fs::fstatvfs(self.directory.as_fd()) {
            Ok(now) => {
                let free = Used { bytes: now.f_bfree.saturating_mul(now.f_frsize), names: now.f_ffree };
                let last = told.last.replace(free).unwrap_or(free);
                let fell = Used { bytes: last.bytes.saturating_sub(free.bytes), names: last.names.saturating_sub(free.names) };
                told.fallen.bytes += fell.bytes;
                told.fallen.names += fell.names;
                (told.fallen, fell != Used::default())
            }
            // Then every look is one without a sign.
            Err(error) => {
                tracing::error!(%error, "the free space of agent.state cannot be told");
                (told.fallen, false)
            }
        }
    }

    fn fallen(&self) -> Used {
        self.lock().fallen
    }
}

fn less(left: Used, right: Used) -> Used {
    Used { bytes: left.bytes.saturating_sub(right.bytes), names: left.names.saturating_sub(right.names) }
}

/// Whether one is more in anything.
fn exceeds(used: Used, most: Used) -> bool {
    used.bytes > most.bytes || used.names > most.names
}

impl Seen {
    /// Whether it is time to measure.
    fn is_due(&self, fallen: Used, most: Used) -> bool {
        let (Some(used), Some(at)) = (self.used, self.at) else { return true };
        let rested = at.elapsed() >= self.took * REST;
        rested && (self.over.is_some() || at.elapsed() >= UNASKED || self.may_exceed(used, fallen, most))
    }

    /// Whether what fell could have brought it beyond its bound.
    fn may_exceed(&self, used: Used, fallen: Used, most: Used) -> bool {
        let (since, room) = (less(fallen, self.fallen), less(most, used));
        since.bytes > room.bytes.max(STEP.bytes.min(most.bytes / 16)) || since.names > room.names.max(STEP.names.min(most.names / 16))
    }
}

impl Inner {
    /// Most that a sandbox may use.
    fn most(&self, entry: &Entry) -> Used {
        Used { bytes: entry.known().record.limits.workspace.unwrap_or(u64::MAX), names: self.settings.workspace_files }
    }

    /// A workspace that nobody has written to.
    pub(super) fn starts_empty(&self, entry: &Entry) {
        let mut seen = entry.growth().lock();
        *seen = Seen { used: Some(Used::default()), fallen: self.ground.fallen(), at: Some(Instant::now()), ..Seen::default() };
    }

    /// Whether another command may run; not when several have written where something was to be removed.
    pub(super) fn admit(&self, entry: &Entry) -> Result<()> {
        if !entry.growth().refused.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(life) = entry.life() else { return Ok(()) };
        let mut seen = entry.growth().lock();
        self.measure(entry, &life, &mut seen);
        if entry.growth().refused.load(Ordering::Acquire) { Err(self.too_much(entry, seen.used)) } else { Ok(()) }
    }

    /// Whether so many more bytes have room.
    pub(super) fn room(&self, entry: &Entry, life: &Arc<Life>, bytes: u64) -> Result<()> {
        let most = self.most(entry);
        let more = |used: Used| exceeds(Used { bytes: used.bytes.saturating_add(bytes), names: used.names + 1 }, most);
        let mut seen = entry.growth().lock();
        let since = less(self.ground.fallen(), seen.fallen);
        let at_most = seen.used.map(|used| Used { bytes: used.bytes.saturating_add(since.bytes), names: used.names + since.names });
        if at_most.is_none_or(more) {
            self.measure(entry, life, &mut seen);
            if seen.used.is_some_and(more) {
                return Err(self.too_much(entry, seen.used));
            }
        }
        // Until free space tells of it.
        seen.used = seen.used.map(|used| Used { bytes: used.bytes.saturating_add(bytes), names: used.names + 1 });
        Ok(())
    }

    fn too_much(&self, entry: &Entry, used: Option<Used>) -> AgentError {
        let (most, used) = (self.most(entry), used.unwrap_or_default());
        let (what, used, limit) =
            if used.names >= most.names { ("names", used.names, most.names) } else { ("bytes", used.bytes, most.bytes) };
        AgentError::Quota { what: format!("{what} in the workspace ({used} are there: remove some, or roll back)"), limit }
    }

    /// Measures one sandbox, and ends what runs in it if it uses too much.
    fn measure(&self, entry: &Entry, life: &Arc<Life>, seen: &mut Seen) {
        let most = self.most(entry);
        let started = Instant::now();
        let fallen = self.ground.fallen();
        let unexplained = |now: Used| seen.used.is_some_and(|was| seen.may_exceed(was, less(fallen, less(now, was)), most));
        let look = |nameless: bool| -> std::result::Result<Used, VfsError> {
            let mut used = Used::of(life.upper())?;
            if nameless {
                used.bytes = used.bytes.saturating_add(nameless::bytes(life));
            }
            Ok(used)
        };
        let mut found = look(seen.over.is_some());
        let doubtful = match &found {
            Ok(now) => exceeds(*now, most) || unexplained(*now),
            Err(error) => matches!(error, VfsError::Quota { .. }),
        };
        if doubtful {
            // What moves may have been counted twice, or not at all. Where nothing can be frozen it is looked at once more as it runs.
            found = life.stilled(|| Ok(look(true))).unwrap_or_else(|_| look(true));
        }
        let (used, hit) = match found {
            Ok(used) if used.bytes > most.bytes => {
                (used, Some(Evidence { limit: "workspace", allowed: most.bytes, measured: used.bytes, unit: "bytes", source: BLOCKS }))
            }
            Ok(used) if used.names > most.names => {
                (used, Some(Evidence { limit: "workspace-files", allowed: most.names, measured: used.names, unit: "count", source: NAMES }))
            }
            Ok(used) => (used, None),
            // Nobody can say how much there is, which is for commands to avoid.
            Err(VfsError::Quota { limit, .. }) => {
                let hit = Evidence { limit: "workspace-levels", allowed: limit, measured: limit + 1, unit: "count", source: NAMES };
                (Used { bytes: most.bytes, names: most.names }, Some(hit))
            }
            Err(error) => {
                tracing::error!(sandbox = entry.id, %error, "a workspace could not be measured");
                (seen.used.unwrap_or_default(), None)
            }
        };
        (seen.used, seen.fallen, seen.at, seen.took) = (Some(used), fallen, Some(Instant::now()), started.elapsed());
        match hit {
            None => {
                seen.over = None;
                entry.growth().refused.store(false, Ordering::Release);
            }
            Some(hit) => self.exceeded(entry, life, seen, used, hit),
        }
    }

    /// It uses too much: ends what runs in it, if that has written since it was told.
    fn exceeded(&self, entry: &Entry, life: &Arc<Life>, seen: &mut Seen, used: Used, hit: Evidence) {
        self.ground.over.store(true, Ordering::Release);
        let strokes = match &mut seen.over {
            None => 1,
            Some(over) if over.since.elapsed() < SETTLE => return,
            Some(over) => {
                let level = over.level.unwrap_or(used);
                over.level = Some(Used { bytes: level.bytes.min(used.bytes), names: level.names.min(used.names) });
                if !exceeds(used, Used { bytes: level.bytes + SLACK.bytes, names: level.names + SLACK.names }) {
                    return;
                }
                over.strokes + 1
            }
        };
        if life.commands() == 0 && strokes == 1 {
            // Nothing runs that could be asked to end.
            seen.over = Some(Over { strokes: 0, since: Instant::now(), level: Some(used) });
            return;
        }
        tracing::warn!(
            sandbox = entry.id,
            limit = hit.limit,
            allowed = hit.allowed,
            measured = hit.measured,
            "a workspace is beyond its bound: what runs in it is ended"
        );
        let told = AgentError::Quota { what: format!("{} ({} measured)", hit.limit, hit.measured), limit: hit.allowed };
        self.audit.write(&entry.owner, "limit", &entry.id, Some(&told));
        let spared = if strokes == 1 { entry.sessions() } else { Vec::new() };
        let leaders: Vec<u32> = spared.iter().filter_map(|session| session.leader()).collect();
        // First, for whoever hears that his command was ended may come with the next one.
        entry.growth().refused.store(strokes >= MOST_STROKES, Ordering::Release);
        life.stop_commands(&hit, || spared.iter().for_each(|session| session.leave_loop()), &leaders);
        seen.over = Some(Over { strokes, since: Instant::now(), level: None });
    }

    /// Looks at everything that runs.
    fn look_around(self: &Arc<Self>, unasked: &mut Instant) {
        let (fallen, fell) = self.ground.look();
        let is_time = unasked.elapsed() >= UNASKED / 5;
        if !fell && !is_time && !self.ground.over.load(Ordering::Acquire) {
            return;
        }
        if is_time {
            *unasked = Instant::now();
        }
        self.ground.over.store(false, Ordering::Release);
        for entry in self.sandboxes.all() {
            let Some(life) = entry.life().filter(|life| life.commands() > 0) else { continue };
            let mut seen = match entry.growth().seen.try_lock() {
                Ok(seen) => seen,
                Err(TryLockError::Poisoned(seen)) => seen.into_inner(),
                // It is being measured.
                Err(TryLockError::WouldBlock) => continue,
            };
            if seen.over.is_some() {
                self.ground.over.store(true, Ordering::Release);
            }
            if !seen.is_due(fallen, self.most(&entry)) {
                continue;
            }
            if seen.used.is_some() && seen.took <= AT_ONCE {
                self.measure(&entry, &life, &mut seen);
                continue;
            }
            drop(seen);
            self.measure_aside(entry, life);
        }
    }

    /// Measures one without holding up the look at others. With too many under way it waits for the next look.
    fn measure_aside(self: &Arc<Self>, entry: Arc<Entry>, life: Arc<Life>) {
        if self.ground.threads.fetch_add(1, Ordering::AcqRel) >= THREADS {
            self.ground.threads.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let inner = Arc::clone(self);
        let measure = move || {
            inner.measure(&entry, &life, &mut entry.growth().lock());
            inner.ground.threads.fetch_sub(1, Ordering::AcqRel);
        };
        if let Err(error) = std::thread::Builder::new().name("agent-measure".to_owned()).spawn(measure) {
            self.ground.threads.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!(%error, "a workspace could not be measured");
        }
    }
}

/// Where figures come from.
const BLOCKS: &str = "st_blocks of its files, and of those its processes hold";
const NAMES: &str = "a walk through its changes";

/// Starts the thread.
///
/// # Errors
/// When there can be none.
pub fn start(inner: &Arc<Inner>) -> std::io::Result<()> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new().name("agent-growth".to_owned()).spawn(move || run(&weak)).map(drop)
}

fn run(weak: &Weak<Inner>) {
    let mut unasked = Instant::now();
    loop {
        let Some(inner) = weak.upgrade() else { return };
        let told = inner.ground.lock();
        if told.ended {
            return;
        }
        let (told, _) = inner.ground.changed.wait_timeout(told, LOOK).unwrap_or_else(PoisonError::into_inner);
        let ended = told.ended;
        drop(told);
        if ended {
            return;
        }
        inner.look_around(&mut unasked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_room_is_not_measured_and_who_may_have_none_is() {
        let most = Used { bytes: 1 << 30, names: 1000 };
        let seen = |bytes, names| Seen { used: Some(Used { bytes, names }), at: Some(Instant::now()), ..Seen::default() };
        let fell = |bytes, names| Used { bytes, names };
        let mib = 1 << 20;
        assert!(Seen::default().is_due(fell(0, 0), most), "nobody has looked");
        assert!(!seen(0, 0).is_due(fell(1 << 30, 1000), most), "it has all of that");
        assert!(seen(0, 0).is_due(fell((1 << 30) + 1, 0), most) && seen(0, 0).is_due(fell(0, 1001), most));
        assert!(!seen(1023 * mib, 0).is_due(fell(mib, 0), most) && seen(1023 * mib, 0).is_due(fell(mib + 1, 0), most));
        assert!(!seen(1 << 30, 0).is_due(fell(mib, 0), most), "nor for every block when it is full");
        let slow = Seen { took: Duration::from_secs(60), ..seen(0, 0) };
        assert!(!slow.is_due(fell(2 << 30, 0), most), "what takes long is not done all the time");
    }
}
