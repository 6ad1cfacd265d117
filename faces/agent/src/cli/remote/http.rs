//! A small blocking client of HTTP/1.1 (RFC 9112): one connection for each request, bodies in constant memory both ways.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use enclos_host::tls::Client;
use serde_json::Value;

use super::stream::Stream;

/// Where a server is, unless somebody says so.
pub const USUAL: &str = "http://127.0.0.1:42920";
/// Most bytes of the head of an answer.
const MOST_HEAD: u64 = 64 << 10;
/// Most bytes of an answer that is a document.
const MOST_DOCUMENT: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    shown: String,
    place: Place,
    key: Option<String>,
    tls: Option<Client>,
}

/// What goes with a request.
pub enum Body<'a> {
    /// Nothing.
    None,
    /// A document.
    Json(&'a Value),
    /// Bytes, of no length that is known before.
    Stream(&'a mut dyn Read),
}

/// An answer whose status is fine.
pub struct Answer {
    /// Its body.
    pub body: Box<dyn BufRead>,
}

impl Server {
    /// At an address: `https://HOST:PORT`, `http://HOST:PORT` or `unix:/PATH`. `tls`: with what the first is spoken; there for that alone.
    ///
    /// # Errors
    /// One line.
    pub fn at(address: &str, key: Option<String>, tls: Option<Client>) -> Result<Server, String> {
        let wrong = || format!("--server: {address:?} is not right: write https://HOST:PORT, http://HOST:PORT or unix:/PATH");
        let place = if let Some(path) = address.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(wrong());
            }
            Place::Unix(path.into())
        } else {
            let (scheme, usual) = if tls.is_some() { ("https://", 443) } else { ("http://", 80) };
            let host = address.strip_prefix(scheme).ok_or_else(wrong)?.trim_end_matches('/');
            let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if host.is_empty() || host.contains(['/', '@', ' ']) || matches!(port, Some(Err(_))) && !host.ends_with(']') {
                return Err(wrong());
            }
            Place::Tcp(if matches!(port, Some(Ok(_))) { host.to_owned() } else { format!("{host}:{usual}") })
        };
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| (0x21..0x7f).contains(&byte))) {
            return Err("--key: a key is printable characters without blanks".to_owned());
        }
        Ok(Server { shown: address.to_owned(), place, key, tls })
    }

    fn host(&self) -> &str {
        match &self.place {
            Place::Tcp(host) => host,
            Place::Unix(_) => "localhost",
        }
    }

    /// The key, as a header's value.
    pub fn authorization(&self) -> Option<String> {
        self.key.as_ref().map(|key| format!("Bearer {key}"))
    }

    /// An address on this server, for a handshake.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.host())
    }

    /// Connects.
    ///
    /// # Errors
    /// One line.
    pub fn connect(&self) -> Result<Stream, String> {
        let failed = |error: io::Error| format!("no server answers at {}: {error} (enclos serve starts one)", self.shown);
        let host = match &self.place {
            Place::Unix(path) => return UnixStream::connect(path).map(Stream::Unix).map_err(failed),
            Place::Tcp(host) => host,
        };
        let stream = TcpStream::connect(host).map_err(failed)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Tcp(stream)) };
        let name = host.rsplit_once(':').map_or(&**host, |(name, _)| name).trim_matches(['[', ']']);
        let connected = tls.connect(name, stream);
        connected
            .map(|connected| Stream::Tls(Box::new(connected)))
            .map_err(|error| format!("the server at {}: {}", self.shown, why(&error)))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// One line: the server's own word where it is one.
    pub fn send(&self, method: &str, path: &str, accept: &str, body: Body<'_>) -> Result<Answer, String> {
        let lost = |error: io::Error| format!("the connection to {} broke: {}", self.shown, why(&error));
        let mut stream = self.connect()?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\naccept: {accept}\r\n", self.host());
        if let Some(key) = self.authorization() {
            head += &format!("authorization: {key}\r\n");
        }
        let sent = match body {
            Body::None => stream.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()),
            Body::Json(value) => {
                let text = value.to_string();
                head += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                stream.write_all(head.as_bytes())
            }
            Body::Stream(from) => {
                head += "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).and_then(|()| chunks(from, &mut stream))
            }
        };
        let sent = sent.and_then(|()| stream.flush());
        // A server that refuses a body says so without reading it to its end; what it says is read all the same.
        let broke = match sent {
            Ok(()) => None,
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Some(error),
            Err(error) => return Err(lost(error)),
        };
        let mut from = BufReader::new(stream);
        let head = match Head::read(&mut from) {
            Ok(head) => head,
            Err(error) => return Err(lost(broke.unwrap_or(error))),
        };
        let mut body: Box<dyn BufRead> = match head.length {
            Length::Known(length) => Box::new(from.take(length)),
            Length::Chunked => Box::new(BufReader::new(Chunked { from, left: 0, state: Chunk::Head })),
            Length::ToTheEnd => Box::new(from),
        };
        if (200..300).contains(&head.status) {
            return Ok(Answer { body });
        }
        let mut text = Vec::new();
        // What cannot be read says nothing; the status does.
        let _ = (&mut body).take(1 << 20).read_to_end(&mut text);
        Err(complaint(head.status, &text))
    }

    /// Sends a document and reads one; null where the answer has none.
    ///
    /// # Errors
    /// One line.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.send(method, path, "application/json", body.map_or(Body::None, Body::Json))?;
        answer.json()
    }

    /// Every page of a listing.
    ///
    /// # Errors
    /// One line.
    pub fn all(&self, path: &str, items: &str) -> Result<Vec<Value>, String> {
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let more = token.map(|token| format!("&page_token={}", escape(&token))).unwrap_or_default();
            let mut page = self.json("GET", &format!("{path}{mark}page_size=1000{more}"), None)?;
            if let Some(Value::Array(list)) = page.get_mut(items).map(Value::take) {
                found.extend(list);
            }
            match page["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => token = Some(next.to_owned()),
                _ => return Ok(found),
            }
        }
    }
}

