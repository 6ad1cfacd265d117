//! A slot: a process that has built the lasting part of a sandbox and clones sandboxes from it, one at a time. Child-safe once it runs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use enclos_spec::plan::{FilterSource, Op, Plan, ProcCover, Source};
use enclos_sys::child::exit;
use enclos_sys::clone::{NamespaceFlags, Stack, clone3};
use enclos_sys::wait::{Wait, wait_pid};
use enclos_sys::{Errno, capability, fd, seccomp, signal};
use rustix::process::Pid;

use crate::child::program::Park;
use crate::child::{self, Context};
use crate::error::{Failure, Result, Stage};
use crate::init::message::Reply;
use crate::init::{MAX_DESCRIPTORS, receive};
use crate::launch;

/// What a slot starts with.
pub struct SlotContext {
    /// Builds the lasting part. Its control socket is the slot's own.
    base: Context,
    /// What each sandbox is. Its control socket, park socket and group descriptors are numbers that the slot fills anew each time.
    sandbox: Context,
    /// Those numbers.
    numbers: Vec<RawFd>,
    /// What the numbers are between two sandboxes.
    placeholder: OwnedFd,
    /// The wide filter.
    filter: Option<Vec<u8>>,
    /// What capabilities the bounding set of every sandbox keeps; taken away once.
    bound: Option<u64>,
    /// Securebits are locked, once.
    lock_securebits: bool,
    /// Of the ids: held by the slot and by the init of each sandbox, so that nobody else gets them while anything lives, whatever became of the caller.
    lease: Option<OwnedFd>,
}

/// Namespaces of the slot itself: what its sandboxes, one after another, share. Its pid namespace has no one else in it: the slot's end is theirs, by the
/// kernel's own hand.
pub fn lasting(all: NamespaceFlags) -> NamespaceFlags {
    NamespaceFlags::USER
        .and(NamespaceFlags::PID)
        .and(NamespaceFlags::MOUNT)
        .and(NamespaceFlags::IPC)
        .and(NamespaceFlags::UTS)
        .and_if(all.has(NamespaceFlags::NET), NamespaceFlags::NET)
}

const FRESH: NamespaceFlags = NamespaceFlags::PID.and(NamespaceFlags::MOUNT).and(NamespaceFlags::IPC).and(NamespaceFlags::UTS);

impl SlotContext {
    /// Prepares both programs.
    ///
    /// # Errors
    /// A plan that a template cannot carry out, by name; or a source that is not there.
    pub fn prepare(plan: Plan, groups: usize, socket: OwnedFd, lease: Option<OwnedFd>) -> Result<SlotContext> {
        let wide = plan.seccomp.first() == Some(&FilterSource::Default);
        let options = launch::filter_options(false, !plan.cpus.is_empty());
        let open_here = launch::opens_here(&plan);
        let (lasting, fresh) = split(plan)?;
        let control = spare()?;
        let park = spare()?;
        let cgroups: Vec<OwnedFd> = (0..groups).map(|_| spare()).collect::<Result<_>>()?;
        let numbers = [control.as_raw_fd(), park.as_raw_fd()].into_iter().chain(cgroups.iter().map(AsRawFd::as_raw_fd)).collect();
        let mut base = launch::program(&lasting, Vec::new(), socket, None, Default::default(), open_here)?;
        base.die_with_parent = true;
        base.cgroup_namespace = false;
        let mut program = launch::program(&fresh, cgroups, control, None, Default::default(), false)?;
        program.build_root = false;
        program.wait_release = false;
        program.setup_ids = None;
        program.clear_groups = false;
        program.die_with_parent = true;
        program.startup = None;
        program.start.park = Some(Park { socket: park, stack: Stack::new().map_err(|e| Failure::about(Stage::Prepare, e, "stack"))? });
        program.start.lease = lease.as_ref().map(AsRawFd::as_raw_fd);
        // Neither hinders what a sandbox still has to do, and both are inherited.
        let bound = program.confine.capabilities.as_mut().filter(|mask| mask.bound).map(|mask| {
            mask.bound = false;
            mask.keep
        });
        let lock_securebits = std::mem::take(&mut program.confine.lock_securebits);
        let ready = |stage| launch::filter_bytes(stage, &options);
        if wide {
            program.confine.filters = vec![ready(enclos_seccomp::Stage::Narrow)];
        }
        let filter = wide.then(|| ready(enclos_seccomp::Stage::Setup));
        let (base, sandbox) = (launch::context(base)?, launch::context(program)?);
        Ok(SlotContext { base, sandbox, numbers, placeholder: spare()?, filter, bound, lock_securebits, lease })
    }
}

