//! Files that make no sense, told in one line: the setting, the file, and what would be right.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use enclos_host::tls::{Client, Tls};

use super::world::{Place, settings};

/// What is told once `change` was done to the files of a place where everything was right.
fn told(change: impl FnOnce(&Path)) -> String {
    let place = Place::new();
    let config = place.config(true);
    assert!(Tls::of(&settings(&config)).is_ok());
    change(place.directory.path());
    let line = Tls::of(&settings(&config)).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line.replace(&format!("{}/", place.directory.path().display()), "")
}

#[test]
fn each_fault_names_its_setting_its_file_and_what_would_be_right() {
    let set = |name: &'static str, text: &'static str| move |at: &Path| std::fs::write(at.join(name), text).unwrap();
    let certificate = ": write a PEM file with the server's certificate, then those that join it to a root";
    let key = ": write a PEM file with the certificate's private key";
    let ca = ": write a PEM file with the authorities that sign clients' certificates";
    let long = "x".repeat((4 << 20) + 1).leak();
    for (line, right) in [
        (told(set("server.crt", "")), format!("tls.certificate: server.crt: it holds no certificate{certificate}")),
        (
            told(|at| std::fs::remove_file(at.join("server.crt")).unwrap()),
            format!("tls.certificate: server.crt: there is no such file{certificate}"),
        ),
        (told(set("server.crt", long)), format!("tls.certificate: server.crt: it is longer than 4194304 bytes{certificate}")),
        (
            told(set("server.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n")),
            format!("tls.certificate: server.crt: it is no PEM: a section has no end{certificate}"),
        ),
        (told(set("server.key", "")), format!("tls.key: server.key: it holds no private key{key}")),
        (
            told(set("server.key", "-----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n")),
            format!("tls.key: server.key: it is no PEM: a section is no base64{key}"),
        ),
        (
            told(set("server.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")),
            format!("tls.key: server.key: its key has a passphrase, and nobody is here to type it (openssl pkey takes it off){key}"),
        ),
        (
            told(|at| {
                std::fs::remove_file(at.join("server.key")).unwrap();
                rustix::fs::mknodat(rustix::fs::CWD, at.join("server.key"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
            }),
            format!("tls.key: server.key: it is no regular file{key}"),
        ),
        (told(set("clients.pem", "# none\n")), format!("tls.client-ca: clients.pem: it holds no certificate{ca}")),
        (
            told(|at| {
                std::fs::copy(at.join("others.pem"), at.join("server.crt")).unwrap();
            }),
            "tls.key: server.key: it is not the key of the certificate in server.crt: write the key that the certificate was made for"
                .to_owned(),
        ),
    ] {
        assert_eq!(line, right);
    }
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let line = told(set("clients.pem", nonsense));
    assert!(
        line.starts_with("tls.client-ca: clients.pem: its certificate 1 is none that can be trusted: ") && line.ends_with(ca),
        "{line}"
    );
    let line = told(set("server.crt", nonsense));
    assert!(
        line.starts_with("tls.certificate: server.crt: ") && line.ends_with(": write a certificate and a key that TLS can use"),
        "{line}"
    );
}

#[test]
fn a_key_that_others_may_read_or_write_is_refused() {
    for mode in [0o644, 0o604, 0o620, 0o602] {
        let line = told(|at| std::fs::set_permissions(at.join("server.key"), std::fs::Permissions::from_mode(mode)).unwrap());
        let start = format!("tls.key: server.key: its mode {mode:04o} lets others read it, or write it (chmod 600 ends that): ");
        assert!(line.starts_with(&start), "{line}");
    }
    // A group of those who may, as Debian has one for keys.
    let place = Place::new();
    for mode in [0o640, 0o400] {
        std::fs::set_permissions(place.file("server.key"), std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(Tls::of(&settings(&place.config(true))).is_ok());
    }
}

#[test]
fn what_is_written_in_part_is_refused() {
    let place = Place::new();
    assert!(Tls::of(&settings("")).unwrap().is_none());
    for (config, start) in [
        (
            format!("[tls]\ncertificate = {:?}", place.file("server.crt")),
            "tls.key: missing, though tls.certificate is there: write the path",
        ),
        (format!("[tls]\nkey = {:?}", place.file("server.key")), "tls.certificate: missing, though tls.key is there: write the path"),
        (format!("[tls]\nclient-ca = {:?}", place.file("clients.pem")), "tls.certificate: missing, though tls.client-ca is there: "),
    ] {
        let line = Tls::of(&settings(&config)).unwrap_err().to_string();
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_clients_files_are_checked_as_well() {
    let place = Place::new();
    let (certificate, key) = place.clients.client("a").write(place.directory.path(), "client");
    let ca = place.file("servers.pem");
    assert!(Client::of(Some(&ca), Some((&certificate, &key))).is_ok());
    for (ca, own, told) in [
        (place.file("none"), (&certificate, &key), "none: there is no such file"),
        (ca.clone(), (&place.file("none"), &key), "none: there is no such file"),
        (ca.clone(), (&certificate, &place.file("server.key")), "server.key: it does not go with the certificate in "),
        (ca.clone(), (&certificate, &certificate), "client.crt: it holds no private key"),
    ] {
        let line = Client::of(Some(&ca), Some((own.0, own.1))).unwrap_err().to_string();
        assert!(line.contains(told) && !line.contains('\n'), "{line}");
    }
}
