//! Channels: to the network, to the host's sockets, to neighbours, to whoever comes next, to the caller's terminal.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use enclos_spec::LayerState;

use crate::attempt::{held_if, none_succeeded, tries_among};
use crate::{Attempt, Control, Seen, Stage};

/// See [`crate`].
pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "tcp_to_the_host",
        threat: "H29, CVE-2024-29021: services of the host on localhost",
        expected: "ENETUNREACH, EACCES or ECONNREFUSED; the listener sees nobody",
        control: Control::OpenAsUser,
        attempt: |stage| tcp(stage, &[]),
    },
    Attempt {
        name: "tcp_to_the_host_with_loopback",
        threat: "H29: --net loopback is not the host's loopback",
        expected: "ECONNREFUSED; the listener sees nobody",
        control: Control::OpenAsUser,
        attempt: |stage| tcp(stage, &["--net", "loopback"]),
    },
    Attempt {
        name: "cloud_metadata",
        threat: "CVE-2024-29021: 169.254.169.254 and the local network",
        expected: "ENETUNREACH or EACCES",
        control: Control::Without("this host need not have such a network"),
        attempt: |stage| {
            let outcome = stage.probe(&[], &["tcp", "169.254.169.254", "80", "10.0.0.1", "80", "192.168.0.1", "80", "8.8.8.8", "53"]);
            tries_among(&outcome, 4, &["ENETUNREACH", "EACCES", "EPERM", "EAFNOSUPPORT"])
        },
    },
    Attempt {
        name: "abstract_socket_of_the_host",
        threat: "H29: abstract Unix sockets know no files",
        expected: "ECONNREFUSED or EPERM; the listener sees nobody",
        control: Control::OpenAsUser,
        attempt: |stage| abstract_socket(stage, &[]),
    },
    Attempt {
        name: "abstract_socket_with_the_host_network",
        threat: "H29: --net host shares the abstract names; only Landlock's scope stands",
        expected: "EPERM where Landlock has scopes (ABI 6); else the report calls the layer weakened",
        control: Control::OpenAsUser,
        attempt: |stage| abstract_socket(stage, &["--net", "host"]),
    },
    Attempt {
        name: "interfaces_changed",
        threat: "no network: lo stays down",
        expected: "only lo, down; no right to bring it up",
        control: Control::Weak,
        attempt: |stage| {
            let seen = stage.probe(&[], &["interfaces"]);
            let text = seen.out();
            let up: Vec<&str> = text.lines().filter(|line| line.ends_with(" up") || !line.contains(" lo ")).collect();
            held_if(up.is_empty(), format!("{:?}", text.trim()))
                .and(|| tries_among(&stage.probe(&[], &["ifup"]), 2, &["EPERM", "EACCES", "EAFNOSUPPORT"]))
        },
    },
    Attempt {
        name: "neighbours_meet",
        threat: "H29: two sandboxes alive together, by TCP and abstract names",
        expected: "nobody comes",
        control: Control::Without("needs two sandboxes"),
        attempt: neighbours,
    },
    Attempt {
        name: "left_for_the_next",
        threat: "H31, isolate 2.6: System V, message queues, /dev/shm, /tmp",
        expected: "the second sandbox finds nothing of the first, the host neither",
        control: Control::OpenAsUser,
        attempt: left_for_the_next,
    },
    Attempt {
        name: "left_by_the_host",
        threat: "H31: System V objects of the host by key",
        expected: "ENOENT",
        control: Control::OpenAsUser,
        attempt: left_by_the_host,
    },
    Attempt {
        name: "typed_into_the_terminal",
        threat: "H27, CVE-2017-5226, CVE-2019-10063: TIOCSTI and TIOCLINUX, with high bits as well",
        expected: "refused on every descriptor, private terminal or not",
        control: Control::OpenAsUser,
        attempt: typed_into_the_terminal,
    },
    Attempt {
        name: "terminal_taken",
        threat: "H27: TIOCSCTTY on the caller's terminal",
        expected: "EPERM, ENOTTY or EIO",
        control: Control::Without("the kernel refuses it to any session but the owner's"),
        attempt: |stage| {
            if enclos_testkit::find_program(&["script"]).is_none() {
                return Seen::Cannot("no script(1) to make a terminal".into());
            }
            let text = in_terminal(stage, &["--no-tty"], &["steal"]);
            held_if(text.contains("TIOCSCTTY = ") && !text.contains("TIOCSCTTY = ok"), text.trim().to_owned())
        },
    },
    Attempt {
        name: "terminals_of_others",
        threat: "H27: /dev/pts of the host",
        expected: "none but its own",
        control: Control::Without("the host need not have another terminal"),
        attempt: |stage| {
            let outcome = stage.probe(&[], &["list", "/dev/pts"]);
            let text = outcome.out();
            let others: Vec<&str> = text.lines().filter(|line| line.starts_with('c') && !line.ends_with("/ptmx")).collect();
            held_if(others.is_empty(), format!("{others:?}"))
        },
    },
];

fn tcp(stage: &Stage, flags: &[&str]) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("our own socket");
    let port = listener.local_addr().expect("our own socket").port().to_string();
    let outcome = stage.probe(flags, &["tcp", "127.0.0.1", &port]);
    none_succeeded(&outcome, 1).and(|| held_if(listener.accept().is_err(), outcome.out().trim()))
}

