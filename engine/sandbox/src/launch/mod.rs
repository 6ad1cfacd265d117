//! The launcher's side: makes the process a plan describes, and hands over its reins.

pub mod compile;
pub mod guardian;
pub mod idmap;
pub mod network;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use enclos_cgroup::Group;
use enclos_seccomp::Program as Filter;
use enclos_spec::plan::{Access, Capabilities, Descriptors, FilterSource, Init, Mapper, Op, Plan, Resource, Upper};
use enclos_sys::child::StartupMemory;
use enclos_sys::clone::{Cloned, NamespaceFlags, Stack, clone3, clone3_below};
use enclos_sys::landlock::{FileAccess, Handled, abi_version};
use enclos_sys::signal::{Blocked, SignalSet};
use enclos_sys::{Errno, capability};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::child::place::Place;
use crate::child::program::{CapabilityMask, Confine, First, Program, Ruleset, Start};
use crate::child::{Context, run};
use crate::error::{Error, Failure, Result, Stage};
use crate::init::message::{ExecRequest, RELEASE_REQUEST, Reply};
use crate::init::{Given, MAX_COMMANDS, ParkedRoom, Room};
use compile::Compiler;
use network::Network;

/// What is launched beside the plan itself.
#[derive(Debug, Default)]
pub struct Launch<'a> {
    /// The control group it is born in.
    pub group: Option<&'a Group>,
    /// The first command; `None`: init waits for requests.
    pub first: Option<(&'a ExecRequest, Given)>,
    /// Stop before anything is done, also where no id map is to be written, until released.
    pub hold: bool,
    /// Keep this descriptor open in init for as long as it lives (the lease of the ids).
    pub lease: Option<&'a OwnedFd>,
}

/// A process just made, waiting to be released.
#[derive(Debug)]
pub struct Started {
    /// Its pid in the launcher's pid namespace.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Our end of the control socket.
    pub control: OwnedFd,
    waits: bool,
    /// What the child was made with: freed when it runs on, not while it waits for us.
    made_with: Mutex<Option<Box<Context>>>,
}

/// The name under which the first command of a sandbox runs.
pub const FIRST_ID: u32 = 0;

/// Makes the process. It stops before it needs its id maps; [`Started::release`] writes them and lets it go on.
///
/// # Errors
/// The failed step, with the operation and the path. Nothing is left behind.
pub fn start(plan: &Plan, launch: &Launch<'_>) -> Result<Started> {
    start_in(plan, launch, None)
}

/// The same, in a network that is being made; one that does not suit the plan is not used.
///
/// # Errors
/// As for [`start`].
pub fn start_in(plan: &Plan, launch: &Launch<'_>, network: Option<Network>) -> Result<Started> {
    let network = network.filter(|network| network::suits(plan) && network.has(plan.loopback));
    compile::check_descriptors(plan)?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|e| Failure::about(Stage::Prepare, e, "control socket"))?;
    let first = launch.first.map(|(request, given)| First { request: request.encode(FIRST_ID), given });
    let mask = Blocked::all();
    let groups = duplicate_all(launch.group.map_or(&[], Group::v1_tasks))?;
    let mut program = program(plan, groups, theirs, first, mask.previous(), opens_here(plan))?;
    program.launcher = Some(own_pidfd()?);
    program.wait_release |= launch.hold;
    program.start.lease = launch.lease.map(AsRawFd::as_raw_fd);
    let mut context = context(program)?;
    join_before(plan)?;
    let directory = launch.group.and_then(Group::v2_dir);
    let flags = namespace_flags(plan);
    let make = if plan.join.pid.is_some() && plan.namespaces.pid { clone3_below } else { clone3 };
    let mut born = |in_network: bool| {
        context.program.loopback &= !in_network;
        let flags = if in_network { flags.without(NamespaceFlags::NET) } else { flags };
        make(flags, directory, run, &context).map_err(|errno| clone_failure(errno).into())
    };
    let Cloned { pid, pidfd } = match network {
        None => born(false)?,
        Some(network) => network.born_within(&mut born)?,
    };
    drop(mask);
    Ok(Started { pid, pidfd, control: ours, waits: context.program.wait_release, made_with: Mutex::new(Some(Box::new(context))) })
}

