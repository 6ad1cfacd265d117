//! The caller's side: starting a launcher, making templates, taking sandboxes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use enclos_cgroup::{Group, Host, Name, Pool as Groups, reap_orphans};
use enclos_spec::Policy;
use enclos_spec::plan::{FilterSource, Plan};
use enclos_sys::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;

use super::server::SlotRequest;
use super::slot::split;
use crate::command::{Command, Home};
use crate::error::{Error, Failure, Result, Stage};
use crate::init::message::{ExecRequest, Reply};
use crate::init::{MAX_DESCRIPTORS, receive};
use crate::launch::idmap::errno_of;
use crate::launch::{FIRST_ID, failure_of};
use crate::plan::{Planned, Wants, plan};
use crate::probe::Facts;
use crate::sandbox::{Sandbox, send, send_exec};
use crate::watch::{next_reply, next_reply_with};
use crate::workspace::{NO_WORKSPACE, Workspace};

/// The launcher process. Start it before threads and before secrets are in memory; everything made from it dies with it.
#[derive(Clone, Debug)]
pub struct Launcher {
    inner: Arc<Mutex<Process>>,
}

#[derive(Debug)]
struct Process {
    socket: Option<OwnedFd>,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its socket closed, the launcher ends, and its slots with it.
        self.socket = None;
        let _ = self.child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Launcher {
    /// Starts `program launch` (the `enclos` binary), its end of the socket as standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: impl AsRef<Path>) -> Result<Launcher> {
        let program = program.as_ref();
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Failure::about(Stage::Prepare, e, "launcher socket"))?;
        let child = std::process::Command::new(program)
            .arg("launch")
            .env_clear()
            // What a terminal sends to its caller is not for it: it may have to outlive the caller.
            .process_group(0)
            .stdin(theirs)
            .stdout(std::process::Stdio::null())
            .spawn()
            .map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), program.display().to_string()))?;
        // What an earlier server left when it was killed. Beside everything else: nobody waits for it, and what cannot be removed harms nobody.
        let _ = std::thread::Builder::new().name("enclos-orphans".to_owned()).spawn(|| {
            if let Ok(host) = Host::probe() {
                reap_orphans(&host, |maker| maker.is_alive());
            }
        });
        Ok(Launcher { inner: Arc::new(Mutex::new(Process { socket: Some(socket), child })) })
    }

    /// Host pid of the launcher.
    #[must_use]
    pub fn id(&self) -> u32 {
        lock(&self.inner).child.id()
    }

    /// Prepares a template: everything of this policy that sandboxes can share is done once.
    ///
    /// # Errors
    /// A policy that makes no sense, cannot be enforced here, or cannot be held by a template.
    pub fn template(&self, policy: &Policy) -> Result<Template> {
        self.prepare(policy, None)
    }

    /// Prepares a template of sandboxes that live ([`Template::sandbox`]). `workspace`: where inside each gets the workspace it is made with.
    ///
    /// An ordinary user's launcher cannot hand trees of the host to a sandbox that does not see them, so there a sandbox with a workspace is made from the start.
    ///
    /// # Errors
    /// As for [`Launcher::template`].
    pub fn living_template(&self, policy: &Policy, workspace: Option<&Path>) -> Result<Template> {
        self.prepare(policy, Some(workspace))
    }

    fn prepare(&self, policy: &Policy, living: Option<Option<&Path>>) -> Result<Template> {
        crate::exec_request::refuse_stream_files(policy)?;
        let (retire, retired) = channel();
        let groups = Arc::new(Groups::new(SPARE_GROUPS));
        let spare = Arc::clone(&groups);
        let inner = Arc::new(TemplateInner {
            launcher: self.clone(),
            facts: Arc::new(Facts::probe()?),
            policy: policy.clone(),
            free: Mutex::new(Vec::new()),
            spent: Mutex::new(Vec::new()),
            parked: Mutex::new(Vec::new()),
            living: living.is_some(),
            workspace: living.flatten().map(Path::to_owned),
            ahead: OnceLock::new(),
            groups,
            retire,
        });
        std::thread::Builder::new()
            .name("enclos-retire".to_owned())
            .spawn(move || super::pool::retire(&retired, &spare))
            .map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), "retiring thread"))?;
        // The first slot now, so that a template that cannot be is refused here.
        if inner.brings_trees() {
            let slot = inner.make_slot()?;
            lock(&inner.free).push(slot);
        } else {
            inner.plan()?;
        }
        Ok(Template { inner })
    }

    /// Asks for one slot; gives its socket and, where it has ids of its own, its user namespace.
    fn slot(&self, request: &SlotRequest, lease: Option<BorrowedFd<'_>>) -> Result<(OwnedFd, Option<OwnedFd>)> {
        let failed = |e: Errno| Failure::about(Stage::Control, e, "launcher");
        let text = serde_json::to_vec(request).map_err(|e| Failure::about(Stage::Control, Errno::INVAL, e.to_string()))?;
        let file = memfd_create(c"enclos-template", MemfdFlags::CLOEXEC).map_err(failed)?;
        let mut rest = &text[..];
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).map_err(failed)?;
            rest = &rest[written..];
        }
        let process = lock(&self.inner);
        let socket = process.socket.as_ref().ok_or_else(|| failed(Errno::PIPE))?;
        let descriptors: Vec<_> = std::iter::once(file.as_fd()).chain(lease).collect();
        send(socket, b"slot", &descriptors).map_err(failed)?;
        let mut answer = [0u8; 1024];
        let mut descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS] = [const { None }; MAX_DESCRIPTORS];
        let length = receive(socket.as_fd(), &mut answer, &mut descriptors).map_err(failed)?;
        let mut descriptors = descriptors.into_iter().flatten();
        match descriptors.next() {
            Some(slot) => Ok((slot, descriptors.next())),
            None if length == 0 => Err(failed(Errno::PIPE).into()),
            None => Err(Error::InitLost(String::from_utf8_lossy(&answer[..length]).into_owned())),
        }
    }
}

