//! A sandbox that lives: made once, many commands in it at a time, frozen and thawed, destroyed.
//!
//! ```text
//!   Sandbox ──control socket──► init ──► command 1, 2, 3 …
//!                                 │
//!                                 └── replies about each go to a socket of its own, to whoever waits for it
//! ```
//!
//! One made from a template has a process parked for its first command, whose replies come over the control socket.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use enclos_cgroup::{CgroupError, Group, Name};
use enclos_spec::plan::{IdRange, Plan};
use enclos_spec::{Policy, Report};
use enclos_sys::Errno;
use enclos_sys::ids::FileIds;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair};
use rustix::process::{Pid, Signal};

use crate::command::{Command, Home, tree};
use crate::error::{Error, Failure, Result, Stage};
use crate::forkserver::{Born, Template};
use crate::init::message::{self, DATAGRAM, EXEC_HEADER, ExecRequest, Reply, Target, flag};
use crate::kept::Adopted;
use crate::launch::idmap::user_namespace_of;
use crate::launch::network::Network;
use crate::launch::{self, FIRST_ID, Launch, Started};
use crate::meter::Evidence;
use crate::plan::{Planned, Wants, plan};
use crate::probe::Facts;
use crate::still::{self, Stopped};
use crate::watch::{Ended, next_reply_with, now, reap};
use crate::workspace::Workspace;

/// A living sandbox. Dropping the last handle destroys it.
///
/// ```
/// # fn main() -> Result<(), enclos_sandbox::Error> {
/// use enclos_sandbox::{Sandbox, spec::Policy};
///
/// let sandbox = Sandbox::create(&Policy::default())?;
/// sandbox.command("sh").args(["-c", "echo hello > /tmp/note"]).output()?;
/// let output = sandbox.command("cat").arg("/tmp/note").output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// sandbox.destroy()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(crate) inner: Arc<Inner>,
}

/// From which bit of a command's name on it tells the generation: what an earlier owner of the sandbox has started is nobody's namesake.
const GENERATION: u32 = 20;

/// How long everything in a sandbox may take to stop.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);

/// What the handles and the commands of a sandbox share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub life: Life,
    /// The merged workspace.
    pub workspace: Option<OwnedFd>,
    /// How often it has passed from one process to another.
    pub generation: u32,
    next_id: AtomicU32,
    /// A process waits for the first command.
    parked: AtomicBool,
    /// How many have asked that it be frozen, and what was stopped where it cannot be.
    frozen: Mutex<(usize, Option<Stopped>)>,
    born: Duration,
}

/// How it came to be, and what holds it.
#[derive(Debug)]
pub(crate) enum Life {
    /// Made from the start, by this process.
    Cold(Box<Cold>),
    /// Made from a template.
    Warm(Box<Warm>),
    /// Made by another process, which is gone.
    Adopted(Box<Adopted>),
}

#[derive(Debug)]
pub(crate) struct Cold {
    facts: Facts,
    planned: Planned,
    group: Option<Group>,
    started: Started,
}

#[derive(Debug)]
pub(crate) struct Warm {
    pub born: Born,
    pid: OnceLock<Option<Pid>>,
    /// The slot and the launcher live as long as this does.
    pub template: Template,
}

impl Sandbox {
    /// Makes one and waits until it is ready.
    ///
    /// # Errors
    /// A policy that makes no sense or cannot be enforced here, or a step that failed; nothing is left behind then.
    pub fn create(policy: &Policy) -> Result<Sandbox> {
        Self::create_with(policy, None)
    }

    /// The same, with a workspace. Commands start in it unless the policy says otherwise.
    ///
    /// # Errors
    /// As for [`Sandbox::create`]; a workspace that is none, by the path that is wrong.
    pub fn create_with(policy: &Policy, workspace: Option<&Workspace>) -> Result<Sandbox> {
        crate::exec_request::refuse_stream_files(policy)?;
        // First, for it takes longest.
        let network = Network::ahead(policy);
        let facts = Facts::probe()?;
        let at: Option<&Path> = workspace.map(|workspace| workspace.at.as_path());
        let wants = Wants { terminal: true, measure: true, die_with_thread: false, living: true, workspace: at };
        let mut planned = plan(policy, &facts, wants)?;
        if let Some(workspace) = workspace {
            workspace.narrow(&mut planned.plan)?;
        }
        let group = match &planned.limits.group {
            None => None,
            Some(limits) => {
                let name = Name::fresh().map_err(|e| Failure::new(Stage::Cgroup, launch::idmap::errno_of(&e)))?;
                Some(facts.cgroups.create(&name, limits)?)
            }
        };
        crate::exec_request::make_layers(policy)?;
        let launch = Launch { group: group.as_ref(), first: None, hold: false, lease: planned.lease.as_ref().map(|l| &l.file) };
        let started = launch::start_in(&planned.plan, &launch, network)?;
        let ready = started
            .release(&planned.plan)
            .and_then(|()| workspace.map_or(Ok(()), |workspace| bring(&started, &planned.plan, workspace)))
            .and_then(|()| match next_reply_with(&started.control) {
                (Ok(Reply::Ready { .. }), workspace) => Ok(workspace),
                (Ok(reply), _) => Err(launch::error_of(&planned.plan, reply).unwrap_or_else(|| Error::InitLost(format!("{reply:?}")))),
                (Err(errno), _) => Err(Error::InitLost(errno.to_string())),
            });
        match ready {
            Ok(workspace) => Ok(Self::with(Life::Cold(Box::new(Cold { facts, planned, group, started })), workspace)),
            Err(error) => {
                launch::end(&started.control, &started.pidfd);
                Err(error)
            }
        }
    }

