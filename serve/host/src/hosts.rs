//! Under which names a server without keys may be reached, so that no web page makes use of it.
//!
//! Such a server trusts whoever can connect, and listens on addresses of this host only. But a browser on this host connects on behalf of any
//! page that it shows:
//!
//! - A page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) is, to the browser, where it came from, and may read the answers.
//!   Its requests carry that name as `Host`: refused with 421.
//! - Any page may send a request blindly, a form's `POST` for one. Browsers say whose it is (`Origin`, `Sec-Fetch-Site`): refused with 403.
//!
//! What is no browser sends neither header, and names the server as it was told to. Nothing is asked of requests over a socket in the file
//! system, which no browser opens, nor where there are keys, which no page knows.

use std::collections::HashSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::listen::Address;

/// Marks a request that came over a socket in the file system.
#[derive(Clone, Copy, Debug)]
pub struct FromSocketFile;

/// A name of this server: a host name or an address, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Address(IpAddr),
    Host(String),
}

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no host: write a host name or an address without a port, e.g. judge.example.org, or * for any")]
pub struct BadHost(String);

/// Names that are let through.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: HashSet<Name>,
    /// Every address: it listens on all there are.
    any_address: bool,
    /// The operator has switched the check off.
    any: bool,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stranger {
    Host(String),
    Origin(String),
    Page,
}

impl FromStr for Name {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Name, BadHost> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Name::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let fits = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if name.split('.').all(fits) { Ok(Name::Host(name)) } else { Err(BadHost(text.to_owned())) }
    }
}

impl Hosts {
    /// Those of the addresses that are listened on, and what the operator added.
    ///
    /// # Errors
    /// A text that names no host.
    pub fn of(listen: &[Address], added: &[String]) -> Result<Hosts, BadHost> {
        let mut hosts = Hosts { any: added.iter().any(|name| name == "*"), ..Hosts::default() };
        for name in added.iter().filter(|name| *name != "*") {
            hosts.names.insert(name.parse()?);
        }
        for address in listen {
            if let Address::Tcp(address) | Address::Tls(address) = address {
                hosts.any_address |= address.ip().is_unspecified();
                hosts.names.insert(Name::Address(address.ip().to_canonical()));
            }
        }
        Ok(hosts)
    }

    /// Whether this is a name of ours, with any port or none.
    fn know(&self, authority: &str) -> bool {
        // `user@host` is how a name is dressed up as another.
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        match authority.host().parse::<Name>() {
            Ok(Name::Address(address)) => address.is_loopback() || self.any_address || self.names.contains(&Name::Address(address)),
            Ok(name) => name == Name::Host("localhost".to_owned()) || self.names.contains(&name),
            Err(_) => false,
        }
    }

    fn look(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        if self.any {
            return Ok(());
        }
        let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        // A request line may name the host too; none of the names may be another's. Only what is no browser sends none.
        let named = uri.authority().map(|authority| authority.as_str().to_owned());
        for host in named.into_iter().chain(headers.get_all(header::HOST).iter().map(text)) {
            if !self.know(&host) {
                return Err(Stranger::Host(host));
            }
        }
        for origin in headers.get_all(header::ORIGIN).iter().map(text) {
            // `null` is a page that hides where it comes from.
            let known = origin.split_once("://").is_some_and(|(_, authority)| self.know(authority));
            if !known {
                return Err(Stranger::Origin(origin));
            }
        }
        if headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
            return Err(Stranger::Page);
        }
        Ok(())
    }
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        let cut = |text: &str| text.chars().take(200).collect::<String>();
        let (status, line) = match self {
            Stranger::Host(host) => {
                let line = format!("Host: {:?} is no name of this server, which has no keys: use 127.0.0.1 or localhost", cut(&host));
                (StatusCode::MISDIRECTED_REQUEST, line + ", or have its operator add the name to server.hosts\n")
            }
            Stranger::Origin(origin) => {
                let line = format!("Origin: pages of {:?} may not use this server, which has no keys", cut(&origin));
                (StatusCode::FORBIDDEN, line + ": have its operator add keys, or the page's host to server.hosts\n")
            }
            Stranger::Page => {
                (StatusCode::FORBIDDEN, "Sec-Fetch-Site: pages of another site may not use this server, which has no keys\n".to_owned())
            }
        };
        (status, line).into_response()
    }
}

