//! TLS on addresses of TCP, and who a client's certificate says it is.
//!
//! ```text
//!  accept ─► handshake (counted as a connection; must end within `head`) ─► HTTP over TLS, the certificate in each request's extensions
//!              │ each handshake, at most once a second: have the files changed? A set that is right replaces the one before; one that is
//!              │ not is logged, and the one before stays.
//! ```
//!
//! With `tls.client-ca` a handshake without a certificate that one of these authorities signed fails: nothing of such a client is read as HTTP.
//! `tls.revoked` takes certificates back before their time: who has no list that speaks for it, of now, is refused.
//! What the certificate says is a name, not a right: [`crate::keys`] says whose it is. Sessions are not resumed then, so that each connection
//! shows a certificate that is valid at its time.

mod client;
mod files;
mod handshake;
mod identity;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::ServerConfig;

pub use client::{Client, Connected};
use files::{Loaded, Stamp};
pub(crate) use handshake::handshake;
pub use identity::{BadMark, Certificate, Mark};

use crate::settings::{Kind, Setting, Settings};

/// The keys of `[tls]`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "tls.certificate",
        kind: Kind::Path,
        default: "",
        help: "File (PEM) with the server's certificate, and after it those that join it to a root. With it all addresses on TCP speak TLS 1.2 or 1.3, \
               but for those that are written with `http://`. It, and the three below, may be replaced while the server runs: the next connection is \
               shown the new one, and files that make no sense are logged and change nothing.",
    },
    Setting {
        key: "tls.key",
        kind: Kind::Path,
        default: "",
        help: "File (PEM) with the certificate's private key, without a passphrase. Others must not be able to read it.",
    },
    Setting {
        key: "tls.client-ca",
        kind: Kind::Path,
        default: "",
        help: "File (PEM) with authorities. With it whoever connects over TLS must show a certificate that one of them signed, and is the caller of the \
               `[[keys]]` entry that names it in `certificates`.",
    },
    Setting {
        key: "tls.revoked",
        kind: Kind::Path,
        default: "",
        help: "File (PEM) with revocation lists (CRLs) of these authorities, and of those between them and a client: as many as there are. With it each \
               certificate that a client shows is looked up, those between included; one that was taken back is refused, and so is one of whose \
               authority there is no list, or only one whose time is over (`nextUpdate`), as with nginx's `ssl_crl`.",
    },
];

/// How often changed files are looked for, at most.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A fault of the configuration of TLS: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTls(String);

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    revoked: Option<PathBuf>,
}

/// What connections are taken with. Clones are one.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    current: RwLock<Loaded>,
    looked: Mutex<Looked>,
    /// It was said that the time of a revocation list is over.
    told_over: AtomicBool,
}

/// The last look at the files.
struct Looked {
    at: Instant,
    /// How they were when they were last read, whether or not that made sense.
    read: Stamp,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// What a configuration says, whose records include [`SETTINGS`]; `None`: no TLS.
    ///
    /// # Errors
    /// A file that is missing or makes no sense; a key that is not the certificate's, or that others may read.
    pub fn of(settings: &Settings) -> Result<Option<Tls>, BadTls> {
        let [certificate, key, client_ca, revoked] =
            ["tls.certificate", "tls.key", "tls.client-ca", "tls.revoked"].map(|key| settings.text(key).map(PathBuf::from));
        let missing = |key: &str, what: &str, for_what: &str| {
            BadTls(format!("{key}: missing, though {for_what} is there: write the path of a PEM file with {what}"))
        };
        let files = match (certificate, key, client_ca, revoked) {
            (None, None, None, None) => return Ok(None),
            (Some(_), Some(_), None, Some(_)) => return Err(missing("tls.client-ca", "authorities", "tls.revoked")),
            (Some(certificate), Some(key), client_ca, revoked) => Files { certificate, key, client_ca, revoked },
            (Some(_), None, ..) => return Err(missing("tls.key", "the certificate's private key", "tls.certificate")),
            (None, Some(_), ..) => return Err(missing("tls.certificate", "the server's certificate", "tls.key")),
            (None, None, Some(_), _) => return Err(missing("tls.certificate", "the server's certificate", "tls.client-ca")),
            (None, None, None, Some(_)) => return Err(missing("tls.certificate", "the server's certificate", "tls.revoked")),
        };
        let read = Stamp::of(&files);
        let current = RwLock::new(files.load().map_err(BadTls)?);
        Ok(Some(Tls(Arc::new(Inner {
            files,
            current,
            looked: Mutex::new(Looked { at: Instant::now(), read }),
            told_over: AtomicBool::new(false),
        }))))
    }

    /// Whether clients must show a certificate.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        self.0.files.client_ca.is_some()
    }

    /// What the next handshake is made with; `http2`: where that is spoken.
    fn config(&self, http2: bool) -> Arc<ServerConfig> {
        // Who finds somebody looking does not wait: what there is was right a moment ago.
        if let Ok(mut looked) = self.0.looked.try_lock()
            && looked.at.elapsed() >= BETWEEN_LOOKS
        {
            self.look(&mut looked);
        }
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(if http2 { &current.http2 } else { &current.http1 })
    }

    /// A handshake failed. That a list's time is over is the operator's business, who is told once for each set of files.
    fn refused(&self, error: &std::io::Error) {
        use tokio_rustls::rustls::{CertificateError, Error};
        let over = matches!(
            error.get_ref().and_then(|error| error.downcast_ref::<Error>()),
            Some(Error::InvalidCertificate(
                CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. }
            ))
        );
        if over && !self.0.told_over.swap(true, Ordering::Relaxed) {
            tracing::warn!("a client was refused because the time of a list in tls.revoked is over: put the next one there");
        }
    }

    /// Reads the files anew if they have changed since they were last read.
    fn look(&self, looked: &mut Looked) {
        let now = Stamp::of(&self.0.files);
        looked.at = Instant::now();
        if now == looked.read {
            return;
        }
        // Taken before they are read: what changes meanwhile is seen at the next look.
        looked.read = now;
        match self.0.files.load() {
            Ok(loaded) => {
                tracing::info!(sha256 = %loaded.certificate, "the certificate was read anew");
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                self.0.told_over.store(false, Ordering::Relaxed);
            }
            Err(why) => tracing::warn!(why, "the changed files of TLS make no sense, and the certificate stays as it was"),
        }
    }
}