fn abstract_socket(stage: &Stage, flags: &[&str]) -> Seen {
    let name = format!("enclos-{}", stage.world.mark);
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a short name")).expect("a free name");
    listener.set_nonblocking(true).expect("our own socket");
    let outcome = stage.probe(flags, &["abstract", &name]);
    let landlock = outcome.report.as_ref().and_then(|report| report.layer("landlock")).map(|layer| layer.state);
    if flags.contains(&"host") && landlock.is_some_and(|state| state != LayerState::Active) {
        return Seen::Held(format!("the report calls landlock {landlock:?}"));
    }
    none_succeeded(&outcome, 1).and(|| held_if(listener.accept().is_err(), outcome.out().trim()))
}

fn neighbours(stage: &Stage) -> Seen {
    let port = (20_000 + std::process::id() % 20_000).to_string();
    let name = format!("enclos-{}", stage.world.mark);
    let one = stage.run(&["--net", "loopback"]).probe(&["listen", &port, &name, "1500"]).without_report().start();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let tcp = stage.run(&["--net", "loopback"]).probe(&["tcp", "127.0.0.1", &port]).output();
    let abstracted = stage.run(&["--net", "loopback"]).probe(&["abstract", &name]).output();
    let one = one.wait();
    if one.try_of("bind-tcp").as_deref() != Some("ok") {
        return Seen::Escaped(format!("no listener: {}", one.describe()));
    }
    none_succeeded(&tcp, 1)
        .and(|| none_succeeded(&abstracted, 1))
        .and(|| held_if(one.try_of("visitor").as_deref() == Some("none"), one.out().trim()))
}

/// A System V key for this test: others use others.
fn key(stage: &Stage) -> u32 {
    0x4500_0000
        | (stage.world.mark.bytes().fold(std::process::id(), |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) & 0x00ff_ffff)
}

/// Where /dev/mqueue is not mounted a message queue has no path: the probe takes them away as it made them.
fn remove_left(stage: &Stage, key: u32) {
    let _ = Command::new(stage.world.path("work/probe")).args(["forget", &key.to_string()]).status();
}

const FOUND: [&str; 6] = ["found-shm", "found-sem", "found-msg", "found-mq", "found-dev-shm", "found-tmp"];

fn left_for_the_next(stage: &Stage) -> Seen {
    let key = key(stage);
    let text = key.to_string();
    let first = stage.probe(&[], &["leave", &text]);
    let second = stage.probe(&[], &["leave", &text]);
    let host = Command::new(stage.world.path("work/probe")).args(["leave", &text]).output().map(|output| output.stdout).unwrap_or_default();
    remove_left(stage, key);
    let found: Vec<_> = second.tries().into_iter().filter(|(what, result)| FOUND.contains(&what.as_str()) && result == "ok").collect();
    let on_host = String::from_utf8_lossy(&host).matches("= ok").count();
    held_if(
        first.try_of("left").as_deref() == Some("1")
            && found.is_empty()
            && second.tries().len() >= FOUND.len()
            && (on_host == 0 || !stage.is_real()),
        format!("found: {found:?}, on the host: {on_host}"),
    )
}

fn left_by_the_host(stage: &Stage) -> Seen {
    let key = key(stage);
    let text = key.to_string();
    let _ = Command::new(stage.world.path("work/probe")).args(["leave", &text]).output();
    let outcome = stage.probe(&[], &["leave", &text]);
    remove_left(stage, key);
    let found: Vec<_> = outcome.tries().into_iter().filter(|(what, result)| FOUND.contains(&what.as_str()) && result == "ok").collect();
    held_if(found.is_empty() && outcome.tries().len() >= FOUND.len(), format!("found: {found:?}"))
}

/// What the probe prints when the tool is run in a terminal made by script(1).
fn in_terminal(stage: &Stage, flags: &[&str], arguments: &[&str]) -> String {
    let quoted: Vec<String> =
        stage.run(flags).probe(arguments).without_report().words().iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut command = Command::new("script");
    if let Some(uid) = stage.world.who.switch_to() {
        use std::os::unix::process::CommandExt;
        command.uid(uid).gid(uid);
    }
    let output = command
        .args(["-q", "-e", "-c", &quoted.join(" "), "/dev/null"])
        .current_dir(stage.world.path("work"))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::null())
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).replace('\r', "")).unwrap_or_default()
}

fn typed_into_the_terminal(stage: &Stage) -> Seen {
    if enclos_testkit::find_program(&["script"]).is_none() {
        return Seen::Cannot("no script(1) to make a terminal".into());
    }
    if !stage.is_real() && std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|text| text.trim() == "0") {
        return Seen::Cannot("this kernel refuses TIOCSTI to everyone".into());
    }
    let ways: &[&[&str]] = if stage.is_real() { &[&["--no-tty"], &["--tty"]] } else { &[&[]] };
    let mut seen = Vec::new();
    for way in ways {
        let text = in_terminal(stage, way, &["sti"]);
        let tries: Vec<&str> = text.lines().filter(|line| line.contains("TIOC") && line.contains(" = ")).collect();
        let through: Vec<&&str> = tries.iter().filter(|line| line.ends_with("= ok")).collect();
        if tries.len() < 12 || !through.is_empty() {
            return Seen::Escaped(format!("{way:?}: {} tries, through: {through:?}; {}", tries.len(), text.trim()));
        }
        seen.push(format!("{} refused", tries.len()));
    }
    Seen::Held(seen.join(", "))
}