    /// One that a template has made.
    pub(crate) fn warm(mut born: Born, template: Template) -> Sandbox {
        let workspace = born.workspace.take();
        Self::with(Life::Warm(Box::new(Warm { born, pid: OnceLock::new(), template })), workspace)
    }

    fn with(life: Life, workspace: Option<OwnedFd>) -> Sandbox {
        Self::in_generation(life, workspace, 0)
    }

    /// `generation`: how often it has passed from one process to another.
    pub(crate) fn in_generation(life: Life, workspace: Option<OwnedFd>, generation: u32) -> Sandbox {
        let parked = AtomicBool::new(matches!(life, Life::Warm(_)));
        let inner = Inner {
            life,
            workspace,
            generation,
            next_id: AtomicU32::new((generation << GENERATION) + FIRST_ID + 1),
            parked,
            frozen: Mutex::default(),
            born: now(),
        };
        Sandbox { inner: Arc::new(inner) }
    }

    /// A command to run in it. Its policy is the sandbox's; `wall`, `idle`, `cpu` and `output` limits of the policy hold for each command.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command::at_home(program.as_ref(), Home::Shared(Arc::clone(&self.inner)))
    }

    /// The top of its workspace as its commands see it (opened with `O_PATH`), for a host that looks into it or changes it through openat2(2) with
    /// `RESOLVE_BENEATH`, no links, no other mounts; freeze the sandbox meanwhile. As long as anybody holds it, or a copy, the workspace counts as mounted.
    #[must_use]
    pub fn workspace(&self) -> Option<BorrowedFd<'_>> {
        self.inner.workspace.as_ref().map(AsFd::as_fd)
    }

    /// User and group id on the host that stand behind its commands.
    #[must_use]
    pub fn host_ids(&self) -> Option<(u32, u32)> {
        let identity = &self.inner.planned().plan.identity;
        self.host_ids_of(identity.uid?, identity.gid?)
    }

    /// User and group id on the host that stand behind these inside; `None` where nobody does.
    #[must_use]
    pub fn host_ids_of(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        let identity = &self.inner.planned().plan.identity;
        let outside = |map: &[IdRange], inside: u32| {
            let range = map.iter().find(|range| inside >= range.inside && inside - range.inside < range.count)?;
            Some(range.outside + (inside - range.inside))
        };
        outside(&identity.uid_map, uid).zip(outside(&identity.gid_map, gid))
    }

    /// Does something to files as this user and group inside would do it (1000 and 1000 are its commands'): the calling thread has their ids meanwhile, and the
    /// kernel decides by the rules. Without it nothing can be made in the workspace of root's sandboxes: root of the host is nobody there (`EOVERFLOW`).
    ///
    /// # Errors
    /// Ids that nobody stands behind (`EINVAL`), or that this process may not take (`EPERM`).
    pub fn with_ids<R>(&self, uid: u32, gid: u32, act: impl FnOnce() -> R) -> Result<R> {
        let failed = |errno: Errno| Failure::about(Stage::BecomeUser, errno, format!("{uid}:{gid}"));
        let (user, group) = self.host_ids_of(uid, gid).ok_or_else(|| failed(Errno::INVAL))?;
        let taken = FileIds::take(user, group).map_err(failed)?;
        let done = act();
        drop(taken);
        Ok(done)
    }

    /// Sends a signal to every process in it but its init.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, number: i32) -> Result<()> {
        // The parked process is one too: it may not be there any more afterwards.
        self.inner.parked.store(false, Ordering::SeqCst);
        self.inner.request(&message::signal(0, number, Target::All))
    }

    /// Kills every process in it but its init; it lives on, and takes new commands.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kill_all(&self) -> Result<()> {
        self.signal(Signal::KILL.as_raw())
    }

    /// Kills every process in it but its init and those with these numbers of the host; it lives on, and takes new commands.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kill_but(&self, spared: &[u32]) -> Result<()> {
        self.inner.parked.store(false, Ordering::SeqCst);
        tree::kill_but(&self.inner, spared)
    }

    /// The host's numbers of its processes but its init. Others may be there by the time they are looked at, unless it is frozen.
    ///
    /// # Errors
    /// When it is gone.
    pub fn processes(&self) -> Result<Vec<u32>> {
        tree::numbers(&self.inner)
    }

    /// Stops every process in it, without any of them noticing (`cgroup.freeze`). On a host whose control groups cannot, by SIGSTOP, which a parent that waits for
    /// stopped children may notice. Who asks twice must thaw twice.
    ///
    /// # Errors
    /// [`Error::Unenforceable`] where processes keep each other from being stopped; when it is gone.
    pub fn freeze(&self) -> Result<()> {
        self.inner.freeze()
    }

    /// Lets them go on, once everybody who has frozen it says so.
    ///
    /// # Errors
    /// As for [`Sandbox::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.inner.thaw()
    }

    /// Host pid of its init; 0 when it is gone.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.pid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Kills everything in it, and reports what it used in all. One made from the start is waited for until nothing is left; one of a template is taken away in the
    /// background.
    ///
    /// # Errors
    /// When its control group cannot be removed.
    pub fn destroy(self) -> Result<Report> {
        if !matches!(self.inner.life, Life::Cold(_)) {
            let report = self.inner.report();
            self.inner.end();
            return Ok(report);
        }
        self.inner.end();
        Ok(self.inner.report())
    }

    /// Kills everything in it, as [`Sandbox::destroy`], and reads no meters first.
    pub fn end(self) {
        self.inner.end();
    }
}

