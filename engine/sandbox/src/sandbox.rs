//! A sandbox that lives: made once, many commands in it at a time, frozen and thawed, destroyed.
//!
//! ```text
//!   Sandbox ──control socket──► init
//!      │  ▲
//!      │  └── one thread takes every reply and hands it to the command it is about (a socket for each)
//!      ▼
//!   command 1, 2, 3 …: each watched by whoever waits for it
//! ```

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use enclos_cgroup::{Group, Name};
use enclos_spec::{Policy, Report};
use enclos_sys::Errno;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair};

use crate::command::{Command, Home};
use crate::error::{Error, Failure, Result, Stage};
use crate::init::message::{self, DATAGRAM, EXEC_HEADER, ExecRequest, Reply, Target, flag};
use crate::init::receive;
use crate::launch::{self, Launch, Started};
use crate::meter::Evidence;
use crate::plan::{Planned, Wants, plan};
use crate::probe::Facts;
use crate::watch::{Ended, next_reply, now, reap};

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
    inner: Arc<Inner>,
}

/// What the handles and the commands of a sandbox share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub facts: Facts,
    pub planned: Planned,
    pub group: Option<Group>,
    pub started: Started,
    routes: Arc<Mutex<HashMap<u32, OwnedFd>>>,
    next_id: AtomicU32,
    born: Duration,
    dispatcher: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Sandbox {
    /// Makes one and waits until it is ready.
    ///
    /// # Errors
    /// A policy that makes no sense or cannot be enforced here, or a step that failed; nothing is left behind then.
    pub fn create(policy: &Policy) -> Result<Sandbox> {
        crate::exec_request::refuse_stream_files(policy)?;
        let facts = Facts::probe()?;
        let planned = plan(policy, &facts, Wants { terminal: true, measure: true, die_with_thread: false })?;
        let group = match &planned.limits.group {
            None => None,
            Some(limits) => {
                let name = Name::fresh().map_err(|e| Failure::new(Stage::Cgroup, launch::idmap::errno_of(&e)))?;
                Some(facts.cgroups.create(&name, limits)?)
            }
        };
        crate::exec_request::make_layers(policy)?;
        let launch = Launch { group: group.as_ref(), first: None, hold: false, lease: planned.lease.as_ref().map(|l| &l.file) };
        let started = launch::start(&planned.plan, &launch)?;
        let ready = started.release(&planned.plan).and_then(|()| match next_reply(&started.control) {
            Ok(Reply::Ready) => Ok(()),
            Ok(reply) => Err(launch::error_of(&planned.plan, reply).unwrap_or_else(|| Error::InitLost(format!("{reply:?}")))),
            Err(errno) => Err(Error::InitLost(errno.to_string())),
        });
        if let Err(error) = ready {
            launch::end(&started.control, &started.pidfd);
            return Err(error);
        }
        let routes: Arc<Mutex<HashMap<u32, OwnedFd>>> = Arc::default();
        let dispatcher = dispatch(&started, Arc::clone(&routes))?;
        let inner = Inner {
            facts,
            planned,
            group,
            started,
            routes,
            next_id: AtomicU32::new(1),
            born: now(),
            dispatcher: Mutex::new(Some(dispatcher)),
        };
        Ok(Sandbox { inner: Arc::new(inner) })
    }

    /// A command to run in it. Its policy is the sandbox's; `wall`, `idle`, `cpu` and `output` limits of the policy hold for each command.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command::at_home(program.as_ref(), Home::Shared(Arc::clone(&self.inner)))
    }

    /// Sends a signal to every process in it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, number: i32) -> Result<()> {
        self.inner.request(&message::signal(0, number, Target::All))
    }

    /// Stops every process in it, without any of them noticing (`cgroup.freeze`).
    ///
    /// # Errors
    /// [`Error::Unenforceable`] on a host whose control groups cannot; see `enclos doctor`.
    pub fn freeze(&self) -> Result<()> {
        self.group_for("freeze")?.freeze(Duration::from_secs(2)).map_err(Into::into)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// As for [`Sandbox::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.group_for("thaw")?.thaw().map_err(Into::into)
    }

    fn group_for(&self, field: &'static str) -> Result<&Group> {
        self.inner
            .group
            .as_ref()
            .filter(|group| !group.is_nowhere())
            .ok_or_else(|| Error::Unenforceable { field, missing: "no control group tree that this user may use".to_owned() })
    }

    /// Host pid of its init.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.started.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills everything in it, waits until nothing is left, and reports what it used in all.
    ///
    /// # Errors
    /// When its control group cannot be removed.
    pub fn destroy(self) -> Result<Report> {
        self.inner.end();
        Ok(self.inner.report())
    }
}