/// A prepared policy from which sandboxes are made quickly.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) inner: Arc<TemplateInner>,
}

#[derive(Debug)]
pub(super) struct TemplateInner {
    launcher: Launcher,
    facts: Arc<Facts>,
    policy: Policy,
    free: Mutex<Vec<Slot>>,
    /// Slots that will not serve again, kept until their sandboxes are gone.
    spent: Mutex<Vec<Slot>>,
    pub(super) parked: Mutex<Vec<Born>>,
    living: bool,
    /// Where a workspace goes.
    pub(super) workspace: Option<PathBuf>,
    /// Wakes who keeps sandboxes parked.
    pub(super) ahead: OnceLock<Sender<()>>,
    /// Groups of sandboxes that are gone, for those to come.
    groups: Arc<Groups>,
    retire: Sender<Retired>,
}

impl Drop for TemplateInner {
    fn drop(&mut self) {
        // Those that are put in from now on are removed at once. One that cannot be removed is a leftover, which the next start of a launcher looks for.
        let _ = self.groups.close();
    }
}

/// Most spare groups that a template holds.
const SPARE_GROUPS: usize = 16;

/// One slot of a template.
#[derive(Debug)]
pub struct Slot {
    socket: OwnedFd,
    planned: Arc<Planned>,
    /// The part of the plan that each sandbox carries out, for the words of its faults.
    fresh: Arc<Plan>,
    /// In which trees of the host are shown with the ids they have on disk.
    ids: Option<OwnedFd>,
    /// Init of the sandbox it had last, which may still be on its way out.
    last: Option<OwnedFd>,
}

impl Slot {
    /// Whether it has no sandbox, or none after this time.
    fn is_idle(&mut self, patience: Duration) -> bool {
        if let Some(last) = &self.last {
            let time = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
            if !matches!(poll(&mut [PollFd::new(last, PollFlags::IN)], Some(&time)), Ok(1)) {
                return false;
            }
            self.last = None;
        }
        true
    }
}

/// How long a slot whose sandbox is ending is waited for before a new one is made. On a busy machine either takes tens of milliseconds, and the new one costs them for good.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is left of a sandbox when its command is done: to be waited for and removed off the request's path.
#[derive(Debug)]
pub struct Retired {
    pub(super) pidfd: OwnedFd,
    pub(super) group: Group,
}

/// A sandbox of a template, its first command's process parked.
#[derive(Debug)]
pub struct Born {
    /// What was planned for its slot.
    pub planned: Arc<Planned>,
    /// The host's facts.
    pub facts: Arc<Facts>,
    /// Its control group.
    pub group: Option<Group>,
    /// Requests and replies.
    pub control: OwnedFd,
    /// The parked command's request goes here.
    park: OwnedFd,
    /// Init.
    pub pidfd: OwnedFd,
    /// Init has said that the command is parked, under this number inside.
    pub ready: Option<i32>,
    /// It waits for its workspace.
    unfinished: bool,
    /// The merged workspace.
    pub workspace: Option<OwnedFd>,
    /// Init has said that the command has ended, and so ends itself.
    over: bool,
    fresh: Arc<Plan>,
    slot: Option<Slot>,
    template: std::sync::Weak<TemplateInner>,
}

