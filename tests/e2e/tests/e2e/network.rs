//! The three networks: none, loopback, host.

use std::net::TcpListener;

use enclos_testkit::Run;
use enclos_tests_e2e::{both, printed};

/// A server and a client in one script.
const SERVER_AND_CLIENT: &str = "
import socket, threading
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b'met'), daemon=True).start()
print(socket.create_connection(server.getsockname(), timeout=5).recv(3).decode())
";

const CLIENT: &str = "import socket,sys; print(socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5).recv(3).decode())";

fn python(name: &str) -> bool {
    let there = std::path::Path::new("/usr/bin/python3").exists();
    if !there {
        enclos_testkit::skip(name, "no /usr/bin/python3");
    }
    there
}

both! {
    fn none_is_the_default_and_has_nothing(world) {
        let text = printed(world, &[], "cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /proc/net/route | tail -n +2");
        assert_eq!(text.trim(), "lo");
        if python("none_is_the_default_and_has_nothing") {
            let outcome = Run::new(world).command(["/usr/bin/python3", "-c", SERVER_AND_CLIENT]).output();
            assert_ne!(outcome.code, Some(0), "lo is up, or something else answers: {}", outcome.describe());
        }
    }

    fn loopback_reaches_itself(world) {
        if python("loopback_reaches_itself") {
            let outcome = Run::new(world).flags(["--net", "loopback"]).command(["/usr/bin/python3", "-c", SERVER_AND_CLIENT]).output();
            assert_eq!(outcome.out(), "met\n", "{}", outcome.describe());
        }
    }

    fn host_reaches_the_host(world) {
        if python("host_reaches_the_host") {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port().to_string();
            std::thread::spawn(move || {
                if let Ok((mut stream, _)) = listener.accept() {
                    let _ = std::io::Write::write_all(&mut stream, b"met");
                }
            });
            let outcome = Run::new(world).flags(["--net", "host"]).command(["/usr/bin/python3", "-c", CLIENT, &port]).output();
            assert_eq!(outcome.out(), "met\n", "{}", outcome.describe());
        }
    }

    fn sockets_between_processes_work_without_a_network(world) {
        if python("sockets_between_processes_work_without_a_network") {
            let script = "import socket; a, b = socket.socketpair(); a.send(b'met'); print(b.recv(3).decode())
s = socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('/tmp/s'); print('path')";
            let outcome = Run::new(world).command(["/usr/bin/python3", "-c", script]).output();
            assert_eq!(outcome.out(), "met\npath\n", "{}", outcome.describe());
        }
    }
}
