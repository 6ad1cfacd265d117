use std::io::Read;
use std::time::{Duration, Instant};

use enclos_sandbox::spec::{Policy, Verdict};
use enclos_sandbox::{Sandbox, Stdio};

#[test]
fn commands_share_files_and_processes() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    sandbox.command("sh").args(["-c", "echo one > /tmp/x; (sleep 60 >/dev/null 2>&1 &)"]).output().unwrap();
    assert_eq!(sandbox.command("cat").arg("/tmp/x").output().unwrap().stdout, b"one\n");
    // The first command's child may still be on its way to becoming `sleep`.
    let find = "i=0; until grep -qs sleep /proc/[0-9]*/comm; do i=$((i+1)); [ $i -lt 200 ] || exit 1; sleep 0.05; done";
    assert_eq!(sandbox.command("sh").args(["-c", find]).output().unwrap().status.code(), Some(0));
}

#[test]
fn many_commands_at_once_get_their_own_answers() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|worker| {
            let sandbox = sandbox.clone();
            std::thread::spawn(move || {
                for round in 0..10 {
                    let text = format!("{worker}.{round}");
                    let output = sandbox.command("sh").args(["-c", &format!("echo {text}; exit {worker}")]).output().unwrap();
                    assert_eq!(output.stdout, format!("{text}\n").into_bytes());
                    assert_eq!(output.status.code(), Some(worker));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    sandbox.destroy().unwrap();
}

#[test]
fn a_limit_ends_one_command_and_not_its_neighbours() {
    let policy = Policy::from_toml("wall = '300ms'").unwrap();
    let sandbox = Sandbox::create(&policy).unwrap();
    let output = sandbox.command("sleep").arg("20").output().unwrap();
    assert_eq!(output.report.verdict, Verdict::Idleness);
    assert_eq!(sandbox.command("echo").arg("alive").output().unwrap().stdout, b"alive\n");
}

#[test]
fn destroying_ends_what_runs() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    let mut child = sandbox.command("sleep").arg("60").stdout(Stdio::Null).spawn().unwrap();
    let pid = sandbox.id();
    drop(sandbox.destroy());
    let _ = child.wait();
    let start = Instant::now();
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "init lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_frozen_sandbox_does_nothing_until_thawed() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    let mut child = sandbox.command("sh").args(["-c", "while :; do echo beat; sleep 0.01; done"]).stdout(Stdio::Piped).spawn().unwrap();
    let mut beats = child.stdout.take().unwrap();
    let mut room = [0; 4096];
    assert!(beats.read(&mut room).unwrap() > 0);
    // By the freezer, or as a user without control groups process by process.
    sandbox.freeze().unwrap();
    rustix::io::ioctl_fionbio(&beats, true).unwrap();
    while beats.read(&mut room).is_ok() {}
    // Who freezes twice must thaw twice.
    sandbox.freeze().unwrap();
    sandbox.thaw().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(beats.read(&mut room).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    sandbox.thaw().unwrap();
    rustix::io::ioctl_fionbio(&beats, false).unwrap();
    assert!(beats.read(&mut room).unwrap() > 0);
    assert!(sandbox.command("true").status().unwrap().status.success());
}

#[test]
fn a_terminal_is_private_and_real() {
    let sandbox = Sandbox::create(&Policy::default()).unwrap();
    let output = sandbox.command("sh").args(["-c", "test -c /dev/ptmx && ls /dev/pts"]).output().unwrap();
    assert_eq!(output.stdout, b"ptmx\n");
}

#[test]
fn a_refused_sandbox_leaves_nothing() {
    let policy = Policy::from_toml("ro = ['/no/such/place']").unwrap();
    assert!(Sandbox::create(&policy).unwrap_err().to_string().contains("/no/such/place"));
}