impl Template {
    /// A command in a sandbox of this template, made for it alone.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command::at_home(program.as_ref(), Home::Template(self.clone()))
    }

    /// A parked sandbox if there is one, else one made now.
    pub(crate) fn take(&self) -> Result<Born> {
        let mut born = self.take_unfinished()?;
        born.finish_without()?;
        Ok(born)
    }

    /// A copy of what keeps its launcher alive.
    pub(crate) fn launcher_socket(&self) -> Result<OwnedFd> {
        let process = lock(&self.inner.launcher.inner);
        let failed = |e: Errno| Failure::about(Stage::Control, e, "launcher");
        process.socket.as_ref().ok_or_else(|| failed(Errno::PIPE))?.try_clone().map_err(|e| failed(errno_of(&e)).into())
    }

    fn take_unfinished(&self) -> Result<Born> {
        let parked = lock(&self.inner.parked).pop();
        if let Some(ahead) = self.inner.ahead.get() {
            let _ = ahead.send(());
        }
        match parked {
            Some(born) => Ok(born),
            None => TemplateInner::spawn(&self.inner),
        }
    }

    /// Makes a sandbox that lives, with a workspace of its own or without.
    ///
    /// The template says where a workspace goes ([`Launcher::living_template`]). Sandboxes that are parked ([`Template::park`], [`Template::park_ahead`]) make this a
    /// matter of mounting the workspace.
    ///
    /// # Errors
    /// A workspace that is none, or not at the template's place; a step that failed. Nothing is left behind then.
    pub fn sandbox(&self, workspace: Option<&Workspace>) -> Result<Sandbox> {
        if let Some(workspace) = workspace {
            let at = self.inner.workspace.as_deref();
            if at != Some(&*workspace.at) {
                let wanted = at.map_or_else(
                    || "this template has no place for one".to_owned(),
                    |at| format!("this template has the place {} for one", at.display()),
                );
                return Err(enclos_spec::PolicyError::value("workspace", &workspace.at.display().to_string(), &wanted).into());
            }
            // A template has one second wall for all its sandboxes.
            if workspace.writable.is_some() || !self.inner.brings_trees() {
                return Sandbox::create_with(&self.inner.policy, Some(workspace));
            }
        }
        let mut born = self.take_unfinished()?;
        match workspace {
            Some(workspace) => born.finish_with(workspace)?,
            None => born.finish_without()?,
        }
        born.wait_ready()?;
        Ok(Sandbox::warm(born, self.clone()))
    }

    /// Makes `count` sandboxes ahead of demand, in addition to those that are parked.
    ///
    /// # Errors
    /// As for running a command.
    pub fn park(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let mut born = TemplateInner::spawn(&self.inner)?;
            if !born.unfinished {
                born.wait_ready()?;
            }
            lock(&self.inner.parked).push(born);
        }
        Ok(())
    }

    /// Keeps `count` sandboxes parked from now on: for each that is taken a thread of the template's own makes another. A second call changes nothing.
    ///
    /// # Errors
    /// As for running a command.
    pub fn park_ahead(&self, count: usize) -> Result<()> {
        self.park(count.saturating_sub(self.parked()))?;
        let (wake, woken) = channel();
        let template = Arc::downgrade(&self.inner);
        if self.inner.ahead.set(wake).is_ok() {
            std::thread::Builder::new()
                .name("enclos-ahead".to_owned())
                .spawn(move || super::pool::park_ahead(&template, &woken, count))
                .map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), "parking thread"))?;
        }
        Ok(())
    }

    /// How many sandboxes are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        lock(&self.inner.parked).len()
    }
}

impl TemplateInner {
    fn plan(&self) -> Result<Planned> {
        let (living, workspace) = (self.living, self.workspace.as_deref());
        plan(&self.policy, &self.facts, Wants { terminal: living, measure: living, die_with_thread: false, living, workspace })
    }

    /// Whether its sandboxes can be brought a workspace, if they have a place for one.
    fn brings_trees(&self) -> bool {
        self.workspace.is_none() || self.facts.privileged
    }

