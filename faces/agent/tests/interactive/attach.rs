//! `Attach`: a session's terminal.

use enclos_agent::api::{Agent, NewSession};
use enclos_host::bytes::Bytes;
use enclos_host::tokio::sync::mpsc;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::terminal_input::Input;
use enclos_proto::agent_v1::terminal_output::Output;
use enclos_proto::tonic::{Code, Status, Streaming};

use crate::served::{Served, feed, processes, refused, seconds, until};

pub struct Terminal<'a> {
    served: &'a Served,
    say: Option<mpsc::Sender<proto::TerminalInput>>,
    shown: Streaming<proto::TerminalOutput>,
    pub session: String,
}

pub fn new(sandbox: &str) -> proto::Open {
    proto::Open { sandbox_id: sandbox.to_owned(), size: Some(proto::Size { rows: 24, cols: 80 }), ..proto::Open::default() }
}

fn known(session: &str) -> proto::Open {
    proto::Open { session_id: session.to_owned(), ..proto::Open::default() }
}

impl<'a> Terminal<'a> {
    fn begin(served: &'a Served, key: &str, first: Input) -> Result<Terminal<'a>, Status> {
        let (say, request) = feed(key);
        let shown = served.block(async {
            say.send(proto::TerminalInput { input: Some(first) }).await.unwrap();
            served.client().attach(request).await
        })?;
        let mut terminal = Terminal { served, say: Some(say), shown: shown.into_inner(), session: String::new() };
        match terminal.next()? {
            Some(Output::Opened(opened)) => terminal.session = opened.session_id,
            other => panic!("{other:?}"),
        }
        Ok(terminal)
    }

    pub fn open(served: &'a Served, open: proto::Open) -> Terminal<'a> {
        Terminal::begin(served, "secret", Input::Open(open)).unwrap()
    }

    pub fn say(&self, input: Input) {
        let say = self.say.as_ref().unwrap().send(proto::TerminalInput { input: Some(input) });
        self.served.block(say).unwrap();
    }

    pub fn types(&self, keys: &[u8]) {
        self.say(Input::Data(Bytes::copy_from_slice(keys)));
    }

    fn next(&mut self) -> Result<Option<Output>, Status> {
        Ok(self.served.block(self.shown.message())?.map(|shown| shown.output.unwrap()))
    }

    /// Reads what it shows until it ends with this.
    #[track_caller]
    pub fn shows(&mut self, wanted: &str) {
        let mut text = Vec::new();
        while !text.ends_with(wanted.as_bytes()) {
            match self.next().unwrap() {
                Some(Output::Data(bytes)) => text.extend_from_slice(&bytes),
                other => panic!("{wanted:?}: {other:?} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
    }

    /// What it shows from here on, and what its program ended with.
    pub fn rest(&mut self) -> Result<(Vec<u8>, Option<proto::TerminalExit>), Status> {
        let (mut text, mut exit) = (Vec::new(), None);
        while let Some(output) = self.next()? {
            assert!(exit.is_none(), "{output:?} after the end");
            match output {
                Output::Data(bytes) => text.extend_from_slice(&bytes),
                Output::Exit(end) => exit = Some(end),
                Output::Opened(opened) => panic!("{opened:?}"),
            }
        }
        Ok((text, exit))
    }
}

#[test]
fn a_terminal_shows_and_is_typed_into_and_has_its_size() {
    let served = Served::new();
    let id = served.sandbox();
    let env = [("PS1".to_owned(), "$ ".to_owned())].into();
    let mut terminal = Terminal::open(&served, proto::Open { env, workdir: "/usr".to_owned(), ..new(&id) });
    terminal.shows("$ ");
    terminal.types(b"stty size; pwd\n");
    terminal.shows("stty size; pwd\r\n24 80\r\n/usr\r\n$ ");
    terminal.say(Input::Resize(proto::Size { rows: 50, cols: 132 }));
    terminal.types(b"stty size\n");
    terminal.shows("50 132\r\n$ ");
    // A key, and the signal it stands for, reach what runs in the foreground; the shell lives on.
    for how in [Input::Data(Bytes::from_static(b"\x03")), Input::Signal(2)] {
        terminal.types(b"echo read''y; sleep 1000\n");
        terminal.shows("ready\r\n");
        until(|| !served.world.says(&id, "pgrep -x sleep || true").is_empty(), "it sleeps");
        terminal.say(how);
        terminal.types(b"echo $?\n");
        terminal.shows("130\r\n$ ");
    }
    terminal.types(b"exit 5\n");
    let (_, exit) = terminal.rest().unwrap();
    assert_eq!(exit.unwrap().exit_code, Some(5));
    refused(Terminal::begin(&served, "secret", Input::Open(known(&terminal.session))), Code::FailedPrecondition, "session is closed");
}

#[test]
fn who_leaves_detaches_and_the_next_may_come() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(5));
    let argv = ["sh", "-c", &format!("sleep {marker} & cat")].map(str::to_owned).to_vec();
    let first = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    let session = first.session.clone();
    refused(Terminal::begin(&served, "secret", Input::Open(known(&session))), Code::FailedPrecondition, "somebody is attached");
    drop(first);
    // It is free as soon as the server has seen that.
    until(|| served.world.agent.attach(&served.world.caller, &session).is_ok(), "it is free");
    let size = Some(proto::Size { rows: 11, cols: 22 });
    let mut second = Terminal::open(&served, proto::Open { size, ..known(&session) });
    second.types(b"over here\n");
    second.shows("over here\r\nover here\r\n");
    let attached = served.world.agent.session(&served.world.caller, &session).unwrap();
    assert!(attached.exit_code.is_none() && processes(&marker) == 1);
    // The end that a client asks for takes everything along.
    second.say(Input::Close(proto::Close { end_session: true }));
    let (_, exit) = second.rest().unwrap();
    assert_eq!(exit.unwrap().exit_code, Some(137));
    until(|| processes(&marker) == 0, "nothing is left");
    // Without it the session lives on.
    let third = Terminal::open(&served, proto::Open { argv: vec!["cat".to_owned()], ..new(&id) });
    let session = third.session.clone();
    third.say(Input::Close(proto::Close::default()));
    let mut third = third;
    assert!(third.rest().unwrap().1.is_none());
    let known = served.world.agent.session(&served.world.caller, &session).unwrap();
    assert!(known.closed_at.is_none());
}

#[test]
fn a_client_that_says_no_more_sees_the_rest() {
    let served = Served::new();
    let id = served.sandbox();
    let argv = ["sh", "-c", "read line; seq 5000; exit 3"].map(str::to_owned).to_vec();
    let mut terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    terminal.types(b"go\n");
    terminal.say = None;
    let (text, exit) = terminal.rest().unwrap();
    assert!(text.ends_with(b"\r\n4999\r\n5000\r\n"), "{}", text.len());
    assert_eq!(exit.unwrap().exit_code, Some(3));
}

#[test]
fn other_signals_reach_the_program_of_the_terminal() {
    let served = Served::new();
    let id = served.sandbox();
    let argv = ["sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done"].map(str::to_owned).to_vec();
    let mut terminal = Terminal::open(&served, proto::Open { argv, ..new(&id) });
    terminal.shows("ready\r\n");
    terminal.say(Input::Signal(15));
    let (text, exit) = terminal.rest().unwrap();
    assert_eq!((&text[..], exit.unwrap().exit_code), (&b"caught\r\n"[..], Some(9)));
}

#[test]
fn what_may_not_be_is_told_as_elsewhere() {
    let served = Served::new();
    let id = served.sandbox();
    let begin = |key: &str, first: Input| Terminal::begin(&served, key, first);
    refused(begin("wrong", Input::Open(new(&id))), Code::Unauthenticated, "this key is not known here");
    refused(begin("other", Input::Open(new(&id))), Code::NotFound, "sandbox");
    refused(begin("secret", Input::Open(new(&served.stopped()))), Code::FailedPrecondition, "sandbox is not running");
    refused(begin("secret", Input::Open(known("sess_0123456789abcdef"))), Code::NotFound, "session");
    refused(begin("secret", Input::Data(Bytes::from_static(b"x"))), Code::InvalidArgument, "open: the first message is another");
    refused(begin("secret", Input::Open(proto::Open { size: None, ..new(&id) })), Code::InvalidArgument, "open.size: missing");
    let shell = "/nowhere".to_owned();
    refused(begin("secret", Input::Open(proto::Open { shell, ..new(&id) })), Code::InvalidArgument, "shell: ");
    let plain = served.world.agent.create_session(&served.world.caller, &id, &NewSession::default()).unwrap().id;
    refused(begin("secret", Input::Open(known(&plain))), Code::FailedPrecondition, "this session has no terminal");
    let mine = Terminal::open(&served, proto::Open { argv: vec!["cat".to_owned()], ..new(&id) });
    refused(begin("other", Input::Open(known(&mine.session))), Code::NotFound, "session");
    for (input, told) in [
        (Input::Signal(-1), "signal: -1 is no signal"),
        (Input::Resize(proto::Size { rows: 1, cols: 65_536 }), "resize: 1 rows and 65536 cols"),
        (Input::Open(new(&id)), "open: only the first message is one"),
    ] {
        let mut terminal = Terminal::open(&served, proto::Open { argv: vec!["cat".to_owned()], ..new(&id) });
        terminal.say(input);
        refused(terminal.rest(), Code::InvalidArgument, told);
    }
}
