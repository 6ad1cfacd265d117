//! Synchronous runs: what comes back, exactly, and what is refused, by name.

use super::world::{JSON, Setup, World, job, problem};
use enclos_testkit::http;

#[test]
fn the_result_of_a_run_is_whole() {
    let world = World::new();
    let answer = world.run(&job("print hello\nerror oops", ""));
    assert_eq!((&answer["verdict"], &answer["score"], &answer["points"]), (&"OK".into(), &1.0.into(), &1.0.into()));
    let test = &answer["tests"][0];
    assert_eq!((&test["name"], &test["verdict"]), (&"test000".into(), &"OK".into()));
    let run = &test["run"];
    assert_eq!(run["stdout"], serde_json::json!({"data": "hello\n", "encoding": "utf-8", "truncated": false}));
    assert_eq!(run["stderr"]["data"], "oops\n");
    assert_eq!((&run["cpu_us"], &run["wall_us"], &run["memory_bytes"]), (&16_500.into(), &20_000.into(), &(5 << 20).into()));
    assert_eq!((&run["exit_code"], &run["signal"], &run["evidence"]), (&0.into(), &().into(), &().into()));
    assert_eq!((&answer["compile"], &test["check"]), (&().into(), &().into()));
}

#[test]
fn a_verdict_comes_with_its_evidence_in_the_words_of_a_request() {
    let answer = World::new().run(&job("exit 3", ""));
    assert_eq!(answer["verdict"], "RUNTIME_ERROR");
    let evidence = &answer["tests"][0]["run"]["evidence"];
    assert_eq!((&evidence["limit"], &evidence["unit"], &evidence["source"]), (&"memory_bytes".into(), &"bytes".into(), &"wait4".into()));
}

#[test]
fn bytes_that_are_no_text_are_exact_both_ways() {
    let answer = World::new().run(&job(
        "bytes\necho",
        r#", "tests": [{"stdin": {"data": "gAE=", "encoding": "base64"}, "expected": {"data": "/wAKgAE=", "encoding": "base64"}}]"#,
    ));
    let stdout = &answer["tests"][0]["run"]["stdout"];
    assert_eq!((&stdout["data"], &stdout["encoding"]), (&"/wAKgAE=".into(), &"base64".into()));
    assert_eq!(answer["tests"][0]["check"]["verdict"], "OK");
}

#[test]
fn arguments_files_points_and_subtasks_arrive() {
    let answer = World::new().run(&job(
        "arguments\nfiles",
        r#", "run": {"arguments": ["a b", "'"]}, "tests": [
            {"name": "first", "subtask": "small", "points": 2.5, "files_in": [{"name": "in/a", "contents": "A"}], "files_out": ["in/a", "b"]},
            {"arguments": [], "expected": "other"}]"#,
    ));
    let [first, second] = [&answer["tests"][0], &answer["tests"][1]];
    assert_eq!((&first["name"], &first["subtask"], &first["score"]), (&"first".into(), &"small".into(), &2.5.into()));
    assert_eq!(first["run"]["stdout"]["data"], "[\"a b\", \"'\"]\n");
    let files = &first["run"]["files"];
    assert_eq!((&files[0]["name"], &files[0]["contents"]["data"], &files[0]["missing"]), (&"in/a".into(), &"A".into(), &().into()));
    assert_eq!((&files[1]["contents"], &files[1]["missing"]), (&().into(), &"missing".into()));
    assert_eq!(second["run"]["stdout"]["data"], "[]\n");
    assert_eq!((&answer["verdict"], &answer["score"], &answer["points"]), (&"WRONG_ANSWER".into(), &2.5.into(), &3.5.into()));
}