    fn make_slot(&self) -> Result<Slot> {
        let planned = self.plan()?;
        if planned.plan.seccomp.iter().any(|f| matches!(f, FilterSource::Program(_))) && planned.plan.seccomp.len() > 1 {
            return Err(Error::Unenforceable { field: "seccomp", missing: "a template holds one filter".to_owned() });
        }
        let (lasting, fresh) = split(planned.plan.clone())?;
        let groups = match &planned.limits.group {
            None => 0,
            // Every hierarchy a group is in gives one descriptor.
            Some(limits) => self.facts.cgroups.hierarchies(limits)?,
        };
        let request = SlotRequest { plan: planned.plan.clone(), groups };
        let (socket, ids) = self.launcher.slot(&request, planned.lease.as_ref().map(|lease| lease.file.as_fd()))?;
        match next_reply(&socket) {
            Ok(Reply::Ready { .. }) => Ok(Slot { socket, planned: Arc::new(planned), fresh: Arc::new(fresh), ids, last: None }),
            Ok(Reply::Failed { stage, op, errno }) => Err(failure_of(&lasting, stage, op, errno).into()),
            Ok(other) => Err(Error::InitLost(format!("{other:?}"))),
            Err(errno) => Err(Error::InitLost(errno.to_string())),
        }
    }

    fn group(&self, planned: &Planned) -> Result<Option<Group>> {
        let Some(limits) = &planned.limits.group else { return Ok(None) };
        if let Some(spare) = self.groups.take(limits) {
            return Ok(Some(spare));
        }
        let name = Name::fresh().map_err(|e| Failure::new(Stage::Cgroup, errno_of(&e)))?;
        Ok(Some(self.facts.cgroups.create(&name, limits)?))
    }

    /// Makes a sandbox in a free slot, or in a new one.
    pub(super) fn spawn(self: &Arc<Self>) -> Result<Born> {
        let slot = match self.idle_slot() {
            Some(slot) => slot,
            None => self.make_slot()?,
        };
        let prepare = |e: Errno| Failure::about(Stage::Prepare, e, "sandbox sockets");
        let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(prepare);
        let (control, control_theirs) = pair()?;
        let (park, park_theirs) = pair()?;
        let mut group = self.group(&slot.planned)?;
        let procs = group.as_ref().map_or(Ok(Vec::new()), procs)?;
        let mut descriptors = vec![control_theirs.as_fd(), park_theirs.as_fd()];
        descriptors.extend(procs.iter().map(AsFd::as_fd));
        send(&slot.socket, b"sandbox", &descriptors).map_err(|e| Failure::about(Stage::Control, e, "slot"))?;
        drop((control_theirs, park_theirs, procs));
        if let Some(group) = &mut group {
            group.close_v1_tasks();
        }
        let (pidfd, ready) = await_birth(&control, &slot.fresh)?;
        Ok(Born {
            planned: Arc::clone(&slot.planned),
            facts: Arc::clone(&self.facts),
            group,
            control,
            park,
            pidfd,
            ready,
            unfinished: self.workspace.is_some(),
            workspace: None,
            over: false,
            fresh: Arc::clone(&slot.fresh),
            slot: Some(slot),
            template: Arc::downgrade(self),
        })
    }

    /// A slot that is free now, or will be in a moment.
    fn idle_slot(&self) -> Option<Slot> {
        let mut free = lock(&self.free);
        if let Some(at) = free.iter_mut().position(|slot| slot.is_idle(Duration::ZERO)) {
            return Some(free.swap_remove(at));
        }
        let mut ending = if free.is_empty() { return None } else { free.remove(0) };
        drop(free);
        if ending.is_idle(PATIENCE) {
            return Some(ending);
        }
        self.give_back(ending);
        None
    }

    /// A slot whose sandbox is gone, or ending, serves again; but not one whose network has an address: the kernel remembers its connections for a minute
    /// (`TIME_WAIT`), and the next command would see them, and find their ports taken.
    fn give_back(&self, slot: Slot) {
        if slot.planned.plan.loopback {
            // Its ids are another's to lease only when nobody has them any more.
            let mut spent = lock(&self.spent);
            spent.retain_mut(|slot| !slot.is_idle(Duration::ZERO));
            spent.push(slot);
        } else {
            lock(&self.free).push(slot);
        }
    }
}

/// Takes the reply that brings init's pidfd. The slot sends it, and init's own word that it is ready may come first: (pidfd, init is ready).
fn await_birth(control: &OwnedFd, fresh: &Plan) -> Result<(OwnedFd, Option<i32>)> {
    let mut ready = None;
    loop {
        let mut bytes = [0u8; crate::init::message::REPLY];
        let mut received: [Option<OwnedFd>; MAX_DESCRIPTORS] = [const { None }; MAX_DESCRIPTORS];
        let length = receive(control.as_fd(), &mut bytes, &mut received).map_err(|e| Failure::new(Stage::Control, e))?;
        match (Reply::decode(&bytes[..length]), received.into_iter().flatten().next()) {
            (Some(Reply::Born), Some(pidfd)) => return Ok((pidfd, ready)),
            (Some(Reply::Ready { parked }), _) => ready = Some(parked),
            (Some(Reply::Failed { stage, op, errno }), _) => return Err(failure_of(fresh, stage, op, errno).into()),
            _ => return Err(Error::InitLost("the slot has ended".to_owned())),
        }
    }
}

