//! What a client's certificate says of it, once its signature was verified.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

/// Something that a certificate is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// SHA-256 of the certificate (DER).
    Sha256([u8; 32]),
    /// A host name of its subject alternative names (RFC 5280 section 4.2.1.6), in lower case.
    Dns(String),
    /// An address of its subject alternative names, e.g. of SPIFFE.
    Uri(String),
    /// A common name of its subject (RFC 4519 section 2.3).
    CommonName(String),
}

/// A text that is no mark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not right: write \"sha256:64 HEXADECIMAL DIGITS\" (what openssl x509 -noout -fingerprint -sha256 prints), \"dns:NAME\", \"uri:URI\" or \
     \"cn:NAME\""
)]
pub struct BadMark(String);

impl FromStr for Mark {
    type Err = BadMark;

    fn from_str(text: &str) -> Result<Mark, BadMark> {
        let bad = || BadMark(text.to_owned());
        let (kind, value) = text.split_once(':').filter(|(_, value)| !value.is_empty()).ok_or_else(bad)?;
        match kind {
            // Names of a client's certificate are whole: what has a star in it names nobody.
            "dns" if !value.contains('*') => Ok(Mark::Dns(value.to_ascii_lowercase())),
            "uri" if value.contains(':') => Ok(Mark::Uri(value.to_owned())),
            "cn" => Ok(Mark::CommonName(value.to_owned())),
            "sha256" => fingerprint(value).map(Mark::Sha256).ok_or_else(bad),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Sha256(digest) => {
                f.write_str("sha256:")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Mark::Dns(name) => write!(f, "dns:{name}"),
            Mark::Uri(uri) => write!(f, "uri:{uri}"),
            Mark::CommonName(name) => write!(f, "cn:{name}"),
        }
    }
}

impl Mark {
    /// The fingerprint of a certificate.
    pub(super) fn of_der(der: &CertificateDer<'_>) -> Mark {
        Mark::Sha256(Sha256::digest(der).into())
    }
}

/// 32 bytes as hexadecimal digits, with or without a colon after each pair.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let pairs: Vec<&str> = if text.contains(':') {
        text.split(':').collect()
    } else {
        text.as_bytes().chunks(2).map(std::str::from_utf8).collect::<Result<_, _>>().ok()?
    };
    let byte = |pair: &str| {
        let digits = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(pair, 16).ok())?
    };
    pairs.into_iter().map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// The certificate of a client, signed by an authority that the configuration names, and valid when the connection began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    fingerprint: Mark,
    names: Vec<Mark>,
}

impl Certificate {
    /// What a certificate says. Its names are looked at only here, after its signature was verified.
    pub(super) fn of(der: &CertificateDer<'_>) -> Certificate {
        let mut names = Vec::new();
        // One that this could not read was not verified either.
        if let Ok(certificate) = EndEntityCert::try_from(der) {
            names.extend(certificate.valid_dns_names().map(|name| Mark::Dns(name.to_ascii_lowercase())));
            names.extend(certificate.valid_uri_names().map(|uri| Mark::Uri(uri.to_owned())));
            names.extend(common_names(certificate.subject()).into_iter().map(Mark::CommonName));
        }
        Certificate { fingerprint: Mark::of_der(der), names }
    }

    /// What it is known by alone.
    #[must_use]
    pub fn fingerprint(&self) -> &Mark {
        &self.fingerprint
    }

    /// Names that its authority gave it; others may have them too.
    #[must_use]
    pub fn names(&self) -> &[Mark] {
        &self.names
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// 2.5.4.3, `id-at-commonName`.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// Kinds of text whose bytes are UTF-8: `UTF8String`, `PrintableString`, `IA5String`.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Common names of a subject (RFC 5280 section 4.1.2.4: sets of pairs of a type and a value). What makes no sense ends the list.
fn common_names(mut subject: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((SET, mut set, rest)) = element(subject) {
        subject = rest;
        while let Some((SEQUENCE, pair, rest)) = element(set) {
            set = rest;
            if let Some((OBJECT_IDENTIFIER, COMMON_NAME, value)) = element(pair)
                && let Some((kind, text, [])) = element(value)
                && TEXTS.contains(&kind)
                && let Ok(text) = std::str::from_utf8(text)
            {
                found.push(text.to_owned());
            }
        }
    }
    found
}

/// The first element of DER (X.690 section 8.1): its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?)), &rest[2..]),
        // No name of ours is longer, and lengths without an end are not DER.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn marks_are_read_and_shown() {
        let digits = "0123456789abcdef".repeat(4);
        let colons =
            digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase()).collect::<Vec<_>>().join(":");
        for (text, shown) in [
            (format!("sha256:{digits}"), format!("sha256:{digits}")),
            (format!("sha256:{colons}"), format!("sha256:{digits}")),
            ("dns:Alice.Example.org".to_owned(), "dns:alice.example.org".to_owned()),
            ("uri:spiffe://example.org/alice".to_owned(), "uri:spiffe://example.org/alice".to_owned()),
            ("cn:Alice B".to_owned(), "cn:Alice B".to_owned()),
        ] {
            assert_eq!(text.parse::<Mark>().unwrap().to_string(), shown, "{text}");
        }
        let short = format!("sha256:{}", &digits[2..]);
        let odd = format!("sha256:{}", digits.replace('a', "g"));
        let signed = format!("sha256:+1{}", &digits[2..]);
        for text in
            ["", "alice", "dns:", "cn", "dns:*.example.org", "uri:alice", "ip:127.0.0.1", "sha256:12", "sha256:é", &short, &odd, &signed]
        {
            let told = text.parse::<Mark>().unwrap_err().to_string();
            assert!(told.starts_with(&format!("{text:?} is not right: write \"sha256:")), "{told}");
        }
    }

    #[test]
    fn names_of_every_kind_are_found() {
        let mut params = CertificateParams::new(vec!["Alice.example.org".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://example.org/alice".try_into().unwrap()));
        params.distinguished_name.push(DnType::OrganizationName, "Not a name");
        params.distinguished_name.push(DnType::CommonName, "Älice");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let found = Certificate::of(certificate.der());
        let names: Vec<String> = found.names().iter().map(Mark::to_string).collect();
        assert_eq!(names, ["dns:alice.example.org", "uri:spiffe://example.org/alice", "cn:Älice"]);
        assert_eq!(found.fingerprint(), &Mark::of_der(certificate.der()));
    }

    #[test]
    fn a_subject_that_makes_no_sense_names_nobody() {
        let whole = [&[SET, 9, SEQUENCE, 7, OBJECT_IDENTIFIER, 3], COMMON_NAME, &[0x0c, 0]].concat();
        assert_eq!(common_names(&whole), [""]);
        for length in 0..whole.len() {
            assert_eq!(common_names(&whole[..length]), Vec::<String>::new(), "{length}");
        }
        for odd in [&[SET, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[SET, 0x80, 0, 0], &[SET, 0x82, 0xff], &[SET, 0x81]] {
            assert_eq!(common_names(odd), Vec::<String>::new());
        }
        // Of another kind of text, and with something behind it.
        for value in [&[0x1e, 2, 0, b'a'][..], &[0x0c, 1, b'a', 0]] {
            let length = 5 + value.len() as u8;
            let odd = [&[SET, length + 2, SEQUENCE, length, OBJECT_IDENTIFIER, 3], COMMON_NAME, value].concat();
            assert_eq!(common_names(&odd), Vec::<String>::new());
        }
    }
}
