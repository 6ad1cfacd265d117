//! The first thing on a connection: the handshake, and a word for those who begin without one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Certificate, Tls};

/// What HTTP without TLS is answered.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: 50\r\n\r\n\
                     this address speaks TLS: write https:// before it\n";

/// For a peer whose handshake failed to read why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Makes the handshake; gives what is spoken through from now on, and the certificate that the client showed. Whoever calls bounds the time.
pub(crate) async fn handshake(
    tls: &Tls,
    mut stream: TcpStream,
    http2: bool,
) -> io::Result<(TlsStream<TcpStream>, Option<Arc<Certificate>>)> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // A handshake begins with 22; every method of HTTP, and the preface of HTTP/2, with a capital letter.
    if first[0].is_ascii_uppercase() {
        stream.write_all(PLAIN.as_bytes()).await?;
        leave(stream).await;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks no TLS"));
    }
    match TlsAcceptor::from(tls.config(http2)).accept(stream).into_fallible().await {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| Arc::new(Certificate::of(der)));
            Ok((stream, shown))
        }
        Err((error, stream)) => {
            tls.refused(&error);
            // The alert is under way already.
            leave(stream).await;
            Err(error)
        }
    }
}

/// Closes so that what was said last arrives: closed over bytes that nobody read, a connection is reset, and its peer may lose it.
async fn leave(mut stream: TcpStream) {
    let leaving = async {
        stream.shutdown().await?;
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes).await? > 0 {}
        io::Result::Ok(())
    };
    // Who stays, or is gone already, is left.
    let _ = tokio::time::timeout(LAST_WORD, leaving).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_length_is_that_of_the_body() {
        let (head, body) = super::PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
