//! Each sandbox is one weight against others, whatever runs in it.

use std::collections::BTreeSet;
use std::time::Duration;

use enclos_cgroup::{Controller, Host};
use serde_json::{Value, json};

use super::world::{World, groups};
use enclos_testkit::http::begin;

/// What the groups of a server's sandboxes weigh; empty where none has a weight of its own.
fn weights(world: &World) -> BTreeSet<String> {
    let files = groups(world.pid()).into_iter().flat_map(|group| [group.join("cpu.shares"), group.join("cpu.weight")]);
    files.filter_map(|file| Some(std::fs::read_to_string(file).ok()?.trim().to_owned())).collect()
}

/// Whether weights can be tried here; says so if not.
fn held(test: &str) -> bool {
    let place =
        Host::probe().map_err(|error| error.to_string()).and_then(|host| host.place(Controller::Cpu).map_err(|error| error.to_string()));
    place.inspect_err(|error| println!("SKIP: {test}: {error}")).is_ok()
}

#[test]
fn each_sandbox_of_the_judge_has_the_weight_that_is_set() {
    if !held("each_sandbox_of_the_judge_has_the_weight_that_is_set") {
        return;
    }
    // As cgroup v1 and v2 count.
    for (shares, wanted) in [("", ["256", "35"]), ("judge.cpu-shares=2048", ["2048", "174"])] {
        let mut flags = vec!["--set", "agent.enabled=false"];
        flags.extend(["--set", shares].into_iter().filter(|_| !shares.is_empty()));
        let world = World::with(&flags);
        assert_eq!(world.python("print(1)", json!({}))["stdout"], "1\n");
        let seen = weights(&world);
        assert!(seen.len() == 1 && wanted.iter().any(|weight| seen.contains(*weight)), "{shares}: {seen:?}");
    }
    let world = World::with(&["--set", "agent.enabled=false", "--set", "judge.cpu-shares=0"]);
    assert_eq!(world.python("print(1)", json!({}))["stdout"], "1\n");
    let seen = weights(&world);
    // On v2 a group made for another limit may have the file, with what is usual.
    assert!(seen.is_subset(&BTreeSet::from(["100".to_owned()])), "{seen:?}");
}

#[test]
fn each_sandbox_of_the_agent_face_has_its_own_weight_or_what_is_set() {
    if !held("each_sandbox_of_the_agent_face_has_its_own_weight_or_what_is_set") {
        return;
    }
    // The judge's sandboxes are told by another.
    let world = World::with(&["--set", "judge.cpu-shares=300", "--set", "agent.on-exit=destroy"]);
    let call = |path: &str, body: Value| {
        let response = world.request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes());
        assert!(response.status < 300, "{response:?} {}", world.log());
        response.json()
    };
    for (asked, wanted) in [(json!({}), ["256", "35"]), (json!({"resources": {"cpu_shares": 512}}), ["512", "59"])] {
        let made = call("/v1/agent/sandboxes", asked);
        call(&format!("/v1/agent/sandboxes/{}/start", made["id"].as_str().expect("an id")), json!({}));
        let seen = weights(&world);
        assert!(wanted.iter().any(|weight| seen.contains(*weight)), "{wanted:?}: {seen:?}");
    }
}

/// The CPU time that a program got in a second, on one processor with another sandbox's thirty busy sessions.
fn beside_sessions(shares: &str) -> f64 {
    // The programs choose their processor themselves.
    let world = World::with(&["--set", "queue.cores=2", "--set", "judge.cpus=0", "--set", shares]);
    // What each gets of the one processor is a matter of weights alone.
    let pin = "import os, time\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n";
    let many =
        format!("{pin}for _ in range(30):\n    if os.fork() == 0:\n        os.setsid()\n        while True: pass\nwhile True: pass\n");
    let one = format!("{pin}end = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())\n");
    let job = json!({"lang": "python", "source": many, "execute": {"time": 30, "wall-time": 60, "processes": 40}}).to_string();
    let many = begin(&world.address, "POST", "/run", &[], job.as_bytes());
    world.until(|world| world.figure("enclos_queue_running") == 1, "it runs");
    // For all of its sessions to be there.
    std::thread::sleep(Duration::from_millis(500));
    let answer = world.python(&one, json!({"execute": {"time": 10, "wall-time": 60}}));
    drop(many);
    answer["stdout"].as_str().expect("it prints").trim().parse().expect("a time")
}

#[test]
fn many_sessions_of_one_sandbox_leave_another_its_share() {
    if !held("many_sessions_of_one_sandbox_leave_another_its_share") {
        return;
    }
    // A half for the 31st part, less what others on this machine take of both: so one against the other.
    let (with, without) = (beside_sessions("judge.cpu-shares=1024"), beside_sessions("judge.cpu-shares=0"));
    println!("beside 30 busy sessions: {with:.3} s of a second with weights, {without:.3} s without");
    assert!(with > without * 1.5, "{with} {without}");
}