/// A descriptor number that nobody else has.
fn spare() -> Result<OwnedFd> {
    rustix::fs::open(c"/dev/null", rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .map_err(|e| Failure::about(Stage::Prepare, e, "/dev/null").into())
}

/// Splits a plan into what every sandbox of the slot shares and what each has fresh. A mount point of the fresh part is made in the lasting one, whose
/// root is read-only at the end; a host tree that goes below a fresh mount is kept aside in the lasting root until then.
pub fn split(mut plan: Plan) -> Result<(Plan, Plan)> {
    let hidden = std::path::Path::new("/.enclos");
    let aside = std::path::Path::new("/.enclos-host");
    let directory = |dst: &std::path::Path, mode| Op::Dir { dst: dst.to_owned(), mode, parent_mode: 0o755 };
    // They may hold whole files: moved, not copied.
    let ops = std::mem::take(&mut plan.ops);
    let mut lasting = Plan { ops: vec![directory(hidden, 0)], ..plan.clone() };
    let mut fresh = plan;
    let mut fresh_places: Vec<std::path::PathBuf> = Vec::new();
    let mut last: Vec<Op> = Vec::new();
    for (index, op) in ops.into_iter().enumerate() {
        match op {
            Op::Scratch { ref places, .. } => {
                for place in places {
                    if !fresh_places.iter().any(|p| place.dst.starts_with(p)) {
                        lasting.ops.push(directory(&place.dst, 0o755));
                    }
                    fresh_places.push(place.dst.clone());
                }
                fresh.ops.push(op);
            }
            Op::Proc { ref dst, .. } => {
                // A user namespace may mount a procfs only where one is visible (mount_namespaces(7)): the slot's own, which each sandbox's covers.
                lasting.ops.push(Op::Proc { dst: dst.clone(), cover: ProcCover::Writable });
                fresh_places.push(dst.clone());
                fresh.ops.push(op);
            }
            Op::Workspace { ref dst } => {
                if !fresh_places.iter().any(|p| dst.starts_with(p)) {
                    lasting.ops.push(directory(dst, 0o755));
                }
                fresh_places.push(dst.clone());
                fresh.ops.push(op);
            }
            Op::RemountReadOnly { .. } => last.push(op),
            Op::Bind { src, dst, access, optional, idmap } if fresh_places.iter().any(|p| dst.starts_with(p)) => {
                let kept = aside.join(index.to_string());
                let bind = |src: Source, dst: std::path::PathBuf, idmap| Op::Bind { src, dst, access, optional, idmap };
                lasting.ops.push(bind(src, kept.clone(), idmap));
                fresh.ops.push(bind(Source::Path(kept), dst, false));
            }
            Op::Overlay { dst, .. } | Op::Mqueue { dst } | Op::Tmpfs { dst, .. } | Op::BindData { dst, .. } => {
                let missing =
                    format!("{}: a template cannot hold overlays, message queues or single files yet; run it without one", dst.display());
                return Err(crate::Error::Unenforceable { field: "template", missing });
            }
            other => match place_of(&other) {
                Some(dst) if fresh_places.iter().any(|p| dst.starts_with(p)) => fresh.ops.push(other),
                _ => lasting.ops.push(other),
            },
        }
    }
    if lasting.ops.iter().any(|op| matches!(op, Op::Bind { dst, .. } if dst.starts_with(aside))) {
        last.push(Op::Chmod { dst: aside.to_owned(), mode: 0 });
    }
    // The root turns read-only after everything has its place.
    let read_only = last.iter().position(|op| matches!(op, Op::RemountReadOnly { dst } if dst.parent().is_none()));
    if let Some(index) = read_only {
        let op = last.remove(index);
        last.push(op);
    }
    lasting.ops.extend(last);
    lasting.capabilities = None;
    lasting.lock_securebits = false;
    lasting.landlock = None;
    lasting.seccomp.clear();
    fresh.hostname = None;
    fresh.loopback = false;
    Ok((lasting, fresh))
}

fn place_of(op: &Op) -> Option<&std::path::Path> {
    match op {
        Op::Dir { dst, .. } | Op::File { dst, .. } | Op::Symlink { dst, .. } | Op::Chmod { dst, .. } | Op::Hide { dst } => Some(dst),
        _ => None,
    }
}

/// Entry of a slot's process. Never comes back.
pub fn run(context: &SlotContext) -> ! {
    let base = &context.base.program;
    let set_up = child::set_up(base).and_then(|root| {
        let at = |stage: Stage| move |errno: Errno| (stage, None, errno);
        child::hide(base).map_err(at(Stage::Process))?;
        if let Some(keep) = context.bound {
            capability::bound(keep).map_err(at(Stage::Capabilities))?;
        }
        if context.lock_securebits {
            capability::lock_securebits().map_err(at(Stage::Capabilities))?;
        }
        capability::no_new_privileges().map_err(at(Stage::Process))?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(at(Stage::Process))?;
        if let Some(filter) = &context.filter {
            seccomp::install(filter).map_err(at(Stage::Seccomp))?;
        }
        keep_only(context).map_err(at(Stage::Streams))?;
        Ok(root)
    });
    match set_up {
        Err(fault) => child::fail(base, fault),
        Ok(root) => {
            // Nobody asks how a sandbox ended, and until it is waited for its group counts its init.
            signal::reap_at_once();
            let _ = rustix::net::send(&base.control, &Reply::Ready { parked: 0 }.encode(), rustix::net::SendFlags::NOSIGNAL);
            // Nothing of the root is dropped: its descriptors were closed with all others.
            std::mem::forget(root);
            serve(context, base.control.as_fd())
        }
    }
}

/// Closes what the lasting part was built from, and what is the launcher's: every sandbox would get a copy of each.
fn keep_only(context: &SlotContext) -> Result<(), Errno> {
    // The launcher's own, the first of which is the socket to its caller.
    for stream in 0..3 {
        fd::copy_to(context.placeholder.as_fd(), stream, false)?;
    }
    let others = [Some(&context.placeholder), Some(&context.base.program.control), context.lease.as_ref()];
    let kept = || context.numbers.iter().copied().chain(others.into_iter().flatten().map(AsRawFd::as_raw_fd));
    let mut first = 3;
    while let Some(next) = kept().filter(|number| *number >= first).min() {
        fd::close_between(first, next - 1, false)?;
        first = next + 1;
    }
    fd::close_from(first, false)
}

/// One sandbox for each message; its descriptors: control socket, park socket, groups.
fn serve(context: &SlotContext, socket: BorrowedFd<'_>) -> ! {
    let mut previous: Option<Pid> = None;
    let mut byte = [0u8; 8];
    loop {
        let mut descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS] = [const { None }; MAX_DESCRIPTORS];
        match receive(socket, &mut byte, &mut descriptors) {
            Err(Errno::INTR) => continue,
            // The caller has gone: so does everything below.
            Ok(0) | Err(_) => exit(0),
            Ok(_) => {}
        }
        // One at a time: what the last one had (ids, network) is free only now.
        if let Some(pid) = previous.take() {
            let _ = wait_pid(pid, Wait::Ended);
        }
        for (received, number) in descriptors.iter().zip(&context.numbers) {
            if let Some(received) = received
                && fd::copy_to(received.as_fd(), *number, true).is_err()
            {
                exit(1);
            }
        }
        let control = &context.sandbox.program.control;
        match clone3(FRESH, None, child::run, &context.sandbox) {
            Ok(cloned) => {
                previous = Some(cloned.pid);
                let reply = Reply::Born.encode();
                let _ = crate::init::send_with(control.as_fd(), &reply, Some(cloned.pidfd.as_fd()));
            }
            Err(errno) => {
                let reply = Reply::Failed { stage: Stage::Clone as u8, op: u32::MAX, errno: errno.raw_os_error() };
                let _ = rustix::net::send(control, &reply.encode(), rustix::net::SendFlags::NOSIGNAL);
            }
        }
        // Ours must not keep the sandbox's sockets open: their closing means its end. The numbers stay taken, so that nothing received later has one.
        for number in &context.numbers {
            if fd::copy_to(context.placeholder.as_fd(), *number, true).is_err() {
                exit(1);
            }
        }
    }
}
