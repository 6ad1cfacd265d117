use std::time::Duration;

use super::*;

fn store(retention: Retention) -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("runs.sqlite"), retention).unwrap();
    (place, store)
}

fn any() -> (tempfile::TempDir, Store) {
    store(Retention::default())
}

#[test]
fn a_run_from_its_acceptance_to_its_result() {
    let (_place, store) = any();
    let token = store.accept("ann", b"ask", true).unwrap();
    let waiting = store.get("ann", &token).unwrap().unwrap();
    assert_eq!((waiting.state, &*waiting.request, waiting.result, waiting.started), (State::Waiting, &b"ask"[..], None, None));
    assert_eq!(store.begin(&token).unwrap(), Begun::Attempt(1));
    assert_eq!(store.get("ann", &token).unwrap().unwrap().state, State::Running);
    assert_eq!(store.notices().unwrap(), []);
    assert!(store.finish(&token, b"answer", "").unwrap());
    let (owner, finished) = store.notices().unwrap().pop().unwrap();
    assert_eq!((&*owner, &finished), ("ann", &store.get("ann", &token).unwrap().unwrap()));
    assert_eq!((finished.state, finished.notice), (State::Finished, Notice::Due));
    assert_eq!(finished.result.as_deref(), Some(&b"answer"[..]));
    assert!(finished.created <= finished.started.unwrap() && finished.started <= finished.ended);
    store.noticed(&token, true).unwrap();
    assert_eq!(store.get("ann", &token).unwrap().unwrap().notice, Notice::Delivered);
    assert_eq!(store.notices().unwrap(), []);
}

#[test]
fn a_run_is_its_owners_alone() {
    let (_place, store) = any();
    let token = store.accept("ann", b"ask", false).unwrap();
    assert_eq!(store.get("bob", &token).unwrap(), None);
    assert_eq!(store.cancel("bob", &token).unwrap(), Halted::Unknown);
    assert_eq!(store.get("ann", &token).unwrap().unwrap().state, State::Waiting);
    let batch = store.accept_batch("ann", &[(b"1".to_vec(), false)]).unwrap();
    assert_eq!(store.batch("bob", &batch.token).unwrap(), []);
}

#[test]
fn a_result_that_comes_after_the_cancel_is_not_taken() {
    let (_place, store) = any();
    let token = store.accept("ann", b"ask", false).unwrap();
    store.begin(&token).unwrap();
    assert_eq!(store.cancel("ann", &token).unwrap(), Halted::Now);
    assert!(!store.finish(&token, b"late", "").unwrap());
    assert_eq!(store.begin(&token).unwrap(), Begun::Ended);
    let record = store.get("ann", &token).unwrap().unwrap();
    assert_eq!((record.state, record.result), (State::Cancelled, None));
    assert_eq!(store.cancel("ann", &token).unwrap(), Halted::Already(State::Cancelled));
}

#[test]
fn the_first_result_stays() {
    let (_place, store) = any();
    let token = store.accept("ann", b"ask", false).unwrap();
    store.begin(&token).unwrap();
    assert!(store.finish(&token, b"first", "").unwrap());
    assert!(!store.finish(&token, b"second", "").unwrap());
    assert_eq!(store.get("ann", &token).unwrap().unwrap().result.as_deref(), Some(&b"first"[..]));
}

#[test]
fn the_next_server_finds_what_was_not_finished_in_its_order() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let store = Store::open(&path, Retention::default()).unwrap();
    let [ended, begun, waiting] = [b"1", b"2", b"3"].map(|request| store.accept("ann", request, false).unwrap());
    store.begin(&ended).unwrap();
    store.finish(&ended, b"answer", "").unwrap();
    store.begin(&begun).unwrap();
    drop(store);
    let store = Store::open(&path, Retention::default()).unwrap();
    let left: Vec<Token> = store.unfinished().unwrap().into_iter().map(|run| run.token).collect();
    assert_eq!(left, [begun, waiting]);
    assert_eq!(store.begin(&begun).unwrap(), Begun::Attempt(2));
    assert_eq!(store.get("ann", &ended).unwrap().unwrap().result.as_deref(), Some(&b"answer"[..]));
}