/// Takes replies until init is gone; then every waiting command learns so by its closed socket.
fn dispatch(started: &Started, routes: Arc<Mutex<HashMap<u32, OwnedFd>>>) -> Result<std::thread::JoinHandle<()>> {
    let failed = |e: std::io::Error| Failure::about(Stage::Prepare, launch::idmap::errno_of(&e), "reply thread");
    let control = started.control.try_clone().map_err(failed)?;
    let run = move || {
        let mut bytes = [0u8; message::REPLY];
        loop {
            let mut descriptors: [Option<OwnedFd>; crate::init::MAX_DESCRIPTORS] = [const { None }; crate::init::MAX_DESCRIPTORS];
            match receive(control.as_fd(), &mut bytes, &mut descriptors) {
                Ok(0) | Err(Errno::CONNRESET | Errno::PIPE) => break,
                Err(Errno::INTR) => {}
                Err(_) => break,
                Ok(length) => route(&routes, &bytes[..length], descriptors.into_iter().flatten().next()),
            }
        }
        routes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    };
    Ok(std::thread::Builder::new().name("enclos-replies".to_owned()).spawn(run).map_err(failed)?)
}

fn route(routes: &Mutex<HashMap<u32, OwnedFd>>, bytes: &[u8], descriptor: Option<OwnedFd>) {
    let id = match Reply::decode(bytes) {
        Some(
            Reply::Started { id, .. }
            | Reply::NotStarted { id, .. }
            | Reply::Ended { id, .. }
            | Reply::Stopped { id, .. }
            | Reply::Continued { id },
        ) => id,
        Some(Reply::Ready | Reply::Failed { .. } | Reply::Born) | None => return,
    };
    let routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(socket) = routes.get(&id) {
        let _ = send(socket, bytes, descriptor.as_ref().map(AsFd::as_fd).as_slice());
    }
}

/// Sends one datagram with descriptors.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[std::os::fd::BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
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

/// A command's place among the replies; freed when dropped.
#[derive(Debug)]
pub(crate) struct Route {
    /// The command's name.
    pub id: u32,
    /// Where its replies arrive.
    pub replies: OwnedFd,
    inner: Arc<Inner>,
}

impl Drop for Route {
    fn drop(&mut self) {
        self.inner.routes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Inner {
    fn request(&self, bytes: &[u8]) -> Result<()> {
        rustix::net::send(&self.started.control, bytes, SendFlags::NOSIGNAL).map(drop).map_err(|e| Failure::new(Stage::Control, e).into())
    }

    /// Starts a command in the sandbox.
    pub fn execute(self: &Arc<Self>, request: &ExecRequest, streams: &[std::os::fd::BorrowedFd<'_>]) -> Result<Route> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (replies, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Failure::about(Stage::Prepare, e, "reply socket"))?;
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).insert(id, theirs);
        let route = Route { id, replies, inner: Arc::clone(self) };
        send_exec(&self.started.control, request, id, streams)?;
        Ok(route)
    }

    fn end(&self) {
        launch::end(&self.started.control, &self.started.pidfd);
        let dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = dispatcher {
            let _ = thread.join();
        }
    }

    fn report(&self) -> Report {
        let wall = now().saturating_sub(self.born);
        let ended =
            Ended { status: Some(0), cause: None, wall, cpu_us: None, max_resident: 0, disk: message::Disk::default(), directory: None };
        Evidence {
            planned: &self.planned,
            ended: &ended,
            usage: self.group.as_ref().and_then(|group| group.usage().ok()),
            output: [None, None],
            group: self.group.as_ref(),
            landlock_abi: self.facts.landlock_abi,
        }
        .report()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A frozen process is killed all the same, but only a thawed one ends.
        if let Some(group) = &self.group {
            let _ = group.thaw();
        }
        self.end();
        let _ = reap(&self.started.pidfd);
    }
}
