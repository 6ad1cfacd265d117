//! Facts about the host that a plan depends on.

pub mod doctor;
pub mod ids;

pub use doctor::{Finding, doctor, doctor_for};

use std::path::{Path, PathBuf};

pub use enclos_cgroup::Restrict;
use enclos_cgroup::{Host, ProcView};
use enclos_spec::plan::IdRange;

use crate::error::{Error, Result};
use crate::launch::idmap::errno_of;
use crate::{Failure, Stage};

/// What the planner knows about the host. Cheap to read: it is on the path of every run.
#[derive(Debug)]
pub struct Facts {
    /// Effective user id of the launcher.
    pub uid: u32,
    /// Effective group id of the launcher.
    pub gid: u32,
    /// The launcher may map ids and mount with the host's rights: user 0 with all of `CAP_SYS_ADMIN`, `CAP_SETUID`, `CAP_SETGID`.
    pub privileged: bool,
    /// Ids the launcher's own user namespace has.
    pub own_ids: Vec<IdRange>,
    /// Landlock ABI; 0: none.
    pub landlock_abi: u32,
    /// The host's top-level system directories.
    pub system: Vec<SystemDirectory>,
    /// Control groups.
    pub cgroups: Host,
    /// Hard limit on open files.
    pub open_files_limit: Option<u64>,
    /// CPUs this process may use.
    pub cpus: usize,
}

/// A top-level system directory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemDirectory {
    /// Where, e.g. `/lib64`.
    pub path: PathBuf,
    /// Its text when it is a link (`usr/lib64`).
    pub link: Option<PathBuf>,
}

const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// When `/proc` is missing.
    pub fn probe() -> Result<Facts> {
        Self::probe_restricted(Restrict::Nothing)
    }

    /// Reads them as if the host had only some of its control groups: for tests, and for those who want to see what a plan would be elsewhere.
    ///
    /// # Errors
    /// When `/proc` is missing.
    pub fn probe_restricted(restrict: Restrict) -> Result<Facts> {
        let no_proc = |e: &std::io::Error| Error::from(Failure::about(Stage::Prepare, errno_of(e), "/proc is needed and cannot be read"));
        let view = ProcView::read().map_err(|e| no_proc(&e))?.restricted(restrict);
        let uid = rustix::process::geteuid();
        Ok(Facts {
            uid: uid.as_raw(),
            gid: rustix::process::getegid().as_raw(),
            privileged: uid.is_root() && enclos_sys::capability::has(enclos_sys::capability::MAP_AND_MOUNT),
            own_ids: ids::parse_map(&std::fs::read_to_string("/proc/self/uid_map").map_err(|e| no_proc(&e))?),
            landlock_abi: enclos_sys::landlock::abi_version(),
            system: SYSTEM.iter().filter_map(|path| system_directory(Path::new(path))).collect(),
            cgroups: Host::detect(&view),
            open_files_limit: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
            cpus: rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1) as usize),
        })
    }
}

fn system_directory(path: &Path) -> Option<SystemDirectory> {
    match std::fs::read_link(path) {
        Ok(link) => Some(SystemDirectory { path: path.to_owned(), link: Some(link) }),
        Err(_) if path.is_dir() => Some(SystemDirectory { path: path.to_owned(), link: None }),
        Err(_) => None,
    }
}
