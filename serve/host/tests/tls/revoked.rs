//! Certificates that were taken back before their time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use enclos_host::tls::Tls;
use enclos_testkit::certificates::{Authority, Papers};

use super::world::{Place, World, settings};

const KEYS: &str = "[[keys]]\nname = \"ann\"\ncertificates = [\"cn:ann\"]\n[[keys]]\nname = \"bob\"\ncertificates = [\"cn:bob\"]\n";

fn world(place: Place, lists: &[String]) -> World {
    std::fs::write(place.file("revoked.pem"), lists.concat()).unwrap();
    World::revoking(place, KEYS)
}

fn is_in(world: &World, papers: &Papers) -> bool {
    match world.ask(&world.client(papers), "") {
        Ok(text) => text.starts_with("HTTP/1.1 200"),
        Err(_) => false,
    }
}

#[test]
fn a_certificate_that_was_taken_back_is_refused_and_others_of_its_authority_are_not() {
    let place = Place::new();
    let [ann, bob, old] = ["ann", "bob", "ann"].map(|name| place.clients.client(name));
    // Among several lists, and beside what is no list.
    let lists = [place.others.revoking(&[]), "# lists\n".to_owned(), place.clients.revoking(&[&old, &ann])];
    let world = world(place, &lists);
    for _ in 0..2 {
        assert!(!is_in(&world, &ann) && !is_in(&world, &old));
        assert_eq!(world.asked.load(Ordering::SeqCst), 0);
    }
    assert_eq!(world.name(&world.client(&bob), ""), "bob");
    assert_eq!(world.name(&world.client(&world.place.clients.client("ann")), ""), "ann", "the name is not what was taken back");
}

#[test]
fn without_a_list_of_its_authority_a_certificate_is_refused() {
    let place = Place::new();
    let lists = [place.others.revoking(&[])];
    let world = world(place, &lists);
    assert!(!is_in(&world, &world.place.clients.client("ann")));
    // One that another authority of the same name signed is none of its own.
    let forged = Authority::new("clients").revoking(&[]);
    std::fs::write(world.place.file("revoked.pem"), forged).unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!is_in(&world, &world.place.clients.client("ann")));
    std::fs::write(world.place.file("revoked.pem"), world.place.clients.revoking(&[])).unwrap();
    world.until(|world| is_in(world, &world.place.clients.client("ann")), "with its list it is let in");
}

#[test]
fn a_list_whose_time_is_over_lets_nobody_in() {
    let place = Place::new();
    let lists = [place.clients.revoking_long_ago(&[])];
    let world = world(place, &lists);
    let ann = world.place.clients.client("ann");
    assert!(!is_in(&world, &ann));
    std::fs::write(world.place.file("revoked.pem"), world.place.clients.revoking(&[])).unwrap();
    world.until(|world| is_in(world, &ann), "the next list has come");
}

#[test]
fn every_certificate_on_the_way_to_an_authority_is_looked_up() {
    let place = Place::new();
    let (between, shown) = place.clients.below("between");
    let ann = between.client("ann").through(&[&shown]);
    let (of_root, of_between) = (place.clients.revoking(&[]), between.revoking(&[]));
    let without = [world(place, std::slice::from_ref(&of_root))];
    assert!(!is_in(&without[0], &ann), "nobody says whether it was taken back");
    let [world] = without;
    let put = |lists: &[&str]| std::fs::write(world.place.file("revoked.pem"), lists.concat()).unwrap();
    put(&[&of_root, &of_between]);
    world.until(|world| is_in(world, &ann), "both say that it was not");
    put(&[&world.place.clients.revoking(&[&shown]), &of_between]);
    world.until(|world| !is_in(world, &ann), "the one between was taken back");
}

#[test]
fn lists_are_replaced_while_it_runs_and_nonsense_changes_nothing() {
    let place = Place::new();
    let [ann, bob] = ["ann", "bob"].map(|name| place.clients.client(name));
    let lists = [place.clients.revoking(&[&bob])];
    let world = world(place, &lists);
    assert!(is_in(&world, &ann) && !is_in(&world, &bob));
    let lists = world.place.file("revoked.pem");
    for nonsense in ["", "nonsense", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
        std::fs::write(&lists, nonsense).unwrap();
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(600));
            assert!(is_in(&world, &ann) && !is_in(&world, &bob), "{nonsense:?}");
        }
    }
    std::fs::remove_file(&lists).unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(is_in(&world, &ann) && !is_in(&world, &bob), "no file");
    std::fs::write(&lists, world.place.clients.revoking(&[&ann])).unwrap();
    world.until(|world| !is_in(world, &ann), "it was taken back");
    assert!(is_in(&world, &bob));
}

#[test]
fn a_fault_of_the_lists_names_the_file_and_what_would_be_right() {
    let told = |content: Option<&[u8]>| {
        let place = Place::new();
        if let Some(content) = content {
            std::fs::write(place.file("revoked.pem"), content).unwrap();
        }
        let config = format!("{}revoked = {:?}\n", place.config(true), place.file("revoked.pem"));
        let line = Tls::of(&settings(&config)).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line.replace(&format!("{}/", place.directory.path().display()), "")
    };
    let right =
        ": write a PEM file with lists of the authorities that sign clients' certificates (openssl crl -inform der makes PEM of DER)";
    assert_eq!(told(None), format!("tls.revoked: revoked.pem: there is no such file{right}"));
    assert_eq!(told(Some(b"")), format!("tls.revoked: revoked.pem: it holds no revocation list{right}"));
    assert_eq!(told(Some(b"\x30\x82\x01\x00")), format!("tls.revoked: revoked.pem: it holds no revocation list{right}"));
    assert_eq!(
        told(Some(b"-----BEGIN X509 CRL-----\nAAAA\n")),
        format!("tls.revoked: revoked.pem: it is no PEM: a section has no end{right}")
    );
    let good = Authority::new("clients").revoking(&[]);
    let line = told(Some(format!("{good}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").as_bytes()));
    assert!(line.starts_with("tls.revoked: revoked.pem: its list 2 cannot be used: ") && line.ends_with(right), "{line}");
    let place = Place::new();
    let config = format!("{}revoked = {:?}\n", place.config(false), place.file("revoked.pem"));
    let line = Tls::of(&settings(&config)).unwrap_err().to_string();
    assert_eq!(line, "tls.client-ca: missing, though tls.revoked is there: write the path of a PEM file with authorities");
    let config = format!("[tls]\nrevoked = {:?}\n", place.file("revoked.pem"));
    assert!(Tls::of(&settings(&config)).unwrap_err().to_string().starts_with("tls.certificate: missing, though tls.revoked is there: "));
}
