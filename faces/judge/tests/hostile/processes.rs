//! Too many processes, processes that outlive, signals to others. Dossier rows 1, 2, 12, 19.

use std::time::{Duration, Instant};

use enclos_judge::api::Verdict;

use crate::case::Case;

/// Init counts where no pids controller holds the limit.
fn refused_at_the_limit(said: &str) {
    let fine = ["refused after 19: EAGAIN\n", "refused after 18: EAGAIN\n"];
    assert!(fine.contains(&said), "{said}");
}

#[test]
fn fork_bomb_c() {
    refused_at_the_limit(&Case::new("c", include_str!("programs/fork_bomb.c")).run().is(Verdict::RuntimeError).said());
}

#[test]
fn fork_bomb_python() {
    refused_at_the_limit(&Case::new("python", include_str!("programs/fork_bomb.py")).run().is(Verdict::RuntimeError).said());
}

#[test]
fn fork_storm_c_counts_the_time_of_the_dead() {
    // The kernel gives the memory of the dead back late: what is asked here is whose time counts.
    let case = Case::new("c", include_str!("programs/fork_storm.c")).limits(|l| l.memory = Some(512 << 20));
    case.run().is(Verdict::TimedOut).by("cpu");
}

#[test]
fn daemon_c_dies_with_its_parent() {
    let started = Instant::now();
    let ended = Case::new("c", include_str!("programs/daemon.c")).run();
    assert!(started.elapsed() < Duration::from_secs(15), "it was waited for");
    ended.is(Verdict::Ok).prints("parent done\n");
}

#[test]
fn daemon_c_does_not_touch_what_is_taken_afterwards() {
    let mut case = Case::new("c", include_str!("programs/daemon.c"));
    case.job.tests[0].files_out = vec!["result".to_owned()];
    let ended = case.run().is(Verdict::Ok);
    // Whole, empty, or not there yet: but taken when nobody could write any more.
    match &ended.step().files[0].contents {
        Ok(bytes) => assert!(matches!(&bytes[..], b"" | b"orphan"), "{bytes:?}"),
        Err(why) => assert!(why.contains("No such file"), "{why}"),
    }
}

#[test]
fn signals_to_everybody_reach_nobody() {
    Case::new("c", include_str!("programs/kill_all.c")).run().is(Verdict::Ok).prints("alive\n");
}
