//! Between clone and exec: a flat list of steps.
//!
//! # Theory of operation
//!
//! ```text
//! launcher (caller's process, or a template)
//!   │ clone3: new namespaces, born in its control group
//!   ▼
//! init: this module. Root of its user namespace, uid 0 of a range that is nobody on the host (or the caller's own id).
//!   │ builds the new root and enters it            mounts.rs
//!   │ gives everything up, for good                 confine.rs
//!   │ then stays as pid 1: reaps, reports           ../init
//!   ▼ clone (shares memory until it executes)
//! the command: pid 2. Inherits what init gave up; sets its session, streams, limits, filter; executes.
//! ```
//!
//! One socket (`SOCK_SEQPACKET`) joins launcher and init; a failed step travels over it as three numbers (stage, operation, errno). When the
//! launcher's end closes, init ends, and with it (pid namespace) everything.
//!
//! Everything here obeys the rule of `enclos-sys`: no allocation, no lock, no log, no drop that frees. Whatever a step needs was made by the
//! launcher and lies in the [`Program`](program::Program).

pub mod confine;
pub mod mounts;
pub mod nearby;
pub mod place;
pub mod program;
pub mod workspace;

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use enclos_sys::child::{exit, give_up_real_time, set_not_dumpable};
use enclos_sys::{Errno, capability};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Signal, set_parent_process_death_signal, umask};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::error::Stage;
use crate::init;
use crate::init::message::{RELEASE_REQUEST, Reply};
use mounts::{Fault, Root};
use program::Program;

/// The directory of a template's root on which each sandbox attaches its private tmpfs.
pub const HIDDEN: &CStr = c"/.enclos";

/// What a child starts with: its program, and room that it may write (both made by the launcher).
#[derive(Debug)]
pub struct Context {
    /// What to do.
    pub program: Program,
    /// Room for requests and the arguments of commands.
    pub room: std::cell::RefCell<init::Room>,
    /// Room for a parked command's process.
    pub parked: std::cell::RefCell<init::ParkedRoom>,
}

/// Entry of the cloned process. Never comes back.
pub fn run(context: &Context) -> ! {
    let program = &context.program;
    let (stage, op, errno) = match set_up(program) {
        Ok(root) => match confine::confine(program, &root) {
            Ok(()) => init::serve(context, root),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    fail(program, (stage, op, errno))
}

/// Reports a fault and ends.
pub fn fail(program: &Program, (stage, op, errno): Fault) -> ! {
    let reply = Reply::Failed { stage: stage as u8, op: op.unwrap_or(u32::MAX), errno: errno.raw_os_error() };
    let _ = rustix::net::send(&program.control, &reply.encode(), SendFlags::NOSIGNAL);
    exit(i32::from(enclos_spec::exit::FAILURE))
}

/// From the clone to standing in the new root, in the one right order.
pub fn set_up(program: &Program) -> Result<Root, Fault> {
    let at = |stage: Stage| move |errno: Errno| (stage, None, errno);
    // Before the groups: a real-time process cannot enter one of v1's cpu controller. The bubblewrap front keeps what its caller has.
    if program.hide_init {
        give_up_real_time().map_err(at(Stage::Process))?;
    }
    // First, so that not a page and not a process escapes the limits.
    join_cgroups(program).map_err(at(Stage::JoinCgroup))?;
    // Its roots are the groups just entered; made by the clone it would show the names of ours.
    if program.cgroup_namespace {
        capability::new_cgroup_namespace().map_err(at(Stage::JoinCgroup))?;
    }
    // The launcher may be gone already; then the release never comes and the wait below ends this process.
    if program.die_with_parent {
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Stage::Process))?;
    }
    // Before the ids are mapped no file can be made; after, the launcher has nothing left to do.
    if program.wait_release {
        await_release(program).map_err(at(Stage::MapIds))?;
    }
    if let Some((uid_map, gid_map)) = &program.own_maps {
        map_own_ids(uid_map, gid_map).map_err(at(Stage::MapIds))?;
    }
    become_setup(program).map_err(at(Stage::BecomeSetup))?;
    umask(Mode::empty());
    if let Some(name) = &program.hostname {
        rustix::system::sethostname(name).map_err(at(Stage::Hostname))?;
    }
    if program.loopback {
        loopback_up().map_err(at(Stage::Loopback))?;
    }
    let mut root = if program.build_root {
        Root::begin(program.scratch.as_ref(), program.in_user_namespace)?
    } else {
        Root::resume(program.scratch.as_ref(), program.in_user_namespace)?
    };
    root.carry_out(&program.actions, &program.control)?;
    if program.build_root {
        let proc = if program.confine.nests() { Some(open_proc().map_err(at(Stage::Nested))?) } else { None };
        root.enter()?;
        if let Some(proc) = proc {
            confine::nest(program, &proc)?;
        }
    }
    Ok(root)
}

