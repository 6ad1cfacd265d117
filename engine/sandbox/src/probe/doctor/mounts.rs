//! File systems that a sandbox mounts, each mounted.

use std::path::Path;

use enclos_spec::plan::{IdRange, Identity};
use enclos_sys::Errno;
use enclos_sys::clone::NamespaceFlags as N;
use enclos_sys::mount::set_id_map;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::acts;
use super::attempt::{Refusal, attempt, reason};
use super::finding::Finding;
use super::ground::{CONTAINER, Ground, lasting_sysctl};
use crate::launch::idmap::IdMap;
use crate::probe::{Facts, ids};

/// One line for each.
pub fn findings(facts: Option<&Facts>, ground: &Ground, binary: &Path) -> Vec<Finding> {
    let mount = N::USER.and(N::MOUNT);
    let mut findings = vec![
        tmpfs(attempt(mount, acts::tmpfs), ground, binary),
        proc(attempt(mount.and(N::PID), acts::proc), ground, binary),
        overlay(attempt(mount, acts::overlay), || attempt(mount, acts::overlay_replaces), ground, binary),
        devpts(attempt(mount, acts::devpts), ground, binary),
    ];
    findings.extend(facts.filter(|facts| facts.privileged).map(id_mapped));
    findings
}

/// A refusal, and what stands behind it where that is not the file system itself.
fn why(refusal: &Refusal, ground: &Ground, binary: &Path) -> (String, String) {
    let (why, remedy) = ground.blame(refusal, "mnt", binary);
    (if why.is_empty() { refusal.to_string() } else { format!("{refusal}: {why}") }, remedy)
}

fn tmpfs(tried: Result<(), Refusal>, ground: &Ground, binary: &Path) -> Finding {
    const SUBJECT: &str = "tmpfs in a user namespace";
    match tried {
        Ok(()) => Finding::ok(SUBJECT, "usable, with bounds on size and inodes"),
        Err(refusal) => {
            let (detail, remedy) = why(&refusal, ground, binary);
            Finding::missing(SUBJECT, detail, "no sandbox can be made: its root, /tmp and home are tmpfs", remedy)
        }
    }
}

fn proc(tried: Result<(), Refusal>, ground: &Ground, binary: &Path) -> Finding {
    const SUBJECT: &str = "fresh /proc";
    const COST: &str = "no sandbox can be made: each has a /proc of its own, which shows its own processes only";
    match tried {
        Ok(()) => Finding::ok(SUBJECT, "usable, with hidepid"),
        // The kernel's rule (mount_too_revealing): a new /proc may show no more than one that is fully visible here already.
        Err(Refusal::Act(Errno::PERM)) => Finding::missing(
            SUBJECT,
            "Operation not permitted: parts of the /proc around us are masked, as in a container, so the kernel refuses a fresh one",
            COST,
            format!(
                "{CONTAINER}; in Kubernetes: procMount: Unmasked with hostUsers: false; see what masks it: grep ' /proc/' /proc/self/mountinfo"
            ),
        ),
        Err(Refusal::Act(Errno::INVAL)) => {
            Finding::missing(SUBJECT, "Invalid argument: this kernel knows no hidepid for each mount", COST, "run Linux 5.8 or later")
        }
        Err(refusal) => {
            let (detail, remedy) = why(&refusal, ground, binary);
            Finding::missing(SUBJECT, detail, COST, remedy)
        }
    }
}

fn overlay(tried: Result<(), Refusal>, replaces: impl Fn() -> Result<(), Refusal>, ground: &Ground, binary: &Path) -> Finding {
    const SUBJECT: &str = "overlay in a user namespace";
    const COST: &str = "--overlay is refused; everything else works";
    match tried {
        Ok(()) => match replaces() {
            Ok(()) => Finding::ok(SUBJECT, "usable, with user extended attributes"),
            Err(refusal) => Finding::weak(
                SUBJECT,
                format!("usable, but a directory cannot be replaced: {refusal}: this kernel's tmpfs keeps no user extended attributes"),
                "in an --overlay that is thrown away, making a directory where one was removed fails; with a kept layer it works",
                "run Linux 6.6 or later built with CONFIG_TMPFS_XATTR=y, or keep the layer: --overlay PATH:LAYER",
            ),
        },
        Err(Refusal::Act(Errno::NODEV)) => Finding::missing(
            SUBJECT,
            "the kernel has no overlay file system, or has not loaded it",
            COST,
            "as root: modprobe overlay && echo overlay > /etc/modules-load.d/enclos.conf; else run a kernel with CONFIG_OVERLAY_FS",
        ),
        Err(Refusal::Act(errno @ (Errno::PERM | Errno::INVAL))) if ground.version() < (5, 11) => Finding::missing(
            SUBJECT,
            format!("{}: only root may mount one before Linux 5.11", reason(errno)),
            COST,
            "run Linux 5.11 or later",
        ),
        Err(refusal) => {
            let (detail, remedy) = why(&refusal, ground, binary);
            Finding::missing(SUBJECT, detail, COST, remedy)
        }
    }
}

