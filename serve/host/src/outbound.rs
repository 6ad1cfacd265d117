//! Requests to addresses that a client chose (callbacks), where they cannot reach the inside of a network.
//!
//! A server stands where its clients do not: beside databases, behind firewalls, next to a cloud's metadata service. So an address that a
//! client names is asked for only when the operator lists its host, when the name resolves to an address that anybody could reach (unless the
//! operator lists it as internal), and exactly that address is connected to: no second look-up, no redirect, a bounded answer, a bounded time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::settings::{Kind, Setting, Settings};

/// The keys of `[callbacks]`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "callbacks.allow",
        kind: Kind::Texts,
        default: "[]",
        help: "Hosts that clients may have called back: `https://HOST`, `http://HOST:PORT`, `https://*.DOMAIN`, or `https://*` for any. They must have public \
               addresses. Without any, and without `internal`, callbacks are off.",
    },
    Setting {
        key: "callbacks.internal",
        kind: Kind::Texts,
        default: "[]",
        help: "As `allow`, but these may have addresses of a private network or of this host. No wildcards.",
    },
    Setting { key: "callbacks.timeout", kind: Kind::Span, default: "\"10s\"", help: "For one call, from look-up to answer." },
    Setting {
        key: "callbacks.authorities",
        kind: Kind::Path,
        default: "\"/etc/ssl/certs/ca-certificates.crt\"",
        help: "Certificates (PEM) of the authorities that `https` trusts.",
    },
];

/// The default of `callbacks.authorities`, and whom callers of a server of ours trust.
pub(crate) const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How much of an answer is read; nobody looks at it.
const MAX_ANSWER: usize = 64 << 10;

/// Why a call was not made, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address is none that may be called.
    #[error("{url:?} may not be called: {why}")]
    Refused {
        /// As the client wrote it.
        url: String,
        /// One line.
        why: String,
    },
    /// It could not be reached, or broke off.
    #[error("the call failed: {0}")]
    Failed(String),
    /// It took too long.
    #[error("the call took longer than {} s", .0.as_secs_f64())]
    TooSlow(Duration),
}

/// A fault of the configuration: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadOutbound(String);

/// A place that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    tls: bool,
    /// Lower case; after `*.` any name below it; `*` any.
    host: String,
    port: u16,
    internal: bool,
}

/// Makes calls.
#[derive(Clone)]
pub struct Outbound {
    places: Arc<[Place]>,
    patience: Duration,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("places", &self.places).finish_non_exhaustive()
    }
}

/// An address that may be called, as far as its text tells.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    place: Place,
}

