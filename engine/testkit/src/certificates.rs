//! Authorities of a test's own, and certificates that they signed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use sha2::{Digest, Sha256};

/// Signs certificates.
pub struct Authority {
    name: String,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The certificate (PEM).
    pub certificate: String,
    /// The private key (PEM).
    pub key: String,
    /// `sha256:` and the fingerprint.
    pub mark: String,
    /// Its number, of those that its authority gave.
    serial: SerialNumber,
}

impl Authority {
    /// A new one; two of one name are two.
    ///
    /// # Panics
    /// When it cannot be made, as with everything here.
    #[must_use]
    pub fn new(name: &str) -> Authority {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { name: name.to_owned(), pem, issuer: Issuer::new(params, key) }
    }

    /// One whose certificate this one signed, and that certificate.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn below(&self, name: &str) -> (Authority, Papers) {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let papers = self.sign_key(params.clone(), &key);
        (Authority { name: name.to_owned(), pem: papers.certificate.clone(), issuer: Issuer::new(params, key) }, papers)
    }

    /// A list (PEM, RFC 5280 section 5) that says that these are not to be trusted any more.
    #[must_use]
    pub fn revoking(&self, papers: &[&Papers]) -> String {
        self.list(papers, 3000)
    }

    /// The same, of long ago: the next should have come in 2002.
    #[must_use]
    pub fn revoking_long_ago(&self, papers: &[&Papers]) -> String {
        self.list(papers, 2002)
    }

    fn list(&self, papers: &[&Papers], next: i32) -> String {
        let revoked = |papers: &&Papers| RevokedCertParams {
            serial_number: papers.serial.clone(),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: papers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Its own certificate (PEM).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its certificate to `NAME.pem`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let file = directory.join(format!("{}.pem", self.name));
        std::fs::write(&file, &self.pem).unwrap();
        file
    }

    /// For a server on `localhost` and 127.0.0.1.
    #[must_use]
    pub fn server(&self) -> Papers {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a client, with this common name.
    #[must_use]
    pub fn client(&self, name: &str) -> Papers {
        self.client_with(name, &[], &[])
    }

    /// For a client, with these names and addresses beside its common name.
    ///
    /// # Panics
    /// When they are none.
    #[must_use]
    pub fn client_with(&self, name: &str, dns: &[&str], uris: &[&str]) -> Papers {
        let mut params = client(name);
        params.subject_alt_names.extend(dns.iter().map(|&name| SanType::DnsName(name.try_into().unwrap())));
        params.subject_alt_names.extend(uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())));
        self.sign(params)
    }

    /// For a client whose time was over long ago.
    #[must_use]
    pub fn expired_client(&self, name: &str) -> Papers {
        let mut params = client(name);
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(params)
    }

    /// For a client whose time has not come.
    #[must_use]
    pub fn early_client(&self, name: &str) -> Papers {
        let mut params = client(name);
        (params.not_before, params.not_after) = (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Papers {
        self.sign_key(params, &KeyPair::generate().unwrap())
    }

    fn sign_key(&self, mut params: CertificateParams, key: &KeyPair) -> Papers {
        // Of the key, which nobody else has; positive, as a number must be.
        let mut serial = Sha256::digest(key.public_key_raw())[..16].to_vec();
        serial[0] = serial[0] & 0x7f | 0x40;
        let serial = SerialNumber::from(serial);
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let digits: String = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        Papers { certificate: certificate.pem(), key: key.serialize_pem(), mark: format!("sha256:{digits}"), serial }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Papers {
    /// The same, shown with the certificates between it and an authority that is trusted.
    #[must_use]
    pub fn through(mut self, between: &[&Papers]) -> Papers {
        between.iter().for_each(|papers| self.certificate.push_str(&papers.certificate));
        self
    }

    /// Writes them to `NAME.crt` and `NAME.key`, which only their owner can read, in the place of those that are there.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let place = |kind: &str, text: &str| {
            let (file, new) = (directory.join(format!("{name}.{kind}")), directory.join(format!("{name}.{kind}.new")));
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(&new, &file).unwrap();
            file
        };
        (place("crt", &self.certificate), place("key", &self.key))
    }
}

/// The authorities of a server and of its clients, and another one.
pub struct Authorities {
    /// Signs the server's certificate.
    pub servers: Authority,
    /// Signs those of clients.
    pub clients: Authority,
    /// Signs what nobody trusts.
    pub others: Authority,
}

impl Authorities {
    /// New ones, whose certificates (`servers.pem` and so on) and the server's papers (`server.crt`, `server.key`) lie in `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Authorities {
        let [servers, clients, others] = ["servers", "clients", "others"].map(Authority::new);
        let all = Authorities { servers, clients, others };
        for authority in [&all.servers, &all.clients, &all.others] {
            authority.write(directory);
        }
        all.servers.server().write(directory, "server");
        all
    }

    /// The section `[tls]` of a server that has its papers in `directory`; `asks`: it asks clients for theirs.
    #[must_use]
    pub fn config(directory: &Path, asks: bool) -> String {
        let file = |name: &str| directory.join(name);
        let authority = if asks { format!("client-ca = {:?}\n", file("clients.pem")) } else { String::new() };
        format!("[tls]\ncertificate = {:?}\nkey = {:?}\n{authority}", file("server.crt"), file("server.key"))
    }
}