/// A program with the room its process will write.
pub(crate) fn context(program: Program) -> Result<Context> {
    let failed = |e| Failure::about(Stage::Prepare, e, "room for init");
    // Where the first command is the last, no other comes.
    let commands = if program.start.first.is_some() { 1 } else { MAX_COMMANDS };
    Ok(Context { program, room: Room::new(commands).map_err(failed)?.into(), parked: ParkedRoom::new().map_err(failed)?.into() })
}

/// This process, as its children can watch it.
fn own_pidfd() -> Result<OwnedFd> {
    rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
        .map_err(|e| Failure::about(Stage::Prepare, e, "pidfd_open").into())
}

fn clone_failure(errno: Errno) -> Failure {
    let hint = match errno {
        Errno::PERM => "the kernel or a security module refuses new user namespaces; see `enclos doctor`",
        Errno::AGAIN => "a process limit is reached (ulimit -u, pids.max)",
        Errno::NOSPC => "a namespace limit is reached (sysctl user.max_*_namespaces)",
        Errno::NOSYS => "this kernel has no clone3",
        _ => return Failure::new(Stage::Clone, errno),
    };
    Failure::about(Stage::Clone, errno, hint)
}

impl Started {
    /// Writes the id maps, where the plan says that we do, and lets the process go on.
    ///
    /// # Errors
    /// The failed step; the process is ended then.
    pub fn release(&self, plan: &Plan) -> Result<()> {
        let released = self.map_and_release(plan);
        // Ours must not keep the child's end of the socket open.
        *self.made_with.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if released.is_err() {
            end(&self.control, &self.pidfd);
        }
        released
    }

    fn map_and_release(&self, plan: &Plan) -> Result<()> {
        if !self.waits {
            return Ok(());
        }
        if plan.namespaces.user && plan.userns_block_fd.is_none() {
            idmap::write_maps(self.pid, &plan.identity, is_privileged())?;
        }
        match rustix::net::send(&self.control, &RELEASE_REQUEST, SendFlags::NOSIGNAL) {
            // It ended on its own: its fault is waiting to be read.
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Failure::new(Stage::Control, errno).into()),
        }
    }
}

/// The failure an init reported, in the words of the plan.
#[must_use]
pub fn failure_of(plan: &Plan, stage: u8, op: u32, errno: i32) -> Failure {
    let stage = Stage::from_number(stage);
    let op = usize::try_from(op).ok().filter(|_| op != u32::MAX);
    let subject = match stage {
        Stage::LockOpen | Stage::LockTake => op.and_then(|index| plan.lock_files.get(index)).map(|path| path.display().to_string()),
        _ => op.filter(|index| *index < plan.ops.len()).map(|index| compile::subject(&plan.ops[index], stage)),
    };
    // Only operations are told by their index.
    let op = op.filter(|index| *index < plan.ops.len() && !matches!(stage, Stage::LockOpen | Stage::LockTake));
    Failure { stage, errno: Errno::from_raw_os_error(errno), op, subject }
}

/// An error from a reply that says set-up failed.
#[must_use]
pub fn error_of(plan: &Plan, reply: Reply) -> Option<Error> {
    match reply {
        Reply::Failed { stage, op, errno } => Some(failure_of(plan, stage, op, errno).into()),
        _ => None,
    }
}

/// Namespaces that are joined, not made: the process is then born in them.
fn join_before(plan: &Plan) -> Result<()> {
    for (number, kind, stage) in
        [(plan.join.user, LinkNameSpaceType::User, Stage::JoinUser), (plan.join.pid, LinkNameSpaceType::ProcessID, Stage::JoinPid)]
    {
        if let Some(number) = number {
            let fd = enclos_sys::fd::borrow(number).map_err(|e| Failure::new(stage, e))?;
            move_into_link_name_space(fd, Some(kind)).map_err(|e| Failure::new(stage, e))?;
        }
    }
    Ok(())
}

