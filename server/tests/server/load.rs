//! Many requests at once, each with an answer of its own: none is wrong, lost or another's.
//!
//! CI asks for some hundred; `ENCLOS_LOAD=10000 cargo test -p enclos-server --test server load -- --nocapture` for as many as it says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::World;
use enclos_testkit::http::{Response, begin, finish, request};

/// Clients that ask at the same time.
const CLIENTS: usize = 16;
/// Hostile jobs under way beside them.
const HOSTILE: usize = 64;

fn requests() -> usize {
    std::env::var("ENCLOS_LOAD").map_or(400, |count| count.parse().expect("ENCLOS_LOAD is a number"))
}

/// Programs that harm where they can, and what each must end as.
const ATTACKS: [(&str, &[&str]); 6] = [
    // As many children as there may be, then again.
    (
        "import os, time\nfor _ in range(2000):\n try:\n  if os.fork() == 0: time.sleep(30)\n except OSError: pass\ntime.sleep(30)",
        &["TIMED_OUT"],
    ),
    ("x = []\nwhile True: x.append(bytearray(1 << 20))", &["OUT_OF_MEMORY"]),
    ("while True: print('y' * 65536)", &["SIGNALED", "TIMED_OUT"]),
    ("while True: pass", &["TIMED_OUT"]),
    ("import os\nfor i in range(10 ** 6): open(str(i), 'w')", &["RUNTIME_ERROR", "TIMED_OUT"]),
    ("f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", &["RUNTIME_ERROR", "SIGNALED", "OUT_OF_MEMORY"]),
];

fn post(world: &World, key: &str, job: &Value) -> Response {
    let headers = [("content-type", "application/json"), ("x-api-key", key)];
    request(&world.address, "POST", "/run", &headers, job.to_string().as_bytes())
}

/// The answer to a hostile job; `None`: told to stop, and gone without waiting for it.
fn attack(world: &World, job: &str, stop: &AtomicBool) -> Option<Response> {
    let stream = begin(&world.address, "POST", "/run", &[("x-api-key", "hostile")], job.as_bytes());
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    while stream.peek(&mut [0]).is_err() {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
    }
    stream.set_read_timeout(Some(enclos_testkit::http::PATIENCE)).unwrap();
    Some(finish(stream))
}

/// A server with the keys `honest` and `hostile`.
fn world() -> World {
    let keys = tempfile::tempdir().unwrap();
    let mut config = String::new();
    for name in ["honest", "hostile"] {
        let file = keys.path().join(name);
        std::fs::write(&file, name).unwrap();
        config += &format!("[[keys]]\nname = {name:?}\nfile = {file:?}\nconcurrent = 1000\n");
    }
    let file = keys.path().join("config");
    std::fs::write(&file, config).unwrap();
    World::with(&["--config", file.to_str().unwrap()])
}

/// An honest job: how long its client waited, and what the server measured of it.
struct Honest {
    answered: Duration,
    cpu: Duration,
    wall: Duration,
}

/// Asks for `number` answers, and checks each.
fn honest(world: &World, number: usize) -> Vec<Honest> {
    let next = AtomicUsize::new(0);
    let times = std::thread::scope(|scope| {
        let client = || {
            let mut times = Vec::new();
            loop {
                let mine = next.fetch_add(1, Ordering::Relaxed);
                if mine >= number {
                    return times;
                }
                let job = json!({
                    "lang": "python",
                    "source": format!("print('source', {mine}, 'input', input())"),
                    "execute": {"time": 4, "wall-time": 60, "mem": 200_000},
                    "tests": [{"stdin": format!("{}", mine * 7)}],
                });
                let start = Instant::now();
                let response = post(world, "honest", &job);
                let answered = start.elapsed();
                assert_eq!(response.status, 200, "{mine}: {response:?}\n{}", world.log());
                let test = response.json()["tests"][0].take();
                let measured = |name: &str| Duration::from_secs_f64(test["meta"][name].as_f64().expect("a time"));
                times.push(Honest { answered, cpu: measured("time"), wall: measured("wall-time") });
                assert_eq!(test["stdout"], format!("source {mine} input {}\n", mine * 7), "{mine}: {test}");
                assert_eq!(test["meta"]["status"], "OK", "{mine}: {test}");
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("every answer was right")).collect::<Vec<_>>()
    });
    assert_eq!(times.len(), number);
    times
}

fn tell(what: &str, jobs: &[Honest], whole: Duration) {
    println!("{what}: {} answers, {:.1}/s", jobs.len(), jobs.len() as f64 / whole.as_secs_f64());
    for (name, of) in [
        ("answered", (|job| job.answered) as fn(&Honest) -> Duration),
        ("CPU time measured", |job| job.cpu),
        ("wall time measured", |job| job.wall),
    ] {
        let mut times: Vec<Duration> = jobs.iter().map(of).collect();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!("  {name}: median {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(0.5), at(0.99), at(1.0));
    }
}

#[test]
fn every_answer_is_the_right_one() {
    let world = world();
    let start = Instant::now();
    let times = honest(&world, requests());
    tell("alone", &times, start.elapsed());
    assert_eq!(world.request("GET", "/metrics", &[("x-api-key", "honest")], b"").status, 200);
}

#[test]
fn every_answer_is_the_right_one_beside_hostile_jobs() {
    let world = world();
    let (stop, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for attacker in 0..HOSTILE {
            let (world, stop, ended) = (&world, &stop, &ended);
            scope.spawn(move || {
                let (source, wanted) = ATTACKS[attacker % ATTACKS.len()];
                let execute = json!({"time": 1, "wall-time": 2, "mem": 65_536, "processes": 20, "fsize": 16_384, "quota": "16384,1000"});
                let job = json!({"lang": "python", "source": source, "execute": execute}).to_string();
                while let Some(response) = attack(world, &job, stop) {
                    assert_eq!(response.status, 200, "{response:?}");
                    let test = response.json()["tests"][0].take();
                    assert!(wanted.iter().any(|status| test["meta"]["status"] == *status), "{source}: {}", test["meta"]);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let watcher = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(world.request("GET", "/", &[], b"").status, 200);
                slowest = slowest.max(start.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            slowest
        });
        // Ends the others also when an answer was wrong.
        let _stop = StopOnDrop(&stop);
        let start = Instant::now();
        let mut times = honest(&world, requests());
        // Not before the attackers have had their turns.
        while ended.load(Ordering::Relaxed) < ATTACKS.len() {
            assert!(start.elapsed() < enclos_testkit::http::PATIENCE * 4, "hostile jobs do not end");
            times.extend(honest(&world, CLIENTS));
        }
        tell("beside hostile jobs", &times, start.elapsed());
        stop.store(true, Ordering::Relaxed);
        println!("hostile jobs ended: {}; slowest answer of /: {:?}", ended.load(Ordering::Relaxed), watcher.join().unwrap());
    });
    let most = most_resident(world.pid());
    println!("most memory of the server: {} MiB", most >> 20);
    assert!(most < 512 << 20, "{most} bytes were resident at once");
    // All attackers are gone, in the middle of what they did: nothing of it is left.
    world.until(|world| keyed_figure(world, "enclos_queue_running") == 0 && keyed_figure(world, "enclos_queue_waiting") == 0, "all ended");
}

/// The most memory a process ever had resident, bytes.
fn most_resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn keyed_figure(world: &World, name: &str) -> u64 {
    let response = world.request("GET", "/metrics", &[("x-api-key", "honest")], b"");
    let line = response.text().lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("the figure is there")
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
