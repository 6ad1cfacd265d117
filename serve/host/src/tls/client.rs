//! The other end, for a program that calls a server of ours: blocking, one connection at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::BadTls;
use super::files::{certificates, private_key, provider, roots};
use crate::outbound::{AUTHORITIES, authorities};

/// Whom a caller trusts, and what it shows of itself.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

/// A connection over TLS.
#[derive(Debug)]
pub struct Connected(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// Trusts the authorities of `ca` (PEM), or without it those that this host trusts; shows the certificate of the first file with the key of
    /// the second where a server asks for one.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn of(ca: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<Client, BadTls> {
        let told = |file: &Path, why: String| BadTls(format!("{}: {why}", file.display()));
        let trusted = match ca {
            Some(file) => roots(file).map_err(|why| told(file, why))?,
            None => authorities(Path::new(AUTHORITIES)).map_err(|why| told(Path::new(AUTHORITIES), why))?,
        };
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| BadTls(error.to_string()))?.with_root_certificates(trusted);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate).map_err(|why| told(certificate, why))?;
                let own_key = private_key(key).map_err(|why| told(key, why))?;
                builder
                    .with_client_auth_cert(chain, own_key)
                    .map_err(|error| told(key, format!("it does not go with the certificate in {}: {error}", certificate.display())))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Client(Arc::new(config)))
    }

    /// Makes the handshake with a server that is to be `host`: a name or an address, without brackets.
    ///
    /// # Errors
    /// When the server is not believed, or the connection breaks.
    pub fn connect(&self, host: &str, mut stream: TcpStream) -> io::Result<Connected> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Connected(StreamOwned::new(connection, stream)))
    }
}

impl Connected {
    /// What it goes over.
    #[must_use]
    pub fn get_ref(&self) -> &TcpStream {
        &self.0.sock
    }

    /// Whether the handshake took up an earlier connection's session.
    #[must_use]
    pub fn was_resumed(&self) -> bool {
        matches!(self.0.conn.handshake_kind(), Some(HandshakeKind::Resumed))
    }
}

impl Read for Connected {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Connected {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
