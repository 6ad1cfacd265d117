//! What of the host can be seen or reached, and what one job leaves for the next. Dossier rows 13, 26 to 29, 31.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use enclos_judge::api::Verdict;

use crate::case::{Canary, Case};

#[test]
fn nothing_of_the_host_is_read() {
    let canary = Canary::new();
    let case = Case::new("python", include_str!("programs/read_host.py")).arguments(&[&canary.path()]);
    case.run().is(Verdict::Ok).prints("looked\n");
    canary.intact();
}

#[test]
fn no_privilege_is_gained() {
    Case::new("c", include_str!("programs/privileges.c")).run().is(Verdict::Ok).prints("the same user\n");
}

#[test]
fn no_terminal_is_typed_into() {
    Case::new("c", include_str!("programs/terminal.c")).run().is(Verdict::Ok).prints("tried\n");
}

#[test]
fn no_device_but_the_harmless_ones() {
    Case::new("python", include_str!("programs/devices.py")).run().is(Verdict::Ok).prints("extra []\n");
}

#[test]
fn no_network_and_no_socket_of_the_host() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let name = format!("judge-{}", std::process::id());
    let _unix = UnixListener::bind(&path).unwrap();
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let case = Case::new("python", include_str!("programs/network.py")).arguments(&[&port, &name, path.to_str().unwrap()]);
    case.run().is(Verdict::Ok).prints("tried\n");
}

#[test]
fn nothing_is_left_for_the_next_job() {
    for round in 0..4 {
        let ended = Case::new("python", include_str!("programs/leave.py")).run().is(Verdict::Ok);
        assert_eq!(ended.said(), "found []\n", "round {round}");
    }
}

#[test]
fn nothing_of_a_job_is_in_another_one_that_runs_beside_it() {
    let talk = "import os, socket, time\ns = socket.socket(socket.AF_UNIX)\ntry:\n    s.bind('\\0judge-neighbour')\n    s.listen()\nexcept OSError as e:\n    print(e)\nopen('/dev/shm/neighbour', 'x').close()\nopen('/tmp/neighbour', 'x').close()\ntime.sleep(0.5)\nprint(sorted(p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()))\n";
    let ended: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| Case::new("python", talk).run())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for ended in ended {
        ended.is(Verdict::Ok).prints("[]\n");
    }
}
