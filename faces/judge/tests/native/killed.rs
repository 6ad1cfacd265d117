//! A server killed at any moment keeps its tokens and results, and the next one does what is left: a real process, and a real SIGKILL.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::world::{JSON, World, job};
use enclos_testkit::http;

/// Set for the process that plays the server.
const STORE: &str = "ENCLOS_JUDGE_TEST_STORE";

/// This test, as the child is asked for it.
const NAME: &str = "killed::tokens_and_results_survive_a_killed_server";

fn serve(path: &Path) -> ! {
    let world = World::on(path);
    println!("serving {}", world.address);
    loop {
        std::thread::park();
    }
}

fn start(path: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        // The test harness writes the test's name before it, on the same line.
        let line = lines.next().expect("it serves before it ends").unwrap();
        if let Some((_, address)) = line.split_once("serving ") {
            break address.to_owned();
        }
    };
    // The pipe stays open, so that the child can write into it.
    std::mem::forget(lines);
    (child, address)
}

/// Posts runs until the server is gone; gives each token with the word its program prints.
fn post_until_killed(address: &str, name: &str, killed: &AtomicBool, count: &AtomicUsize) -> BTreeMap<String, String> {
    let mut accepted = BTreeMap::new();
    for number in 0.. {
        let word = format!("{name}-{number}");
        let sent = std::panic::catch_unwind(|| {
            let body = job(&format!("sleep 20\nprint {word}"), "");
            http::request(address, "POST", "/v1/runs?wait=false", JSON, body.as_bytes())
        });
        match sent {
            Ok(response) if response.status == 202 => {
                let token: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                if let Some(token) = token["token"].as_str() {
                    accepted.insert(token.to_owned(), word);
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
            Ok(response) => assert_eq!(response.status, 503, "{response:?}"),
            // The connection broke off.
            Err(_) => assert!(killed.load(Ordering::SeqCst), "it was there until it was killed"),
        }
        if killed.load(Ordering::SeqCst) {
            break;
        }
    }
    accepted
}

#[test]
fn tokens_and_results_survive_a_killed_server() {
    if let Some(path) = std::env::var_os(STORE) {
        serve(Path::new(&path));
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("runs.sqlite");
    let mut accepted = BTreeMap::new();
    for round in 0..3 {
        let (mut child, address) = start(&path);
        let (killed, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (address, killed, count) = (address.clone(), Arc::clone(&killed), Arc::clone(&count));
                std::thread::spawn(move || post_until_killed(&address, &format!("{round}-{client}"), &killed, &count))
            })
            .collect();
        // In the middle of more, each round after another number.
        while count.load(Ordering::SeqCst) < 5 + 3 * round {
            std::thread::yield_now();
        }
        killed.store(true, Ordering::SeqCst);
        child.kill().unwrap();
        child.wait().unwrap();
        clients.into_iter().for_each(|client| accepted.extend(client.join().unwrap()));
    }
    assert!(accepted.len() >= 24, "{}", accepted.len());
    let world = World::on(&path);
    for (token, word) in &accepted {
        let record = world.ended(token);
        assert_eq!(record["status"], "finished", "{record}");
        assert_eq!(record["result"]["tests"][0]["run"]["stdout"]["data"], format!("{word}\n"));
    }
}
