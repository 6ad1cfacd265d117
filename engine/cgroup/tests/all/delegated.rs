//! As somebody else: a user to whom nothing is delegated, a user to whom a subtree is, a process alone in a group of its own.
//!
//! Each test runs itself again in that place; what it does there is in the branch on the environment variable.

use std::path::{Path, PathBuf};
use std::process::Command;

use enclos_cgroup::{CgroupError, Controller, Host, Kind, Limits, Meters, Missing, Name};

use crate::real::skip;

const PLACE: &str = "ENCLOS_TEST_PLACE";

/// Whether this is the second run, in its place.
pub fn in_place() -> bool {
    std::env::var_os(PLACE).is_some()
}

/// Runs `test` again by `command`, which is to end in the words that start a program; its copy can be run by any user.
pub fn run_in_place(test: &str, command: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [dir.path(), &copy] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let output =
        Command::new(command[0]).args(&command[1..]).arg(&copy).args(["--exact", test, "--nocapture"]).env(PLACE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(!text.contains("skipped:"), "{text}");
}

#[test]
fn a_user_without_delegation_is_told_what_is_not_writable() {
    const TEST: &str = "delegated::a_user_without_delegation_is_told_what_is_not_writable";
    if !in_place() {
        if !rustix::process::geteuid().is_root() || Host::probe().unwrap().kind() == Kind::None {
            return skip(TEST, "root, and a cgroup file system");
        }
        return run_in_place(TEST, &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    }
    let host = Host::probe().unwrap();
    for controller in [Controller::Memory, Controller::Pids] {
        let missing = host.place(controller).unwrap_err();
        assert!(missing.to_string().ends_with(" is not writable by uid 65534"), "{controller}: {missing}");
        let finding = host.findings().into_iter().find(|f| f.subject == format!("{controller} controller")).unwrap();
        assert!(finding.remedy.contains("Delegate=yes"), "{finding:?}");
    }
    let error = host.create(&Name::fresh().unwrap(), &Limits { memory: Some(1 << 20), ..Limits::default() }).unwrap_err();
    assert!(
        matches!(error, CgroupError::MissingController { controller: Controller::Memory, reason: Missing::NotWritable { .. } }),
        "{error}"
    );
    let group = host.create(&Name::fresh().unwrap(), &Limits { meters: Meters::ALL, ..Limits::default() }).unwrap();
    assert!(group.is_nowhere() && group.unmetered().len() == 3, "{group:?}");
}

/// A v2 group made for a test, with memory and pids; removed with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    /// `None` where the host's v2 root cannot give both.
    fn new() -> Option<Scratch> {
        let place = Host::probe().unwrap().place(Controller::CpuAcct).ok()?;
        let root = place.mount_point;
        let controllers = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let has = |name| controllers.split_ascii_whitespace().any(|c| c == name);
        if !has("memory") || !has("pids") || root.join("cgroup.type").exists() {
            return None;
        }
        std::fs::write(root.join("cgroup.subtree_control"), "+memory +pids").unwrap();
        let path = root.join(format!("enclos-test-{}", Name::fresh().unwrap()));
        std::fs::create_dir(&path).unwrap();
        Some(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = std::fs::remove_dir(path);
        }
        remove(&self.0);
    }
}

#[test]
fn a_user_uses_the_subtree_that_is_delegated_and_stays_in_it() {
    const TEST: &str = "delegated::a_user_uses_the_subtree_that_is_delegated_and_stays_in_it";
    const NEEDS: &str = "root, and a v2 tree with memory and pids";
    if !in_place() {
        let Some(scratch) = rustix::process::geteuid().is_root().then(Scratch::new).flatten() else { return skip(TEST, NEEDS) };
        // As systemd delegates: directory and the three files belong to the user, and the process is in a group further down.
        let unit = scratch.0.join("unit");
        std::fs::create_dir(&unit).unwrap();
        std::fs::write(scratch.0.join("cgroup.subtree_control"), "+memory +pids").unwrap();
        for path in [scratch.0.clone(), unit.clone()] {
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                std::os::unix::fs::chown(path.join(name), Some(65534), Some(65534)).unwrap();
            }
        }
        let enter = format!("echo 0 > {}/cgroup.procs && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"", unit.display());
        return run_in_place(TEST, &["sh", "-c", &enter, "sh"]);
    }
    let host = Host::probe().unwrap();
    let place = host.place(Controller::Memory).unwrap();
    assert!(place.parent.ends_with("enclos.65534"), "{place:?}");
    let mut group = host.create(&Name::fresh().unwrap(), &Limits { memory: Some(1 << 24), pids: Some(8), ..Limits::default() }).unwrap();
    let mut shell = crate::real::Shell::within(&group, "head -c 300000000 /dev/zero | tail -n 1 | wc -c");
    shell.wait();
    assert!(group.usage().unwrap().oom_kills.unwrap().value >= 1);
    group.kill().unwrap();
    group.remove().unwrap();
    assert!(!place.parent.exists(), "the node goes with its last group");
}

#[test]
fn a_process_alone_in_its_container_settles_and_then_has_every_controller() {
    const TEST: &str = "delegated::a_process_alone_in_its_container_settles_and_then_has_every_controller";
    const NEEDS: &str = "root, and a v2 tree with memory and pids";
    if !in_place() {
        let Some(scratch) = rustix::process::geteuid().is_root().then(Scratch::new).flatten() else { return skip(TEST, NEEDS) };
        // As a container with a cgroup namespace of its own: its tree starts at our group.
        let root = scratch.0.parent().unwrap().display().to_string();
        let enter = format!(
            "echo 0 > {}/cgroup.procs && exec unshare --cgroup --mount sh -c 'umount {root} && mount -t cgroup2 none {root} && exec \"$@\"' sh \"$@\"",
            scratch.0.display()
        );
        return run_in_place(TEST, &["sh", "-c", &enter, "sh"]);
    }
    let host = Host::probe().unwrap();
    assert!(matches!(host.place(Controller::Memory), Err(Missing::Populated { .. })), "{:?}", host.place(Controller::Memory));
    let settled = host.settle().unwrap().unwrap();
    let place = host.place(Controller::Memory).unwrap();
    let limits = Limits { memory: Some(1 << 24), pids: Some(8), ..Limits::default() };
    let mut group = host.create(&Name::fresh().unwrap(), &limits).unwrap();
    let mut shell = crate::real::Shell::within(&group, "head -c 300000000 /dev/zero | tail -n 1 | wc -c");
    shell.wait();
    assert!(group.usage().unwrap().oom_kills.unwrap().value >= 1);
    group.kill().unwrap();
    group.remove().unwrap();
    assert!(!place.parent.exists());
    // Another process that starts from the leaf finds the same place.
    assert_eq!(Host::probe().unwrap().place(Controller::Memory).unwrap().parent, place.parent);
    let own = settled.path().to_owned();
    drop(settled);
    assert!(!own.join("enclos.self").exists(), "the leaf is gone");
    assert_eq!(std::fs::read_to_string("/proc/self/cgroup").unwrap().trim_end().rsplit_once(':').unwrap().1, "/");
}
