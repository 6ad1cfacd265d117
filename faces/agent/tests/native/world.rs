//! A server with a fake agent, for one test.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use enclos_agent::native::{Native, Options, Parts, SETTINGS, router};
use enclos_host::axum::Router;
use enclos_host::axum::routing::get;
use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, serve};
use enclos_host::keys::{KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::tls::{self, Tls};
use enclos_host::tokio::runtime::Runtime;
use enclos_testkit::http::{self, Response};
use serde_json::{Value, json};

use super::fake::{Fake, PATIENCE};

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

/// SHA-256 of `secret` and of `other`.
pub const TWO_KEYS: &str = r#"
[[keys]]
name = "ann"
sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
concurrent = 2
[[keys]]
name = "bob"
sha256 = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
"#;

pub const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

pub struct World {
    pub address: String,
    pub agent: Arc<Fake>,
    stop: Stop,
    runtime: Option<Runtime>,
}

impl World {
    pub fn new() -> World {
        World::with("")
    }

    pub fn with(config: &str) -> World {
        let settings = Settings::read(&[SETTINGS, KEYS, tls::SETTINGS], config, &[]).unwrap();
        let agent = Arc::new(Fake::default());
        agent.part.store(1 << 20, Ordering::SeqCst);
        let native = Native::new(Parts {
            agent: Arc::clone(&agent) as _,
            keys: Arc::new(Keys::from_settings(&settings).unwrap()),
            bodies: Bodies::new(64 << 20, PATIENCE),
            options: Options::of(&settings),
        });
        // Beside another interface under /v1, as in the server.
        let other = Router::new().route("/other", get(|| async { "other" })).fallback(|| async { "not the agent's" });
        let app = Router::new().nest("/v1", other).merge(router(native));
        let (runtime, stop) = (Runtime::new().unwrap(), Stop::default());
        let tls = Tls::of(&settings).unwrap();
        let listener =
            runtime.block_on(async { Address::read("127.0.0.1:0", tls.is_some()).unwrap().bind_with(tls.as_ref()).await }).unwrap();
        let address = listener.address().unwrap().to_string().split_once("://").unwrap().1.to_owned();
        let bounds = Bounds { connections: 2048, head: PATIENCE, write: PATIENCE, drain: Duration::from_secs(5) };
        runtime.spawn(serve(vec![listener], app, bounds, stop.clone()));
        World { address, agent, stop, runtime: Some(runtime) }
    }

    pub fn bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request(&self.address, method, &format!("/v1/agent/{path}"), headers, body)
    }

    pub fn get(&self, path: &str) -> Response {
        self.bytes("GET", path, &[], b"")
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        self.bytes(method, path, JSON, body.to_string().as_bytes())
    }

    /// What is made, which is 201.
    pub fn make(&self, path: &str, body: &Value) -> Value {
        let response = self.send("POST", path, body);
        assert_eq!(response.status, 201, "{response:?}");
        let made = response.json();
        let id = made["id"].as_str().unwrap();
        let place = response.header("location").unwrap();
        assert!(place.starts_with("/v1/agent/") && place.ends_with(&format!("/{id}")), "{place}");
        made
    }

    pub fn codebase(&self) -> String {
        self.make("codebases", &json!({"name": "x"}))["id"].as_str().unwrap().to_owned()
    }

    /// A sandbox that runs.
    pub fn sandbox(&self) -> String {
        let id = self.make("sandboxes", &json!({}))["id"].as_str().unwrap().to_owned();
        assert_eq!(self.bytes("POST", &format!("sandboxes/{id}/start"), &[], b"").json()["status"], "running");
        id
    }

    pub fn until(&self, holds: impl Fn(&Fake) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(&self.agent) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn idle(&self) {
        self.until(|agent| agent.running.load(Ordering::SeqCst) == 0, "nothing runs");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// An error, checked for its form; gives its code and its field.
pub fn error(response: &Response) -> (String, Option<String>) {
    let body = response.json();
    let error = &body["error"];
    assert!(!error["message"].as_str().unwrap().contains('\n') && error["retryable"].is_boolean(), "{body}");
    for of_the_host in [env!("CARGO_MANIFEST_DIR"), "/home/", "/tmp/", "panicked", "src/"] {
        assert!(!response.text().contains(of_the_host), "{body}");
    }
    (error["code"].as_str().unwrap().to_owned(), error["field"].as_str().map(str::to_owned))
}

/// The events of a stream: their names and their data.
pub fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let name = block.lines().find_map(|line| line.strip_prefix("event: "))?;
        let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    };
    text.split("\n\n").filter_map(event).collect()
}
