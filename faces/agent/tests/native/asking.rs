//! A server that asks for certificates, and who signs them: for the tests of both interfaces.

use std::io::{Read, Write};
use std::net::TcpStream;

use enclos_host::tls::{Client, Connected};
use enclos_testkit::certificates::{Authorities, Papers};
use enclos_testkit::http::PATIENCE;
use tempfile::TempDir;

/// A server, its authorities, and the directory where their certificates lie.
pub struct Asking<W> {
    pub world: W,
    pub authorities: Authorities,
    directory: TempDir,
}

impl<W> Asking<W> {
    /// What `serve` makes of a configuration with these `keys`.
    pub fn serving(keys: &str, serve: impl FnOnce(&str) -> W) -> Asking<W> {
        let directory = TempDir::new().unwrap();
        let authorities = Authorities::new(directory.path());
        let world = serve(&format!("{}{keys}", Authorities::config(directory.path(), true)));
        Asking { world, authorities, directory }
    }

    /// A connection to an address of it, as who shows these papers.
    pub fn connect_to(&self, address: &str, papers: Option<&Papers>) -> std::io::Result<Connected> {
        let ca = self.directory.path().join("servers.pem");
        let own = papers.map(|papers| papers.write(self.directory.path(), "client"));
        let client = Client::of(Some(&ca), own.as_ref().map(|(certificate, key)| (&**certificate, &**key))).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect("localhost", stream)
    }

    /// The status and the body of an answer to JSON.
    pub fn answer_of(&self, address: &str, papers: &Papers, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect_to(address, Some(papers)).unwrap();
        let head = format!("host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}