impl Answer {
    /// As a document.
    ///
    /// # Errors
    /// One line.
    pub fn json(self) -> Result<Value, String> {
        let mut text = Vec::new();
        self.body.take(MOST_DOCUMENT).read_to_end(&mut text).map_err(|error| format!("the answer broke off: {error}"))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&text).map_err(|error| format!("the server's answer is no JSON: {error}"))
    }
}

/// What went wrong with a connection, and what may help against it where TLS is the reason.
fn why(error: &io::Error) -> String {
    let text = error.to_string();
    let hint = if text.contains("CertificateRequired") {
        "; it asks who we are: --cert FILE and --cert-key FILE say so"
    } else if text.contains("UnknownIssuer") {
        "; --ca FILE says whom to trust"
    } else if text.contains("corrupt message") {
        "; it may speak no TLS: http:// is for that"
    } else {
        ""
    };
    text + hint
}

/// What a server says of an error: its own line, or what is known.
fn complaint(status: u16, text: &[u8]) -> String {
    let document: Value = serde_json::from_slice(text).unwrap_or_default();
    let error = &document["error"];
    let mut line = match error["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("the server answers {status}"),
    };
    for (list, why) in [("denied", "denied"), ("conflicts", "why")] {
        for item in error[list].as_array().into_iter().flatten() {
            line += &format!("\n  {}: {}", item["path"].as_str().unwrap_or_default(), item[why].as_str().unwrap_or_default());
        }
    }
    line
}

/// A part of a path or of a query, as RFC 3986 writes it; slashes stay.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

fn chunks(from: &mut dyn Read, to: &mut Stream) -> io::Result<()> {
    let mut buffer = vec![0_u8; 64 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return to.write_all(b"0\r\n\r\n"),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(format!("{count:x}\r\n").as_bytes())?;
        to.write_all(&buffer[..count])?;
        to.write_all(b"\r\n")?;
    }
}

enum Length {
    Known(u64),
    Chunked,
    ToTheEnd,
}

struct Head {
    status: u16,
    length: Length,
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MOST_HEAD).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(bad("it ended in the middle of an answer"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| bad("the answer is not HTTP"))
}

