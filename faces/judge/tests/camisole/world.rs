//! A server with a scripted judge, for one test.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, serve};
use enclos_host::keys::{KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::tokio::runtime::Runtime;
use enclos_judge::camisole::{Camisole, Options, SETTINGS, not_found, router};
use enclos_judge::work::{Jobs, handler};
use enclos_pool::Local;

use super::scripted::Scripted;
use enclos_testkit::http::{PATIENCE, Response, begin, request};

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

pub struct World {
    pub address: String,
    pub judge: Arc<Scripted>,
    pub queue: Arc<Jobs>,
    stop: Stop,
    runtime: Option<Runtime>,
}

/// How the server is made.
pub struct Setup {
    pub config: String,
    pub queue: enclos_pool::Settings,
    pub bodies: Bodies,
}

impl Default for Setup {
    fn default() -> Self {
        let queue = enclos_pool::Settings { cores: 2, capacity: 100, per_key: 100, ..enclos_pool::Settings::of_this_host() };
        Setup { config: String::new(), queue, bodies: Bodies::new(64 << 20, PATIENCE) }
    }
}

impl Setup {
    pub fn start(self) -> World {
        let settings = Settings::read(&[SETTINGS, KEYS], &self.config, &[]).unwrap();
        let judge = Arc::new(Scripted::default());
        let queue: Arc<Jobs> = Arc::new(Local::start(self.queue, handler(Arc::clone(&judge) as _)).unwrap());
        let camisole = Camisole {
            judge: Arc::clone(&judge) as _,
            queue: Arc::clone(&queue),
            keys: Arc::new(Keys::from_settings(&settings).unwrap()),
            bodies: self.bodies,
            options: Options::of(&settings),
        };
        let runtime = Runtime::new().unwrap();
        let stop = Stop::default();
        let listener = runtime.block_on("127.0.0.1:0".parse::<Address>().unwrap().bind()).unwrap();
        let address = listener.address().unwrap().to_string().trim_start_matches("http://").to_owned();
        let bounds = Bounds { connections: 256, head: PATIENCE, write: PATIENCE, drain: PATIENCE };
        runtime.spawn(serve(vec![listener], router(camisole).fallback(not_found), bounds, stop.clone()));
        World { address, judge, queue, stop, runtime: Some(runtime) }
    }
}

impl World {
    pub fn new() -> World {
        Setup::default().start()
    }

    pub fn with(config: &str) -> World {
        Setup { config: config.to_owned(), ..Setup::default() }.start()
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request(&self.address, method, path, headers, body)
    }

    /// Posts to `/run`, as JSON.
    pub fn run(&self, body: &str) -> Response {
        self.request("POST", "/run", &[("content-type", "application/json")], body.as_bytes())
    }

    /// The answer of `/run` to a source, which is 200.
    pub fn script(&self, source: &str, more: &str) -> serde_json::Value {
        let response = self.run(&job(source, more));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// Begins a job that waits, and comes back when it runs.
    pub fn begin_waiting(&self) -> TcpStream {
        let before = self.judge.running.load(std::sync::atomic::Ordering::SeqCst);
        let stream = begin(&self.address, "POST", "/run", &[], job("wait", "").as_bytes());
        self.until(|world| world.running() > before, "the job runs");
        stream
    }

    pub fn running(&self) -> usize {
        self.judge.running.load(std::sync::atomic::Ordering::SeqCst)
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

/// A request that runs a script; `more` are further fields, each after a comma.
pub fn job(source: &str, more: &str) -> String {
    format!("{{\"lang\": \"script\", \"source\": {}{more}}}", serde_json::Value::from(source))
}
