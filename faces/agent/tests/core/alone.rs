//! Tests that have the machine to themselves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, NewSandbox, NewSession, SandboxStatus, Verdict};
use enclos_testkit::HostState;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::world::{World, is_root};

/// Sandboxes at once, each with a shell.
const CROWD: usize = 500;
const HANDS: usize = 4;
const LONG: Duration = Duration::from_secs(60);
const KEYS: &str = "[agent]\nsandboxes = 600\n[agent.quota]\nsandboxes = 600\nsessions = 600";

/// Open files that they take of the server, generously.
const DESCRIPTORS: u64 = 10_000;

/// Allows this process as many as it may have, as the server does for itself.
fn enough_descriptors() -> bool {
    let limits = getrlimit(Resource::Nofile);
    let most = limits.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).is_ok() && most >= DESCRIPTORS
}

/// What `work` gives for every number, by several threads.
fn by_hands<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let hand = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CROWD {
                return done;
            }
            done.push((number, work(number)));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
        hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}

/// Proportional memory of what lives in sandboxes, KiB: of shells, and of everything else. Their pid namespace is not ours, by two levels or more.
fn memory() -> (u64, u64) {
    let (mut shells, mut others) = (0, 0);
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let field = |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()));
        let Some(levels) = field(&read("status"), "NSpid:") else { continue };
        if levels.split_whitespace().count() < 2 {
            continue;
        }
        let pss = field(&read("smaps_rollup"), "Pss:").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
        if read("comm").trim() == "sh" { shells += pss } else { others += pss }
    }
    (shells, others)
}

#[test]
fn five_hundred_sandboxes_with_idle_shells_live_at_once() {
    if !enough_descriptors() {
        println!("SKIP: five_hundred_sandboxes_with_idle_shells_live_at_once: this process may not have {DESCRIPTORS} open files");
        return;
    }
    let before = HostState::counts();
    let began = Instant::now();
    let world = World::with(KEYS);
    let looked_at = world.empty();
    let (idle, took, made) = (memory(), std::sync::Mutex::new(Vec::new()), AtomicBool::new(false));
    let crowd: Vec<(String, String)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !made.load(Ordering::Acquire) {
                let started = Instant::now();
                assert_eq!(world.agent.sandbox(&world.caller, &looked_at).unwrap().status, SandboxStatus::Running);
                took.lock().unwrap().push(started.elapsed());
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let crowd = by_hands(|number| {
            let id = world.start(&NewSandbox::default());
            let session = world.agent.create_session(&world.caller, &id, &NewSession::default()).unwrap().id;
            let set = world.in_session(&session, &format!("mine={number}; echo $mine > file"), LONG);
            assert_eq!((set.exit_code, set.verdict), (0, Verdict::Ended));
            (id, session)
        });
        made.store(true, Ordering::Release);
        crowd
    });
    let making = began.elapsed();
    let (shells, others) = memory();
    let cost = |now: u64, then: u64| now.saturating_sub(then) / CROWD as u64;
    let (of_shell, of_rest) = (cost(shells, idle.0), cost(others, idle.1));
    let answers = by_hands(|number| world.in_session(&crowd[number].1, "echo $mine; cat file; ls | wc -l", LONG));
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(String::from_utf8_lossy(&answer.stdout), format!("{number}\n{number}\n1\n"));
    }
    let mut took = took.into_inner().unwrap();
    took.sort_unstable();
    let slow = took[took.len() * 99 / 100];
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    // The memory of an init is for root's eyes only.
    let of_rest = if is_root() { format!("{of_rest} KiB") } else { "not to be seen by a user".to_owned() };
    println!(
        "{CROWD} sandboxes in {making:.1?}; a look meanwhile: p99 {slow:.1?} of {}; proportional memory of each: shell {of_shell} KiB, the rest {of_rest}; {descriptors} descriptors",
        took.len()
    );
    assert!(slow < Duration::from_millis(250), "looks wait for others: {slow:?}");
    by_hands(|number| world.agent.destroy(&world.caller, &crowd[number].0).unwrap());
    world.agent.destroy(&world.caller, &looked_at).unwrap();
    assert_eq!(world.agent.sandboxes(&world.caller, &Default::default(), &Default::default()).unwrap().items, []);
    let workspaces = world.directory.path().join("agent/store/workspaces");
    assert_eq!(std::fs::read_dir(workspaces).unwrap().count(), 0);
    drop(world);
    // What is taken away in the background takes a moment.
    let mut left = Vec::new();
    let ended = Instant::now();
    while ended.elapsed() < Duration::from_secs(30) {
        let now = HostState::counts();
        left = before
            .iter()
            .filter(|(kind, count)| now[*kind] > **count)
            .map(|(kind, count)| format!("{kind}: {count}, now {}", now[kind]))
            .collect();
        if left.is_empty() {
            println!("all of it gone after {:.1?}", began.elapsed());
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("left behind: {}", left.join("; "));
}
