//! API keys: who calls, and how much of everything a caller may have.
//!
//! A key is a secret text. The configuration holds its SHA-256, or the name of a file with the text. Without any key the server is open, and
//! listens on addresses of this host only (see [`crate::listen::Address::is_local`]); every caller is then the same, `anonymous`.
//!
//! A caller sends it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as the password of `Authorization: Basic`, which is what clients
//! make of `http://any:KEY@host`.
//!
//! Or the caller is known by the certificate that its connection showed ([`crate::tls`]): by its fingerprint, or by a name in it. A key that is
//! sent along counts; it may be no other caller's than the certificate's. A certificate that nobody is known by opens nothing, nor does it make
//! its holder anonymous. A browser shows it on behalf of every page that it is shown; so a page of another site has to send a key.

mod head;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

pub use head::Head;

use crate::settings::{Kind, Setting, Settings};
use crate::tls::{Certificate, Mark};

/// Keys of one table `[[keys]]`.
pub const KEY_SETTINGS: &[Setting] = &[
    Setting { key: "name", kind: Kind::Text, default: "", help: "Who has this key: shown in logs and metrics, never secret." },
    Setting {
        key: "sha256",
        kind: Kind::Text,
        default: "",
        help: "SHA-256 of the key, 64 hexadecimal digits: what `printf %s KEY | sha256sum` prints. This, `file` or `certificates`.",
    },
    Setting {
        key: "file",
        kind: Kind::Path,
        default: "",
        help: "A file with the key itself; blanks around it do not count. This, `sha256` or `certificates`.",
    },
    Setting {
        key: "certificates",
        kind: Kind::Texts,
        default: "",
        help: "Certificates that are as good as the key, where `tls.client-ca` is given: `sha256:` with the fingerprint, or a name that the authority \
               signed: `dns:NAME`, `uri:URI` (subject alternative names) or `cn:NAME` (common name).",
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
    /// 401: the certificate is signed by an authority of ours, and nobody's here.
    #[error("nobody is known here by the certificate of this connection ({fingerprint}): its operator adds it to certificates of [[keys]]")]
    Certificate {
        /// The certificate.
        fingerprint: Mark,
    },
    /// 401: names of the certificate are those of several callers.
    #[error(
        "the certificate of this connection ({fingerprint}) has names of several callers: its operator has to name it by its sha256 in [[keys]]"
    )]
    Ambiguous {
        /// The certificate.
        fingerprint: Mark,
    },
    /// 401: a browser shows a certificate on behalf of somebody else's page.
    #[error("Origin: a page of another site may not make use of its viewer's certificate: send a key")]
    Page,
    /// 401: two callers at once.
    #[error("the key is another caller's than the certificate of this connection: send one of both")]
    Two,
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
            Denied::Concurrent { retry_after, .. } | Denied::Rate { retry_after, .. } => Some(*retry_after),
            Denied::Missing | Denied::Unknown | Denied::Certificate { .. } | Denied::Ambiguous { .. } | Denied::Page | Denied::Two => None,
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
    callers: Vec<Arc<Caller>>,
    by_digest: HashMap<[u8; 32], Arc<Caller>>,
    by_certificate: HashMap<Mark, Arc<Caller>>,
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
        let anonymous = Arc::new(Caller::new("anonymous".into(), u64::MAX, None));
        Keys { callers: Vec::new(), by_digest: HashMap::new(), by_certificate: HashMap::new(), anonymous: Some(anonymous) }
    }

    /// The keys of `[[keys]]`.
    ///
    /// # Errors
    /// A key by which nobody is known, with two secrets, or with a secret or certificate that another has; a file that cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, BadKeys> {
        let tables = settings.tables("keys");
        if tables.is_empty() {
            return Ok(Keys::open());
        }
        let mut keys = Keys { callers: Vec::new(), by_digest: HashMap::new(), by_certificate: HashMap::new(), anonymous: None };
        for table in tables {
            let name = table.text("name").unwrap_or_default();
            let bad = |what: String| BadKeys(format!("{name}: {what}"));
            if name.is_empty() || keys.names().any(|known| known == name) {
                return Err(bad("name: write one that is not empty and that no other key has".to_owned()));
            }
            let certificates = table.texts("certificates");
            let digest = match (table.text("sha256"), table.text("file")) {
                (Some(hex), None) => {
                    Some(parse_hex(hex).ok_or_else(|| bad(format!("sha256: {hex:?} is not right: write 64 hexadecimal digits")))?)
                }
                (None, Some(file)) => Some(digest_of_file(Path::new(file)).map_err(bad)?),
                (None, None) if !certificates.is_empty() => None,
                (Some(_), Some(_)) => return Err(bad("write either sha256 or file".to_owned())),
                (None, None) => return Err(bad("nobody is known by it: write sha256, file or certificates".to_owned())),
            };
            let caller = Arc::new(Caller::new(name.into(), table.count("concurrent").unwrap_or(64), table.count("per-minute")));
            if digest.is_some_and(|digest| keys.by_digest.insert(digest, Arc::clone(&caller)).is_some()) {
                return Err(bad("another name has the same key".to_owned()));
            }
            for text in certificates {
                let mark: Mark = text.parse().map_err(|error| bad(format!("certificates: {error}")))?;
                if keys.by_certificate.insert(mark, Arc::clone(&caller)).is_some() {
                    return Err(bad(format!("certificates: {text:?} is written twice: each is one caller's")));
                }
            }
            keys.callers.push(caller);
        }
        Ok(keys)
    }

    /// Whether a request without a key is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.anonymous.is_some()
    }

    /// Names of all callers there can be.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.callers.iter().chain(&self.anonymous).map(|caller| &*caller.name)
    }

    /// Whether callers may be known by their certificates.
    #[must_use]
    pub fn have_certificates(&self) -> bool {
        !self.by_certificate.is_empty()
    }

    /// Whether callers may be known by keys that they send.
    #[must_use]
    pub fn have_secrets(&self) -> bool {
        !self.by_digest.is_empty()
    }

    /// Who sends this.
    ///
    /// # Errors
    /// [`Denied::Missing`], [`Denied::Unknown`], [`Denied::Certificate`], [`Denied::Ambiguous`], [`Denied::Page`], [`Denied::Two`].
    pub fn caller(&self, head: &Head) -> Result<Arc<Caller>, Denied> {
        let certified = head.certificate().map(|certificate| self.certified(certificate));
        if let Some(anonymous) = &self.anonymous {
            // Who shows a certificate is to be somebody.
            return certified.unwrap_or_else(|| Ok(Arc::clone(anonymous)));
        }
        let Some(key) = head.key() else {
            return match certified {
                None => Err(Denied::Missing),
                Some(Ok(_)) if head.is_of_another_site() => Err(Denied::Page),
                Some(certified) => certified,
            };
        };
        // The digest is looked up, not the key: how long that takes tells nothing about keys that are near.
        let digest: [u8; 32] = Sha256::digest(&key).into();
        let caller = self.by_digest.get(&digest).ok_or(Denied::Unknown)?;
        match certified {
            Some(Ok(other)) if !Arc::ptr_eq(&other, caller) => Err(Denied::Two),
            // Names of several: which of them it is, the key does not say.
            Some(Err(ambiguous @ Denied::Ambiguous { .. })) => Err(ambiguous),
            _ => Ok(Arc::clone(caller)),
        }
    }

    /// Whose a certificate is: by its fingerprint, else by the names in it.
    fn certified(&self, certificate: &Certificate) -> Result<Arc<Caller>, Denied> {
        if let Some(caller) = self.by_certificate.get(certificate.fingerprint()) {
            return Ok(Arc::clone(caller));
        }
        let fingerprint = || certificate.fingerprint().clone();
        let mut named = certificate.names().iter().filter_map(|name| self.by_certificate.get(name));
        let caller = named.next().ok_or_else(|| Denied::Certificate { fingerprint: fingerprint() })?;
        if named.all(|other| Arc::ptr_eq(other, caller)) {
            Ok(Arc::clone(caller))
        } else {
            Err(Denied::Ambiguous { fingerprint: fingerprint() })
        }
    }

    /// Lets a request in that costs something.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn admit(&self, head: &Head) -> Result<Admitted, Denied> {
        self.caller(head)?.admit(Instant::now())
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

#[cfg(test)]
mod tests;