impl Head {
    fn read(from: &mut impl BufRead) -> io::Result<Head> {
        loop {
            let first = line(from)?;
            let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| bad("the answer is not HTTP"))?;
            let (mut length, mut bytes) = (Length::ToTheEnd, 0);
            loop {
                let line = line(from)?;
                if line.is_empty() {
                    break;
                }
                bytes += line.len() as u64;
                if bytes > MOST_HEAD {
                    return Err(bad("the head of the answer is too long"));
                }
                let Some((name, value)) = line.split_once(':') else { continue };
                match &name.to_ascii_lowercase()[..] {
                    "content-length" if matches!(length, Length::ToTheEnd) => {
                        length = Length::Known(value.trim().parse().map_err(|_| bad("the answer's length is no number"))?);
                    }
                    "transfer-encoding" if value.trim().eq_ignore_ascii_case("chunked") => length = Length::Chunked,
                    _ => {}
                }
            }
            if status == 204 || status == 304 {
                length = Length::Known(0);
            }
            if status >= 200 {
                return Ok(Head { status, length });
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Chunk {
    Head,
    Body,
    Done,
}

struct Chunked<R> {
    from: R,
    left: u64,
    state: Chunk,
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.state == Chunk::Head {
            let text = line(&mut self.from)?;
            let size = text.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk has no length"))?;
            self.state = Chunk::Body;
            if self.left == 0 {
                while !line(&mut self.from)?.is_empty() {}
                self.state = Chunk::Done;
            }
        }
        if self.state == Chunk::Done || into.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let count = self.from.read(&mut into[..most])?;
        if count == 0 {
            return Err(bad("it ended in the middle of an answer"));
        }
        self.left -= count as u64;
        if self.left == 0 {
            line(&mut self.from)?;
            self.state = Chunk::Head;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Whether a request has come to its end: a head may come without its body.
    fn is_whole(asked: &[u8]) -> bool {
        let text = String::from_utf8_lossy(asked);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        if head.contains("transfer-encoding: chunked") {
            return body.ends_with("0\r\n\r\n");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        body.len() >= length
    }

    /// A server of one answer; gives what it was asked.
    fn once(answer: &'static [u8]) -> (Server, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::at(&format!("http://{}", listener.local_addr().unwrap()), Some("key".to_owned()), None).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
            while !is_whole(&asked) {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0);
                asked.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer).unwrap();
            asked
        });
        (server, thread)
    }

    #[test]
    fn answers_of_every_kind_are_read() {
        for answer in [
            &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}rest"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\n{\"a\r\n4\r\n\":1}\r\n0\r\nx: y\r\n\r\n",
            b"HTTP/1.0 201 Created\r\n\r\n{\"a\":1}",
        ] {
            let (server, thread) = once(answer);
            assert_eq!(server.json("POST", "/x", Some(&serde_json::json!({"b": 2}))).unwrap(), serde_json::json!({"a": 1}));
            let asked = String::from_utf8(thread.join().unwrap()).unwrap();
            assert!(asked.starts_with("POST /x HTTP/1.1\r\n") && asked.contains("authorization: Bearer key\r\n"), "{asked}");
            assert!(asked.ends_with("content-length: 7\r\n\r\n{\"b\":2}"), "{asked}");
        }
        let (server, thread) = once(b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(server.json("DELETE", "/x", None).unwrap(), Value::Null);
        thread.join().unwrap();
    }

    #[test]
    fn a_body_is_sent_in_chunks() {
        let (server, thread) = once(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        server.send("PUT", "/x", "*/*", Body::Stream(&mut &b"hello"[..])).unwrap();
        assert!(thread.join().unwrap().ends_with(b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        for (answer, told) in [
            (
                &b"HTTP/1.1 404 Not Found\r\n\r\n{\"error\": {\"message\": \"sandbox \\\"x\\\" is not known\"}}"[..],
                "sandbox \"x\" is not known",
            ),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "the server answers 502"),
            (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}", "middle of an answer"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", "no JSON"),
        ] {
            let (server, thread) = once(answer);
            let line = server.json("GET", "/x", None).unwrap_err();
            assert!(line.contains(told), "{line}");
            thread.join().unwrap();
        }
        for address in ["https://x", "unix:relative", "http://", "localhost:1", "http://a:b", "http://u@h:1"] {
            assert!(Server::at(address, None, None).unwrap_err().contains("write https://HOST:PORT, http://HOST:PORT"), "{address}");
        }
        assert!(Server::at("http://[::1]:80", Some("a b".to_owned()), None).unwrap_err().starts_with("--key"));
        assert_eq!(escape("a b/ü?"), "a%20b/%C3%BC%3F");
    }
}
