//! A server with a fake judge, for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, serve};
use enclos_host::keys::{KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::outbound::{self, Outbound};
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::tokio::runtime::Runtime;
use enclos_judge::native::{Native, Options, Parts, SETTINGS, router, settings::retention};
use enclos_judge::work::{Jobs, handler};
use enclos_pool::{Local, Store};
use serde_json::Value;

use super::fake::{Fake, PATIENCE};
use enclos_testkit::http::{self, Response};

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

pub struct World {
    pub address: String,
    pub judge: Arc<Fake>,
    pub queue: Arc<Jobs>,
    stop: Stop,
    runtime: Option<Runtime>,
    /// Kept for as long as the server lives.
    _place: Option<tempfile::TempDir>,
}

/// How the server is made.
pub struct Setup {
    pub config: String,
    pub queue: enclos_pool::Settings,
    /// The file of asynchronous runs; `None`: one of its own.
    pub store: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        let queue = enclos_pool::Settings { cores: 2, capacity: 100, per_key: 100, ..enclos_pool::Settings::of_this_host() };
        Self { config: String::new(), queue, store: None }
    }
}

impl Setup {
    pub fn start(self) -> World {
        let settings = Settings::read(&[SETTINGS, KEYS, outbound::SETTINGS], &self.config, &[]).unwrap();
        let judge = Arc::new(Fake::default());
        let queue: Arc<Jobs> = Arc::new(Local::start(self.queue, handler(Arc::clone(&judge) as _)).unwrap());
        let place = self.store.is_none().then(|| tempfile::tempdir().unwrap());
        let file = self.store.unwrap_or_else(|| place.as_ref().unwrap().path().join("runs.sqlite"));
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let parts = Parts {
            judge: Arc::clone(&judge) as _,
            queue: Arc::clone(&queue),
            keys: Arc::new(Keys::from_settings(&settings).unwrap()),
            bodies: Bodies::new(64 << 20, PATIENCE),
            options: Options::of(&settings),
            store: Some(Arc::new(Store::open(&file, retention(&settings)).unwrap())),
            outbound: Outbound::of(&settings).unwrap(),
        };
        let native = Native::start(parts).unwrap();
        let stop = Stop::default();
        let listener = runtime.block_on("127.0.0.1:0".parse::<Address>().unwrap().bind()).unwrap();
        let address = listener.address().unwrap().to_string().trim_start_matches("http://").to_owned();
        let bounds = Bounds { connections: 256, head: PATIENCE, write: PATIENCE, drain: PATIENCE };
        runtime.spawn(serve(vec![listener], router(native), bounds, stop.clone()));
        drop(_entered);
        World { address, judge, queue, stop, runtime: Some(runtime), _place: place }
    }
}

impl World {
    pub fn new() -> World {
        Setup::default().start()
    }

    pub fn with(config: &str) -> World {
        Setup { config: config.to_owned(), ..Setup::default() }.start()
    }

    /// On a file that outlives the server.
    pub fn on(store: &Path) -> World {
        Setup { store: Some(store.to_owned()), ..Setup::default() }.start()
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http::request(&self.address, method, path, headers, body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, JSON, body)
    }

    /// The result of a run, which is 200.
    pub fn run(&self, body: &str) -> Value {
        let response = self.post("/v1/runs", body);
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// The token of a run that is asynchronous, which is 202.
    pub fn accept(&self, source: &str) -> String {
        let response = self.post("/v1/runs?wait=false", &job(source, ""));
        assert_eq!(response.status, 202, "{response:?}");
        let token = response.json()["token"].as_str().unwrap().to_owned();
        assert_eq!(response.header("location"), Some(&*format!("/v1/runs/{token}")));
        token
    }

    /// The record of an asynchronous run.
    pub fn record(&self, token: &str) -> Value {
        let response = self.get(&format!("/v1/runs/{token}"));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// The same, once it has ended.
    pub fn ended(&self, token: &str) -> Value {
        let response = self.get(&format!("/v1/runs/{token}?wait=60"));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    pub fn running(&self) -> usize {
        self.judge.running.load(Ordering::SeqCst)
    }

    pub fn until(&self, holds: impl Fn(&World) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.ask();
        self.queue.drain(Duration::ZERO);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

pub const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// A request that runs a source; `more` are further fields, each after a comma.
pub fn job(source: &str, more: &str) -> String {
    format!("{{\"language\": \"fake\", \"source\": {}{more}}}", Value::from(source))
}

/// A problem document, checked for its form; gives `type` without its prefix, `detail`, and `field`.
pub fn problem(response: &Response) -> (String, String, Option<String>) {
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body["status"], response.status, "{body}");
    assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
    for of_the_host in [env!("CARGO_MANIFEST_DIR"), "/home/", "/tmp/", "panicked", "src/"] {
        assert!(!response.text().contains(of_the_host), "{body}");
    }
    let kind = body["type"].as_str().unwrap().strip_prefix("urn:enclos:problem:").unwrap().to_owned();
    (kind, body["detail"].as_str().unwrap().to_owned(), body["field"].as_str().map(str::to_owned))
}