/// Brings a sandbox that is being made from the start its workspace.
fn bring(started: &Started, plan: &Plan, workspace: &Workspace) -> Result<()> {
    let (message, trees) = if launch::opens_here(plan) {
        let ids = plan.identity.setup.map(|_| user_namespace_of(started.pid)).transpose()?;
        workspace.by_descriptor(ids.as_ref().map(AsFd::as_fd))?
    } else {
        (workspace.by_path()?, Vec::new())
    };
    let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
    match send(&started.control, &message, &trees) {
        // It ended on its own: its fault is waiting to be read.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(errno) => Err(Failure::about(Stage::Control, errno, "workspace").into()),
    }
}

/// Sends one datagram with descriptors.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[std::os::fd::BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(12))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        match sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Sends an exec request; strings that do not fit a datagram go in a memory file.
pub(crate) fn send_exec(socket: &OwnedFd, request: &ExecRequest, id: u32, streams: &[std::os::fd::BorrowedFd<'_>]) -> Result<()> {
    let lost = |e: Errno| Failure::new(Stage::Control, e);
    let bytes = request.encode(id);
    if bytes.len() <= DATAGRAM {
        return send(socket, &bytes, streams).map_err(|e| lost(e).into());
    }
    let file = rustix::fs::memfd_create(c"enclos-exec", MemfdFlags::CLOEXEC).map_err(lost)?;
    let mut rest = &bytes[EXEC_HEADER..];
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).map_err(lost)?;
        rest = &rest[written..];
    }
    let mut header = bytes[..EXEC_HEADER].to_vec();
    header[1] |= flag::IN_FILE;
    let mut descriptors = streams.to_vec();
    descriptors.push(file.as_fd());
    send(socket, &header, &descriptors).map_err(|e| lost(e).into())
}

/// A command of the sandbox.
#[derive(Debug)]
pub(crate) struct Route {
    /// The command's name.
    pub id: u32,
    /// Where its replies arrive; `None`: over the control socket, for the process that was parked.
    pub replies: Option<Arc<OwnedFd>>,
    /// Its pid inside, once it is known.
    pub started: Arc<OnceLock<i32>>,
}

impl Inner {
    pub fn planned(&self) -> &Planned {
        match &self.life {
            Life::Adopted(adopted) => &adopted.planned,
            Life::Cold(cold) => &cold.planned,
            Life::Warm(warm) => &warm.born.planned,
        }
    }

    pub fn facts(&self) -> &Facts {
        match &self.life {
            Life::Adopted(adopted) => &adopted.facts,
            Life::Cold(cold) => &cold.facts,
            Life::Warm(warm) => &warm.born.facts,
        }
    }