pub(crate) fn namespace_flags(plan: &Plan) -> NamespaceFlags {
    let new = plan.namespaces;
    NamespaceFlags::MOUNT
        .and_if(new.user, NamespaceFlags::USER)
        .and_if(new.pid, NamespaceFlags::PID)
        .and_if(new.net, NamespaceFlags::NET)
        .and_if(new.ipc, NamespaceFlags::IPC)
        .and_if(new.uts, NamespaceFlags::UTS)
}

/// The launcher may map any ids and mount with the host's rights.
pub(crate) fn is_privileged() -> bool {
    rustix::process::geteuid().is_root() && capability::has(capability::MAP_AND_MOUNT)
}

/// A root launcher whose child will be nobody on the host opens the host's trees itself. A child that stays the launcher's user finds them as well, and keeps what the
/// kernel locks in a tree that a user namespace gets: a command with capabilities there cannot take off a mount of the host and see what it hides.
pub(crate) fn opens_here(plan: &Plan) -> bool {
    plan.namespaces.user && plan.join.user.is_none() && plan.identity.mapper != Mapper::Own && is_privileged()
}

/// Prepares everything the child will need.
///
/// `open_here`: open host trees now, with the launcher's rights.
pub(crate) fn program(
    plan: &Plan,
    cgroups: Vec<OwnedFd>,
    control: OwnedFd,
    first: Option<First>,
    mask: SignalSet,
    open_here: bool,
) -> Result<Program> {
    let mut compiler = Compiler::new(plan, open_here);
    let actions = compiler.actions()?;
    let scratch = compiler.scratch.take();
    let identity = &plan.identity;
    let in_user_namespace = plan.namespaces.user || plan.join.user.is_some();
    Ok(Program {
        control,
        launcher: None,
        cgroups,
        cgroup_namespace: plan.namespaces.cgroup,
        // A child that maps its ids itself waits for nobody.
        wait_release: (plan.namespaces.user && identity.mapper != Mapper::Own) || plan.userns_block_fd.is_some(),
        own_maps: (plan.namespaces.user && plan.userns_block_fd.is_none() && identity.mapper == Mapper::Own)
            .then(|| (idmap::map_lines(&identity.uid_map), idmap::map_lines(&identity.gid_map))),
        die_with_parent: plan.die_with_parent,
        setup_ids: identity.setup.or(identity.uid.zip(identity.gid)).filter(|_| plan.namespaces.user),
        clear_groups: identity.clear_groups,
        hostname: plan.hostname.as_ref().map(|name| name.clone().into_bytes()),
        loopback: plan.loopback,
        actions,
        scratch,
        build_root: true,
        in_user_namespace,
        own_pid_namespace: plan.namespaces.pid,
        startup: if plan.hide_init { startup_memory() } else { None },
        hide_init: plan.hide_init,
        confine: confine(plan)?,
        start: start_part(plan, first, mask)?,
    })
}

