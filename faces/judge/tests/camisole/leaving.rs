//! Clients that go away.

use std::sync::atomic::Ordering;

use super::world::{World, job};
use enclos_testkit::http::{begin, finish};

#[test]
fn a_client_that_leaves_ends_its_job_and_frees_its_place() {
    let world = World::new();
    // As many as there are workers: only a place that is freed lets anybody else through.
    let (one, two) = (world.begin_waiting(), world.begin_waiting());
    drop((one, two));
    assert_eq!(world.script("print 1", "")["tests"][0]["stdout"], "1\n");
    world.until(|world| world.running() == 0, "both jobs ended");
    assert_eq!(world.judge.cancelled.load(Ordering::SeqCst), 2);
}

#[test]
fn a_client_that_leaves_the_queue_is_never_run() {
    let world = World::new();
    let (one, two) = (world.begin_waiting(), world.begin_waiting());
    let third = begin(&world.address, "POST", "/run", &[], job("wait", "").as_bytes());
    world.until(|world| world.queue.metrics().waiting == 1, "it waits");
    drop(third);
    world.until(|world| world.queue.metrics().waiting == 0, "it left the queue");
    assert_eq!(world.running(), 2);
    drop((one, two));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_test_run_ends_it() {
    let world = World::new();
    let stream = begin(&world.address, "POST", "/run", &[], job("wait", ", \"tests\": [{}, {}, {}]").as_bytes());
    world.until(|world| world.running() == 1, "it runs");
    drop(stream);
    world.until(|world| world.running() == 0, "it ended");
    assert_eq!(world.judge.cancelled.load(Ordering::SeqCst), 1);
}

#[test]
fn every_client_gets_its_own_answer() {
    let world = World::new();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for number in 0..50 {
                    let text = format!("{client}-{number}");
                    let stream = begin(&world.address, "POST", "/run", &[], job(&format!("print {text}"), "").as_bytes());
                    assert_eq!(finish(stream).json()["tests"][0]["stdout"], format!("{text}\n"));
                }
            });
        }
    });
}
