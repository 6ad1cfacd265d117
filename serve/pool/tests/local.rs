//! The queue with real threads: nothing is lost, doubled or unfair, whatever is cancelled and whenever it ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use enclos_pool::{Cancelled, Drained, Entry, Lease, Local, Position, Promise, Queue, Refusal, Settings, promise};
use proptest::prelude::*;

/// Long enough for a loaded machine; no test waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

type Task = Box<dyn FnOnce(&Lease) + Send>;

fn start(cores: usize, capacity: usize, per_key: usize) -> Local<Task> {
    Local::start(Settings { cores, capacity, per_key, bytes: 1000 }, |task: Task, lease| task(lease)).unwrap()
}

fn entry(key: &str, weight: usize, work: impl FnOnce(&Lease) + Send + 'static) -> Entry<Task> {
    Entry { key: key.to_owned(), weight, size: 0, work: Box::new(work), on_cancel: Arc::new(|| {}) }
}

/// A job that holds its cores until the returned sender is used or dropped.
fn held(key: &str, weight: usize) -> (Entry<Task>, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    let (started, has_started) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let entry = entry(key, weight, move |lease| {
        started.send(lease.cores).unwrap();
        let _ = ended.recv();
    });
    (entry, has_started, end)
}

#[test]
fn every_job_runs_once_also_from_many_threads() {
    let queue = Arc::new(start(4, 10_000, 10_000));
    let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..4000).map(|_| AtomicUsize::new(0)).collect());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (queue, counts) = (Arc::clone(&queue), Arc::clone(&counts));
            std::thread::spawn(move || {
                for number in (thread..4000).step_by(4) {
                    let counts = Arc::clone(&counts);
                    let work = move |_: &Lease| {
                        counts[number].fetch_add(1, Ordering::SeqCst);
                    };
                    queue.submit(entry(&(number % 7).to_string(), number % 5, work)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let drained = queue.drain(PATIENCE);
    assert_eq!((drained.dropped, drained.cancelled), (0, 0));
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    let metrics = queue.metrics();
    assert_eq!((metrics.accepted, metrics.finished, metrics.waits.count()), (4000, 4000, 4000));
    assert_eq!((metrics.waiting, metrics.running, metrics.cores_in_use, metrics.keys), (0, 0, 0, 0));
}

#[test]
fn the_cores_in_use_never_pass_those_there_are() {
    let queue = start(3, 1000, 1000);
    let (in_use, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for number in 0..300 {
        let (in_use, most) = (Arc::clone(&in_use), Arc::clone(&most));
        let work = move |lease: &Lease| {
            let now = in_use.fetch_add(lease.cores, Ordering::SeqCst) + lease.cores;
            most.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            in_use.fetch_sub(lease.cores, Ordering::SeqCst);
        };
        queue.submit(entry("a", 1 + number % 4, work)).unwrap();
    }
    queue.drain(PATIENCE);
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[test]
fn a_wide_job_gets_what_is_free_and_does_not_wait_for_more() {
    let queue = start(3, 10, 10);
    let (narrow, narrow_cores, _narrow) = held("a", 1);
    queue.submit(narrow).unwrap();
    assert_eq!(narrow_cores.recv_timeout(PATIENCE), Ok(1));
    let (wide, wide_cores, _wide) = held("a", 8);
    queue.submit(wide).unwrap();
    assert_eq!(wide_cores.recv_timeout(PATIENCE), Ok(2));
    assert_eq!(queue.metrics().cores_in_use, 3);
}

#[test]
fn a_key_with_long_jobs_leaves_the_others_their_share() {
    let queue = start(2, 100, 100);
    let order = Arc::new(Mutex::new(Vec::new()));
    // The greedy key has both cores and a backlog.
    let (first, started, end) = held("greedy", 1);
    let (second, second_started, _end) = held("greedy", 1);
    queue.submit(first).unwrap();
    queue.submit(second).unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    second_started.recv_timeout(PATIENCE).unwrap();
    for (key, jobs) in [("greedy", 5), ("modest", 5)] {
        for _ in 0..jobs {
            let order = Arc::clone(&order);
            queue.submit(entry(key, 1, move |_| order.lock().unwrap().push(key))).unwrap();
        }
    }
    let (last, last_started, _last) = held("modest", 1);
    queue.submit(last).unwrap();
    // One greedy job still holds a core: all of the modest key's come first on the other.
    drop(end);
    last_started.recv_timeout(PATIENCE).unwrap();
    assert_eq!(*order.lock().unwrap(), ["modest"; 5]);
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let queue = start(1, 3, 2);
    let (running, started, _end) = held("a", 1);
    queue.submit(running).unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    queue.submit(entry("a", 1, |_| {})).unwrap();
    queue.submit(entry("a", 1, |_| {})).unwrap();
    let refusal = queue.submit(entry("a", 1, |_| {})).unwrap_err();
    assert!(matches!(refusal, Refusal::KeyFull { waiting: 2, .. }), "{refusal}");
    queue.submit(entry("b", 1, |_| {})).unwrap();
    let refusal = queue.submit(entry("c", 1, |_| {})).unwrap_err();
    assert!(matches!(refusal, Refusal::Full { waiting: 3, .. }) && refusal.retry_after() >= Duration::from_secs(1), "{refusal}");
    // What was promised before this process started has a place all the same.
    queue.readmit(entry("c", 1, |_| {})).unwrap();
    let metrics = queue.metrics();
    assert_eq!((metrics.waiting, metrics.running, metrics.refused, metrics.keys), (4, 1, 2, 3));
}

#[test]
fn what_waits_holds_no_more_memory_than_it_may() {
    let queue = start(1, 10, 10);
    let (running, started, end) = held("a", 1);
    queue.submit(Entry { size: 5000, ..running }).unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    // Alone even a large one may wait.
    let large = queue.submit(Entry { size: 5000, ..entry("a", 1, |_| {}) }).unwrap();
    assert!(matches!(queue.submit(Entry { size: 1, ..entry("a", 1, |_| {}) }), Err(Refusal::Full { waiting: 1, .. })));
    queue.cancel(large);
    queue.submit(Entry { size: 600, ..entry("a", 1, |_| {}) }).unwrap();
    queue.submit(Entry { size: 400, ..entry("a", 1, |_| {}) }).unwrap();
    assert!(matches!(queue.submit(Entry { size: 1, ..entry("b", 1, |_| {}) }), Err(Refusal::Full { waiting: 2, .. })));
    assert_eq!(queue.metrics().bytes, 1000);
    drop(end);
    queue.drain(PATIENCE);
    assert_eq!(queue.metrics().bytes, 0);
}

#[test]
fn a_job_that_waits_is_dropped_by_cancel_and_one_that_runs_is_told_once() {
    let queue = start(1, 10, 10);
    let told = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = mpsc::channel::<()>();
    let (tell, both) = (Arc::clone(&told), Arc::new(Barrier::new(2)));
    let started = Arc::clone(&both);
    let on_cancel = move || {
        tell.fetch_add(1, Ordering::SeqCst);
        let _ = stop.send(());
    };
    let work = move |_: &Lease| {
        started.wait();
        stopped.recv_timeout(PATIENCE).unwrap();
        // Not over before it was cancelled twice.
        started.wait();
    };
    let running = Entry { on_cancel: Arc::new(on_cancel), ..entry("a", 1, work) };
    let id = queue.submit(running).unwrap();
    let (answer, pending): (Promise<()>, _) = promise();
    let waiting = queue.submit(entry("a", 1, move |_| answer.keep(()))).unwrap();
    both.wait();
    assert!(matches!(queue.position(id), Some(Position::Running { .. })));
    assert!(matches!(queue.position(waiting), Some(Position::Waiting { ahead: 0, waiting: 1, .. })));
    assert_eq!(queue.cancel(waiting), Cancelled::Waiting);
    assert!(pending.wait().is_err());
    assert_eq!((queue.cancel(waiting), queue.position(waiting)), (Cancelled::Unknown, None));
    assert_eq!(queue.cancel(id), Cancelled::Running);
    assert_eq!(queue.cancel(id), Cancelled::Running);
    both.wait();
    assert_eq!((told.load(Ordering::SeqCst), queue.metrics().cancelled), (1, 2));
}

#[test]
fn a_panic_ends_its_job_alone() {
    let queue = start(1, 10, 10);
    let (answer, pending): (Promise<()>, _) = promise();
    let work = move |_: &Lease| {
        let _kept_until_the_panic = answer;
        panic!("on purpose");
    };
    queue.submit(entry("a", 1, work)).unwrap();
    assert!(pending.wait().is_err());
    let (answer, pending) = promise();
    queue.submit(entry("a", 1, move |lease| answer.keep(lease.cores))).unwrap();
    assert_eq!(pending.wait(), Ok(1));
    assert_eq!(queue.metrics().panicked, 1);
}

#[test]
fn a_drain_waits_for_what_there_is_and_refuses_the_rest() {
    let queue = Arc::new(start(1, 10, 10));
    let (running, started, end) = held("a", 1);
    queue.submit(running).unwrap();
    queue.submit(entry("a", 1, |_| {})).unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    let draining = Arc::clone(&queue);
    let drain = std::thread::spawn(move || draining.drain(PATIENCE));
    while queue.readmit(entry("b", 1, |_| {})).is_ok() {
        std::thread::yield_now();
    }
    assert!(matches!(queue.submit(entry("b", 1, |_| {})), Err(Refusal::Draining { .. })));
    drop(end);
    let drained = drain.join().unwrap();
    assert!(drained.finished >= 2 && drained.dropped == 0 && drained.cancelled == 0, "{drained:?}");
}

#[test]
fn a_drain_without_patience_drops_what_waits_and_cancels_what_runs() {
    let queue = start(1, 10, 10);
    let stop = Arc::new(AtomicBool::new(false));
    let (both, seen) = (Arc::new(Barrier::new(2)), Arc::clone(&stop));
    let started = Arc::clone(&both);
    let work = move |_: &Lease| {
        started.wait();
        while !seen.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    };
    let running = Entry { on_cancel: Arc::new(move || stop.store(true, Ordering::SeqCst)), ..entry("a", 1, work) };
    queue.submit(running).unwrap();
    both.wait();
    let (answer, pending): (Promise<()>, _) = promise();
    queue.submit(entry("a", 1, move |_| answer.keep(()))).unwrap();
    assert_eq!(queue.drain(Duration::ZERO), Drained { finished: 0, dropped: 1, cancelled: 1 });
    assert!(pending.wait().is_err());
}

#[test]
fn a_dropped_queue_ends_its_threads() {
    let alive = Arc::new(());
    let held_by_handler = Arc::clone(&alive);
    let settings = Settings { cores: 2, capacity: 10, per_key: 10, bytes: 0 };
    let queue: Local<Task> = Local::start(settings, move |task: Task, lease| {
        let _ = &held_by_handler;
        task(lease);
    })
    .unwrap();
    queue.submit(entry("a", 1, |_| {})).unwrap();
    drop(queue);
    assert_eq!(Arc::strong_count(&alive), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_is_cancelled_every_job_ran_once_or_was_cancelled(
        cores in 1..4usize,
        jobs in proptest::collection::vec((0..3u8, 0..4usize, any::<bool>()), 1..60),
    ) {
        let queue = start(cores, 1000, 1000);
        let ran: Arc<Mutex<BTreeMap<usize, usize>>> = Arc::default();
        let mut cancelled = Vec::new();
        for (number, (key, weight, cancel)) in jobs.iter().enumerate() {
            let ran = Arc::clone(&ran);
            let id = queue.submit(entry(&key.to_string(), *weight, move |_| *ran.lock().unwrap().entry(number).or_default() += 1)).unwrap();
            if *cancel && queue.cancel(id) == Cancelled::Waiting {
                cancelled.push(number);
            }
        }
        queue.drain(PATIENCE);
        let ran = ran.lock().unwrap();
        for number in 0..jobs.len() {
            let expected = if cancelled.contains(&number) { None } else { Some(&1) };
            prop_assert_eq!(ran.get(&number), expected, "job {}", number);
        }
    }
}
