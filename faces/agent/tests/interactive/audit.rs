//! What is written down about those who talk to commands and hold terminals.

use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_input::Input;
use enclos_proto::agent_v1::terminal_input;
use serde_json::json;

use crate::attach::{Terminal, new};
use crate::run::{self, sh};
use crate::served::{Served, processes, seconds, until};
use crate::socket;

#[test]
fn a_command_over_grpc_is_written_down_with_what_it_ended_with() {
    let served = Served::new();
    let id = served.sandbox();
    run::Talk::start(&served, sh(&id, "exit 7")).rest().unwrap();
    let line = json!({"who": "alice", "what": "exec", "which": id, "outcome": "ok", "verdict": "ended", "exit_code": 7});
    assert_eq!(served.audited("exec", &id), line);
    // So is one whose client is gone, and one that is ended by a signal.
    let (id, marker) = (served.sandbox(), seconds(10));
    let mut talk = run::Talk::start(&served, sh(&id, &format!("echo ready; exec sleep {marker}")));
    talk.shows("ready\n");
    drop(talk);
    let line = json!({"who": "alice", "what": "exec", "which": id, "outcome": "ok", "verdict": "cancelled", "exit_code": 137});
    assert_eq!(served.audited("exec", &id), line);
    assert_eq!(processes(&marker), 0);
    let id = served.sandbox();
    let mut talk = run::Talk::start(&served, sh(&id, "echo ready; exec sleep 1000"));
    talk.shows("ready\n");
    talk.say(Input::Signal(15));
    talk.rest().unwrap();
    let line = json!({"who": "alice", "what": "exec", "which": id, "outcome": "ok", "verdict": "signaled", "exit_code": 143});
    assert_eq!(served.audited("exec", &id), line);
    // And one that may not be.
    let id = served.stopped();
    assert!(run::Talk::start(&served, sh(&id, "true")).rest().is_err());
    let why = "sandbox is not running";
    assert_eq!(served.audited("exec", &id), json!({"who": "alice", "what": "exec", "which": id, "outcome": "precondition", "why": why}));
    let id = served.sandbox();
    assert!(run::Talk::begin(&served, "other", Input::Command(sh(&id, "true"))).and_then(|mut talk| talk.rest()).is_err());
    let line = served.audited("exec", &id);
    assert_eq!((line["who"].as_str(), line["outcome"].as_str()), (Some("bob"), Some("not-found")));
}

#[test]
fn a_command_over_a_websocket_is_written_down_with_what_it_ended_with() {
    let served = Served::new();
    let id = served.sandbox();
    socket::Talk::start(&served, &id, &json!({"command": "exit 7", "terminal": {"rows": 2, "cols": 2}})).rest();
    let line = json!({"who": "alice", "what": "exec", "which": id, "outcome": "ok", "verdict": "ended", "exit_code": 7});
    assert_eq!(served.audited("exec", &id), line);
    let id = served.sandbox();
    socket::Talk::start(&served, &id, &json!({"command": "sleep 1000", "timeout": "100ms"})).rest();
    let line = json!({"who": "alice", "what": "exec", "which": id, "outcome": "ok", "verdict": "timed-out", "exit_code": -1});
    assert_eq!(served.audited("exec", &id), line);
    let id = served.stopped();
    socket::Talk::start(&served, &id, &json!({"command": "true"})).rest();
    assert_eq!(served.audited("exec", &id)["outcome"], "precondition");
}

#[test]
fn a_terminal_is_written_down_from_its_opening_to_its_end() {
    let served = Served::new();
    let id = served.sandbox();
    let argv = ["sh", "-c", "read line; exit 5"].map(str::to_owned).to_vec();
    let mut terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    let session = terminal.session.clone();
    let made = json!({"who": "alice", "what": "session.create", "which": id, "session": session, "outcome": "ok"});
    assert_eq!(served.audited("session.create", &id), made);
    let line = |what: &str| json!({"who": "alice", "what": what, "which": session, "sandbox": id, "outcome": "ok"});
    assert_eq!(served.audited("session.attach", &session), line("session.attach"));
    terminal.types(b"go\n");
    terminal.rest().unwrap();
    assert_eq!(served.audited("session.detach", &session), line("session.detach"));
    let mut end = line("session.end");
    end["exit_code"] = 5.into();
    assert_eq!(served.audited("session.end", &session), end);
    // One that is left lives on; the end that its client asks for is the client's.
    let terminal = Terminal::open(&served, proto::Open { argv: vec!["cat".to_owned()], ..new(&id) });
    let session = terminal.session.clone();
    let mut terminal = terminal;
    terminal.say(terminal_input::Input::Close(proto::Close { end_session: true }));
    terminal.rest().unwrap();
    assert_eq!(served.audited("session.destroy", &session)["outcome"], "ok");
    until(|| served.audited("session.end", &session)["exit_code"] == 137, "it has ended");
}
