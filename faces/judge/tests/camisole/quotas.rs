//! Keys, their quotas, and the bound of the queue.

use super::world::{Setup, World, job};
use enclos_testkit::http::{begin, finish};

/// SHA-256 of `secret` and of `other`.
const SECRETS: [&str; 2] = [
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
    "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
];

fn keyed(more: &str) -> World {
    World::with(&format!(
        "[[keys]]\nname = \"a\"\nsha256 = \"{}\"\n{more}\n[[keys]]\nname = \"b\"\nsha256 = \"{}\"",
        SECRETS[0], SECRETS[1]
    ))
}

fn run_as(world: &World, key: &str, source: &str) -> enclos_testkit::http::Response {
    world.request("POST", "/run", &[("authorization", &format!("Bearer {key}"))], job(source, "").as_bytes())
}

#[test]
fn without_a_key_there_is_nothing_but_a_welcome() {
    let world = keyed("");
    for path in ["/run", "/languages", "/system", "/test"] {
        let response = world.request("POST", path, &[], b"");
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert_eq!(response.json()["success"], false);
        let response = world.request("POST", path, &[("x-api-key", "wrong")], b"");
        assert_eq!((response.status, response.json()["error"].as_str()), (401, Some("this key is not known here")), "{path}");
    }
    assert_eq!(world.request("GET", "/", &[], b"").status, 200);
    assert_eq!(run_as(&world, "secret", "print 1").status, 200);
}

#[test]
fn a_key_that_has_enough_under_way_waits_its_turn_and_others_do_not() {
    let world = keyed("concurrent = 1");
    let stream = begin(&world.address, "POST", "/run", &[("x-api-key", "secret")], job("wait", "").as_bytes());
    world.until(|world| world.running() == 1, "the job runs");
    let refused = run_as(&world, "secret", "print 1");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(run_as(&world, "other", "print 1").status, 200);
    drop(stream);
    world.until(|world| run_as(world, "secret", "print 1").status == 200, "the place is free again");
}

#[test]
fn a_key_that_has_used_up_its_minute_is_told_when_to_come_back() {
    let world = keyed("per-minute = 2");
    assert_eq!(run_as(&world, "secret", "print 1").status, 200);
    assert_eq!(run_as(&world, "secret", "print 1").status, 200);
    let refused = run_as(&world, "secret", "print 1");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn a_full_queue_is_503_and_says_when_to_come_back() {
    let setup = Setup::default();
    let queue = enclos_pool::Settings { cores: 1, capacity: 1, per_key: 1, ..setup.queue };
    let world = Setup { queue, ..setup }.start();
    let running = world.begin_waiting();
    let waiting = begin(&world.address, "POST", "/run", &[], job("print late", "").as_bytes());
    world.until(|world| world.queue.metrics().waiting == 1, "a job waits");
    let refused = world.run(&job("print 1", ""));
    assert!(matches!(refused.status, 429 | 503), "{refused:?}");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json()["success"], false);
    // Whoever waits for nothing is answered all the same.
    assert_eq!(world.request("GET", "/", &[], b"").status, 200);
    drop(running);
    assert_eq!(finish(waiting).json()["tests"][0]["stdout"], "late\n");
}
