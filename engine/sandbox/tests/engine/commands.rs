use std::io::{Read, Write};
use std::time::{Duration, Instant};

use enclos_sandbox::spec::{Policy, Verdict};
use enclos_sandbox::{Command, Stdio};

fn policy(text: &str) -> Policy {
    Policy::from_toml(text).unwrap()
}

#[test]
fn exit_status_and_output_come_back_exactly() {
    let output = Command::new("sh").args(["-c", "printf 'a\\0b'; printf err >&2; exit 7"]).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..], &output.stderr[..]), (Some(7), &b"a\0b"[..], &b"err"[..]));
    assert_eq!(output.report.verdict, Verdict::RuntimeError);
    assert_eq!(output.report.exit_code, Some(7));
}

#[test]
fn a_signal_is_told_from_a_limit() {
    let output = Command::new("sh").args(["-c", "kill -SEGV $$"]).output().unwrap();
    assert_eq!((output.report.verdict, output.report.signal), (Verdict::Signaled, Some(11)));
    let output = Command::new("sleep").arg("20").policy(&policy("wall = '200ms'")).output().unwrap();
    assert_eq!((output.report.verdict, output.report.signal), (Verdict::Idleness, Some(9)));
    assert!(output.report.limit("wall").unwrap().hit);
}

#[test]
fn abort_in_the_command_is_reported_because_it_is_not_pid_1() {
    let output = Command::new("sh").args(["-c", "kill -ABRT $$"]).output().unwrap();
    assert_eq!(output.report.signal, Some(6));
    let output = Command::new("sh").args(["-c", "kill -TERM $$"]).output().unwrap();
    assert_eq!(output.report.signal, Some(15));
}

#[test]
fn cpu_time_of_dead_children_counts() {
    let busy = "for i in 1 2 3; do (i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done); done";
    let output = Command::new("sh").args(["-c", busy]).output().unwrap();
    assert!(output.report.figure("cpu").unwrap().value > 20_000, "{:?}", output.report.figures);
}

#[test]
fn a_cpu_limit_holds_for_the_whole_tree() {
    let spin = "for i in 1 2 3 4; do (while :; do :; done) & done; wait";
    let output = Command::new("sh").args(["-c", spin]).policy(&policy("cpu = '300ms'\nwall = '20s'")).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::TimedOut, "{:?}", output.report);
}

#[test]
fn orphans_die_with_the_command() {
    let start = Instant::now();
    let script = "(setsid sleep 30 >/dev/null 2>&1 &) ; echo done";
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert_eq!(output.stdout, b"done\n");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn output_is_cut_at_the_cap_and_the_command_killed() {
    let output = Command::new("yes").policy(&policy("output = '1000B'")).output().unwrap();
    assert_eq!((output.report.verdict, output.stdout.len()), (Verdict::OutputLimit, 1000));
    assert!(output.report.limit("output").unwrap().hit);
}

#[test]
fn an_idle_command_is_told_from_a_busy_one() {
    let idle = policy("idle = '300ms'\nwall = '20s'");
    let output = Command::new("sleep").arg("20").policy(&idle).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::Idleness);
    let chatty = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done";
    let output = Command::new("sh").args(["-c", chatty]).policy(&idle).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::Ok, "{:?}", output.report);
}

#[test]
fn a_full_disk_is_a_verdict() {
    let output = Command::new("dd").args(["if=/dev/zero", "of=/tmp/x", "bs=64k"]).policy(&policy("disk = '1M'")).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::DiskLimit);
    let fill = "i=0; while : > /tmp/$i; do i=$((i+1)); done 2>/dev/null; exit 1";
    let output = Command::new("sh").args(["-c", fill]).policy(&policy("inodes = 100")).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::DiskLimit, "{:?}", output.report);
}

