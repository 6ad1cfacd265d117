//! What a request tells of who sends it.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};

use crate::tls::Certificate;
use crate::wire::same_origin;

/// RFC 4648 section 4, as clients write the password of `Basic`: with the padding or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The headers of a request, and the certificate that its connection showed. Only what a connection is taken with puts a certificate there
/// ([`crate::connections`]); no header is one.
#[derive(Clone, Debug, Default)]
pub struct Head {
    headers: HeaderMap,
    certificate: Option<Arc<Certificate>>,
}

impl Head {
    /// Of a request; its headers are left empty.
    #[must_use]
    pub fn take(parts: &mut Parts) -> Head {
        Head { headers: std::mem::take(&mut parts.headers), certificate: parts.extensions.get().cloned() }
    }

    /// Of a request, which stays as it is.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Head {
        Head { headers: request.headers().clone(), certificate: request.extensions().get().cloned() }
    }

    /// The verified certificate.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// Whether a browser says that a page of another site sends it. What is no browser says nothing of the kind.
    pub(super) fn is_of_another_site(&self) -> bool {
        let crosses = |site: &HeaderValue| site.as_bytes().eq_ignore_ascii_case(b"cross-site");
        !same_origin(&self.headers) || self.headers.get_all("sec-fetch-site").iter().any(crosses)
    }

    /// The key that it carries.
    pub(super) fn key(&self) -> Option<Vec<u8>> {
        sent_key(&self.headers)
    }
}

impl Deref for Head {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.headers
    }
}

impl From<HeaderMap> for Head {
    /// Of a connection that showed no certificate.
    fn from(headers: HeaderMap) -> Head {
        Head { headers, certificate: None }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Head {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Head, Infallible> {
        Ok(Head { headers: parts.headers.clone(), certificate: parts.extensions.get().cloned() })
    }
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
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(rest.trim()).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}