/// The host's procfs, at hand until the root changes.
fn open_proc() -> Result<OwnedFd, Errno> {
    rustix::fs::open(c"/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// `cgroup.procs` and `tasks` take "0" for the writing process, which has one thread; the descriptors were opened by the launcher, whose rights count (cgroups(7)).
fn join_cgroups(program: &Program) -> Result<(), Errno> {
    for procs in &program.cgroups {
        rustix::io::write(procs, b"0")?;
    }
    Ok(())
}

fn await_release(program: &Program) -> Result<(), Errno> {
    let mut byte = [0u8; 8];
    loop {
        if let Some(launcher) = &program.launcher {
            let mut events = [PollFd::new(&program.control, PollFlags::IN), PollFd::new(launcher, PollFlags::IN)];
            match poll(&mut events, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            // A release that came before the end still counts for nothing: nobody is left to watch.
            if !events[1].revents().is_empty() {
                exit(i32::from(enclos_spec::exit::FAILURE));
            }
            if events[0].revents().is_empty() {
                continue;
            }
        }
        match rustix::net::recv(&program.control, &mut byte[..], RecvFlags::empty()) {
            Ok((_, read)) if byte[..read] == RELEASE_REQUEST => return Ok(()),
            Err(Errno::INTR) => {}
            // Closed: the launcher has died or given up. Nobody is left to be told.
            Ok(_) | Err(_) => exit(i32::from(enclos_spec::exit::FAILURE)),
        }
    }
}

/// `user_namespaces(7)`: a process may map its maker's ids, the group once setgroups is given up.
fn map_own_ids(uid_map: &[u8], gid_map: &[u8]) -> Result<(), Errno> {
    for (path, bytes) in [(c"/proc/self/setgroups", &b"deny"[..]), (c"/proc/self/uid_map", uid_map), (c"/proc/self/gid_map", gid_map)] {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, bytes)?;
    }
    Ok(())
}

fn become_setup(program: &Program) -> Result<(), Errno> {
    if program.clear_groups {
        set_thread_groups(&[])?;
    }
    let Some((uid, gid)) = program.setup_ids else { return Ok(()) };
    take_ids(uid, gid)?;
    // Changing ids clears what the clone set (prctl(2), PR_SET_PDEATHSIG).
    if program.die_with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    Ok(())
}

/// Ties this process's life to that of the one that made it. Steps before may have cleared the signal (prctl(2), PR_SET_PDEATHSIG), so a launcher that ended
/// meanwhile is looked for.
pub fn die_with_parent(program: &Program) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(launcher) = &program.launcher {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut [PollFd::new(launcher, PollFlags::IN)], Some(&at_once))? > 0 {
            exit(i32::from(enclos_spec::exit::FAILURE));
        }
    }
    Ok(())
}

/// All three user and group ids.
pub fn take_ids(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// `SIOCSIFFLAGS` on `lo` (netdevice(7)).
fn loopback_up() -> Result<(), Errno> {
    enclos_sys::net::loopback_up()
}

/// Wipes what `/proc/1` would tell about the host.
pub fn hide(program: &Program) -> Result<(), Errno> {
    if !program.hide_init {
        return Ok(());
    }
    if let Some(startup) = program.startup {
        startup.wipe();
    }
    rustix::thread::set_name(c"enclos-init")?;
    set_not_dumpable()
}
