//! Who takes nothing is held up, and holds no memory of ours.

use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, Cancel, FileRange, MOST_HELD, NoWatcher};
use enclos_host::bytes::Bytes;
use enclos_host::tokio::time::timeout;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_input::Input;
use enclos_proto::agent_v1::terminal_input;
use enclos_proto::prost_types;
use enclos_proto::tonic::Request;
use enclos_testkit::http::PATIENCE;
use serde_json::json;

use crate::attach::{Terminal, new};
use crate::run::{Talk, sh};
use crate::served::{Served, processes, seconds, until};
use crate::socket;

/// What lies between a client and its command besides: windows of HTTP/2, buffers of sockets and of the client itself.
const ON_THE_WAY: usize = 4 << 20;

const PIECE: usize = 64 << 10;

#[test]
fn who_says_much_to_a_command_that_reads_nothing_is_held_up() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(4));
    let mut talk = Talk::start(&served, sh(&id, &format!("echo ready; exec sleep {marker}")));
    talk.shows("ready\n");
    let (say, piece) = (talk.take_say(), Bytes::from(vec![0; PIECE]));
    let mut said = 0;
    served.block(async {
        let piece = || proto::RunInput { input: Some(Input::Stdin(piece.clone())) };
        while timeout(Duration::from_secs(1), say.send(piece())).await.is_ok() {
            said += PIECE;
            assert!(said < 1 << 30, "nothing holds it up");
        }
    });
    assert!(said < MOST_HELD + ON_THE_WAY, "{said}");
    // It is noticed all the same that the client leaves.
    drop(talk);
    until(|| processes(&marker) == 0, "it has ended");
    drop(say);
}

/// Writes until it is held up, and counts.
const FLOOD: &str = "i=0; while head -c 65536 /dev/zero; do i=$((i+1)); echo $i > count; done";

fn written(served: &Served, id: &str) -> usize {
    let part = served.world.agent.read_file(&served.world.caller, id, "count", FileRange::default());
    part.ok().and_then(|part| String::from_utf8_lossy(&part.bytes).trim().parse::<usize>().ok()).unwrap_or(0) * PIECE
}

#[test]
fn who_reads_nothing_holds_up_its_command_and_loses_it_in_the_end() {
    let served = Served::waiting(Duration::from_secs(3));
    let id = served.sandbox();
    let talk = Talk::start(&served, sh(&id, FLOOD));
    // It comes to a halt, before the client is given up.
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = written(&served, &id);
        assert!(now < ON_THE_WAY, "{now}");
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    assert_eq!(processes(FLOOD), 1, "it is held up, not ended");
    until(|| processes(FLOOD) == 0, "it is ended");
    drop(talk);
}

/// Input that a command does not read, said before a signal.
const UNREAD: usize = 3 << 20;

#[test]
fn a_signal_and_a_size_pass_input_that_nobody_reads() {
    let served = Served::new();
    let id = served.sandbox();
    // Caught, so that it is the signal that ends it and not its clock.
    let command = "trap 'stty size > size 2>/dev/null; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut talk = Talk::start(&served, sh(&id, command));
    talk.shows("ready\n");
    for _ in 0..UNREAD / PIECE {
        talk.write(&[b'x'; PIECE]);
    }
    talk.say(Input::Signal(15));
    assert_eq!(talk.rest().unwrap().exit.unwrap().exit_code, 9);
    // The same with a terminal of its own, whose size comes by.
    let mut talk = Talk::start(&served, proto::Command { terminal: Some(proto::Size { rows: 2, cols: 2 }), ..sh(&id, command) });
    talk.shows("ready\r\n");
    for _ in 0..UNREAD / PIECE {
        talk.write(&[b'\0'; PIECE]);
    }
    talk.say(Input::Resize(proto::Size { rows: 50, cols: 132 }));
    talk.say(Input::Signal(15));
    assert_eq!(talk.rest().unwrap().exit.unwrap().exit_code, 9);
    assert_eq!(served.world.says(&id, "cat size"), "50 132\n");
    // And over a WebSocket.
    let mut talk = socket::Talk::start(&served, &id, &json!({"command": command}));
    talk.shows("ready\n");
    for _ in 0..UNREAD / PIECE {
        talk.write(&[b'x'; PIECE]);
    }
    talk.say(&json!({"type": "signal", "signal": "SIGTERM"}));
    assert_eq!(talk.rest().1["exit_code"], 9);
}

#[test]
fn a_signal_and_a_size_pass_what_was_typed_into_a_terminal_that_nobody_reads() {
    let served = Served::new();
    let id = served.sandbox();
    let script = "stty raw -echo; trap 'stty size > size; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    let mut terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    terminal.shows("ready\n");
    // More than the kernel's buffers, less than what is held.
    for _ in 0..3 {
        terminal.types(&[b'x'; PIECE]);
    }
    terminal.say(terminal_input::Input::Resize(proto::Size { rows: 50, cols: 132 }));
    terminal.say(terminal_input::Input::Signal(15));
    let (_, exit) = terminal.rest().unwrap();
    assert_eq!(exit.unwrap().exit_code, Some(9));
    assert_eq!(served.world.says(&id, "cat size"), "50 132\n");
}