fn devpts(tried: Result<(), Refusal>, ground: &Ground, binary: &Path) -> Finding {
    const SUBJECT: &str = "private terminals (devpts)";
    const COST: &str = "--tty is refused: a command gets no terminal of its own";
    match tried {
        Ok(()) => Finding::ok(SUBJECT, "usable"),
        Err(Refusal::Act(Errno::NOSPC)) => {
            Finding::missing(SUBJECT, "no pseudo-terminal is left", COST, lasting_sysctl("kernel.pty.max", "16384"))
        }
        Err(Refusal::Act(Errno::NODEV)) => {
            Finding::missing(SUBJECT, "the kernel has no devpts", COST, "run a kernel with CONFIG_UNIX98_PTYS=y")
        }
        Err(refusal) => {
            let (detail, remedy) = why(&refusal, ground, binary);
            Finding::missing(SUBJECT, detail, COST, remedy)
        }
    }
}

/// Only root shows host directories through an id map: for anybody else the ids are right as they are.
fn id_mapped(facts: &Facts) -> Finding {
    const SUBJECT: &str = "id-mapped mounts";
    let map = match ids::room(&facts.own_ids) {
        Some((base, _)) => vec![IdRange { inside: 0, outside: base, count: ids::RANGE }],
        // The caller's own id, as the command's.
        None => vec![IdRange { inside: 1000, outside: 0, count: 1 }],
    };
    let identity = Identity { uid: Some(1000), gid: Some(1000), uid_map: map.clone(), gid_map: map, ..Identity::default() };
    let tried = (|| {
        // With all below it, as a run does: in a container a part cannot be had without the rest.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(CWD, c"/usr", flags)?;
        set_id_map(&tree, IdMap::make(&identity, 0, 0)?.namespace())
    })();
    match tried {
        Ok(()) => Finding::ok(SUBJECT, "usable on the file system of /usr: what a sandbox of root may write is shown as its own"),
        Err(errno) => {
            let why = match errno {
                Errno::INVAL => ": its file system cannot be mapped, as an overlay cannot",
                Errno::PERM => ": its file system belongs to the user namespace around us",
                _ => "",
            };
            Finding::weak(
                SUBJECT,
                format!("of /usr: {}{why}", reason(errno)),
                "as root, --rw, --bind, --overlay and what not everybody may read are refused on this file system; on others they may work",
                "keep such directories on ext4, xfs, btrfs or tmpfs (in a container: a volume), run Linux 5.19 or later, or run enclos as an \
                 ordinary user",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;

    fn at(release: &str) -> Ground {
        Ground { release: release.to_owned(), ..Ground::default() }
    }

    const BINARY: &str = "/usr/bin/enclos";

    #[test]
    fn a_masked_proc_is_told_from_other_refusals() {
        let binary = Path::new(BINARY);
        let masked = proc(Err(Refusal::Act(Errno::PERM)), &at("6.8.0"), binary);
        assert!(masked.detail.contains("masked") && masked.remedy.contains("systempaths=unconfined"), "{masked:?}");
        let refused = proc(Err(Refusal::Clone(Errno::PERM)), &Ground { clone_forbidden: true, ..at("6.8.0") }, binary);
        assert!(refused.remedy.contains("kernel.unprivileged_userns_clone"), "{refused:?}");
    }

    #[test]
    fn an_overlay_is_missing_weak_or_well() {
        let (binary, well) = (Path::new(BINARY), || Ok(()));
        assert_eq!(overlay(Ok(()), well, &at("6.8.0"), binary).state, State::Ok);
        assert_eq!(overlay(Ok(()), || Err(Refusal::Act(Errno::IO)), &at("6.1.0"), binary).state, State::Weak);
        let unloaded = overlay(Err(Refusal::Act(Errno::NODEV)), well, &at("6.8.0"), binary);
        assert!(unloaded.state == State::Missing && unloaded.remedy.contains("modprobe overlay"), "{unloaded:?}");
        assert_eq!(overlay(Err(Refusal::Act(Errno::PERM)), well, &at("5.10.0"), binary).remedy, "run Linux 5.11 or later");
    }

    #[test]
    fn terminals_run_out() {
        let found = devpts(Err(Refusal::Act(Errno::NOSPC)), &at("6.8.0"), Path::new(BINARY));
        assert!(found.remedy.contains("kernel.pty.max"), "{found:?}");
    }
}
