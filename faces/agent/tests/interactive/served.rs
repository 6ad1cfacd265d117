//! A face of its own, served over gRPC and HTTP, for one test.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, NewSandbox};
use enclos_agent::{native, sandbox_v1};
use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, Http2, serve, serve_http2};
use enclos_host::keys::{KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::threads::Threads;
use enclos_host::tokio::runtime::Runtime;
use enclos_host::tokio::sync::mpsc;
use enclos_proto::agent_v1::interactive_client::InteractiveClient;
use enclos_proto::sandbox_v1::sandbox_service_client::SandboxServiceClient;
use enclos_proto::tonic::codegen::tokio_stream::Stream;
use enclos_proto::tonic::transport::{Channel, Endpoint};
use enclos_proto::tonic::{Request, Status};
use enclos_testkit::http::PATIENCE;
use serde_json::Value;

use crate::world::{World, caller};

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

/// SHA-256 of `secret`, which is alice's as the world's own calls are, and of `other`.
const TWO_KEYS: &str = "[[keys]]\nname = \"alice\"\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n\
                        [[keys]]\nname = \"bob\"\nsha256 = \"d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\"";

/// A server.
pub struct Served {
    pub world: World,
    pub runtime: Runtime,
    /// Where HTTP is served.
    pub http: String,
    channel: Channel,
    stop: Stop,
}

impl Served {
    pub fn new() -> Served {
        Served::waiting(PATIENCE)
    }

    /// With another patience for clients.
    pub fn waiting(patience: Duration) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let audit = directory.path().join("audit.jsonl");
        let agent = World::open(directory.path(), &format!("[agent]\naudit = {audit:?}"));
        let world = World { agent, caller: caller("alice"), directory };
        let groups = [sandbox_v1::SETTINGS, native::SETTINGS, KEYS];
        let settings = Settings::read(&groups, TWO_KEYS, &[]).unwrap();
        let (runtime, stop) = (Runtime::new().unwrap(), Stop::default());
        let (agent, keys) = (Arc::new(world.agent.clone()), Arc::new(Keys::from_settings(&settings).unwrap()));
        let bodies = Bodies::new(64 << 20, PATIENCE);
        let options = sandbox_v1::Options::of(&settings);
        let parts = sandbox_v1::Parts {
            agent: Arc::clone(&agent) as _,
            keys: Arc::clone(&keys),
            bodies: bodies.clone(),
            threads: Arc::new(Threads::new("call", options.calls)),
            patience,
            stop: stop.clone(),
            options,
        };
        let own = native::Parts { agent, keys, bodies, options: native::Options::of(&settings) };
        let listen = || {
            let listener = runtime.block_on("127.0.0.1:0".parse::<Address>().unwrap().bind()).unwrap();
            let address = listener.address().unwrap().to_string().trim_start_matches("http://").to_owned();
            (vec![listener], address)
        };
        let ((over_grpc, grpc), (over_http, http)) = (listen(), listen());
        let bounds = Bounds { connections: 256, head: PATIENCE, write: patience, drain: PATIENCE };
        runtime.spawn(serve_http2(over_grpc, sandbox_v1::grpc(&parts).unwrap(), bounds, Http2::default(), stop.clone()));
        runtime.spawn(serve(over_http, native::router(native::Native::new(own)), bounds, stop.clone()));
        let channel = {
            let _entered = runtime.enter();
            Endpoint::from_shared(format!("http://{grpc}")).unwrap().connect_lazy()
        };
        Served { world, runtime, http, channel, stop }
    }

    pub fn client(&self) -> InteractiveClient<Channel> {
        InteractiveClient::new(self.channel.clone())
    }

    /// The calls of `sandbox.v1`.
    pub fn sandboxes(&self) -> SandboxServiceClient<Channel> {
        SandboxServiceClient::new(self.channel.clone())
    }

    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// What was written down about this sandbox, or session, in this kind of call; it comes when the call has ended.
    #[track_caller]
    pub fn audited(&self, what: &str, which: &str) -> Value {
        let found = || {
            let text = std::fs::read_to_string(self.world.directory.path().join("audit.jsonl")).unwrap();
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.find(|line| line["what"] == what && line["which"] == which)
        };
        until(|| found().is_some(), what);
        let mut line = found().unwrap();
        assert!(line.as_object_mut().unwrap().remove("at").unwrap().as_i64() > Some(1_700_000_000_000));
        line
    }

    /// A sandbox that runs.
    pub fn sandbox(&self) -> String {
        self.world.empty()
    }

    /// One that does not.
    pub fn stopped(&self) -> String {
        self.world.agent.create_sandbox(&self.world.caller, &NewSandbox::default()).unwrap().id
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

/// What a client says, message by message; its stream ends when the other end is dropped.
pub struct Feed<T>(mpsc::Receiver<T>);

impl<T> Stream for Feed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

/// A stream to say something into, with a key.
pub fn feed<T>(key: &str) -> (mpsc::Sender<T>, Request<Feed<T>>) {
    let (sender, receiver) = mpsc::channel(1);
    let mut request = Request::new(Feed(receiver));
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    (sender, request)
}

/// A code and the beginning of its message.
#[track_caller]
pub fn refused<T>(answer: Result<T, Status>, code: enclos_proto::tonic::Code, starts: &str) {
    let Err(status) = answer else { panic!("not refused: {starts}") };
    assert!(status.code() == code && status.message().starts_with(starts), "{status:?}");
}

pub fn until(holds: impl Fn() -> bool, what: &str) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes of this host with this word on their command line.
pub fn processes(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.split(|b| *b == 0).any(|one| one == word.as_bytes()))
        })
        .count()
}

/// A number that nobody else sleeps for.
pub fn seconds(more: u32) -> String {
    (10_000_000 + more * 1_000_000 + std::process::id() % 1_000_000).to_string()
}
