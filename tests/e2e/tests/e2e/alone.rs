//! Tests that look at the whole host, and so must run while no other test does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use enclos_testkit::{HostState, Run, World};
use enclos_tests_e2e::both;

/// How many lives; `ENCLOS_LIVES` says otherwise. Fewer in a debug build, whose tool is slow.
fn lives() -> u32 {
    let asked = std::env::var("ENCLOS_LIVES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(if cfg!(debug_assertions) { 400 } else { 10_000 })
}

both! {
    fn lives_10000(world) {
        many_lives(world, lives());
    }
}

/// Whole lives at concurrency 8, of several kinds; afterwards the host has no more of anything than before.
fn many_lives(world: &World, count: u32) {
    let kinds: &[(&[&str], &str, &[i32])] = &[
        (&[], "exit 0", &[0]),
        (&["--memory", "64M", "--processes", "20", "--best-effort"], "sleep 30 & exit 3", &[3]),
        (&["--output", "1000"], "yes | head -c 10000000", &[137, 141]),
        (&["--tmpfs", "/mnt", "--net", "loopback"], "(setsid sleep 30 &) ; echo x > /tmp/x; exit 4", &[4]),
    ];
    // Where one process runs all tests, root's and the user's turn must not count each other.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = HostState::counts();
    let marked = HostState::take(&world.mark);
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let (flags, script, statuses) = kinds[number as usize % kinds.len()];
                    let outcome = Run::new(world).flags(flags.iter().copied()).sh(script).without_report().output();
                    assert!(outcome.code.is_some_and(|code| statuses.contains(&code)), "life {number}: {}", outcome.describe());
                }
            });
        }
    });
    assert_eq!(marked.settled(&world.mark), Ok(()));
    let started = Instant::now();
    loop {
        let after = HostState::counts();
        let more: Vec<_> = after
            .iter()
            .filter(|(kind, count)| **count > before[**kind])
            .map(|(kind, n)| format!("{kind}: {} before, {n} after", before[kind]))
            .collect();
        if more.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "after {count} lives: {}", more.join(", "));
        std::thread::sleep(Duration::from_millis(100));
    }
}