#[test]
fn what_is_typed_before_leaving_is_typed() {
    let served = Served::new();
    let id = served.sandbox();
    let argv = ["sh", "-c", "stty raw -echo; echo ready; sleep 1; head -c 131072 | wc -c > count; sleep 1000"].map(str::to_owned).to_vec();
    let mut terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    terminal.shows("ready\n");
    for _ in 0..2 {
        terminal.types(&[b'x'; PIECE]);
    }
    terminal.say(terminal_input::Input::Close(proto::Close::default()));
    terminal.rest().unwrap();
    until(|| served.world.says(&id, "cat count || true").trim() == "131072", "all of it came");
}

/// A clock that is much shorter than the patience with clients, and what is too long for it.
const CLOCK: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(20);

/// One that nobody else runs.
fn flood(name: &str) -> String {
    format!("{FLOOD} # {name}")
}

/// The command runs, and ends by its clock though nobody reads what it writes.
#[track_caller]
fn ends_in_time(flood: &str, since: Instant) {
    assert!(LATE < PATIENCE);
    until(|| processes(flood) > 0 || since.elapsed() > CLOCK, "it runs");
    until(|| processes(flood) == 0, "it is ended");
    assert!(since.elapsed() < LATE, "{:?}", since.elapsed());
}

#[test]
fn the_clock_of_a_command_needs_no_client_that_reads() {
    let served = Served::new();
    let (id, flood) = (served.sandbox(), flood("a clock"));
    let timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    let since = Instant::now();
    let mut talk = Talk::start(&served, proto::Command { timeout, ..sh(&id, &flood) });
    ends_in_time(&flood, since);
    // What was held arrives, and the end after it.
    let told = talk.rest().unwrap();
    assert_eq!(told.exit.unwrap().verdict(), proto::Verdict::TimedOut);
    assert!(told.stdout.len() > PIECE && told.stdout.len() < ON_THE_WAY, "{}", told.stdout.len());
    let since = Instant::now();
    let mut talk = socket::Talk::start(&served, &id, &json!({"command": flood, "timeout": "2s"}));
    ends_in_time(&flood, since);
    assert_eq!(talk.rest().1["verdict"], "timed_out");
}

#[test]
fn the_clock_of_a_streamed_command_and_of_one_in_a_session_needs_no_client_that_reads() {
    use enclos_proto::sandbox_v1::{ExecRequest, SessionExecRequest};
    let served = Served::new();
    let (id, flood) = (served.sandbox(), flood("a stream"));
    let timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    let request = ExecRequest { sandbox_id: id.clone(), command: flood.clone(), timeout, ..ExecRequest::default() };
    let since = Instant::now();
    let mut client = served.sandboxes();
    let mut told = served.block(client.exec_stream(keyed(request))).unwrap().into_inner();
    ends_in_time(&flood, since);
    let status = served
        .block(async {
            while told.message().await?.is_some() {}
            Ok::<_, enclos_proto::tonic::Status>(())
        })
        .unwrap_err();
    assert_eq!(status.code(), enclos_proto::tonic::Code::DeadlineExceeded);
    let session_id = served.world.session(&id, "");
    let command = format!("sh -c '{flood}'");
    let request = SessionExecRequest { session_id: session_id.clone(), command, timeout };
    let since = Instant::now();
    let told = served.block(client.session_exec_stream(keyed(request))).unwrap().into_inner();
    ends_in_time(&flood, since);
    drop(told);
    let result = served.world.agent.session_exec(&served.world.caller, &session_id, "echo on", None, &Cancel::new(), &NoWatcher);
    assert_eq!(result.unwrap().stdout, b"on\n");
}

fn keyed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    request
}

#[test]
fn a_signal_needs_no_client_that_reads() {
    let served = Served::new();
    let (id, flood) = (served.sandbox(), flood("a signal"));
    let talk = Talk::start(&served, sh(&id, &flood));
    until(|| processes(&flood) > 0, "it runs");
    std::thread::sleep(Duration::from_secs(1));
    let since = Instant::now();
    talk.say(Input::Signal(9));
    until(|| processes(&flood) == 0, "it is ended");
    assert!(since.elapsed() < LATE, "{:?}", since.elapsed());
    let mut talk = socket::Talk::start(&served, &id, &json!({"command": flood}));
    until(|| processes(&flood) > 0, "it runs");
    std::thread::sleep(Duration::from_secs(1));
    let since = Instant::now();
    talk.say(&json!({"type": "signal", "signal": 9}));
    until(|| processes(&flood) == 0, "it is ended");
    assert!(since.elapsed() < LATE, "{:?}", since.elapsed());
}

#[test]
fn a_terminal_needs_no_client_that_reads() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(11));
    let script = format!("trap 'exit 9' TERM; sleep {marker} & while :; do seq 100000; done");
    let argv = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    until(|| processes(&marker) > 0, "it runs");
    std::thread::sleep(Duration::from_secs(1));
    let since = Instant::now();
    // Its own program cannot be caught in the middle of what it writes; what this kills it is.
    terminal.say(terminal_input::Input::Signal(9));
    until(|| served.world.agent.session(&served.world.caller, &terminal.session).unwrap().exit_code == Some(137), "it is ended");
    assert!(since.elapsed() < LATE, "{:?}", since.elapsed());
}