/// Middleware that refuses what a page of somebody else's sends.
pub async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if request.extensions().get::<FromSocketFile>().is_none()
        && let Err(stranger) = hosts.look(request.uri(), request.headers())
    {
        return stranger.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &[&str], added: &[&str]) -> Hosts {
        let listen: Vec<Address> = listen.iter().map(|text| text.parse().unwrap()).collect();
        Hosts::of(&listen, &added.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn only_names_of_ours_are_known() {
        let hosts = hosts(&["127.0.0.1:42920", "unix:/run/x", "192.168.7.1:80"], &["Judge.Example.org", "fd00::7"]);
        let ours = ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:42920", "127.9.9.9", "[::1]:42920", "[::ffff:127.0.0.1]"];
        let added = ["192.168.7.1", "judge.example.org:443", "judge.example.org.", "[fd00::7]:1"];
        for name in ours.iter().chain(&added) {
            assert!(hosts.know(name), "{name}");
        }
        let theirs = ["evil.example", "evil.example:42920", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example"];
        let more =
            ["evil@localhost", "10.0.0.1", "0.0.0.0", "[::]", "[fd00::8]", "", ":42920", "localhost:42920:1", "a b", "xn--localhost"];
        for name in theirs.iter().chain(&more) {
            assert!(!hosts.know(name), "{name}");
        }
    }

    #[test]
    fn one_that_listens_everywhere_has_every_address_and_no_name() {
        let hosts = hosts(&["0.0.0.0:42920"], &[]);
        assert!(hosts.know("10.1.2.3:42920") && hosts.know("[fd00::8]") && hosts.know("0.0.0.0:42920") && hosts.know("localhost"));
        assert!(!hosts.know("judge:42920"));
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", "judge:80", "http://judge", "a b", "*.example.org", "judge/"] {
            let told = Hosts::of(&[], &[bad.to_owned()]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{bad:?} names no host")), "{told}");
        }
    }

    #[test]
    fn a_page_is_told_apart_from_a_client() {
        let look = |hosts: &Hosts, uri: &str, headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            hosts.look(&uri.parse().unwrap(), &map)
        };
        let own = hosts(&["127.0.0.1:42920"], &[]);
        let host = ("host", "127.0.0.1:42920");
        for fine in [
            &[][..],
            &[host],
            &[host, ("origin", "http://localhost:3000")],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:42920")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(look(&own, "/run", fine), Ok(()), "{fine:?}");
        }
        let rebound = [("host", "evil.example:42920"), ("origin", "http://evil.example:42920")];
        assert_eq!(look(&own, "/run", &rebound), Err(Stranger::Host("evil.example:42920".to_owned())));
        assert_eq!(look(&own, "http://evil.example/run", &[host]), Err(Stranger::Host("evil.example".to_owned())));
        assert_eq!(look(&own, "/run", &[host, ("host", "evil.example")]), Err(Stranger::Host("evil.example".to_owned())));
        for origin in ["https://evil.example", "null", "http://", "127.0.0.1", "http://localhost.evil.example"] {
            assert_eq!(look(&own, "/run", &[host, ("origin", origin)]), Err(Stranger::Origin(origin.to_owned())), "{origin}");
        }
        assert_eq!(look(&own, "/test", &[host, ("sec-fetch-site", "cross-site")]), Err(Stranger::Page));
        assert_eq!(look(&hosts(&[], &["*"]), "/run", &rebound), Ok(()));
    }
}
