//! Where a server listens.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener};

use crate::tls::Tls;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port; port 0: any that is free. What is spoken there can be read by whoever is on the way.
    Tcp(SocketAddr),
    /// The same, over TLS.
    Tls(SocketAddr),
    /// A socket in the file system; its permissions (0660) say who may connect.
    Unix(PathBuf),
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address to listen on: write e.g. 127.0.0.1:42920, [::1]:42920, localhost:42920, https://0.0.0.0:42920 or unix:/run/enclos/judge.sock"
)]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        Address::read(text, false)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Tls(address) => write!(f, "https://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Reads an address; `tls`: whether TLS is spoken where `http://` or `https://` does not say so.
    ///
    /// # Errors
    /// A text that is no address.
    pub fn read(text: &str, tls: bool) -> Result<Address, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Address::Unix(path.into())) } else { Err(bad()) };
        }
        let (place, tls) = match text.split_once("://") {
            Some(("http", place)) => (place, false),
            Some(("https", place)) => (place, true),
            Some(_) => return Err(bad()),
            None => (text, tls),
        };
        let address = match place.strip_prefix("localhost:") {
            Some(port) => (Ipv4Addr::LOCALHOST, port.parse().map_err(|_| bad())?).into(),
            None => place.parse().map_err(|_| bad())?,
        };
        Ok(if tls { Address::Tls(address) } else { Address::Tcp(address) })
    }

    /// Whether only this host can reach it: a loopback address, or a socket in the file system.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) | Address::Tls(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// Begins to listen, without TLS. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// What `bind(2)` says.
    pub async fn bind(&self) -> io::Result<Listener> {
        self.bind_with(None).await
    }

    /// Begins to listen; `tls` is for addresses where that is spoken.
    ///
    /// # Errors
    /// What `bind(2)` says; an address that needs `tls` without it.
    pub async fn bind_with(&self, tls: Option<&Tls>) -> io::Result<Listener> {
        match self {
            Address::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await?)),
            Address::Tls(address) => {
                let tls = tls.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it speaks TLS, and there is no certificate"))?;
                Ok(Listener::Tls(TcpListener::bind(address).await?, tls.clone()))
            }
            Address::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Listener::Unix(listener, OwnSocket(path.clone())))
            }
        }
    }
}

/// Removes a socket that refuses connections. Anything else in its place is left, and `bind(2)` fails on it.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// A socket file that is removed with its listener.
#[derive(Debug)]
pub struct OwnSocket(PathBuf);

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Gone already, or no longer ours to remove: either way nothing is left to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Takes connections.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over TCP and TLS.
    Tls(TcpListener, Tls),
    /// Over a socket in the file system.
    Unix(UnixListener, OwnSocket),
}

impl Listener {
    /// Where it listens; tells the port that was free.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(Address::Tcp),
            Listener::Tls(listener, _) => listener.local_addr().ok().map(Address::Tls),
            Listener::Unix(_, OwnSocket(path)) => Some(Address::Unix(path.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown, local) in [
            ("127.0.0.1:42920", "http://127.0.0.1:42920", true),
            ("localhost:1", "http://127.0.0.1:1", true),
            ("[::1]:80", "http://[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", "http://[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "http://0.0.0.0:80", false),
            ("[::]:80", "http://[::]:80", false),
            ("10.0.0.1:80", "http://10.0.0.1:80", false),
            ("unix:/run/x.sock", "unix:/run/x.sock", true),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", true),
            ("https://localhost:1", "https://127.0.0.1:1", true),
            ("https://[::]:1", "https://[::]:1", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (shown, local), "{text}");
        }
        for text in
            ["", "42920", "127.0.0.1", "example.org:80", "unix:relative", "localhost:70000", "ftp://[::1]:1", "https://", "http://unix:/x"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        // Where the configuration has a certificate, it is the scheme that says that an address has none.
        for (text, shown) in [("[::1]:80", "https://[::1]:80"), ("http://[::1]:80", "http://[::1]:80"), ("unix:/x", "unix:/x")] {
            assert_eq!(Address::read(text, true).unwrap().to_string(), shown);
        }
    }

    #[tokio::test]
    async fn no_address_of_tls_is_served_without_it() {
        let told = "https://127.0.0.1:0".parse::<Address>().unwrap().bind().await.unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix(directory.path().join("s"));
        let Address::Unix(path) = &address else { unreachable!() };
        // Dropping the standard library's listener leaves the file: what a killed server leaves.
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        let listener = address.bind().await.unwrap();
        assert_eq!(listener.address(), Some(address.clone()));
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(address.bind().await.is_err(), "somebody listens");
        drop(listener);
        assert!(!path.exists());
        std::fs::write(path, "mine").unwrap();
        assert!(address.bind().await.is_err());
        assert_eq!(std::fs::read(path).unwrap(), b"mine");
    }
}
