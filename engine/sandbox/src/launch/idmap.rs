//! Id maps: writing a new user namespace's, and a namespace whose map makes a host directory's owner the command's user.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use enclos_spec::plan::{IdRange, Identity, Mapper};
use enclos_sys::Errno;
use enclos_sys::clone::{NamespaceFlags, clone3};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;

use crate::error::{Failure, Result, Stage};

/// Writes the maps of the process `pid`, which has just been made in a new user namespace.
pub fn write_maps(pid: Pid, identity: &Identity, privileged: bool) -> Result<()> {
    let fail = |errno: Errno, subject: &str| Failure::about(Stage::MapIds, errno, subject);
    match identity.mapper {
        Mapper::Launcher => {
            // An unprivileged launcher may map its group only after giving up setgroups (user_namespaces(7)).
            if !privileged || !identity.clear_groups {
                put(pid, "setgroups", b"deny").map_err(|e| fail(e, "setgroups"))?;
            }
            put(pid, "uid_map", &map_lines(&identity.uid_map)).map_err(|e| fail(e, "uid_map"))?;
            put(pid, "gid_map", &map_lines(&identity.gid_map)).map_err(|e| fail(e, "gid_map"))?;
        }
        // The process does that itself.
        Mapper::Own => {}
        Mapper::Shadow => {
            for (program, map) in [("newuidmap", &identity.uid_map), ("newgidmap", &identity.gid_map)] {
                let found = SHADOW.iter().map(|directory| std::path::Path::new(directory).join(program)).find(|path| path.is_file());
                let mut command = std::process::Command::new(found.ok_or_else(|| fail(Errno::NOENT, program))?);
                command.arg(pid.as_raw_nonzero().to_string());
                for range in map {
                    command.args([range.inside.to_string(), range.outside.to_string(), range.count.to_string()]);
                }
                let output = command.output().map_err(|e| fail(errno_of(&e), program))?;
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    return Err(fail(Errno::PERM, said.trim().lines().next().unwrap_or(program)).into());
                }
            }
        }
    }
    Ok(())
}

/// Where `newuidmap` and `newgidmap` are looked for: not in the caller's `PATH`.
pub const SHADOW: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

/// The error number of an I/O error.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Lines as `uid_map` takes them.
pub fn map_lines(map: &[IdRange]) -> Vec<u8> {
    map.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.count)).collect::<String>().into_bytes()
}

fn put(pid: Pid, file: &str, bytes: &[u8]) -> Result<(), Errno> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // A map must be written at once.
    if rustix::io::write(&file, bytes)? == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// The user namespace of a process just made, by which its ids can be told from others'.
pub fn user_namespace_of(pid: Pid) -> Result<OwnedFd> {
    let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
    openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| Failure::about(Stage::MapIds, e, path).into())
}

/// A user namespace made only for its map (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`).
#[derive(Debug)]
pub struct IdMap {
    namespace: OwnedFd,
    owner: (u32, u32),
}

impl IdMap {
    /// In a mount with this map, files of host ids `uid` and `gid` belong to the command's user and group.
    pub fn make(identity: &Identity, uid: u32, gid: u32) -> Result<IdMap, Errno> {
        let outside = |map: &[IdRange], inside: u32| {
            map.iter()
                .find(|r| inside >= r.inside && inside - r.inside < r.count)
                .map(|r| r.outside + (inside - r.inside))
                .ok_or(Errno::INVAL)
        };
        let user = outside(&identity.uid_map, identity.uid.unwrap_or(0))?;
        let group = outside(&identity.gid_map, identity.gid.unwrap_or(0))?;
        // Who sets up (an overlay makes its work directory as the one who mounts it) keeps its own number on disk.
        let (setup_user, setup_group) = (outside(&identity.uid_map, 0)?, outside(&identity.gid_map, 0)?);
        let line = |on_disk: u32, shown: u32, setup: u32| {
            let mut map = vec![IdRange { inside: on_disk, outside: shown, count: 1 }];
            if setup != shown && setup != on_disk {
                map.push(IdRange { inside: setup, outside: setup, count: 1 });
            }
            map
        };
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )?;
        let holder = {
            let _blocked = enclos_sys::signal::Blocked::all();
            clone3(NamespaceFlags::USER, None, hold::<(OwnedFd, OwnedFd)>, &(ours, theirs))?
        };
        let made = (|| {
            put(holder.pid, "uid_map", &map_lines(&line(uid, user, setup_user)))?;
            put(holder.pid, "gid_map", &map_lines(&line(gid, group, setup_group)))?;
            openat(CWD, format!("/proc/{}/ns/user", holder.pid.as_raw_nonzero()), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        })();
        let _ = enclos_sys::signal::send(&holder.pidfd, rustix::process::Signal::KILL.as_raw());
        let _ = enclos_sys::wait::wait_pidfd(&holder.pidfd, enclos_sys::wait::Wait::Ended);
        Ok(IdMap { namespace: made?, owner: (uid, gid) })
    }

    /// Whether this map is for files of these ids.
    pub fn presents(&self, uid: u32, gid: u32) -> bool {
        self.owner == (uid, gid)
    }

    /// The namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// Waits to be killed; dies with the thread that made it.
fn hold<T>(_keep: &T) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_lines_are_what_the_kernel_reads() {
        let map = [IdRange { inside: 0, outside: 100_000, count: 65_536 }, IdRange { inside: 70_000, outside: 5, count: 1 }];
        assert_eq!(map_lines(&map), b"0 100000 65536\n70000 5 1\n");
    }
}
