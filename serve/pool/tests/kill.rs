//! A server killed at any moment loses no accepted run and answers none wrongly: real processes, real SIGKILL.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use enclos_pool::{Begun, Entry, Local, Queue, Retention, Settings, State, Store, Token};

/// Set for the process that plays the server.
const STORE: &str = "ENCLOS_POOL_TEST_STORE";

/// What the right result of a request is.
fn answer(request: &[u8]) -> Vec<u8> {
    request.iter().rev().copied().collect()
}

/// The server: takes up what is unfinished, then accepts and works until it is killed. Says `accepted TOKEN REQUEST` and `finished TOKEN`
/// only once that is true.
fn serve(path: &Path) -> ! {
    let store = Arc::new(Store::open(path, Retention::default()).unwrap());
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    let worker = Arc::clone(&store);
    let queue =
        Local::start(Settings { cores: 2, capacity: 64, per_key: 64, bytes: 1 << 20 }, move |(token, request): (Token, Vec<u8>), _| {
            if let Begun::Attempt(_) = worker.begin(&token).unwrap() {
                worker.finish(&token, &answer(&request), "").unwrap();
                say(format!("finished {token}"));
            }
        })
        .unwrap();
    let entry =
        |token, request, key: &str| Entry { key: key.to_owned(), weight: 1, size: 0, work: (token, request), on_cancel: Arc::new(|| {}) };
    for run in store.unfinished().unwrap() {
        queue.readmit(entry(run.token, run.request, &run.owner)).unwrap();
    }
    for number in 0u64.. {
        let request = format!("{}:{number}", std::process::id()).into_bytes();
        let token = store.accept("ann", &request, false).unwrap();
        say(format!("accepted {token} {}", String::from_utf8(request.clone()).unwrap()));
        // A full queue leaves it to the next server.
        let _ = queue.submit(entry(token, request, "ann"));
    }
    unreachable!("it is killed")
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "accepted_runs_survive_a_kill", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn accepted_runs_survive_a_kill() {
    if let Some(path) = std::env::var_os(STORE) {
        serve(Path::new(&path));
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let (mut accepted, mut finished) = (BTreeMap::new(), BTreeSet::new());
    for round in 0..4 {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            let mut words = line.split(' ');
            match (words.next(), words.next().and_then(|word| word.parse::<Token>().ok()), words.next()) {
                (Some("accepted"), Some(token), Some(request)) => drop(accepted.insert(token, request.to_owned())),
                (Some("finished"), Some(token), None) => return finished.insert(token),
                _ => {}
            }
            false
        };
        let mut new = 0;
        while new < 30 + 7 * round {
            new += usize::from(note(lines.next().expect("it lives until it is killed").unwrap()));
        }
        child.kill().unwrap();
        // What it had said before it died counts; the last line may be torn.
        for line in lines.map_while(Result::ok) {
            note(line);
        }
        child.wait().unwrap();
    }

    let store = Store::open(&path, Retention { runs: u64::MAX, ..Retention::default() }).unwrap();
    let unfinished: BTreeSet<Token> = store.unfinished().unwrap().into_iter().map(|run| run.token).collect();
    assert!(accepted.len() > 100 && finished.len() > 100);
    for (token, request) in &accepted {
        let record = store.get("ann", token).unwrap().expect("an accepted run is there");
        assert_eq!(record.request, request.as_bytes());
        if record.state == State::Finished {
            assert_eq!(record.result, Some(answer(request.as_bytes())), "the result is its own");
        } else {
            assert!(unfinished.contains(token) && !finished.contains(token), "{record:?}");
        }
    }
    for token in &finished {
        assert_eq!(store.get("ann", token).unwrap().unwrap().state, State::Finished);
    }
}
