//! API keys: who calls, and how much of everything a caller may have.
//!
//! A key is a secret text. The configuration holds its SHA-256, or the name of a file with the text. Without any key the server is open, and
//! listens on addresses of this host only (see [`crate::listen::Address::is_local`]); every caller is then the same, `anonymous`.
//!
//! A caller sends it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as the password of `Authorization: Basic`, which is what clients
//! make of `http://any:KEY@host`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::settings::{Kind, Setting, Settings};

/// Keys of one table `[[keys]]`.
pub const KEY_SETTINGS: &[Setting] = &[
    Setting { key: "name", kind: Kind::Text, default: "", help: "Who has this key: shown in logs and metrics, never secret." },
    Setting {
        key: "sha256",
        kind: Kind::Text,
        default: "",
        help: "SHA-256 of the key, 64 hexadecimal digits: what `printf %s KEY | sha256sum` prints. This or `file`.",
    },
    Setting {
        key: "file",
        kind: Kind::Path,
        default: "",
        help: "A file with the key itself; blanks around it do not count. This or `sha256`.",
    },
    Setting {
        key: "concurrent",
        kind: Kind::Count(1, 1_000_000),
        default: "64",
        help: "Requests of this key at once, those that wait in the queue included. The next is answered 429.",
    },
    Setting {
        key: "per-minute",
        kind: Kind::Count(1, 100_000_000),
        default: "",
        help: "Requests of this key in a minute, spread evenly; as many may come at once. Without it: no bound.",
    },
];

/// A caller and its quota.
#[derive(Debug)]
pub struct Caller {
    name: Arc<str>,
    concurrent: u64,
    per_minute: Option<u64>,
    running: AtomicU64,
    bucket: Mutex<Bucket>,
}

/// What is left of a minute's requests.
#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: no key, and one is needed.
    #[error("a key is needed: send it as Authorization: Bearer KEY, or as X-API-Key: KEY")]
    Missing,
    /// 401: not one of ours.
    #[error("this key is not known here")]
    Unknown,
    /// 429: the key has as many requests under way as it may.
    #[error("this key has {concurrent} requests under way, and that is the limit; try again in {} s", .retry_after.as_secs())]
    Concurrent {
        /// The limit.
        concurrent: u64,
        /// When there may be room.
        retry_after: Duration,
    },
    /// 429: the key has used up its requests.
    #[error("this key may make {per_minute} requests a minute; try again in {} s", .retry_after.as_secs())]
    Rate {
        /// The limit.
        per_minute: u64,
        /// When there is room.
        retry_after: Duration,
    },
}

impl Denied {
    /// When to try again, where that makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Denied::Missing | Denied::Unknown => None,
            Denied::Concurrent { retry_after, .. } | Denied::Rate { retry_after, .. } => Some(*retry_after),
        }
    }
}

/// A fault of the configuration of keys: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys: {0}")]
pub struct BadKeys(String);

/// Every key there is.
#[derive(Debug)]
pub struct Keys {
    by_digest: HashMap<[u8; 32], Arc<Caller>>,
    anonymous: Option<Arc<Caller>>,
}

/// A request of a caller under way; dropped when it has its answer.
#[derive(Debug)]
pub struct Admitted {
    caller: Arc<Caller>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.caller.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admitted {
    /// The caller's name: what the queue is fair between.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.caller.name
    }
}

impl Keys {
    /// No keys: everybody is `anonymous`, without a quota of its own.
    #[must_use]
    pub fn open() -> Self {
        Keys { by_digest: HashMap::new(), anonymous: Some(Arc::new(Caller::new("anonymous".into(), u64::MAX, None))) }
    }

