//! A server over TLS that says who asks it, for one test.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use enclos_host::axum::Router;
use enclos_host::axum::body::Body;
use enclos_host::axum::http::{Request, StatusCode};
use enclos_host::connections::{Bounds, Http2, serve, serve_http2};
use enclos_host::keys::{Head, KEY_SETTINGS, Keys};
use enclos_host::listen::Address;
use enclos_host::settings::{Kind, Setting, Settings};
use enclos_host::stop::Stop;
use enclos_host::tls::{Client, Connected, SETTINGS, Tls};
use enclos_host::tokio::runtime::Runtime;
use enclos_host::tokio::task::JoinHandle;
use enclos_testkit::certificates::{Authorities, Authority, Papers};
use tempfile::TempDir;

/// Long enough that only a fault reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const BOUNDS: Bounds = Bounds { connections: 64, head: PATIENCE, write: PATIENCE, drain: PATIENCE };

const KEYS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

pub fn settings(config: &str) -> Settings {
    Settings::read(&[SETTINGS, KEYS], config, &[]).unwrap()
}

/// A directory, and the authorities whose certificates lie there.
pub struct Place {
    pub directory: TempDir,
    authorities: Authorities,
}

impl Deref for Place {
    type Target = Authorities;

    fn deref(&self) -> &Authorities {
        &self.authorities
    }
}

impl Place {
    pub fn new() -> Place {
        let directory = TempDir::new().unwrap();
        Place { authorities: Authorities::new(directory.path()), directory }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `[tls]`, which asks for certificates or does not.
    pub fn config(&self, asks: bool) -> String {
        Authorities::config(self.directory.path(), asks)
    }

    /// Who trusts the server's authority, and shows these papers.
    pub fn client(&self, papers: Option<&Papers>) -> Client {
        self.client_of(&self.servers, papers)
    }

    pub fn client_of(&self, trusted: &Authority, papers: Option<&Papers>) -> Client {
        let ca = trusted.write(self.directory.path());
        let own = papers.map(|papers| papers.write(self.directory.path(), "client"));
        Client::of(Some(&ca), own.as_ref().map(|(certificate, key)| (&**certificate, &**key))).unwrap()
    }
}

pub struct World {
    pub place: Place,
    pub address: String,
    pub stop: Stop,
    pub runtime: Runtime,
    pub server: Option<JoinHandle<usize>>,
    /// Requests that reached the application.
    pub asked: Arc<AtomicUsize>,
    /// Of `/big`: those whose answer is under way.
    pub under_way: Arc<AtomicUsize>,
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    /// Asks clients for certificates; `keys` says whose they are.
    pub fn asking(keys: &str) -> World {
        World::with(true, keys, BOUNDS, None)
    }

    pub fn with(asks: bool, keys: &str, bounds: Bounds, http2: Option<Http2>) -> World {
        World::of(Place::new(), asks, keys, bounds, http2)
    }

    pub fn of(place: Place, asks: bool, keys: &str, bounds: Bounds, http2: Option<Http2>) -> World {
        let config = format!("{}{keys}", place.config(asks));
        World::configured(place, &config, bounds, http2)
    }

    /// Asks clients for certificates, and looks in `revoked.pem` for those that are not to be trusted any more.
    pub fn revoking(place: Place, keys: &str) -> World {
        let config = format!("{}revoked = {:?}\n{keys}", place.config(true), place.file("revoked.pem"));
        World::configured(place, &config, BOUNDS, None)
    }

    fn configured(place: Place, config: &str, bounds: Bounds, http2: Option<Http2>) -> World {
        let settings = settings(config);
        let (tls, keys) = (Tls::of(&settings).unwrap().unwrap(), Arc::new(Keys::from_settings(&settings).unwrap()));
        let (asked, under_way) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (runtime, stop) = (Runtime::new().unwrap(), Stop::default());
        let (count, big) = (Arc::clone(&asked), Arc::clone(&under_way));
        let answer = move |request: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            let told = match keys.caller(&Head::of(&request)) {
                Ok(caller) if request.uri().path() == "/big" => {
                    big.fetch_add(1, Ordering::SeqCst);
                    let held = UnderWay(Arc::clone(&big));
                    (StatusCode::OK, enclos_host::body::holding(Body::from(vec![b'x'; 64 << 20]), (held, caller)))
                }
                Ok(caller) => (StatusCode::OK, Body::from(format!("you are {}", caller.name()))),
                Err(denied) => (StatusCode::UNAUTHORIZED, Body::from(denied.to_string())),
            };
            async { told }
        };
        let app = Router::new().fallback(answer);
        let listener = runtime.block_on("https://127.0.0.1:0".parse::<Address>().unwrap().bind_with(Some(&tls))).unwrap();
        let address = listener.address().unwrap().to_string().strip_prefix("https://").unwrap().to_owned();
        let server = match http2 {
            None => runtime.spawn(serve(vec![listener], app, bounds, stop.clone())),
            Some(http2) => runtime.spawn(serve_http2(vec![listener], app, bounds, http2, stop.clone())),
        };
        World { place, address, stop, runtime, server: Some(server), asked, under_way }
    }

    pub fn client(&self, papers: &Papers) -> Client {
        self.place.client(Some(papers))
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What `client` is answered, whole; an error: it is not let in.
    pub fn ask(&self, client: &Client, headers: &str) -> io::Result<String> {
        let mut stream = client.connect("localhost", self.connect())?;
        send(&mut stream, "/", &format!("connection: close\r\n{headers}"))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Who `client` is said to be.
    pub fn name(&self, client: &Client, headers: &str) -> String {
        let text = self.ask(client, headers).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        text.split_once("\r\n\r\n").unwrap().1.strip_prefix("you are ").unwrap().to_owned()
    }

    /// Why `client`, whose certificate is one, is not let in.
    pub fn denied(&self, client: &Client, headers: &str) -> String {
        let text = self.ask(client, headers).unwrap();
        assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{text}");
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn until(&self, holds: impl Fn(&World) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

pub fn send(stream: &mut Connected, path: &str, headers: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes())
}
