//! Giving everything up, for good: the last steps of set-up, in the one right order.

use std::os::fd::{AsFd, OwnedFd};

use enclos_sys::landlock::{self, FileAccess};
use enclos_sys::{Errno, capability, seccomp, signal};
use rustix::fs::{Mode, OFlags, fcntl_getfl, openat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::mounts::{Fault, Root};
use super::program::{Program, Ruleset};
use super::take_ids;
use crate::error::Stage;

/// From standing in the new root to being nobody.
pub fn confine(program: &Program, root: &Root) -> Result<(), Fault> {
    let at = |stage: Stage| move |errno: Errno| (stage, None, errno);
    let confine = &program.confine;
    if let Some(namespace) = confine.join_user_after {
        let join = || move_into_link_name_space(enclos_sys::fd::borrow(namespace)?, Some(LinkNameSpaceType::User));
        join().map_err(at(Stage::JoinUserAfter))?;
    }
    // The bounding set and securebits need CAP_SETPCAP, which goes with the ids.
    if let Some(mask) = confine.capabilities
        && mask.bound
    {
        capability::bound(mask.keep).map_err(at(Stage::Capabilities))?;
    }
    if confine.lock_securebits {
        capability::lock_securebits().map_err(at(Stage::Capabilities))?;
    }
    if let Some((uid, gid)) = confine.ids {
        take_ids(uid, gid).map_err(at(Stage::BecomeUser))?;
    }
    if let Some(mask) = confine.capabilities {
        let set = || {
            capability::set(mask.keep, if mask.ambient { mask.keep } else { 0 })?;
            capability::set_ambient(if mask.ambient { mask.keep } else { 0 })
        };
        set().map_err(at(Stage::Capabilities))?;
    }
    // Changing ids made this process dumpable or not by a system setting, and cleared its death signal.
    super::hide(program).map_err(at(Stage::Process))?;
    if program.die_with_parent {
        super::die_with_parent(program).map_err(at(Stage::Process))?;
    }
    // Inherited by every command; the filter below keeps it so.
    if let Some(cpus) = &program.start.cpus {
        rustix::thread::sched_setaffinity(None, cpus).map_err(at(Stage::Cpus))?;
    }
    // What the caller ignores stays ignored in children: the standard library ignores the one, a shell may ignore the other, without which init would
    // never hear of its children.
    signal::set_default(rustix::process::Signal::PIPE.as_raw());
    signal::set_default(rustix::process::Signal::CHILD.as_raw());
    capability::no_new_privileges().map_err(at(Stage::Process))?;
    if let Some(rules) = &confine.landlock {
        restrict(rules, program, root).map_err(at(Stage::Landlock))?;
    }
    // Last: the filter refuses most of the calls above.
    for filter in &confine.filters {
        seccomp::install(filter).map_err(at(Stage::Seccomp))?;
    }
    Ok(())
}

/// One more user namespace (bubblewrap's `--disable-userns`), made while the host's `/proc` is still at hand.
pub fn nest(program: &Program, proc: &OwnedFd) -> Result<(), Fault> {
    let confine = &program.confine;
    let write = |path: &std::ffi::CStr, bytes: &[u8]| {
        let file = openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, bytes).map(drop)
    };
    if confine.bound_counts {
        bound_counts(proc).map_err(|e| (Stage::DisableNested, None, e))?;
    }
    if confine.disable_nested {
        write(c"sys/user/max_user_namespaces", b"1").map_err(|e| (Stage::DisableNested, None, e))?;
    }
    if let Some((uid_map, gid_map)) = &confine.nested {
        let nest = || {
            capability::new_user_namespace()?;
            write(c"self/uid_map", uid_map)?;
            write(c"self/setgroups", b"deny")?;
            write(c"self/gid_map", gid_map)
        };
        nest().map_err(|e| (Stage::Nested, None, e))?;
    }
    if confine.assert_nested && capability::new_user_namespace().is_ok() {
        return Err((Stage::AssertNested, None, Errno::EXIST));
    }
    Ok(())
}

/// What the sandbox's user namespace may make, together (namespaces(7), inotify(7)).
fn bound_counts(proc: &OwnedFd) -> Result<(), Errno> {
    // Looked up once: every user namespace of the host has a directory of this name, and the kernel compares them one by one.
    let counts = match openat(proc, c"sys/user", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        // A kernel without these counts has nothing to exhaust.
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let bounds = [(c"max_user_namespaces", b"0".as_slice()), (c"max_inotify_instances", b"64"), (c"max_inotify_watches", b"8192")];
    for (count, bound) in bounds {
        let written =
            openat(&counts, count, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).and_then(|file| rustix::io::write(&file, bound));
        match written {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Builds the rules from what is in the new root and puts them in force: everything may be read, what the plan names may be written, devices
/// answer under `/dev`; whatever is not beneath the new root (a magic link to a leaked descriptor) is out of reach.
fn restrict(rules: &Ruleset, program: &Program, root: &Root) -> Result<(), Errno> {
    let known = |access: FileAccess| access.known_to(rules.abi);
    let ruleset = landlock::create(&rules.handled)?;
    let everything = FileAccess::READ.and(FileAccess::WRITE).and(FileAccess::DEVICE);
    landlock::allow(&ruleset, root.new_root(), known(FileAccess::READ))?;
    for place in &rules.write {
        match place.open(root.new_root()) {
            Ok(fd) => allow_any(&ruleset, &fd, known(everything), rules.abi)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    for place in &rules.exact {
        match place.open_exact(root.new_root()) {
            Ok(fd) => allow_any(&ruleset, &fd, known(everything), rules.abi)?,
            // Not there, or no longer what was meant.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(first) = &program.start.first {
        for stream in first.given.streams.into_iter().flatten() {
            let stream = enclos_sys::fd::borrow(stream)?;
            let flags = fcntl_getfl(stream)?;
            let mode = flags & OFlags::RWMODE;
            let read = if mode == OFlags::WRONLY { None } else { Some(FileAccess::READ_FILE) };
            // A log that may only grow must not be opened anew, without that flag, and cut.
            let write = if mode == OFlags::RDONLY || flags.contains(OFlags::APPEND) { None } else { Some(FileAccess::WRITE_FILE) };
            for access in [read, write].into_iter().flatten() {
                allow_if_governed(&ruleset, stream, known(access))?;
            }
        }
    }
    landlock::restrict_self(&ruleset)
}

/// A file takes only the rights that a file can have.
fn allow_any(ruleset: &OwnedFd, object: &OwnedFd, access: FileAccess, abi: u32) -> Result<(), Errno> {
    match landlock::allow(ruleset, object, access) {
        Err(Errno::INVAL) => {
            let file = FileAccess::READ_FILE.and(FileAccess::WRITE_FILE).and(FileAccess::DEVICE);
            landlock::allow(ruleset, object, file.known_to(abi))
        }
        other => other,
    }
}

/// Pipes and sockets are outside Landlock's reach and need no rule.
fn allow_if_governed(ruleset: &OwnedFd, object: impl AsFd, access: FileAccess) -> Result<(), Errno> {
    match landlock::allow(ruleset, object, access) {
        Err(Errno::BADFD | Errno::INVAL) => Ok(()),
        other => other,
    }
}
