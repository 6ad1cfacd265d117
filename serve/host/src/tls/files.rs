//! The files of TLS, read and checked.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use webpki::OwnedCertRevocationList;

use super::{Files, Mark};

/// No file of certificates is longer.
const MOST: u64 = 4 << 20;
/// No file of revocation lists is longer: more than a million entries.
const MOST_LISTS: u64 = 64 << 20;
/// Bits of a mode that let others read.
const OTHERS_READ: u32 = 0o004;
/// Bits of a mode that let others, or the group, write.
const OTHERS_WRITE: u32 = 0o022;

/// What a server's side of a handshake needs.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Where HTTP/1.1 is spoken.
    pub(super) http1: Arc<ServerConfig>,
    /// Where HTTP/2 is spoken too.
    pub(super) http2: Arc<ServerConfig>,
    /// The certificate's fingerprint, for the log.
    pub(super) certificate: String,
}

/// How files were at a moment; another stamp: something has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<[i64; 6]>>);

impl Stamp {
    pub(super) fn of(files: &Files) -> Stamp {
        let of = |path: &Path| {
            // Links are followed: where they lead elsewhere, another file is in the place of the old one.
            let found = std::fs::metadata(path).ok()?;
            let (device, file, size) = (found.dev().cast_signed(), found.ino().cast_signed(), found.size().cast_signed());
            Some([device, file, size, found.mtime_nsec(), found.ctime(), found.ctime_nsec()])
        };
        let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref(), files.revoked.as_ref()];
        Stamp(all.into_iter().flatten().map(|path| of(path)).collect())
    }
}

/// The one cryptography there is.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Files {
    /// Reads all of them.
    ///
    /// # Errors
    /// One line: the setting, the file, and what would be right.
    pub(super) fn load(&self) -> Result<Loaded, String> {
        let chain = certificates(&self.certificate).map_err(|why| {
            told(
                "tls.certificate",
                &self.certificate,
                &why,
                "write a PEM file with the server's certificate, then those that join it to a root",
            )
        })?;
        let key = private_key(&self.key)
            .map_err(|why| told("tls.key", &self.key, &why, "write a PEM file with the certificate's private key"))?;
        let certificate = Mark::of_der(&chain[0]).to_string();
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let told =
                    |why: &str| told("tls.client-ca", file, why, "write a PEM file with the authorities that sign clients' certificates");
                let roots = roots(file).map_err(|why| told(&why))?;
                let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                if let Some(lists) = self.lists()? {
                    // Each certificate but the authority's own is looked up, and where no list says anything it is refused: rustls's defaults.
                    verifier = verifier.with_crls(lists).enforce_revocation_expiration();
                }
                builder.with_client_cert_verifier(verifier.build().map_err(|error| told(&error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let why = format!("it is not the key of the certificate in {}", self.certificate.display());
                told("tls.key", &self.key, &why, "write the key that the certificate was made for")
            }
            error => told("tls.certificate", &self.certificate, &error.to_string(), "write a certificate and a key that TLS can use"),
        })?;
        if self.client_ca.is_some() {
            // A session that goes on shows the certificate of its beginning, which may have run out since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let mut http2 = config.clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Loaded { http1: Arc::new(config), http2: Arc::new(http2), certificate })
    }

    /// The revocation lists, if some are to be looked into.
    fn lists(&self) -> Result<Option<Vec<CertificateRevocationListDer<'static>>>, String> {
        let Some(file) = &self.revoked else { return Ok(None) };
        lists(file).map(Some).map_err(|why| {
            let right =
                "write a PEM file with lists of the authorities that sign clients' certificates (openssl crl -inform der makes PEM of DER)";
            told("tls.revoked", file, &why, right)
        })
    }
}

fn told(setting: &str, file: &Path, why: &str, right: &str) -> String {
    format!("{setting}: {}: {why}: {right}", file.display())
}

/// The authorities of a file; every certificate in it must be one.
pub(super) fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| format!("its certificate {} is none that can be trusted: {error}", index + 1))?;
    }
    Ok(roots)
}

/// The certificates of a file; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file, false, MOST)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| no_pem(&error))?;
    if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(found) }
}

/// The revocation lists of a file; at least one.
fn lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(file, false, MOST_LISTS)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| no_pem(&error))?;
    for (index, list) in found.iter().enumerate() {
        OwnedCertRevocationList::from_der(list).map_err(|error| format!("its list {} cannot be used: {error}", index + 1))?;
    }
    if found.is_empty() { Err("it holds no revocation list".to_owned()) } else { Ok(found) }
}

/// The private key of a file that others cannot read.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(file, true, MOST)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if String::from_utf8_lossy(&bytes).contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            "its key has a passphrase, and nobody is here to type it (openssl pkey takes it off)".to_owned()
        }
        pem::Error::NoItemsFound => "it holds no private key".to_owned(),
        error => no_pem(&error),
    })
}

fn no_pem(error: &pem::Error) -> String {
    // The parser's own words quote bytes of the file, which may be a key's.
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly",
        pem::Error::Base64Decode(_) => "a section is no base64",
        _ => "it cannot be read",
    };
    format!("it is no PEM: {what}")
}

/// `secret`: others must not be able to read it.
fn read(file: &Path, secret: bool, most: u64) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    // A FIFO in its place is told, not waited for.
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(file).map_err(said)?;
    let found = opened.metadata().map_err(said)?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if secret && found.mode() & (OTHERS_READ | OTHERS_WRITE) != 0 {
        return Err(format!("its mode {:04o} lets others read it, or write it (chmod 600 ends that)", found.mode() & 0o7777));
    }
    let mut bytes = Vec::new();
    opened.take(most + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > most { Err(format!("it is longer than {most} bytes")) } else { Ok(bytes) }
}
