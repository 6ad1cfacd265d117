//! Signals to the tool reach the command; stop and continue pass through.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use enclos_testkit::{Live, Run, World};
use enclos_tests_e2e::both;
use rustix::process::Signal;

/// Waits for `condition`, ten seconds at most.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory of the world that the command may write, wherever its ids come from.
fn shared(world: &World) -> PathBuf {
    let dir = world.make_dir("out/shared");
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("our own directory");
    dir
}

/// Starts a script that makes `ready` in the shared directory once it can be disturbed.
fn start(world: &World, script: &str) -> Live {
    let dir = shared(world);
    let live = Run::new(world).flags(["--rw".into(), dir.clone().into_os_string()]).sh(&format!("cd {}; {script}", dir.display())).start();
    wait_for("the command to start", || dir.join("ready").exists());
    live
}

fn state_of(pid: u32) -> char {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?')
}

both! {
    fn signals_reach_the_command(world) {
        let dir = shared(world);
        let signals = [("TERM", Signal::TERM), ("INT", Signal::INT), ("HUP", Signal::HUP), ("QUIT", Signal::QUIT), ("USR1", Signal::USR1), ("USR2", Signal::USR2)];
        for (name, signal) in signals {
            let _ = std::fs::remove_file(dir.join("ready"));
            let live = start(world, &format!("trap 'echo got {name}; exit 33' {name}; touch ready; while :; do sleep 0.02; done"));
            live.signal(signal);
            let outcome = live.wait();
            assert_eq!((outcome.code, outcome.out().trim()), (Some(33), format!("got {name}").as_str()), "{}", outcome.describe());
        }
    }

    fn a_signal_that_ends_the_command_shows_in_the_status(world) {
        let live = start(world, "touch ready; exec sleep 30");
        live.signal(Signal::TERM);
        let outcome = live.wait();
        assert_eq!(outcome.code, Some(143), "{}", outcome.describe());
        assert_eq!(outcome.report.and_then(|report| report.signal), Some(15));
    }

    fn an_ignored_signal_leaves_the_command_alone(world) {
        let live = start(world, "trap '' TERM HUP; touch ready; sleep 0.5; exit 6");
        live.signal(Signal::TERM);
        live.signal(Signal::HUP);
        let outcome = live.wait();
        assert_eq!(outcome.code, Some(6), "{}", outcome.describe());
    }

    fn stop_and_continue_pass_through(world) {
        let dir = shared(world);
        let live = start(world, "touch ready; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i > count; sleep 0.02; done; exit 8");
        let count = || std::fs::read_to_string(dir.join("count")).unwrap_or_default();
        wait_for("the first steps", || count().trim().parse().is_ok_and(|n: u32| n >= 2));
        live.signal(Signal::TSTP);
        wait_for("the tool to stop", || state_of(live.pid()) == 'T');
        std::thread::sleep(Duration::from_millis(100));
        let stopped = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), stopped, "the command went on while the tool was stopped");
        live.signal(Signal::CONT);
        wait_for("the next steps", || count() != stopped);
        let outcome = live.wait();
        assert_eq!(outcome.code, Some(8), "{}", outcome.describe());
    }

    fn the_wall_clock_kills_what_ignores_signals(world) {
        let outcome = Run::new(world).flags(["--wall", "500ms"]).sh("trap '' TERM INT HUP QUIT; while :; do sleep 0.05; done").output();
        assert_eq!(outcome.code, Some(137), "{}", outcome.describe());
        assert_eq!(outcome.verdict(), enclos_spec::Verdict::Idleness);
    }
}
