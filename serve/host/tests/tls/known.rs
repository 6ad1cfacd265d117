//! As whom somebody is let in.

use std::sync::Arc;

use enclos_host::axum::body::Body;
use enclos_host::axum::http::{Request, Version};
use enclos_host::connections::Http2;
use enclos_host::http_body_util::BodyExt;
use enclos_host::tokio;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::world::{BOUNDS, Place, World};

/// SHA-256 of `secret`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn a_certificate_is_known_by_each_of_its_marks() {
    let place = Place::new();
    let pinned = place.clients.client("nobody in particular");
    let keys = format!(
        "[[keys]]\nname = \"a\"\ncertificates = [\"{}\"]\n[[keys]]\nname = \"b\"\ncertificates = [\"dns:B.example.org\"]\n\
         [[keys]]\nname = \"c\"\ncertificates = [\"uri:spiffe://example.org/c\", \"cn:c\"]\n",
        pinned.mark
    );
    let world = World::of(place, true, &keys, BOUNDS, None);
    let clients = &world.place.clients;
    for (papers, name) in [
        (pinned, "a"),
        (clients.client_with("x", &["b.example.org"], &[]), "b"),
        (clients.client_with("x", &[], &["spiffe://example.org/c"]), "c"),
        (clients.client("c"), "c"),
        // Two marks of one caller are no quarrel.
        (clients.client_with("c", &[], &["spiffe://example.org/c"]), "c"),
    ] {
        assert_eq!(world.name(&world.client(&papers), ""), name);
    }
    for papers in [
        clients.client("B.example.org"),
        clients.client_with("x", &["c"], &[]),
        clients.client_with("x", &["sub.b.example.org"], &[]),
        clients.client_with("x", &["*.example.org"], &[]),
        clients.client_with("x", &[], &["spiffe://example.org/c/d"]),
        clients.client("C"),
    ] {
        assert!(world.denied(&world.client(&papers), "").starts_with("nobody is known here"));
    }
}

#[test]
fn a_certificate_with_names_of_two_is_nobodys_until_it_is_named_itself() {
    let place = Place::new();
    let (both, pinned) = (place.clients.client_with("a", &["b"], &[]), place.clients.client_with("a", &["b"], &[]));
    let keys = format!(
        "[[keys]]\nname = \"a\"\ncertificates = [\"cn:a\"]\n[[keys]]\nname = \"b\"\ncertificates = [\"dns:b\", \"{}\"]\n",
        pinned.mark
    );
    let world = World::of(place, true, &keys, BOUNDS, None);
    assert!(world.denied(&world.client(&both), "").contains("has names of several callers"));
    assert_eq!(world.name(&world.client(&pinned), ""), "b");
}

#[test]
fn a_key_that_is_sent_along_counts_and_is_no_other_callers() {
    let keys = format!(
        "[[keys]]\nname = \"a\"\nsha256 = \"{SECRET}\"\ncertificates = [\"cn:a\"]\n[[keys]]\nname = \"b\"\ncertificates = [\"cn:b\"]\n"
    );
    let world = World::asking(&keys);
    let client = |name: &str| world.client(&world.place.clients.client(name));
    let key = "authorization: Bearer secret\r\n";
    assert_eq!(world.name(&client("a"), ""), "a");
    assert_eq!(world.name(&client("a"), key), "a");
    assert_eq!(world.name(&client("nobody"), key), "a");
    assert_eq!(world.denied(&client("b"), key), "the key is another caller's than the certificate of this connection: send one of both");
    assert_eq!(world.denied(&client("b"), "x-api-key: wrong\r\n"), "this key is not known here");
    // The key alone opens nothing: the handshake comes first.
    assert!(world.ask(&world.place.client(None), key).is_err());
}

#[test]
fn without_authorities_for_clients_keys_are_all_there_is() {
    let world = World::with(false, &format!("[[keys]]\nname = \"a\"\nsha256 = \"{SECRET}\"\n"), BOUNDS, None);
    // A certificate that nobody asked for is not shown, and so proves nothing.
    let client = world.client(&world.place.others.client("a"));
    assert_eq!(world.name(&client, "x-api-key: secret\r\n"), "a");
    assert!(world.denied(&client, "").starts_with("a key is needed"));
}

/// What is agreed on with a client that offers these protocols, and what it is answered over that.
async fn offering(
    world: &World,
    versions: &[&'static SupportedProtocolVersion],
    offered: &[&str],
) -> std::io::Result<(Option<Vec<u8>>, String)> {
    let papers = world.place.clients.client("ann");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.place.servers.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_protocol_versions(versions).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(papers.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).unwrap();
    let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(&world.address).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let request = |version| Request::builder().version(version).uri("http://localhost/").body(Body::empty()).unwrap();
    let io = TokioIo::new(stream);
    let answer = if agreed.as_deref() == Some(b"h2") {
        let (mut sender, connection) = enclos_host::hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request(Version::HTTP_2)).await
    } else {
        let (mut sender, connection) = enclos_host::hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request(Version::HTTP_11)).await
    };
    let body = answer.map_err(std::io::Error::other)?.into_body().collect().await.map_err(std::io::Error::other)?;
    Ok((agreed, String::from_utf8(body.to_bytes().to_vec()).unwrap()))
}

#[test]
fn http2_is_agreed_on_where_it_is_spoken_over_either_version_of_tls() {
    let keys = "[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n";
    let (both, old) = (World::with(true, keys, BOUNDS, Some(Http2::default())), World::asking(keys));
    for version in [&TLS12, &TLS13] {
        let ask = |world: &World, offered: &[&str]| world.runtime.block_on(offering(world, &[version], offered));
        let answered = |protocol: Option<&str>| (protocol.map(|name| name.as_bytes().to_vec()), "you are ann".to_owned());
        assert_eq!(ask(&both, &["h2", "http/1.1"]).unwrap(), answered(Some("h2")));
        assert_eq!(ask(&both, &["http/1.1"]).unwrap(), answered(Some("http/1.1")));
        assert_eq!(ask(&both, &[]).unwrap(), answered(None));
        assert_eq!(ask(&old, &["h2", "http/1.1"]).unwrap(), answered(Some("http/1.1")));
        assert_eq!(ask(&old, &[]).unwrap(), answered(None));
        assert!(ask(&old, &["h2"]).is_err(), "nothing that both speak");
    }
}