#[test]
fn a_run_under_which_servers_die_is_given_up_but_an_orderly_end_does_not_count() {
    let (_place, store) = any();
    let token = store.accept("ann", b"ask", false).unwrap();
    for _ in 0..5 {
        assert_eq!(store.begin(&token).unwrap(), Begun::Attempt(1));
        store.put_back(&token).unwrap();
    }
    for attempt in 1..=Store::ATTEMPTS {
        assert_eq!(store.begin(&token).unwrap(), Begun::Attempt(attempt));
    }
    assert_eq!(store.begin(&token).unwrap(), Begun::GivenUp);
}

#[test]
fn a_second_server_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let first = Store::open(&path, Retention::default()).unwrap();
    let refused = Store::open(&path, Retention::default()).unwrap_err();
    assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
    drop(first);
    Store::open(&path, Retention::default()).unwrap();
}

#[test]
fn a_later_format_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    drop(Store::open(&path, Retention::default()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&path, Retention::default()).unwrap_err(), StoreError::Later { found: 99, .. }));
}

#[test]
fn the_file_is_the_users_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let (place, store) = any();
    store.accept("ann", b"ask", false).unwrap();
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn retention_takes_ended_runs_by_age_count_and_bytes_and_never_others() {
    let ended = |store: &Store, bytes: usize| {
        let token = store.accept("ann", b"", false).unwrap();
        store.begin(&token).unwrap();
        store.finish(&token, &vec![0; bytes], "").unwrap();
        token
    };
    let left = |store: &Store, tokens: &[Token]| tokens.iter().map(|token| store.get("ann", token).unwrap().is_some()).collect::<Vec<_>>();

    let (_place, store_by_count) = store(Retention { runs: 2, ..Retention::default() });
    let waiting = store_by_count.accept("ann", b"", false).unwrap();
    let tokens = [(); 4].map(|()| ended(&store_by_count, 1));
    assert_eq!(store_by_count.prune().unwrap(), 2);
    assert_eq!(left(&store_by_count, &tokens), [false, false, true, true]);
    assert!(store_by_count.get("ann", &waiting).unwrap().is_some());

    let (_place, store_by_bytes) = store(Retention { bytes: 100, ..Retention::default() });
    let tokens = [40, 50, 60, 30].map(|bytes| ended(&store_by_bytes, bytes));
    store_by_bytes.prune().unwrap();
    assert_eq!(left(&store_by_bytes, &tokens), [false, false, true, true]);

    let (_place, store_by_age) = store(Retention { age: Duration::from_secs(60), ..Retention::default() });
    let tokens = [ended(&store_by_age, 1)];
    let mut inner = store_by_age.lock();
    assert_eq!(store_by_age.prune_at(&mut inner, now() + 30_000).unwrap(), 0);
    assert_eq!(store_by_age.prune_at(&mut inner, now() + 90_000).unwrap(), 1);
    drop(inner);
    assert_eq!(left(&store_by_age, &tokens), [false]);
}

#[test]
fn a_batch_keeps_its_order_and_can_be_given_back() {
    let (_place, store) = any();
    let asked: Vec<_> = (0..50u8).map(|n| (vec![n], n % 2 == 0)).collect();
    let batch = store.accept_batch("ann", &asked).unwrap();
    let runs: Vec<Token> = store.batch("ann", &batch.token).unwrap().iter().map(|record| record.token).collect();
    assert_eq!(runs, batch.runs);
    let third = store.get("ann", &batch.runs[2]).unwrap().unwrap();
    assert_eq!((third.batch, &*third.request, third.notice), (Some(batch.token), &[2][..], Notice::Due));
    store.begin(&batch.runs[0]).unwrap();
    store.finish(&batch.runs[0], b"long", "short").unwrap();
    let first = store.batch("ann", &batch.token).unwrap().remove(0);
    assert_eq!((first.state, first.result, first.summary.as_deref()), (State::Finished, None, Some("short")));
    store.forget_batch(&batch.token).unwrap();
    assert_eq!(store.unfinished().unwrap(), []);
    assert_eq!(store.get("ann", &batch.runs[0]).unwrap(), None);
}