/// What is written to enter a group, for every hierarchy it is in.
fn procs(group: &Group) -> Result<Vec<OwnedFd>> {
    let failed = |file| move |e: Errno| Failure::about(Stage::JoinCgroup, e, file);
    let mut out = Vec::new();
    if let Some(directory) = group.v2_dir() {
        out.push(openat(directory, c"cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed("cgroup.procs"))?);
    }
    for fd in group.v1_tasks() {
        out.push(fd.try_clone().map_err(|e| failed("tasks")(errno_of(&e)))?);
    }
    Ok(out)
}

/// Whose pidfd this is, as it tells itself (`/proc/self/fdinfo`); `None` once the process is gone.
pub(crate) fn pid_of(pidfd: &OwnedFd) -> Option<Pid> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    // -1 when it was waited for (proc_pid_fdinfo(5)); 0 from a pid namespace that does not have it.
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

impl Born {
    /// Tells it that there will be no workspace.
    fn finish_without(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unfinished) { self.tell(&NO_WORKSPACE, &[]) } else { Ok(()) }
    }

    /// Brings it its workspace.
    fn finish_with(&mut self, workspace: &Workspace) -> Result<()> {
        let (message, trees) = workspace.by_descriptor(self.slot.as_ref().and_then(|slot| slot.ids.as_ref()).map(AsFd::as_fd))?;
        let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
        self.unfinished = false;
        self.tell(&message, &trees)
    }

    fn tell(&self, message: &[u8], trees: &[BorrowedFd<'_>]) -> Result<()> {
        match send(&self.control, message, trees) {
            // It ended on its own: its fault is waiting to be read.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Failure::about(Stage::Control, errno, "workspace").into()),
        }
    }

    /// Waits until its command is parked.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        if self.ready.is_some() {
            return Ok(());
        }
        let (reply, descriptor) = next_reply_with(&self.control);
        self.workspace = descriptor;
        match reply {
            Ok(Reply::Ready { parked }) => {
                self.ready = Some(parked);
                Ok(())
            }
            Ok(Reply::Failed { stage, op, errno }) => Err(failure_of(&self.fresh, stage, op, errno).into()),
            Ok(other) => Err(Error::InitLost(format!("{other:?}"))),
            Err(errno) => Err(Error::InitLost(errno.to_string())),
        }
    }

    /// Init's pid on the host; `None` once it is gone.
    pub fn pid(&self) -> Option<Pid> {
        pid_of(&self.pidfd)
    }

    /// What keeps its slot alive.
    pub(crate) fn slot_socket(&self) -> Option<&OwnedFd> {
        self.slot.as_ref().map(|slot| &slot.socket)
    }

    /// The socket to its parked process.
    pub(crate) fn park_socket(&self) -> &OwnedFd {
        &self.park
    }

    /// Its command has ended, and with it the sandbox.
    pub(crate) fn is_over(&mut self) {
        self.over = true;
    }

    /// Runs its command.
    pub(crate) fn execute(&self, request: &ExecRequest, streams: &[BorrowedFd<'_>]) -> Result<()> {
        send_exec(&self.park, request, FIRST_ID, streams)
    }
}

impl Drop for Born {
    fn drop(&mut self) {
        let (Some(mut slot), Ok(pidfd)) = (self.slot.take(), self.pidfd.try_clone()) else { return };
        if !self.over {
            let _ = rustix::net::send(&self.control, &crate::init::message::END_REQUEST, rustix::net::SendFlags::NOSIGNAL);
        }
        let Some(template) = self.template.upgrade() else { return };
        if let Some(group) = self.group.take()
            && let Ok(pidfd) = self.pidfd.try_clone()
        {
            let _ = template.retire.send(Retired { pidfd, group });
        }
        // It waits itself for the sandbox's end.
        slot.last = Some(pidfd);
        template.give_back(slot);
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn a_process_that_was_waited_for_has_no_pid() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert_eq!(pid_of(&pidfd), Some(pid));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(pid_of(&pidfd), None);
    }
}
