//! Asynchronous runs: tokens, waiting, cancelling, deleting, and a server that ends in between.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::fake::PATIENCE;
use super::world::{Setup, World, job, problem};

#[test]
fn a_token_gives_the_result() {
    let world = World::new();
    let token = world.accept("print later");
    let record = world.ended(&token);
    assert_eq!((&record["status"], &record["token"]), (&"finished".into(), &token.as_str().into()));
    assert_eq!(record["result"]["tests"][0]["run"]["stdout"]["data"], "later\n");
    assert_eq!((&record["problem"], &record["callback"], &record["batch"]), (&().into(), &().into(), &().into()));
    let times = ["created_ms", "started_ms", "ended_ms"].map(|name| record[name].as_u64().unwrap());
    assert!(times.is_sorted() && times[0] > 1_600_000_000_000, "{times:?}");
    assert_eq!(world.record(&token), record);
}

#[test]
fn asking_in_the_request_is_the_same() {
    let world = World::new();
    let response = world.post("/v1/runs", &job("", r#", "async": true"#));
    assert_eq!(response.status, 202);
    let token = response.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(world.ended(&token)["status"], "finished");
}

#[test]
fn where_a_run_is_can_be_seen() {
    let queue = enclos_pool::Settings { cores: 1, ..enclos_pool::Settings::of_this_host() };
    let world = Setup { queue, ..Setup::default() }.start();
    let first = world.accept("wait");
    world.until(|world| world.record(&first)["status"] == "running", "it runs");
    let [second, third] = [world.accept("print 2"), world.accept("print 3")];
    let record = world.record(&third);
    assert_eq!((&record["status"], &record["place"]["ahead"], &record["place"]["waiting"]), (&"waiting".into(), &1.into(), &2.into()));
    assert_eq!(world.record(&second)["place"]["ahead"], 0);
    let response = world.post(&format!("/v1/runs/{first}/cancel"), "");
    assert_eq!((response.status, &response.json()["status"]), (200, &"cancelled".into()));
    assert_eq!(world.ended(&third)["status"], "finished");
}

#[test]
fn who_waits_is_woken_by_the_end() {
    let world = World::new();
    let token = world.accept("sleep 300");
    let start = Instant::now();
    let record = world.ended(&token);
    assert_eq!(record["status"], "finished");
    assert!(start.elapsed() < PATIENCE, "the wait of 60 s was cut short");
    let running = world.accept("wait");
    assert_ne!(world.get(&format!("/v1/runs/{running}?wait=1")).json()["status"], "finished");
    for wait in ["61", "-1", "x", ""] {
        let response = world.get(&format!("/v1/runs/{running}?wait={wait}"));
        assert_eq!((response.status, &*problem(&response).0), (400, "invalid-field"), "{wait}");
    }
}

#[test]
fn a_cancelled_run_stays_cancelled_and_a_deleted_one_is_gone() {
    let world = World::new();
    let token = world.accept("wait");
    world.until(|world| world.running() == 1, "it runs");
    world.post(&format!("/v1/runs/{token}/cancel"), "");
    world.until(|world| world.running() == 0, "it has ended");
    assert_eq!(world.judge.cancelled.load(Ordering::SeqCst), 1);
    assert_eq!(world.ended(&token)["status"], "cancelled");
    // Again it changes nothing.
    assert_eq!(world.post(&format!("/v1/runs/{token}/cancel"), "").json()["status"], "cancelled");

    let running = world.accept("wait");
    world.until(|world| world.running() == 1, "it runs");
    let ended = world.accept("print 1");
    world.ended(&ended);
    for token in [running, ended, token] {
        let path = format!("/v1/runs/{token}");
        assert_eq!(world.request("DELETE", &path, &[], "").status, 204);
        assert_eq!((world.get(&path).status, world.request("DELETE", &path, &[], "").status), (404, 404));
    }
    world.until(|world| world.running() == 0, "it has ended");
}

#[test]
fn a_run_that_cannot_be_carried_out_has_failed_with_a_problem() {
    let world = World::new();
    for source in ["break", "panic"] {
        let token = world.accept(source);
        if source == "panic" {
            // What the judge left half done is taken up by the next server.
            continue;
        }
        let record = world.ended(&token);
        assert_eq!((&record["status"], &record["result"]), (&"failed".into(), &().into()));
        assert_eq!((&record["problem"]["type"], &record["problem"]["status"]), (&"urn:enclos:problem:internal".into(), &500.into()));
    }
}

#[test]
fn what_the_judge_would_refuse_is_refused_before_it_is_accepted() {
    let world = World::new();
    for (body, field) in [
        (r#"{"language": "nope", "source": ""}"#.to_owned(), "language"),
        (job("", r#", "compile": {"limits": {"processes": 9007199254740991}}"#), "compile.limits.processes"),
        (job("", r#", "callback": {"url": "http://example.org/"}"#), "callback"),
    ] {
        let response = world.post("/v1/runs?wait=false", &body);
        assert_eq!((response.status, problem(&response).2.as_deref()), (422, Some(field)), "{body}");
    }
}

#[test]
fn the_next_server_has_the_results_and_does_what_is_left() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let world = World::on(&path);
    let ended = world.accept("print ended\ncount");
    let before = world.ended(&ended);
    let [running, more] = [world.accept("wait"), world.accept("wait")];
    world.until(|world| world.running() == 2, "they run");
    let waiting = world.accept("print waiting");
    for token in [&running, &more] {
        // Cancelled ones are not taken up again.
        assert_eq!(world.record(token)["status"], "running");
    }
    world.post(&format!("/v1/runs/{more}/cancel"), "");
    drop(world);

    let world = World::on(&path);
    assert_eq!(world.record(&ended), before, "the result is the same");
    assert_eq!(world.ended(&waiting)["result"]["verdict"], "OK");
    assert_eq!(world.record(&more)["status"], "cancelled");
    world.until(|world| world.record(&running)["status"] == "running", "it is taken up");
    world.request("DELETE", &format!("/v1/runs/{running}"), &[], "");
}

#[test]
fn without_a_place_nothing_is_accepted() {
    let queue = enclos_pool::Settings { cores: 1, capacity: 1, per_key: 1, bytes: 1 << 20 };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let world = Setup { queue, store: Some(path.clone()), ..Setup::default() }.start();
    let first = world.accept("wait");
    world.until(|world| world.running() == 1, "it runs");
    let second = world.accept("print 2");
    let response = world.post("/v1/runs?wait=false", &job("print 3", ""));
    assert_eq!((response.status, &*problem(&response).0), (503, "queue-full"));
    let response = world.post("/v1/batches", &format!("{{\"runs\": [{0}, {0}]}}", job("print 4", "")));
    assert_eq!((response.status, &*problem(&response).0), (503, "queue-full"));
    drop(world);
    let store = enclos_pool::Store::open(&path, enclos_pool::Retention::default()).unwrap();
    let left: Vec<String> = store.unfinished().unwrap().iter().map(|run| run.token.to_string()).collect();
    assert_eq!(left, [first, second]);
}
