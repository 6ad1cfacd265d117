//! Certificates that are replaced while the server runs.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use enclos_host::tls::Client;

use super::world::{BOUNDS, World, send};

fn believes(world: &World, client: &Client) -> bool {
    world.ask(client, "").is_ok()
}

#[test]
fn the_next_connection_is_shown_the_new_certificate_and_those_there_are_go_on() {
    let world = World::with(false, "", BOUNDS, None);
    let (old, new) = (world.place.client(None), world.place.client_of(&world.place.others, None));
    let mut open = old.connect("localhost", world.connect()).unwrap();
    assert!(believes(&world, &old) && !believes(&world, &new));
    world.place.others.server().write(world.place.directory.path(), "server");
    world.until(|world| believes(world, &new), "the new certificate is shown");
    assert!(!believes(&world, &old));
    send(&mut open, "/", "connection: close\r\n").unwrap();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("you are anonymous"), "{text}");
}

#[test]
fn files_that_make_no_sense_change_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::with(false, "", BOUNDS, None);
    let old = world.place.client(None);
    let new = world.place.client_of(&world.place.others, None);
    let papers = world.place.others.server();
    let stays = |what: &str| {
        // Longer than looks are apart, with a connection after that.
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(600));
            assert!(believes(&world, &old), "{what}");
        }
    };
    std::fs::write(world.place.file("server.crt"), "nonsense").unwrap();
    stays("no certificate");
    std::fs::write(world.place.file("server.crt"), &papers.certificate).unwrap();
    stays("a certificate of another key");
    std::fs::write(world.place.file("server.key"), &papers.key).unwrap();
    std::fs::set_permissions(world.place.file("server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    // Whether or not it was looked at between the two, what others may read is not used.
    stays("a key that others may read");
    std::fs::remove_file(world.place.file("server.crt")).unwrap();
    stays("no file");
    papers.write(world.place.directory.path(), "server");
    world.until(|world| believes(world, &new), "what is right is taken at last");
}

#[test]
fn authorities_of_clients_are_replaced_too() {
    let world = World::asking("[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n");
    let (old, new) = (world.client(&world.place.clients.client("ann")), world.client(&world.place.others.client("ann")));
    assert!(believes(&world, &old) && !believes(&world, &new));
    std::fs::copy(world.place.file("others.pem"), world.place.file("clients.pem")).unwrap();
    world.until(|world| believes(world, &new), "the new authority is trusted");
    assert!(!believes(&world, &old));
}

#[test]
fn a_connection_is_kept_for_more_requests() {
    let world = World::with(false, "", BOUNDS, None);
    let mut stream = BufReader::new(world.place.client(None).connect("localhost", world.connect()).unwrap());
    for _ in 0..3 {
        send(stream.get_mut(), "/", "").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let mut body = [0; 17];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"you are anonymous");
    }
}