fn startup_memory() -> Option<StartupMemory> {
    StartupMemory::from_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn duplicate_all(fds: &[OwnedFd]) -> Result<Vec<OwnedFd>> {
    fds.iter().map(|fd| fd.try_clone().map_err(|e| Failure::new(Stage::Prepare, idmap::errno_of(&e)).into())).collect()
}

fn confine(plan: &Plan) -> Result<Confine> {
    let identity = &plan.identity;
    let mut filters: Vec<Vec<u8>> = plan
        .seccomp
        .iter()
        .filter_map(|source| match source {
            FilterSource::Default => Some(built_in(false, !plan.cpus.is_empty())),
            FilterSource::Log => Some(built_in(true, false)),
            FilterSource::Program(_) => None,
        })
        .collect();
    if writes_as_another(plan) && !plan.seccomp.contains(&FilterSource::Default) {
        filters.push(set_id_guard()?);
    }
    // Outside of the nested namespace is the first one: the id this process has there.
    let first = |map: &[enclos_spec::plan::IdRange]| map.first().map_or(0, |range| range.inside);
    let (uid_there, gid_there) = (first(&identity.uid_map), first(&identity.gid_map));
    let one_line = |inside: u32, there: u32| format!("{inside} {there} 1\n").into_bytes();
    Ok(Confine {
        ids: identity.uid.zip(identity.gid).filter(|_| identity.setup.is_some() || !plan.namespaces.user),
        capabilities: plan.capabilities.as_ref().map(mask_of),
        lock_securebits: plan.lock_securebits,
        landlock: plan.landlock.as_ref().map(ruleset).transpose()?,
        filters,
        bound_counts: plan.namespaces.bound_counts && plan.namespaces.user,
        disable_nested: plan.namespaces.disable_nested_user,
        assert_nested: plan.namespaces.assert_nested_user_disabled,
        nested: identity.nested.map(|(uid, gid)| (one_line(uid, uid_there), one_line(gid, gid_there))),
        join_user_after: plan.join.user_after,
    })
}

/// Whether what the command writes belongs, on the host, to somebody who is more than nobody: an idmapped tree that is shown writable; with the caller's own id
/// everything, the file on its input too. (A front that asks for no wall gets none.)
fn writes_as_another(plan: &Plan) -> bool {
    if plan.identity.setup.is_none() {
        return plan.lock_securebits;
    }
    plan.ops.iter().any(|op| match op {
        Op::Bind { access, idmap, .. } => *idmap && *access != Access::ReadOnly,
        Op::Overlay { upper, .. } => matches!(upper, Upper::Keep { .. }),
        Op::Workspace { .. } => true,
        _ => false,
    })
}

/// Of the built-in filter only what keeps a set-user-id file or a device node from being made: it stays when the caller has turned the rest off.
fn set_id_guard() -> Result<Vec<u8>> {
    const CALLS: [&str; 10] = ["chmod", "fchmod", "fchmodat", "fchmodat2", "open", "openat", "openat2", "creat", "mknod", "mknodat"];
    let mut policy = enclos_seccomp::default_policy(&enclos_seccomp::Options::default());
    policy.default = enclos_seccomp::Action::Allow;
    let kept: Vec<u32> = CALLS.iter().filter_map(|name| enclos_seccomp::syscall_number(name)).collect();
    policy.rules.retain(|number, _| kept.contains(number));
    let program = enclos_seccomp::compile(&policy).map_err(|e| Error::Filter { path: "set-id guard".into(), message: e.to_string() })?;
    Ok(program.to_bytes())
}

fn built_in(log: bool, fixed_cpus: bool) -> Vec<u8> {
    filter_bytes(enclos_seccomp::Stage::Default, &filter_options(log, fixed_cpus))
}

/// Options of the built-in filters for a plan.
pub(crate) fn filter_options(log: bool, fixed_cpus: bool) -> enclos_seccomp::Options {
    enclos_seccomp::Options { log, fixed_cpus, ..enclos_seccomp::Options::default() }
}

/// A ready-made filter as `seccomp(2)` takes it.
pub(crate) fn filter_bytes(stage: enclos_seccomp::Stage, options: &enclos_seccomp::Options) -> Vec<u8> {
    enclos_seccomp::ready_made(stage, options).to_bytes()
}

fn mask_of(capabilities: &Capabilities) -> CapabilityMask {
    let keep = capabilities.keep.iter().filter(|n| **n < 64).fold(0, |mask, number| mask | 1u64 << number);
    CapabilityMask { keep, ambient: capabilities.ambient, bound: capabilities.bound }
}

fn ruleset(landlock: &enclos_spec::plan::Landlock) -> Result<Ruleset> {
    let abi = abi_version();
    let places = |paths: &[std::path::PathBuf]| {
        paths
            .iter()
            .map(|path| Place::new(path, 0o755).map_err(|e| Failure::about(Stage::Landlock, e, path.display().to_string())))
            .collect::<Result<Vec<_>, _>>()
    };
    let (write, exact) = (places(&landlock.write)?, places(&landlock.exact)?);
    let handled = Handled { files: FileAccess::ALL.known_to(abi), tcp: landlock.deny_tcp && abi >= 4, scopes: abi >= 6 };
    Ok(Ruleset { handled, abi, write, exact })
}

fn start_part(plan: &Plan, first: Option<First>, mask: SignalSet) -> Result<Start> {
    let filters = plan
        .seccomp
        .iter()
        .filter_map(|source| match source {
            FilterSource::Program(bytes) => Some(checked(bytes)),
            FilterSource::Default | FilterSource::Log => None,
        })
        .collect::<Result<_>>()?;
    let lock_files = plan.lock_files.iter().filter_map(|path| CString::new(path.as_os_str().as_encoded_bytes()).ok()).collect();
    let keep_all_but = match &plan.descriptors {
        Descriptors::CloseAll => None,
        Descriptors::KeepAllBut(but) => Some(runs(but)),
    };
    // Reading the mask changes it: once, in the parent, put back at once. Other threads make files meanwhile with the default mask at worst.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    Ok(Start {
        init: plan.init == Init::Reaper,
        linger: plan.linger,
        new_session: plan.new_session,
        rlimits: plan.rlimits.iter().map(|limit| (resource(limit.resource), limit.value)).collect(),
        cpus: cpu_set(&plan.cpus),
        filters,
        keep_all_but,
        block_fd: plan.block_fd,
        sync_fd: plan.sync_fd,
        lease: None,
        lock_files,
        umask: umask.as_raw_mode(),
        mask,
        first,
        park: None,
        stack: Stack::new().map_err(|e| Failure::about(Stage::Prepare, e, "stack"))?,
    })
}