#[test]
fn tests_after_the_first_failure_can_be_skipped() {
    let answer = World::new().run(&job("exit 1", r#", "stop_at_first_failure": true, "tests": [{}, {}]"#));
    assert_eq!((&answer["tests"][1]["verdict"], &answer["tests"][1]["run"]), (&"SKIPPED".into(), &().into()));
}

#[test]
fn what_does_not_compile_has_no_tests() {
    let answer = World::new().run(r#"{"language": "FakeC", "source": "uncompilable"}"#);
    assert_eq!((&answer["verdict"], &answer["compile"]["stderr"]["data"]), (&"COMPILE_ERROR".into(), &"line 1: no\n".into()));
    assert_eq!(answer["tests"], serde_json::json!([]));
}

#[test]
fn a_bad_request_is_refused_by_field() {
    let world = World::new();
    for (body, status, kind, field, says) in [
        ("", 400, "malformed", None, "not JSON"),
        ("{\"language\": \"fake\"", 400, "malformed", None, "EOF"),
        ("[]", 400, "invalid-field", None, "an object"),
        ("{}", 400, "invalid-field", Some("language"), "missing"),
        (r#"{"language": "fake", "source": "", "tset": []}"#, 400, "invalid-field", Some("tset"), "expected one of"),
        (
            r#"{"language": "fake", "source": "", "tests": [{"limits": {"cpu_ms": -1}}]}"#,
            400,
            "invalid-field",
            Some("tests[0].limits.cpu_ms"),
            "from 1",
        ),
        (r#"{"language": "fake"}"#, 422, "refused", Some("source"), "write the program here"),
        (r#"{"language": "nope", "source": ""}"#, 422, "unknown-language", Some("language"), "did you mean \"fake\""),
        (r#"{"language": "Missing", "source": ""}"#, 422, "missing-language", Some("language"), "missing-package"),
        (
            r#"{"language": "fake", "source": "", "tests": [{}, {"limits": {"memory_bytes": 9007199254740991}}]}"#,
            422,
            "refused",
            Some("tests[1].limits.memory_bytes"),
            "is greater than this server allows",
        ),
        (
            r#"{"language": "fake", "source": "", "callback": {"url": "http://localhost"}}"#,
            422,
            "refused",
            Some("callback"),
            "asynchronous",
        ),
    ] {
        let response = world.post("/v1/runs", body);
        let (found_kind, detail, found_field) = problem(&response);
        assert_eq!((response.status, &*found_kind, found_field.as_deref()), (status, kind, field), "{body}: {detail}");
        assert!(detail.contains(says), "{body}: {detail}");
    }
}

#[test]
fn a_query_is_read_strictly_too() {
    let world = World::new();
    for query in ["wait=maybe", "wiat=false", "wait=false&wait=true"] {
        let response = world.post(&format!("/v1/runs?{query}"), &job("", ""));
        assert_eq!((response.status, &*problem(&response).0), (400, "invalid-field"), "{query}");
    }
    assert_eq!(world.post("/v1/runs?wait=true", &job("", "")).status, 200);
}

#[test]
fn a_body_that_does_not_say_it_is_json_is_refused() {
    let world = World::new();
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]] {
        let response = world.request("POST", "/v1/runs", headers, &job("", ""));
        assert_eq!((response.status, &*problem(&response).0), (415, "media-type"), "{headers:?}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let world = World::with("[judge.native]\nmax-body-size = 1000");
    assert_eq!(world.post("/v1/runs", &job(&"x".repeat(900), "")).status, 200);
    let response = world.post("/v1/runs", &job(&"x".repeat(1000), ""));
    assert_eq!((response.status, &*problem(&response).0), (413, "too-large"));
}

#[test]
fn faults_of_the_server_tell_nothing_of_it_and_harm_nobody_else() {
    let world = World::new();
    for source in ["break", "panic"] {
        let response = world.post("/v1/runs", &job(source, ""));
        let (kind, detail, _) = problem(&response);
        assert!(matches!((response.status, &*kind), (500, "internal") | (503, "going-down")), "{source}: {response:?}");
        assert!(!detail.contains("EIO"), "{detail}");
    }
    assert_eq!(world.run(&job("print on", ""))["verdict"], "OK");
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let queue = enclos_pool::Settings { cores: 1, capacity: 1, per_key: 1, bytes: 1 << 20 };
    let world = Setup { queue, ..Setup::default() }.start();
    let running = http::begin(&world.address, "POST", "/v1/runs", JSON, job("wait", "").as_bytes());
    world.until(|world| world.running() == 1, "the first runs");
    let waiting = http::begin(&world.address, "POST", "/v1/runs", JSON, job("wait", "").as_bytes());
    world.until(|world| world.queue.metrics().waiting == 1, "the second waits");
    let response = world.post("/v1/runs", &job("", ""));
    assert_eq!((response.status, &*problem(&response).0), (503, "queue-full"));
    assert!(response.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    drop((running, waiting));
}

#[test]
fn a_client_that_goes_away_frees_its_place_at_once() {
    let queue = enclos_pool::Settings { cores: 1, capacity: 5, per_key: 5, bytes: 1 << 20 };
    let world = Setup { queue, ..Setup::default() }.start();
    let running = http::begin(&world.address, "POST", "/v1/runs", JSON, job("wait", "").as_bytes());
    world.until(|world| world.running() == 1, "the first runs");
    let waiting = http::begin(&world.address, "POST", "/v1/runs", JSON, job("wait", "").as_bytes());
    world.until(|world| world.queue.metrics().waiting == 1, "the second waits");
    drop(waiting);
    world.until(|world| world.queue.metrics().waiting == 0, "the second is gone");
    drop(running);
    world.until(|world| world.running() == 0, "the first has ended");
    assert_eq!(world.run(&job("print next", ""))["verdict"], "OK");
}

#[test]
fn many_at_once_are_not_mixed_up() {
    let world = World::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for number in 0..40 {
                    let word = format!("{thread}-{number}");
                    let answer = world.run(&job(&format!("print {word}\necho"), &format!(r#", "tests": [{{"stdin": "{word}"}}]"#)));
                    assert_eq!(answer["tests"][0]["run"]["stdout"]["data"], format!("{word}\n{word}"));
                }
            });
        }
    });
    assert_eq!(world.running(), 0);
    world.until(|world| world.queue.metrics().waiting == 0, "nothing waits");
}
