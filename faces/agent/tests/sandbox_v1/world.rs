//! Both interfaces, served for one test.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_agent::sandbox_v1::{Options, Parts, SETTINGS, grpc, rest};
use enclos_host::axum::body::Body;
use enclos_host::axum::http::HeaderMap;
use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, Http2, serve, serve_http2};
use enclos_host::http_body_util::BodyExt;
use enclos_host::keys::{KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::threads::Threads;
use enclos_host::tls::{self, Tls};
use enclos_host::tokio::runtime::Runtime;
use enclos_proto::health::health_client::HealthClient;
use enclos_proto::reflection::server_reflection_client::ServerReflectionClient;
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::sandbox_v1::codebase_service_client::CodebaseServiceClient;
use enclos_proto::sandbox_v1::sandbox_service_client::SandboxServiceClient;
use enclos_proto::tonic::codegen::Service;
use enclos_proto::tonic::transport::{Channel, Endpoint};
use enclos_proto::tonic::{Request, Status};
use enclos_testkit::http::{PATIENCE, Response, request};

use super::fake::Fake;

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

const BOUNDS: Bounds = Bounds { connections: 256, head: PATIENCE, write: PATIENCE, drain: PATIENCE };

pub struct World {
    pub agent: Arc<Fake>,
    pub stop: Stop,
    pub runtime: Runtime,
    /// Where gRPC is served.
    pub grpc: String,
    /// Where JSON is served.
    pub rest: String,
    parts: Parts,
    channel: Channel,
}

impl World {
    pub fn new() -> World {
        World::with("")
    }

    pub fn with(config: &str) -> World {
        World::waiting(config, PATIENCE)
    }

    /// With another patience for clients.
    pub fn waiting(config: &str, patience: Duration) -> World {
        let settings = Settings::read(&[SETTINGS, KEYS, tls::SETTINGS], config, &[]).unwrap();
        let (agent, stop, runtime) = (Arc::new(Fake::default()), Stop::default(), Runtime::new().unwrap());
        let options = Options::of(&settings);
        let parts = Parts {
            agent: Arc::clone(&agent) as _,
            keys: Arc::new(Keys::from_settings(&settings).unwrap()),
            bodies: Bodies::new(64 << 20, PATIENCE),
            threads: Arc::new(Threads::new("call", options.calls)),
            patience,
            stop: stop.clone(),
            options,
        };
        let tls = Tls::of(&settings).unwrap();
        let listen = || {
            let address = Address::read("127.0.0.1:0", tls.is_some()).unwrap();
            let listener = runtime.block_on(address.bind_with(tls.as_ref())).unwrap();
            let address = listener.address().unwrap().to_string().split_once("://").unwrap().1.to_owned();
            (vec![listener], address)
        };
        let (over_grpc, grpc_address) = listen();
        let (over_rest, rest_address) = listen();
        runtime.spawn(serve_http2(over_grpc, grpc(&parts).unwrap(), BOUNDS, Http2 { streams: 1000, ..Http2::default() }, stop.clone()));
        runtime.spawn(serve(over_rest, rest(&parts), BOUNDS, stop.clone()));
        let channel = {
            let _entered = runtime.enter();
            Endpoint::from_shared(format!("http://{grpc_address}")).unwrap().connect_lazy()
        };
        World { agent, stop, runtime, grpc: grpc_address, rest: rest_address, parts, channel }
    }

    /// Serves gRPC also on a socket in the file system.
    pub fn listen_on(&self, path: &Path) {
        let listener = self.block(Address::Unix(path.to_owned()).bind()).unwrap();
        self.runtime.spawn(serve_http2(vec![listener], grpc(&self.parts).unwrap(), BOUNDS, Http2::default(), self.stop.clone()));
    }

    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn sandboxes(&self) -> SandboxServiceClient<Channel> {
        SandboxServiceClient::new(self.channel.clone())
    }

    pub fn codebases(&self) -> CodebaseServiceClient<Channel> {
        CodebaseServiceClient::new(self.channel.clone())
    }

    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    pub fn reflection(&self) -> ServerReflectionClient<Channel> {
        ServerReflectionClient::new(self.channel.clone())
    }

    /// Sends bytes as the one message of a method; gives the code of the answer.
    pub fn raw(&self, path: &str, message: &[u8]) -> i32 {
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message);
        self.raw_body(path, body)
    }

    /// Sends bytes as the body of a method; gives the code of the answer.
    pub fn raw_body(&self, path: &str, body: Vec<u8>) -> i32 {
        self.raw_request(path, Body::from(body))
    }

    pub fn raw_request(&self, path: &str, body: Body) -> i32 {
        let code = |headers: &HeaderMap| headers.get("grpc-status").map(|code| code.to_str().unwrap().parse().unwrap());
        let request = enclos_host::axum::http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
        let request = request.body(enclos_proto::tonic::body::Body::new(body)).unwrap();
        let mut channel = self.channel.clone();
        self.block(async move {
            std::future::poll_fn(|context| Service::poll_ready(&mut channel, context)).await.unwrap();
            let answer = channel.call(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            match code(answer.headers()) {
                Some(code) => code,
                None => code(answer.into_body().collect().await.unwrap().trailers().expect("trailers")).expect("a status"),
            }
        })
    }

    /// One that is spoken to over another channel.
    pub fn over(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// A codebase.
    pub fn codebase(&self) -> String {
        let new = proto::CreateCodebaseRequest { name: "n".to_owned(), owner_id: "o".to_owned() };
        self.block(self.codebases().create_codebase(new)).unwrap().into_inner().id
    }

    /// A sandbox that runs.
    pub fn sandbox(&self) -> String {
        let new = proto::CreateSandboxRequest { codebase_id: self.codebase(), ..Default::default() };
        let id = self.block(self.sandboxes().create_sandbox(new)).unwrap().into_inner().id;
        self.block(self.sandboxes().start_sandbox(proto::StartSandboxRequest { sandbox_id: id.clone() })).unwrap();
        id
    }

    /// A command to its end.
    pub fn exec(&self, sandbox: &str, command: &str) -> Result<enclos_proto::tonic::Response<proto::ExecResult>, Status> {
        self.block(self.sandboxes().exec(command_of(sandbox, command)))
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> Response {
        request(&self.rest, method, path, &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn until(&self, holds: impl Fn(&Fake) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(&self.agent) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn command_of(sandbox: &str, command: &str) -> proto::ExecRequest {
    proto::ExecRequest { sandbox_id: sandbox.to_owned(), command: command.to_owned(), ..Default::default() }
}

/// A request with a key.
pub fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}