/// Numbers as runs of neighbours, first and last, that one call closes.
fn runs(numbers: &[RawFd]) -> Vec<(RawFd, RawFd)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(RawFd, RawFd)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if number <= last.saturating_add(1) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

fn checked(bytes: &[u8]) -> Result<Vec<u8>> {
    match Filter::from_bytes(bytes) {
        Ok(filter) => Ok(filter.to_bytes()),
        Err(error) => Err(Error::Filter { path: "filter".into(), message: error.to_string() }),
    }
}

pub(crate) fn cpu_set(cpus: &[usize]) -> Option<rustix::thread::CpuSet> {
    if cpus.is_empty() {
        return None;
    }
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
    Some(set)
}

fn resource(resource: Resource) -> rustix::process::Resource {
    use rustix::process::Resource as R;
    match resource {
        Resource::Cpu => R::Cpu,
        Resource::FileSize => R::Fsize,
        Resource::Stack => R::Stack,
        Resource::Core => R::Core,
        Resource::OpenFiles => R::Nofile,
        Resource::AddressSpace => R::As,
        Resource::Processes => R::Nproc,
        Resource::LockedMemory => R::Memlock,
        Resource::MessageQueue => R::Msgqueue,
        Resource::PendingSignals => R::Sigpending,
        Resource::RealTimePriority => R::Rtprio,
        Resource::Nice => R::Nice,
    }
}

/// Sends an end request and waits until nothing of the sandbox is left.
pub fn end(control: &OwnedFd, pidfd: &OwnedFd) {
    let _ = rustix::net::send(control, &crate::init::message::END_REQUEST, SendFlags::NOSIGNAL);
    let _ = enclos_sys::signal::send(pidfd, rustix::process::Signal::KILL.as_raw());
    let _ = enclos_sys::wait::wait_pidfd(pidfd.as_fd(), enclos_sys::wait::Wait::Ended);
}
