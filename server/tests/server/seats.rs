//! Programs that are judged side by side each have CPUs of their own.

use serde_json::{Value, json};

use super::world::World;

/// Where it may run, and from when to when it did: the same clock inside every sandbox.
const PROGRAM: &str = "import os, time\nstart = time.monotonic()\ntime.sleep(0.2)\n\
    print(len(os.sched_getaffinity(0)), min(os.sched_getaffinity(0)), start, time.monotonic())";

struct Stay {
    cpus: f64,
    first: f64,
    from: f64,
    to: f64,
}

/// Eight programs of one request.
fn stays(world: &World) -> Vec<Stay> {
    let tests: Vec<Value> = (0..8).map(|number| json!({"name": format!("t{number}")})).collect();
    let answer = world.run(&json!({"lang": "python", "source": PROGRAM, "tests": tests, "execute": {"time": 10, "wall-time": 60}}));
    let read = |test: &Value| -> Vec<f64> {
        test["stdout"].as_str().expect("it prints").split_whitespace().map(|word| word.parse().expect("a number")).collect()
    };
    let all = answer["tests"].as_array().expect("tests").iter().map(read);
    all.map(|numbers| Stay { cpus: numbers[0], first: numbers[1], from: numbers[2], to: numbers[3] }).collect()
}

fn usable(test: &str) -> bool {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let lacks = enclos_sandbox::can_choose_cpus().err().map(|error| error.to_string()).or((cpus < 2).then(|| "one CPU alone".to_owned()));
    lacks.inspect(|why| println!("SKIP: {test}: {why}")).is_none()
}

#[test]
fn programs_side_by_side_share_no_cpu() {
    if !usable("programs_side_by_side_share_no_cpu") {
        return;
    }
    let stays = stays(&World::new());
    let mut overlaps = 0;
    for (index, one) in stays.iter().enumerate() {
        assert!(one.cpus == 1.0, "{} CPUs", one.cpus);
        for other in stays[index + 1..].iter().filter(|other| one.from < other.to && other.from < one.to) {
            overlaps += 1;
            assert!(one.first != other.first, "two at once on CPU {}", one.first);
        }
    }
    assert!(overlaps > 0, "none ran beside another");
}

#[test]
fn who_wants_all_cpus_gives_all_to_each() {
    if !usable("who_wants_all_cpus_gives_all_to_each") {
        return;
    }
    let all = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let stays = stays(&World::with(&["--set", "judge.cpus=0"]));
    assert!(stays.iter().all(|stay| stay.cpus == all));
}