#[test]
fn one_bound_holds_for_everything_writable() {
    let fill = "head -c 700000 /dev/zero > /tmp/a && head -c 700000 /dev/zero > $HOME/b";
    let output = Command::new("sh").args(["-c", fill]).policy(&policy("disk = '1M'")).output().unwrap();
    assert_eq!(output.report.verdict, Verdict::DiskLimit);
}

#[test]
fn a_process_limit_is_felt_by_the_command() {
    let forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 2 & done; echo all";
    let output = Command::new("sh").args(["-c", forks]).policy(&policy("processes = 5")).output().unwrap();
    assert!(!output.stdout.starts_with(b"all"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("fork"), "{output:?}");
}

#[test]
fn large_input_and_output_pass_while_both_flow() {
    let mut child = Command::new("cat").stdin(Stdio::Piped).stdout(Stdio::Piped).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let writer = std::thread::spawn(move || input.write_all(&vec![7u8; 3 << 20]).map(|()| drop(input)));
    let mut all = Vec::new();
    output.read_to_end(&mut all).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(all.len(), 3 << 20);
    assert!(child.wait().unwrap().status.success());
}

#[test]
fn a_spawned_command_can_be_signalled_and_killed() {
    let mut child =
        Command::new("sh").args(["-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done"]).stdout(Stdio::Piped).spawn().unwrap();
    let mut line = [0u8; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    child.signal(10).unwrap();
    assert_eq!(child.wait().unwrap().status.code(), Some(9));
    let mut child = Command::new("sleep").arg("30").spawn().unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().report.signal, Some(9));
}

#[test]
fn a_descriptor_tells_of_the_end_and_goes_on_telling() {
    let told = |child: &enclos_sandbox::Child, milliseconds: i64| {
        let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        let end = child.end();
        rustix::event::poll(&mut [rustix::event::PollFd::new(&end, rustix::event::PollFlags::IN)], Some(&time)).unwrap() == 1
    };
    let mut child = Command::new("sleep").arg("30").spawn().unwrap();
    assert!(!told(&child, 50) && !child.has_ended());
    child.kill().unwrap();
    let start = Instant::now();
    while !told(&child, 500) {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert!(child.has_ended());
    child.wait().unwrap();
    assert!(told(&child, 0) && child.has_ended());
}

#[test]
fn dropping_a_child_kills_it() {
    let child = Command::new("sleep").arg("30").spawn().unwrap();
    let pid = child.id();
    drop(child);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn limits_hold_whether_or_not_anybody_waits() {
    let mut child = Command::new("sleep").arg("30").policy(&policy("wall = '200ms'")).spawn().unwrap();
    let start = Instant::now();
    while !child.has_ended() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().report.verdict, Verdict::Idleness);
}

#[test]
fn many_run_side_by_side_and_nothing_is_mixed() {
    let threads: Vec<_> = (0..8)
        .map(|worker| {
            std::thread::spawn(move || {
                for round in 0..5 {
                    let word = format!("{worker}-{round}");
                    let output = Command::new("echo").arg(&word).output().unwrap();
                    assert_eq!(output.stdout, format!("{word}\n").into_bytes());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn what_cannot_be_started_is_named() {
    let error = Command::new("no-such-command").output().unwrap_err();
    assert_eq!((error.exit_code(), error.to_string()), (127, "no-such-command: command not found in the sandbox".to_owned()));
    let error = Command::new("/etc/passwd").output().unwrap_err();
    assert_eq!(error.exit_code(), 126, "{error}");
    let error = Command::new("true").policy(&policy("ro = ['/no/such/path']")).output().unwrap_err();
    assert!(error.to_string().contains("/no/such/path") && error.exit_code() == 125, "{error}");
    let error = Command::new("true").policy(&policy("workdir = '/nowhere'")).output().unwrap_err();
    assert!(error.to_string().contains("/nowhere"), "{error}");
}

#[test]
fn a_huge_environment_is_carried_or_refused_by_the_kernel_alone() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo ${#BIG}"]).env("BIG", "x".repeat(100_000));
    assert_eq!(command.output().unwrap().stdout, b"100000\n");
}
