//! The end of a server: asked for, insisted on, or without a word.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::world::{World, descendants, groups};
use enclos_testkit::http::{PATIENCE, begin, finish};

fn sleeping(world: &World, seconds: f64) -> std::net::TcpStream {
    let before = world.figure("enclos_queue_running");
    let job = json!({"lang": "python", "source": format!("import time; time.sleep({seconds}); print('slept')")});
    let stream = begin(&world.address, "POST", "/run", &[], job.to_string().as_bytes());
    world.until(|world| world.figure("enclos_queue_running") > before, "the job runs");
    stream
}

#[test]
fn sigterm_lets_work_end_and_takes_no_more() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut world = World::new();
        let stream = sleeping(&world, 1.5);
        world.signal(signal);
        world.until(|world| std::net::TcpStream::connect(&world.address).is_err(), "it no longer listens");
        let answer = finish(stream).json();
        assert_eq!(answer["tests"][0]["stdout"], "slept\n", "{answer}");
        let ended = world.ended(PATIENCE).expect("it ends");
        assert!(ended.success(), "{ended:?} {}", world.log());
    }
}

#[test]
fn work_that_does_not_end_is_cancelled_after_the_drain() {
    let mut world = World::with(&["--set", "server.drain-timeout=300ms"]);
    let stream = sleeping(&world, 14.0);
    world.signal(Signal::TERM);
    let answer = finish(stream);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert!(world.ended(PATIENCE).expect("it ends").success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut world = World::with(&["--set", "server.drain-timeout=10m"]);
    let _stream = sleeping(&world, 14.0);
    world.signal(Signal::TERM);
    world.until(|world| world.log().contains("no more work is taken"), "it drains");
    world.signal(Signal::TERM);
    assert!(world.ended(PATIENCE).is_some_and(|status| status.success()), "{}", world.log());
}

#[test]
fn a_killed_server_leaves_no_process_and_the_next_one_works() {
    let world = World::new();
    let _streams = [sleeping(&world, 14.0), sleeping(&world, 14.0)];
    world.until(|world| descendants(world.pid()).len() > 2, "there are a launcher and sandboxes");
    let children = descendants(world.pid());
    let killed = world.pid();
    let state = world.kill();
    let start = std::time::Instant::now();
    let alive = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while children.iter().any(alive) {
        assert!(start.elapsed() < PATIENCE, "left: {:?}", children.iter().filter(|pid| alive(pid)).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(10));
    }
    let world = World::start(state, &[]);
    assert_eq!(groups(killed), Vec::<std::path::PathBuf>::new());
    assert_eq!(world.python("print(42)", json!({}))["stdout"], "42\n");
}

#[test]
fn a_server_whose_launcher_is_gone_ends_so_that_it_is_started_again() {
    let mut world = World::new();
    let launcher = descendants(world.pid())[0];
    kill_process(Pid::from_raw(i32::try_from(launcher).unwrap()).unwrap(), Signal::KILL).unwrap();
    let ended = world.ended(PATIENCE).expect("it ends");
    assert!(!ended.success() && world.log().contains("the launcher is gone"), "{ended:?} {}", world.log());
}