    pub fn group(&self) -> Option<&Group> {
        match &self.life {
            Life::Adopted(adopted) => adopted.group.as_ref(),
            Life::Cold(cold) => cold.group.as_ref(),
            Life::Warm(warm) => warm.born.group.as_ref(),
        }
    }

    pub fn control(&self) -> &OwnedFd {
        match &self.life {
            Life::Adopted(adopted) => &adopted.control,
            Life::Cold(cold) => &cold.started.control,
            Life::Warm(warm) => &warm.born.control,
        }
    }

    pub fn pidfd(&self) -> &OwnedFd {
        match &self.life {
            Life::Adopted(adopted) => &adopted.pidfd,
            Life::Cold(cold) => &cold.started.pidfd,
            Life::Warm(warm) => &warm.born.pidfd,
        }
    }

    pub fn pid(&self) -> Option<Pid> {
        match &self.life {
            Life::Adopted(adopted) => Some(adopted.pid),
            Life::Cold(cold) => Some(cold.started.pid),
            Life::Warm(warm) => *warm.pid.get_or_init(|| warm.born.pid()),
        }
    }

    fn request(&self, bytes: &[u8]) -> Result<()> {
        rustix::net::send(self.control(), bytes, SendFlags::NOSIGNAL).map(drop).map_err(|e| Failure::new(Stage::Control, e).into())
    }

    /// Starts a command in the sandbox.
    pub fn execute(&self, mut request: ExecRequest, given: &[BorrowedFd<'_>]) -> Result<Route> {
        // The parked process has no terminal.
        if let Life::Warm(warm) = &self.life
            && request.flags & flag::TTY == 0
            && self.parked.swap(false, Ordering::SeqCst)
            && send_exec(warm.born.park_socket(), &request, FIRST_ID, given).is_ok()
        {
            let started = Arc::new(warm.born.ready.map_or_else(OnceLock::new, OnceLock::from));
            return Ok(Route { id: FIRST_ID, replies: None, started });
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (replies, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Failure::about(Stage::Prepare, e, "reply socket"))?;
        request.replies = true;
        let mut given = given.to_vec();
        given.push(theirs.as_fd());
        send_exec(self.control(), &request, id, &given)?;
        Ok(Route { id, replies: Some(Arc::new(replies)), started: Arc::default() })
    }

    /// Whether somebody has frozen it.
    pub fn is_frozen(&self) -> bool {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).0 > 0
    }

    pub fn freeze(&self) -> Result<()> {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, stopped) = &mut *frozen;
        if *count == 0 {
            match self.group().filter(|group| !group.is_nowhere()).map(|group| group.freeze(FREEZE_PATIENCE)) {
                Some(Ok(())) => {}
                Some(Err(CgroupError::Unable { .. })) | None => *stopped = Some(still::stop(self, FREEZE_PATIENCE)?),
                Some(Err(error)) => return Err(error.into()),
            }
        }
        *count += 1;
        Ok(())
    }

    pub fn thaw(&self) -> Result<()> {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, stopped) = &mut *frozen;
        if *count <= 1 {
            match (stopped.take(), self.group()) {
                (Some(stopped), _) => stopped.go_on(),
                (None, Some(group)) if *count == 1 => group.thaw()?,
                _ => {}
            }
        }
        *count = count.saturating_sub(1);
        Ok(())
    }

    fn end(&self) {
        // A frozen process is killed all the same, but only a thawed one ends.
        let (count, stopped) = std::mem::take(&mut *self.frozen.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(stopped) = stopped {
            stopped.go_on();
        } else if count > 0
            && let Some(group) = self.group()
        {
            let _ = group.thaw();
        }
        match &self.life {
            Life::Cold(cold) => launch::end(&cold.started.control, &cold.started.pidfd),
            // Its slot waits for its end.
            Life::Warm(warm) => drop(enclos_sys::signal::send(&warm.born.pidfd, Signal::KILL.as_raw())),
            Life::Adopted(adopted) => adopted.end(),
        }
    }

    fn report(&self) -> Report {
        let wall = now().saturating_sub(self.born);
        let ended =
            Ended { status: Some(0), cause: None, wall, cpu_us: None, max_resident: 0, disk: message::Disk::default(), directory: None };
        Evidence {
            planned: self.planned(),
            ended: &ended,
            usage: self.group().and_then(|group| group.usage().ok()),
            output: [None, None],
            group: self.group(),
            landlock_abi: self.facts().landlock_abi,
        }
        .report()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
        match &mut self.life {
            Life::Cold(cold) => drop(reap(&cold.started.pidfd)),
            Life::Warm(_) => {}
            Life::Adopted(adopted) => adopted.retire(),
        }
    }
}
