//! Files into a sandbox and out of it: exact, and never anything of the host's.

use enclos_sandbox::collect::{self, CollectError};
use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Command, Error, Files, Sandbox, Stage};

use crate::warm::launcher;

fn boxed(more: &str) -> Policy {
    Policy::from_toml(&format!("tmpfs = [\"/box\"]\nworkdir = \"/box\"\n{more}")).unwrap()
}

fn script(text: &str) -> Files {
    Files::builder().file("script", text, 0o700).seal().unwrap()
}

#[test]
fn files_go_in_and_come_out_of_warm_and_cold_sandboxes() {
    let policy = boxed("disk = \"64M\"");
    let template = launcher().template(&policy).unwrap();
    template.park(1).unwrap();
    let big: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let first = Files::builder().directory("deep", 0o755).file("deep/in", &big, 0o640).file("empty", b"", 0o600).seal().unwrap();
    let second = script("#!/bin/sh\nset -e\ncp deep/in out\nstat -c %a deep/in empty script > modes; id -u >> modes; test ! -s empty\n");
    for warm in [true, true, false] {
        let mut command = if warm { template.command("./script") } else { Command::new("./script") };
        if !warm {
            command.policy(&policy);
        }
        let outcome = command.files("/box", &first).files("/box", &second).collect("/box").output().unwrap();
        assert!(outcome.status.success(), "{:?}", String::from_utf8_lossy(&outcome.stderr));
        let directory = outcome.directory.unwrap();
        assert_eq!(collect::read(&directory, "out", big.len() as u64).unwrap(), big);
        let modes = String::from_utf8(collect::read(&directory, "modes", 100).unwrap()).unwrap();
        assert!(modes.starts_with("640\n600\n700\n"), "{modes}");
        assert_eq!(collect::list(&directory, 100).unwrap().len(), 5);
    }
}

#[test]
fn what_a_command_plants_is_never_followed() {
    let template = launcher().template(&boxed("")).unwrap();
    let plant = script(
        "#!/bin/sh\nln -s /etc/passwd link; ln -s / root; mkfifo fifo; mkdir dir; ln script hard; ln -s /nowhere dangling; \
         ln -s /proc/self/fd/0 magic; mknod dev c 1 3 2>/dev/null; truncate -s 1T sparse 2>/dev/null; \
         (while :; do ln -sf /etc/passwd swap 2>/dev/null; rm -f swap; echo x > swap; done) & sleep 0.2\n",
    );
    let outcome = template.command("./script").files("/box", &plant).collect("/box").output().unwrap();
    let directory = outcome.directory.unwrap();
    for name in ["link", "fifo", "dir", "hard", "script", "dangling", "magic", "dev", "root/etc/passwd", "../etc/passwd", "/etc/passwd"] {
        let error = collect::read(&directory, name, 1 << 20).unwrap_err();
        assert!(matches!(error, CollectError::Open { .. } | CollectError::NotRegular { .. }), "{name}: {error}");
    }
    assert!(matches!(collect::read(&directory, "sparse", 1 << 20), Err(CollectError::TooLarge { .. } | CollectError::Open { .. })));
    // Whatever the racer left, it stands still: the same answer every time, and never the host's file.
    let answers: Vec<_> = (0..50).map(|_| collect::read(&directory, "swap", 1 << 20)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert!(answers[0].as_ref().map_or(true, |bytes| bytes.len() <= 2), "{:?}", answers[0]);
    assert!(collect::list(&directory, 100).unwrap().iter().all(|entry| ["swap", "sparse"].contains(&entry.path.to_str().unwrap())));
}

#[test]
fn a_directory_that_became_a_link_is_not_handed_over() {
    let policy = Policy::from_toml("workdir = \"/tmp\"").unwrap();
    let run = |text: &str| Command::new("sh").args(["-c", text]).policy(&policy).collect("/tmp/out").status().unwrap().directory;
    assert!(run("mkdir /tmp/out").is_some());
    assert!(run("ln -s /etc /tmp/out").is_none());
    assert!(run("mkfifo /tmp/out").is_none());
    assert!(run("mkdir -m 0 /tmp/out; true").is_none() || rustix::process::geteuid().is_root());
    assert!(run("true").is_none());
}

#[test]
fn files_that_do_not_fit_are_an_error_of_their_own() {
    let template = launcher().template(&boxed("disk = \"1M\"\ninodes = 40")).unwrap();
    let large = Files::builder().file("large", vec![1; 3 << 20], 0o600).seal().unwrap();
    let fault = |command: &mut Command| match command.output() {
        Err(Error::Step(failure)) => (failure.stage, failure.errno),
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(template.command("true").files("/box", &large)), (Stage::WriteFiles, enclos_sys::Errno::NOSPC));
    let many = (0..100).fold(Files::builder(), |set, n| set.file(format!("f{n}"), b"", 0o600)).seal().unwrap();
    assert_eq!(fault(template.command("true").files("/box", &many)), (Stage::WriteFiles, enclos_sys::Errno::NOSPC));
    assert_eq!(fault(template.command("true").files("/usr", &script(""))).0, Stage::WriteFiles);
    assert_eq!(fault(template.command("true").files("/nowhere", &script(""))), (Stage::WriteFiles, enclos_sys::Errno::NOENT));
    assert_eq!(fault(template.command("true").files("relative", &script(""))), (Stage::WriteFiles, enclos_sys::Errno::INVAL));
    // The slot serves on.
    assert!(template.command("true").output().unwrap().status.success());
}

#[test]
fn a_sandbox_that_lives_takes_files_and_hands_over_nothing() {
    let sandbox = Sandbox::create(&boxed("")).unwrap();
    let output = sandbox.command("./script").files("/box", &script("#!/bin/sh\necho here\n")).output().unwrap();
    assert_eq!(output.stdout, b"here\n");
    assert!(matches!(sandbox.command("true").collect("/box").output(), Err(Error::Step(f)) if f.stage == Stage::WriteFiles));
    sandbox.destroy().unwrap();
}

#[test]
fn long_arguments_reach_a_parked_command() {
    let template = launcher().template(&boxed("")).unwrap();
    template.park(1).unwrap();
    let long = "x".repeat(100_000);
    let output = template.command("sh").args(["-c", "echo ${#1}", "sh", &long]).output().unwrap();
    assert_eq!(output.stdout, b"100000\n");
}