impl Outbound {
    /// What a configuration allows whose records include [`SETTINGS`]; `None`: nothing.
    ///
    /// # Errors
    /// Places that are none; authorities that cannot be read though something uses `https`.
    pub fn of(settings: &Settings) -> Result<Option<Outbound>, BadOutbound> {
        let mut places = Vec::new();
        for (key, internal) in [("callbacks.allow", false), ("callbacks.internal", true)] {
            for text in settings.texts(key) {
                places.push(place(text, internal).map_err(|why| BadOutbound(format!("{key}: {why}")))?);
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        let tls = match places.iter().any(|place| place.tls) {
            false => None,
            true => {
                let file = settings.text("callbacks.authorities").unwrap_or_default();
                Some(connector(Path::new(file)).map_err(|why| BadOutbound(format!("callbacks.authorities: {file}: {why}")))?)
            }
        };
        Ok(Some(Outbound { places: places.into(), patience: settings.span("callbacks.timeout").unwrap_or(Duration::from_secs(10)), tls }))
    }

    /// Whether an address may be called, as far as its text tells; its host is looked up when it is called. For refusing a request at once.
    ///
    /// # Errors
    /// [`OutboundError::Refused`].
    pub fn check(&self, url: &str) -> Result<Target, OutboundError> {
        let refused = |why: &str| OutboundError::Refused { url: url.chars().take(200).collect(), why: why.to_owned() };
        let uri: Uri = url.parse().map_err(|_| refused("it is no address: write https://HOST/PATH"))?;
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        let tls = match scheme {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("write https:// or http://")),
        };
        let authority = authority.ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("leave out user and password"));
        }
        let host = uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        // A port that is no number, or too large a one, is no port to the parser.
        let has_more = authority.as_str().len() > uri.host().unwrap_or_default().len();
        if host.is_empty() || (has_more && authority.port_u16().is_none()) {
            return Err(refused("it names no host or no port"));
        }
        let place = self.places.iter().find(|place| place.tls == tls && place.port == port && matches(&place.host, &host));
        let place = place.ok_or_else(|| refused("its host is not on this server's list"))?.clone();
        Ok(Target { uri: uri.clone(), place })
    }

    /// Sends a body; gives the status of the answer. A redirect is an answer like any other, and is not followed.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn send(
        &self,
        method: Method,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<u16, OutboundError> {
        match tokio::time::timeout(self.patience, self.call(method, target, headers, body)).await {
            Ok(status) => status,
            Err(_) => Err(OutboundError::TooSlow(self.patience)),
        }
    }

    async fn call(
        &self,
        method: Method,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<u16, OutboundError> {
        let failed = |error: &dyn std::fmt::Display| OutboundError::Failed(error.to_string());
        let host = target.uri.host().unwrap_or_default();
        let address = self.resolve(target, host).await?;
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = target.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder().method(method).uri(path).header(HOST, authority);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| failed(&error))?;
        match (&self.tls, target.place.tls) {
            (Some(connector), true) => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| failed(&error))?;
                exchange(connector.connect(name, stream).await.map_err(|error| failed(&error))?, request).await
            }
            _ => exchange(stream, request).await,
        }
    }

    /// The address to connect to: looked up once, checked, and then used as it is.
    async fn resolve(&self, target: &Target, host: &str) -> Result<SocketAddr, OutboundError> {
        let bare = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((bare, target.place.port)).await.map_err(|error| OutboundError::Failed(error.to_string()))?;
        let mut addresses = found.peekable();
        if addresses.peek().is_none() {
            return Err(OutboundError::Failed("the host has no address".to_owned()));
        }
        let allowed = addresses.find(|address| target.place.internal || is_public(address.ip()));
        allowed.ok_or_else(|| {
            let why = "its host has no public address".to_owned();
            OutboundError::Refused { url: target.uri.to_string().chars().take(200).collect(), why }
        })
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<u16, OutboundError> {
    let failed = |error: &dyn std::fmt::Display| OutboundError::Failed(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driver = AbortOnDrop(tokio::spawn(async move {
        // What goes wrong here is told to whoever waits for the answer.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    // Read so that the peer may finish; what it says, and whether it says too much, is all the same.
    let _ = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    drop(driver);
    Ok(status)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The authorities of a file such as a host has: what cannot be used in it is passed over.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
}

fn connector(file: &Path) -> Result<TlsConnector, String> {
    let roots = authorities(file)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

fn place(text: &str, internal: bool) -> Result<Place, String> {
    let wrong =
        || format!("{text:?} is no place to call: write e.g. https://example.org, http://example.org:8080 or https://*.example.org");
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(wrong()),
    };
    if rest.contains(['/', '@', '?', '#']) {
        return Err(wrong());
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (rest, if tls { 443 } else { 80 }),
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    if name.is_empty() || (name.contains('*') && host != "*") || (internal && host.contains('*')) {
        return Err(wrong());
    }
    Ok(Place { tls, host: host.trim_end_matches('.').to_ascii_lowercase(), port, internal })
}

fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern == host,
        Some("") => true,
        Some(below) => host.len() > below.len() && host.ends_with(below),
    }
}

/// Whether an address is one that anybody on the Internet could reach (IANA's special-purpose registries, RFC 6890).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // Mapped, and translated (RFC 6052): as the IPv4 address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments with Teredo and ORCHID, documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // All that is assigned to be public today.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn outbound(file: &str) -> Result<Option<Outbound>, BadOutbound> {
        Outbound::of(&Settings::read(&[SETTINGS], &format!("[callbacks]\n{file}"), &[]).unwrap())
    }

    #[test]
    fn only_public_addresses_are_public() {
        for text in
            ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_listed_is_refused_by_its_text() {
        let outbound =
            outbound("allow = [\"http://*.example.org\", \"http://example.net:8080\"]\ninternal = [\"http://[::1]:9\"]").unwrap().unwrap();
        for url in ["http://a.example.org/x?y", "http://A.B.Example.ORG./", "http://example.net:8080/", "http://[::1]:9/"] {
            assert!(outbound.check(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/x",
            "ftp://a.example.org/",
            "https://a.example.org/",
            "http://example.org/",
            "http://badexample.org/",
            "http://a.example.org:81/",
            "http://u:p@a.example.org/",
            "http://a.example.org@evil.test/",
            "http://example.net/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://",
            "http://:80/",
            "http://a.example.org:99999/",
            "file:///etc/passwd",
            "http://a.example.org\r\nx: y/",
        ] {
            assert!(matches!(outbound.check(url), Err(OutboundError::Refused { .. })), "{url}");
        }
    }

    #[test]
    fn nothing_listed_is_off_and_faults_are_told() {
        assert!(outbound("").unwrap().is_none());
        for (file, start) in [
            ("allow = [\"example.org\"]", "callbacks.allow: \"example.org\" is no place"),
            ("allow = [\"https://a.*.org\"]", "callbacks.allow: "),
            ("internal = [\"http://*\"]", "callbacks.internal: "),
            ("allow = [\"https://x/y\"]", "callbacks.allow: "),
            ("allow = [\"https://x\"]\nauthorities = \"/does/not/exist\"", "callbacks.authorities: /does/not/exist: "),
        ] {
            let told = outbound(file).unwrap_err().to_string();
            assert!(told.starts_with(start) && !told.contains('\n'), "{told}");
        }
    }

    /// A peer that answers each connection with `answer`, and gives what it was sent.
    async fn peer(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let mut length = 0;
            while !bytes[..length].ends_with(b"body") {
                length += stream.read(&mut bytes[length..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        });
        (port, seen)
    }

    async fn call(list: &str, url: &str) -> Result<u16, OutboundError> {
        let outbound = outbound(&format!("{list}\ntimeout = \"2s\"")).unwrap().unwrap();
        let target = outbound.check(url)?;
        outbound
            .send(
                Method::PUT,
                &target,
                &[(hyper::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
                Bytes::from_static(b"body"),
            )
            .await
    }

    #[tokio::test]
    async fn a_call_carries_what_it_should_and_follows_nothing() {
        let (port, seen) = peer("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        let status =
            call(&format!("internal = [\"http://127.0.0.1:{port}\"]"), &format!("http://127.0.0.1:{port}/done?x=1")).await.unwrap();
        assert_eq!(status, 302);
        let seen = seen.await.unwrap();
        assert!(seen.starts_with("PUT /done?x=1 HTTP/1.1\r\n") && seen.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{seen}");
        assert!(seen.contains("content-type: text/plain\r\n") && seen.ends_with("\r\n\r\nbody"), "{seen}");
    }

    #[tokio::test]
    async fn a_listed_name_that_leads_inside_is_refused() {
        let (port, seen) = peer("HTTP/1.1 200 OK\r\n\r\n").await;
        for host in ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/");
            let told = call(&format!("allow = [\"http://*:{port}\"]"), &url).await.unwrap_err();
            // A name that does not resolve at all is as good.
            assert!(matches!(told, OutboundError::Refused { .. } | OutboundError::Failed(_)), "{told}");
        }
        assert!(!seen.is_finished(), "somebody called");
        seen.abort();
    }

    #[tokio::test]
    async fn a_peer_that_does_not_answer_is_given_up() {
        let (port, _seen) = peer("").await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = listener.local_addr().unwrap().port();
        let told = call(&format!("internal = [\"http://127.0.0.1:{silent}\"]"), &format!("http://127.0.0.1:{silent}/")).await.unwrap_err();
        assert!(matches!(told, OutboundError::TooSlow(_)), "{told}");
        let told = call(&format!("internal = [\"http://127.0.0.1:{port}\"]"), &format!("http://127.0.0.1:{port}/")).await.unwrap_err();
        assert!(matches!(told, OutboundError::Failed(_)), "{told}");
    }

    #[tokio::test]
    async fn a_certificate_is_believed_only_for_its_name_and_from_its_authority() {
        use tokio_rustls::rustls::ServerConfig;
        let (ours, others) = (certified("localhost"), certified("localhost"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, ours.cert.pem()).unwrap();
        for (shown, host, believed) in [(&ours, "localhost", true), (&ours, "127.0.0.1", false), (&others, "localhost", false)] {
            let key = rustls_pki_types::PrivateKeyDer::try_from(shown.signing_key.serialize_der()).unwrap();
            let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let config = config.with_no_client_auth().with_single_cert(vec![shown.cert.der().clone()], key).unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let peer = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            });
            let list = format!("internal = [\"https://{host}:{port}\"]\nauthorities = {:?}", file.path());
            let came = call(&list, &format!("https://{host}:{port}/")).await;
            assert_eq!(came.as_ref().ok(), believed.then_some(&204), "{host}: {came:?}");
            peer.await.unwrap();
        }
    }

    fn certified(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
    }
}
