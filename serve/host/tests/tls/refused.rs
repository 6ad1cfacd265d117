//! Who is not let in. Each attempt has a control beside it: who shows what is asked for is answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use enclos_host::connections::Http2;
use enclos_testkit::certificates::Papers;

use super::world::{BOUNDS, PATIENCE, World};

const ANN: &str = "[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n";

/// Nothing that comes with these papers reaches the application, and with papers as they should be it does.
fn refused(papers: impl FnOnce(&World) -> Option<Papers>) {
    let world = World::asking(ANN);
    let shown = papers(&world);
    let told = world.ask(&world.place.client(shown.as_ref()), "").unwrap_err();
    assert_eq!(world.asked.load(Ordering::SeqCst), 0, "{told}");
    assert_eq!(world.name(&world.client(&world.place.clients.client("ann")), ""), "ann");
}

#[test]
fn without_a_certificate_nothing_is_answered() {
    refused(|_| None);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    refused(|world| Some(world.place.others.client("ann")));
}

#[test]
fn a_certificate_of_another_authority_of_the_same_name_is_refused() {
    refused(|_| Some(enclos_testkit::certificates::Authority::new("clients").client("ann")));
}

#[test]
fn a_certificate_that_has_run_out_is_refused() {
    refused(|world| Some(world.place.clients.expired_client("ann")));
}

#[test]
fn a_certificate_whose_time_has_not_come_is_refused() {
    refused(|world| Some(world.place.clients.early_client("ann")));
}

#[test]
fn a_certificate_for_servers_is_refused() {
    refused(|world| Some(world.place.clients.server()));
}

#[test]
fn a_certificate_that_nobody_is_known_by_opens_nothing() {
    // With nobody configured at all it makes nobody anonymous either.
    for keys in [ANN, ""] {
        let world = World::asking(keys);
        let bob = world.place.clients.client("bob");
        let told = world.denied(&world.client(&bob), "");
        assert_eq!(
            told,
            format!(
                "nobody is known here by the certificate of this connection ({}): its operator adds it to certificates of [[keys]]",
                bob.mark
            )
        );
        // Nor do words that other servers take for a certificate.
        let told = world.denied(
            &world.client(&bob),
            "x-ssl-client-s-dn: CN=ann\r\nx-forwarded-client-cert: Subject=\"CN=ann\"\r\nssl-client-cert: ann\r\n",
        );
        assert!(told.starts_with("nobody is known here"), "{told}");
    }
    let world = World::asking(ANN);
    assert_eq!(world.name(&world.client(&world.place.clients.client("ann")), ""), "ann");
}

#[test]
fn a_page_of_another_site_makes_no_use_of_its_viewers_certificate() {
    let key = "sha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n";
    let world = World::asking(&format!("{ANN}{key}"));
    let client = world.client(&world.place.clients.client("ann"));
    let pages = [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin: https://localhost.evil.example\r\n",
        "sec-fetch-site: cross-site\r\n",
        "origin: https://localhost\r\nsec-fetch-site: Cross-Site\r\n",
    ];
    for page in pages {
        assert!(world.denied(&client, page).starts_with("Origin: a page of another site"), "{page}");
        // A key is something that no page has of its viewer.
        assert_eq!(world.name(&client, &format!("{page}x-api-key: secret\r\n")), "ann");
    }
    for own in
        ["", "origin: https://localhost\r\n", "origin: https://localhost\r\nsec-fetch-site: same-origin\r\n", "sec-fetch-site: none\r\n"]
    {
        assert_eq!(world.name(&client, own), "ann", "{own}");
    }
}

#[test]
fn a_session_is_not_taken_up_again_where_certificates_are_asked_for() {
    for asks in [true, false] {
        let world = World::with(asks, if asks { ANN } else { "" }, BOUNDS, None);
        // The same client twice: it offers what it remembers of the first time.
        let client = world.client(&world.place.clients.client("ann"));
        let resumed = [0; 2].map(|_| {
            let mut stream = client.connect("localhost", world.connect()).unwrap();
            super::world::send(&mut stream, "/", "connection: close\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            stream.was_resumed()
        });
        assert_eq!(resumed, [false, !asks]);
    }
}

#[test]
fn what_speaks_no_tls_is_told_so_and_closed() {
    for http2 in [None, Some(Http2::default())] {
        let world = World::with(false, "", BOUNDS, http2);
        for sent in [&b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let text = String::from_utf8(raw(&world, sent)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
            assert_eq!(body, "this address speaks TLS: write https:// before it\n");
        }
        // What is neither is closed; at most an alert (21) is said.
        for sent in [&b"\0\0\0\0\0\0\0\0"[..], b"\x16\x03\x01\x00\x05hello", b"ssh-2.0"] {
            let told = raw(&world, sent);
            assert!(told.first().is_none_or(|first| *first == 21), "{told:?}");
        }
        assert_eq!(world.asked.load(Ordering::SeqCst), 0);
        assert_eq!(world.name(&world.place.client(None), ""), "anonymous");
    }
}

/// Everything that a server says to these bytes before it closes.
fn raw(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(&world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    told
}

#[test]
fn a_server_of_another_authority_or_name_is_not_believed() {
    let world = World::with(false, "", BOUNDS, None);
    let told = world.ask(&world.place.client_of(&world.place.others, None), "").unwrap_err();
    assert!(told.to_string().contains("UnknownIssuer"), "{told}");
    let told = world.place.client(None).connect("other.example", world.connect()).unwrap_err();
    assert!(told.to_string().contains("not valid for name"), "{told}");
    assert_eq!(world.name(&world.place.client(None), ""), "anonymous");
}