    /// The keys of `[[keys]]`.
    ///
    /// # Errors
    /// A key without secret, with two, or with one that another has; a file that cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, BadKeys> {
        let tables = settings.tables("keys");
        if tables.is_empty() {
            return Ok(Keys::open());
        }
        let mut by_digest = HashMap::new();
        for table in tables {
            let name = table.text("name").unwrap_or_default();
            let bad = |what: String| BadKeys(format!("{name}: {what}"));
            if name.is_empty() || by_digest.values().any(|caller: &Arc<Caller>| &*caller.name == name) {
                return Err(bad("name: write one that is not empty and that no other key has".to_owned()));
            }
            let digest = match (table.text("sha256"), table.text("file")) {
                (Some(hex), None) => {
                    parse_hex(hex).ok_or_else(|| bad(format!("sha256: {hex:?} is not right: write 64 hexadecimal digits")))
                }
                (None, Some(file)) => digest_of_file(Path::new(file)).map_err(bad),
                _ => Err(bad("write either sha256 or file".to_owned())),
            }?;
            let caller = Caller::new(name.into(), table.count("concurrent").unwrap_or(64), table.count("per-minute"));
            if by_digest.insert(digest, Arc::new(caller)).is_some() {
                return Err(bad("another name has the same key".to_owned()));
            }
        }
        Ok(Keys { by_digest, anonymous: None })
    }

    /// Whether a request without a key is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.anonymous.is_some()
    }

    /// Names of all callers there can be.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_digest.values().chain(&self.anonymous).map(|caller| &*caller.name)
    }

    /// Who sends these headers.
    ///
    /// # Errors
    /// [`Denied::Missing`], [`Denied::Unknown`].
    pub fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Denied> {
        if let Some(anonymous) = &self.anonymous {
            return Ok(Arc::clone(anonymous));
        }
        let key = sent_key(headers).ok_or(Denied::Missing)?;
        // The digest is looked up, not the key: how long that takes tells nothing about keys that are near.
        let digest: [u8; 32] = Sha256::digest(&key).into();
        self.by_digest.get(&digest).cloned().ok_or(Denied::Unknown)
    }

    /// Lets a request in that costs something.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn admit(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
        self.caller(headers)?.admit(Instant::now())
    }
}

impl Caller {
    fn new(name: Arc<str>, concurrent: u64, per_minute: Option<u64>) -> Self {
        let left = per_minute.unwrap_or(0) as f64;
        Caller { name, concurrent, per_minute, running: AtomicU64::new(0), bucket: Mutex::new(Bucket { left, since: Instant::now() }) }
    }

