//! Faults: the tool killed, starved of descriptors, processes or space. Afterwards nothing remains; [`act`](enclos_tests_e2e::act)
//! compares the host after every test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use enclos_testkit::host::pids_marked;
use enclos_testkit::{HostState, Run, Who, World};
use enclos_tests_e2e::{both, sh};
use rustix::process::{Pid, Signal};

/// A small pseudo-random sequence; the same in every run, so that a failure can be had again.
struct Steps(u64);

impl Steps {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

both! {
    fn killed_at_a_hundred_moments(world) {
        let before = HostState::take(&world.mark);
        let _ = world.install_probe();
        let data = world.make_dir("out/data").display().to_string();
        let mut steps = Steps(7);
        for round in 0..100 {
            // Different plans, so that different steps are under way when the blow falls.
            let flags: &[&str] = match round % 4 {
                0 => &[],
                1 => &["--overlay", &data, "--tmpfs", "/mnt"],
                2 => &["--net", "loopback", "--best-effort", "--memory", "64M"],
                _ => &["--tty", "--net", "host"],
            };
            let script = format!("{} sleep 20000 mark={}; true", world.text("work/probe"), world.mark);
            let live = Run::new(world).flags(flags.iter().copied()).sh(&script).without_report().start();
            std::thread::sleep(Duration::from_micros(steps.next(25_000)));
            live.signal(Signal::KILL);
            let outcome = live.wait();
            assert!(!outcome.stuck, "round {round}: {}", outcome.describe());
        }
        assert_eq!(before.settled(&world.mark), Ok(()));
    }

    fn few_descriptors_are_told_in_one_line(world) {
        for limit in [3, 4, 6, 8, 10, 14, 20] {
            let script = format!("ulimit -n {limit}; exec \"$@\"");
            let outcome = Run::new(world).under(["sh", "-c", &script, "sh"]).command(["/bin/echo", "ran"]).output();
            match outcome.code {
                Some(0) => assert_eq!(outcome.out(), "ran\n"),
                Some(125) => assert_eq!(outcome.err().trim().lines().count(), 1, "{limit}: {}", outcome.describe()),
                // The dynamic loader of the command itself may be the one that has none left.
                Some(127) => assert!(!outcome.out().contains("ran")),
                _ => panic!("{limit}: {}", outcome.describe()),
            }
        }
    }

    fn a_private_disk_too_small_for_anything(world) {
        for size in ["1", "4096", "8K"] {
            let outcome = sh(world, &["--disk", size], "echo x > /tmp/file || exit 3");
            assert!(matches!(outcome.code, Some(0 | 3 | 125)) && !outcome.stuck, "{size}: {}", outcome.describe());
        }
        // What the sandbox itself is made of is not counted, to within a few.
        let outcome = sh(world, &["--inodes", "1"], "for i in $(seq 1 40); do echo x > /tmp/$i || exit 3; done");
        assert!(matches!(outcome.code, Some(2 | 3 | 125)), "{}", outcome.describe());
    }

    fn a_report_on_a_full_disk_is_told(world) {
        if !Path::new("/dev/full").exists() {
            return enclos_testkit::skip("a_report_on_a_full_disk_is_told", "no /dev/full");
        }
        let outcome = Run::tool(world, ["run", "--report=/dev/full", "--", "/bin/echo", "ran"]).output();
        assert!(outcome.err().contains("/dev/full"), "{}", outcome.describe());
    }

    fn outputs_on_a_full_disk_end_the_run(world) {
        let outcome = Run::new(world).flags(["--stdout", "/dev/full"]).sh("yes | head -c 1000000; exit 6").within(Duration::from_secs(20)).output();
        assert!(!outcome.stuck, "{}", outcome.describe());
    }

    fn no_room_for_another_process(world) {
        if world.who == Who::Root {
            full_cgroup(world);
        } else {
            let outcome = Run::new(world).under(["bash", "-c", "ulimit -u 1; exec \"$@\"", "bash"]).command(["/bin/echo", "ran"]).output();
            enclos_tests_e2e::assert_refused(&outcome, "");
        }
    }

    fn a_host_without_proc(world) {
        let namespaces = if world.who == Who::Root { "-m" } else { "-rm" };
        let hide = "mount -t tmpfs none /proc && exec \"$@\"";
        let outcome = Run::new(world).under(["unshare", namespaces, "sh", "-c", hide, "sh"]).command(["/bin/echo", "ran"]).output();
        match outcome.code {
            Some(0) => assert_eq!(outcome.out(), "ran\n"),
            _ => enclos_tests_e2e::assert_refused(&outcome, "/proc"),
        }
    }

    fn a_command_that_removes_its_own_directory(world) {
        let project = world.make_dir("out/project").display().to_string();
        let outcome = sh(world, &["--rw", &project, "--workdir", &project], &format!("rm -rf {project}/* ; mkdir a; cd a; rmdir ../a; pwd >/dev/null; exit 0"));
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    }

    fn an_init_that_does_not_answer_leaves_an_account(world) {
        // Stopped, it neither kills nor counts. The kernel kills it in the end, and the children of an init that dies are nobody's to wait for.
        let live = Run::new(world).flags(["--cpu", "1s", "--wall", "60s"]).sh("while :; do :; done").start();
        let init = init_of(live.pid());
        rustix::process::kill_process(init, Signal::STOP).expect("a sandbox of ours");
        let outcome = live.wait();
        assert_eq!((outcome.verdict(), outcome.code), (enclos_spec::Verdict::TimedOut, Some(137)), "{}", outcome.describe());
        assert!(outcome.figure("cpu").is_some_and(|us| us >= 1_000_000), "{}", outcome.describe());
    }

    fn a_tree_of_processes_in_every_state(world) {
        let script = "sleep 30 & kill -STOP $!; (exec 3<>/dev/tty) 2>/dev/null; for i in 1 2 3 4 5 6 7 8; do (sleep 30 &) ; (exit 1) & done; \
                      setsid sleep 30 & setsid setsid sleep 30 & exit 0";
        let outcome = Run::new(world).sh(script).within(Duration::from_secs(20)).output();
        assert_eq!((outcome.code, outcome.stuck), (Some(0), false), "{}", outcome.describe());
        assert_eq!(pids_marked(&world.mark), Vec::<u32>::new());
    }
}

/// The child of the tool that has a shell for its child.
fn init_of(tool: u32) -> Pid {
    let children = |pid: u32| -> Vec<u32> {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    let is_shell = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sh\n");
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if let Some(init) = children(tool).into_iter().find(|&child| children(child).iter().any(is_shell)) {
            return Pid::from_raw(i32::try_from(init).unwrap()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no shell below process {tool}");
}

/// Runs the tool in a pids cgroup with no room left: clone fails with `EAGAIN` at every step in turn.
fn full_cgroup(world: &World) {
    let Some(group) = Cgroup::make(&world.mark) else {
        return enclos_testkit::skip("no_room_for_another_process", "no pids controller that we may use");
    };
    for limit in 1..=6 {
        std::fs::write(group.0.join("pids.max"), limit.to_string()).expect("our own cgroup");
        let enter = "echo $$ > \"$0\" && exec \"$@\"";
        let procs = group.0.join("cgroup.procs").display().to_string();
        let outcome = Run::new(world).under(["sh", "-c", enter, &procs]).command(["/bin/echo", "ran"]).output();
        match outcome.code {
            Some(0) => assert_eq!(outcome.out(), "ran\n", "{limit}"),
            _ => enclos_tests_e2e::assert_refused(&outcome, ""),
        }
    }
}

/// A pids cgroup of the test's own; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(mark: &str) -> Option<Cgroup> {
        let places = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        places.iter().find_map(|place| {
            let path = Path::new(place).join(format!("enclos-test-{mark}"));
            std::fs::create_dir(&path).ok()?;
            let group = Cgroup(path);
            group.0.join("pids.max").exists().then_some(group)
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..200 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
