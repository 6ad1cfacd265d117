//! Invariant 2: nothing allocates between clone and exec. This binary's allocator ends the process if a child tries.
#![forbid(unsafe_code)]

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Command, Sandbox, Workspace};
use enclos_sys::guard::{CAUGHT, GuardedAllocator};

#[global_allocator]
static ALLOCATOR: GuardedAllocator = GuardedAllocator;

fn caught(_: &()) -> ! {
    drop(std::hint::black_box(Box::new([1u8; 64])));
    enclos_sys::child::exit(0)
}

#[test]
fn the_guard_catches_a_child_that_allocates() {
    let child = enclos_sys::clone::clone3(enclos_sys::clone::NamespaceFlags::NONE, None, caught, &()).unwrap();
    let ended = enclos_sys::wait::wait_pidfd(&child.pidfd, enclos_sys::wait::Wait::Ended).unwrap().unwrap();
    assert_eq!(ended.how, enclos_sys::wait::How::Exited(CAUGHT));
}

#[test]
fn no_step_of_set_up_allocates() {
    let policy = Policy::from_toml(
        "tmpfs = ['/srv/x']\nhide = ['/usr/share']\nro = ['/usr/lib']\nnet = 'loopback'\nprocesses = 50\nfile-size = '1M'\ncpus = '0'",
    )
    .unwrap();
    let output = Command::new("sh").args(["-c", "echo fine; (exit 3)"]).policy(&policy).output().unwrap();
    assert_eq!(output.stdout, b"fine\n");
    let overlay = Policy::from_toml("overlay = ['/usr/share']").unwrap();
    assert_eq!(Command::new("echo").arg("x").policy(&overlay).output().unwrap().stdout, b"x\n");
}

#[test]
fn no_step_of_bringing_a_workspace_allocates() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let workspace = Workspace::new(vec![make("lower")], make("w/upper"), make("w/work"));
    let narrowed = Workspace { writable: Some(vec!["x".into()]), ..workspace.clone() };
    for workspace in [workspace, narrowed] {
        let sandbox = Sandbox::create_with(&Policy::default(), Some(&workspace)).unwrap();
        assert_eq!(sandbox.command("pwd").output().unwrap().stdout, b"/workspace\n");
    }
}

#[test]
fn init_serves_and_fails_without_allocating() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    assert_eq!(sandbox.command("echo").arg("1").output().unwrap().stdout, b"1\n");
    assert!(sandbox.command("no-such").output().is_err());
    sandbox.command("sh").args(["-c", "(sleep 0.01 &) ; exit 0"]).output().unwrap();
    assert_eq!(sandbox.command("echo").arg("2").tty(true).output().unwrap().status.code(), Some(0));
}