    /// The caller's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts a request that begins now.
    fn admit(self: Arc<Self>, now: Instant) -> Result<Admitted, Denied> {
        let one_more = |running| (running < self.concurrent).then_some(running + 1);
        if self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            return Err(Denied::Concurrent { concurrent: self.concurrent, retry_after: Duration::from_secs(1) });
        }
        // Made now, so that a request refused below is counted no longer.
        let admitted = Admitted { caller: self };
        admitted.caller.take_from_bucket(now)?;
        Ok(admitted)
    }

    fn take_from_bucket(&self, now: Instant) -> Result<(), Denied> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let per_second = per_minute as f64 / 60.0;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(bucket.since).as_secs_f64() * per_second;
        bucket.left = (bucket.left + gained).min(per_minute as f64);
        bucket.since = now;
        if bucket.left < 1.0 {
            let retry_after = Duration::from_secs(((1.0 - bucket.left) / per_second).ceil().max(1.0) as u64);
            return Err(Denied::Rate { per_minute, retry_after });
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

fn digest_of_file(path: &Path) -> Result<[u8; 32], String> {
    let text = std::fs::read(path).map_err(|error| format!("file: {}: {error}", path.display()))?;
    match text.trim_ascii() {
        [] => Err(format!("file: {} is empty: write the key into it", path.display())),
        key => Ok(Sha256::digest(key).into()),
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// The key that a request carries.
fn sent_key(headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes().to_vec());
    }
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| base64(rest.trim()))??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Base64 (RFC 4648 section 4), padding optional.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for symbol in text.trim_end_matches('=').bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: &[Setting] = &[Setting { key: "keys", kind: Kind::Tables(KEY_SETTINGS), default: "", help: "" }];

    fn keys(file: &str) -> Result<Keys, BadKeys> {
        Keys::from_settings(&Settings::read(&[RECORDS], file, &[]).unwrap())
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    /// SHA-256 of `secret`.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_key_is_found_in_each_of_its_places() {
        let keys = keys(&format!("[[keys]]\nname = \"a\"\nsha256 = \"{SECRET}\"")).unwrap();
        for headers in [
            headers("authorization", "Bearer secret"),
            headers("authorization", "bearer  secret"),
            headers("x-api-key", "secret"),
            headers("authorization", "Basic YW55OnNlY3JldA=="),
        ] {
            assert_eq!(&**keys.caller(&headers).unwrap().name(), "a", "{headers:?}");
        }
        assert_eq!(keys.caller(&HeaderMap::new()).unwrap_err(), Denied::Missing);
        for headers in [headers("authorization", "Bearer Secret"), headers("x-api-key", ""), headers("x-api-key", SECRET)] {
            assert_eq!(keys.caller(&headers).unwrap_err(), Denied::Unknown, "{headers:?}");
        }
        for odd in ["Bearer", "Basic !!!", "Basic YW55", "Digest x"] {
            assert_eq!(keys.caller(&headers("authorization", odd)).unwrap_err(), Denied::Missing, "{odd}");
        }
        assert!(!keys.is_open());
    }

    #[test]
    fn a_file_holds_a_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "secret\n").unwrap();
        let keys = keys(&format!("[[keys]]\nname = \"a\"\nfile = {:?}", file.path())).unwrap();
        assert!(keys.caller(&headers("x-api-key", "secret")).is_ok());
    }

    #[test]
    fn bad_keys_are_refused_by_name() {
        for (file, told) in [
            ("name = \"a\"".to_owned(), "keys: a: write either sha256 or file".to_owned()),
            ("name = \"a\"\nsha256 = \"12\"".to_owned(), "keys: a: sha256: \"12\" is not right: write 64 hexadecimal digits".to_owned()),
            (
                format!("name = \"\"\nsha256 = \"{SECRET}\""),
                "keys: : name: write one that is not empty and that no other key has".to_owned(),
            ),
            (
                format!("name = \"a\"\nsha256 = \"{SECRET}\"\n[[keys]]\nname = \"b\"\nsha256 = \"{SECRET}\""),
                "keys: b: another name has the same key".to_owned(),
            ),
        ] {
            assert_eq!(keys(&format!("[[keys]]\n{file}")).unwrap_err().to_string(), told);
        }
        let told = keys("[[keys]]\nname = \"a\"\nfile = \"/does/not/exist\"").unwrap_err().to_string();
        assert!(told.starts_with("keys: a: file: /does/not/exist: "), "{told}");
    }

    #[test]
    fn no_keys_is_open() {
        let keys = keys("").unwrap();
        assert!(keys.is_open());
        assert_eq!(&**keys.admit(&HeaderMap::new()).unwrap().name(), "anonymous");
    }

    #[test]
    fn requests_at_once_are_bounded_and_a_place_comes_back() {
        let caller = Arc::new(Caller::new("a".into(), 2, None));
        let now = Instant::now();
        let (first, _second) = (Arc::clone(&caller).admit(now).unwrap(), Arc::clone(&caller).admit(now).unwrap());
        let told = Arc::clone(&caller).admit(now).unwrap_err();
        assert_eq!(told.to_string(), "this key has 2 requests under way, and that is the limit; try again in 1 s");
        drop(first);
        assert!(caller.admit(now).is_ok());
    }

    #[test]
    fn requests_a_minute_are_bounded_and_come_back_evenly() {
        let caller = Arc::new(Caller::new("a".into(), 9, Some(6)));
        let start = Instant::now();
        let admit = |after: u64| Arc::clone(&caller).admit(start + Duration::from_secs(after)).map(drop);
        for _ in 0..6 {
            admit(0).unwrap();
        }
        assert_eq!(admit(0).unwrap_err().retry_after(), Some(Duration::from_secs(10)));
        assert_eq!(admit(4).unwrap_err().retry_after(), Some(Duration::from_secs(6)));
        admit(11).unwrap();
        assert!(admit(11).is_err());
        for _ in 0..6 {
            admit(1000).unwrap();
        }
        assert!(admit(1000).is_err());
    }
}
