//! Sandboxes that outlive the process which made them.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enclos_sandbox::{Error, Kept, Launcher, Sandbox};
use rustix::net::{AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair};

fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(program.is_file(), "{} is missing: cargo build -p enclos-sandbox --examples", program.display());
    program
}

/// What a process that was killed has handed over.
fn handed_over(kind: &str, directory: &Path) -> (Kept, Vec<OwnedFd>) {
    for name in ["lower", "w/upper", "w/work"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    for name in ["lower", "w/upper"] {
        std::fs::set_permissions(directory.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    }
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut maker = std::process::Command::new(example("hand_over")).arg(kind).arg(directory).stdin(theirs).spawn().unwrap();
    let mut text = vec![0; 1 << 20];
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(12))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(&ours, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let descriptors = control
        .drain()
        .flat_map(|item| match item {
            RecvAncillaryMessage::ScmRights(received) => received.collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    maker.kill().unwrap();
    maker.wait().unwrap();
    (serde_json::from_slice(&text[..message.bytes]).unwrap(), descriptors)
}

fn says(sandbox: &Sandbox, script: &str) -> String {
    String::from_utf8_lossy(&sandbox.command("sh").args(["-c", script]).output().unwrap().stdout).into_owned()
}

/// The control groups of ours on this host with this number in their names.
fn groups(of: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
            if entry.file_name().to_string_lossy().starts_with(of) {
                found.push(entry.path());
            }
            open.push(entry.path());
        }
    }
    found
}

fn group_name(kept: &Kept) -> Option<String> {
    let text = serde_json::to_value(kept).unwrap();
    text["group"]["name"].as_str().map(str::to_owned)
}

fn ends(pid: u32) -> bool {
    let start = Instant::now();
    // One that nobody has waited for yet has ended all the same.
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        if start.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn outlives(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (kept, descriptors) = handed_over(kind, dir.path());
    let name = group_name(&kept);
    // Whoever looks for leftovers meanwhile leaves it alone.
    let other = Launcher::start(example("launch")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let sandbox = Sandbox::adopt(kept, descriptors).unwrap();
    assert_eq!(says(&sandbox, "cat note; echo after > note; pwd"), "before\n/workspace\n");
    let beat = || says(&sandbox, "cat /tmp/beat");
    let first = beat();
    std::thread::sleep(Duration::from_millis(400));
    assert_ne!(first, beat(), "what ran has stopped");
    assert!(sandbox.workspace().is_some() && sandbox.host_ids().is_some());
    if let Some(name) = &name {
        assert!(!groups(name).is_empty());
        sandbox.freeze().unwrap();
        sandbox.thaw().unwrap();
    }
    // From hand to hand.
    let (again, descriptors) = sandbox.keep().unwrap();
    let id = sandbox.id();
    drop(sandbox);
    assert!(ends(id));
    assert!(matches!(Sandbox::adopt(again, descriptors), Err(Error::InitLost(_) | Error::Cgroup(_))));
    if let Some(name) = &name {
        let start = Instant::now();
        while !groups(name).is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?} are left", groups(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    drop(other);
    assert_eq!(std::fs::read_to_string(dir.path().join("w/upper/note")).unwrap(), "after\n");
}

#[test]
fn a_sandbox_outlives_its_maker_in_the_hands_of_another() {
    outlives("cold");
}

#[test]
fn so_does_one_of_a_template_with_its_slot_and_launcher() {
    outlives(&example("launch").to_string_lossy());
}

#[test]
fn what_nobody_holds_ends() {
    for kind in ["cold".to_owned(), example("launch").to_string_lossy().into_owned()] {
        let dir = tempfile::tempdir().unwrap();
        let (kept, descriptors) = handed_over(&kind, dir.path());
        let name = group_name(&kept);
        let pid = descriptors.iter().find_map(|fd| {
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(fd))).ok()?;
            text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse::<u32>().ok()
        });
        let pid = pid.unwrap();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(descriptors);
        assert!(ends(pid));
        // Its control group is a leftover now, for whoever starts next.
        let next = Launcher::start(example("launch")).unwrap();
        let start = Instant::now();
        while name.as_ref().is_some_and(|name| !groups(name).is_empty()) {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(next);
    }
}

#[test]
fn a_record_that_does_not_fit_is_refused() {
    let sandbox = Sandbox::create(&Default::default()).unwrap();
    let (kept, mut descriptors) = sandbox.keep().unwrap();
    descriptors.pop();
    assert!(Sandbox::adopt(kept, descriptors).unwrap_err().to_string().contains("descriptors"));
    let (kept, descriptors) = sandbox.keep().unwrap();
    let mut value = serde_json::to_value(&kept).unwrap();
    value["schema"] = 99.into();
    let told = Sandbox::adopt(serde_json::from_value(value).unwrap(), descriptors).unwrap_err().to_string();
    assert!(told.contains("schema 99"), "{told}");
}
