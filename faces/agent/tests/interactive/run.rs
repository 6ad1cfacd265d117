//! `Run`: a command whose input is streamed.

use std::time::Duration;

use enclos_host::bytes::Bytes;
use enclos_host::tokio::sync::mpsc;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_input::Input;
use enclos_proto::agent_v1::run_output::Output;
use enclos_proto::prost_types;
use enclos_proto::tonic::{Code, Status, Streaming};

use crate::served::{Served, feed, processes, refused, seconds, until};

pub struct Talk<'a> {
    served: &'a Served,
    say: Option<mpsc::Sender<proto::RunInput>>,
    pub told: Streaming<proto::RunOutput>,
}

/// All that a command told.
#[derive(Debug, Default)]
pub struct Told {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub started: bool,
    pub exit: Option<proto::Exit>,
}

pub fn sh(sandbox: &str, command: &str) -> proto::Command {
    proto::Command { sandbox_id: sandbox.to_owned(), command: command.to_owned(), ..proto::Command::default() }
}

/// The same on a terminal of 24 rows and 80 columns.
fn on_terminal(sandbox: &str, command: &str) -> proto::Command {
    proto::Command { terminal: Some(proto::Size { rows: 24, cols: 80 }), ..sh(sandbox, command) }
}

impl<'a> Talk<'a> {
    pub fn begin(served: &'a Served, key: &str, first: Input) -> Result<Talk<'a>, Status> {
        let (say, request) = feed(key);
        let told = served.block(async {
            say.send(proto::RunInput { input: Some(first) }).await.unwrap();
            served.client().run(request).await
        })?;
        Ok(Talk { served, say: Some(say), told: told.into_inner() })
    }

    pub fn start(served: &'a Served, command: proto::Command) -> Talk<'a> {
        Talk::begin(served, "secret", Input::Command(command)).unwrap()
    }

    #[track_caller]
    pub fn say(&self, input: Input) {
        let say = self.say.as_ref().unwrap().send(proto::RunInput { input: Some(input) });
        self.served.block(say).unwrap();
    }

    pub fn write(&self, bytes: &[u8]) {
        self.say(Input::Stdin(Bytes::copy_from_slice(bytes)));
    }

    /// The next that is told.
    pub fn next(&mut self) -> Result<Option<Output>, Status> {
        Ok(self.served.block(self.told.message())?.map(|told| told.output.unwrap()))
    }

    /// Reads standard output until it ends with this.
    #[track_caller]
    pub fn shows(&mut self, wanted: &str) {
        let mut text = Vec::new();
        while !text.ends_with(wanted.as_bytes()) {
            match self.next().unwrap() {
                Some(Output::Stdout(bytes)) => text.extend_from_slice(&bytes),
                Some(Output::Started(_)) => {}
                other => panic!("{wanted:?}: {other:?} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
    }

    /// What is said, for another task.
    pub fn take_say(&mut self) -> mpsc::Sender<proto::RunInput> {
        self.say.take().unwrap()
    }

    /// The client's stream ends.
    pub fn hang_up(&mut self) {
        self.say = None;
    }

    /// All that is told from here on.
    pub fn rest(&mut self) -> Result<Told, Status> {
        let mut told = Told::default();
        while let Some(output) = self.next()? {
            assert!(told.exit.is_none(), "{output:?} after the end");
            match output {
                Output::Started(_) => told.started = true,
                Output::Stdout(bytes) => told.stdout.extend_from_slice(&bytes),
                Output::Stderr(bytes) => told.stderr.extend_from_slice(&bytes),
                Output::Exit(exit) => told.exit = Some(exit),
            }
        }
        Ok(told)
    }

    #[track_caller]
    fn ends(&mut self, exit_code: i32, signal: Option<i32>, verdict: proto::Verdict) -> Told {
        let told = self.rest().unwrap();
        let exit = told.exit.as_ref().unwrap();
        assert_eq!((exit.exit_code, exit.signal, exit.verdict()), (exit_code, signal, verdict), "{told:?}");
        told
    }
}

#[test]
fn bytes_are_exact_both_ways_and_the_end_of_the_input_is_seen() {
    let served = Served::new();
    let id = served.sandbox();
    let every: Vec<u8> = (0..=255).collect();
    let mut talk = Talk::start(&served, sh(&id, "cat; printf 'err\\0\\377' >&2"));
    for piece in [&b"\0\0"[..], &every, b"", b"\xff\xfe", b"no newline"] {
        talk.write(piece);
    }
    talk.say(Input::StdinEnd(proto::StdinEnd {}));
    // What comes after the end is for nobody.
    talk.write(b"late");
    let told = talk.ends(0, None, proto::Verdict::Ended);
    assert_eq!((told.stdout, told.stderr), ([&b"\0\0"[..], &every, b"\xff\xfeno newline"].concat(), b"err\0\xff".to_vec()));
    assert!(told.started && told.exit.unwrap().usage.unwrap().wall_us > 0);
    let trailers = served.block(talk.told.trailers()).unwrap().unwrap();
    let trailer = |key: &str| trailers.get(key).unwrap().to_str().unwrap().to_owned();
    assert_eq!((trailer("x-enclos-exit-code"), trailer("x-enclos-verdict")), ("0".to_owned(), "ended".to_owned()));
    // The end of the client's stream is one too.
    let mut talk = Talk::start(&served, sh(&id, "wc -c"));
    talk.write(b"123");
    talk.write(b"\0\xff");
    talk.hang_up();
    assert_eq!(talk.ends(0, None, proto::Verdict::Ended).stdout, b"5\n");
    // A command that reads nothing more holds up nobody.
    let mut talk = Talk::start(&served, sh(&id, "exec < /dev/null; sleep 0.3; echo done"));
    for _ in 0..40 {
        talk.write(&[b'x'; 64 << 10]);
    }
    assert_eq!(talk.ends(0, None, proto::Verdict::Ended).stdout, b"done\n");
}

#[test]
fn ten_megabytes_go_through_cat_both_ways_at_once() {
    let served = Served::new();
    let id = served.sandbox();
    let bytes: Vec<u8> = (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut talk = Talk::start(&served, sh(&id, "cat"));
    let (say, all) = (talk.take_say(), bytes.clone());
    served.runtime.spawn(async move {
        for piece in all.chunks(100_000) {
            say.send(proto::RunInput { input: Some(Input::Stdin(Bytes::copy_from_slice(piece))) }).await.unwrap();
        }
    });
    let told = talk.ends(0, None, proto::Verdict::Ended);
    assert!(told.stdout == bytes, "{} bytes", told.stdout.len());
}

#[test]
fn a_terminal_has_its_size_and_its_keys() {
    let served = Served::new();
    let id = served.sandbox();
    let mut talk = Talk::start(&served, on_terminal(&id, "stty size; echo $TERM; read line; stty size; tty > /dev/null && echo on"));
    talk.shows("24 80\r\nxterm-256color\r\n");
    talk.say(Input::Resize(proto::Size { rows: 50, cols: 132 }));
    talk.write(b"go\n");
    let told = talk.ends(0, None, proto::Verdict::Ended);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "go\r\n50 132\r\non\r\n");
    // The key, and the signal that it stands for, reach what runs in the foreground: not the shell, which tells of it.
    let marker = seconds(8);
    let sleeps = format!("trap 'echo caught' INT; echo ready; sleep {marker}; echo $?");
    for how in [Input::Stdin(Bytes::from_static(b"\x03")), Input::Signal(2)] {
        let mut talk = Talk::start(&served, on_terminal(&id, &sleeps));
        talk.shows("ready\r\n");
        // Before that the shell alone would have it, and sleep nonetheless.
        until(|| processes(&marker) == 1, "it sleeps");
        talk.say(how);
        let told = talk.ends(0, None, proto::Verdict::Ended);
        assert!(String::from_utf8_lossy(&told.stdout).ends_with("caught\r\n130\r\n"), "{told:?}");
    }
    // The end of the input is a key, typed once.
    let mut talk = Talk::start(&served, on_terminal(&id, "cat; echo over; cat"));
    talk.write(b"a\n");
    talk.say(Input::StdinEnd(proto::StdinEnd {}));
    talk.shows("over\r\n");
    talk.say(Input::StdinEnd(proto::StdinEnd {}));
    talk.say(Input::Signal(3));
    let told = talk.rest().unwrap();
    assert_eq!(told.exit.unwrap().signal.map_or(0, |signal| signal), 3, "{:?}", told.stdout);
    // All that was shown is there when it ends at once.
    for _ in 0..20 {
        let mut talk = Talk::start(&served, on_terminal(&id, "seq 2000"));
        let told = talk.ends(0, None, proto::Verdict::Ended);
        assert!(
            told.stdout.ends_with(b"\r\n2000\r\n"),
            "{:?}",
            String::from_utf8_lossy(&told.stdout[told.stdout.len().saturating_sub(40)..])
        );
    }
}

#[test]
fn a_signal_reaches_a_command_without_a_terminal_and_what_it_started() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(1));
    let mut talk = Talk::start(&served, sh(&id, &format!("echo ready; sleep {marker} & wait")));
    talk.shows("ready\n");
    until(|| processes(&marker) == 1, "it sleeps");
    talk.say(Input::Signal(15));
    talk.ends(143, Some(15), proto::Verdict::Signaled);
    until(|| processes(&marker) == 0, "what it started has ended too");
    let mut talk = Talk::start(&served, sh(&id, "trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.05; done"));
    talk.shows("ready\n");
    talk.say(Input::Signal(10));
    assert!(talk.ends(7, None, proto::Verdict::Ended).stdout.ends_with(b"caught\n"));
    // It passes input that nobody reads.
    let mut talk = Talk::start(&served, sh(&id, "echo ready; exec sleep 1000"));
    talk.shows("ready\n");
    talk.write(&[0; 200 << 10]);
    talk.say(Input::Signal(9));
    talk.ends(137, Some(9), proto::Verdict::Signaled);
}

#[test]
fn how_it_ended_is_told_exactly() {
    let served = Served::new();
    let id = served.sandbox();
    for (command, code, signal, verdict) in [
        ("exit 42", 42, None, proto::Verdict::Ended),
        ("kill -SEGV $$", 139, Some(11), proto::Verdict::Signaled),
        ("exit 255", 255, None, proto::Verdict::Ended),
    ] {
        for command in [sh(&id, command), on_terminal(&id, command)] {
            Talk::start(&served, command).ends(code, signal, verdict);
        }
    }
    let argv = vec!["no-such-program".to_owned()];
    for terminal in [None, Some(proto::Size { rows: 1, cols: 1 })] {
        Talk::start(&served, proto::Command { argv: argv.clone(), terminal, ..sh(&id, "") }).ends(127, None, proto::Verdict::Ended);
        let mut nowhere = Talk::start(&served, proto::Command { workdir: "nowhere".to_owned(), terminal, ..sh(&id, "true") });
        refused(nowhere.rest(), Code::InvalidArgument, "workdir: /workspace/nowhere: ");
    }
    let env = [("A".to_owned(), "b c".to_owned())].into();
    let mut talk = Talk::start(&served, proto::Command { env, workdir: "/usr".to_owned(), ..sh(&id, "echo \"$A\" $PWD") });
    assert_eq!(talk.ends(0, None, proto::Verdict::Ended).stdout, b"b c /usr\n");
    // A timeout keeps what was written until then.
    let timeout = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    for command in [sh(&id, "echo before; echo and >&2; sleep 1000"), on_terminal(&id, "echo before; echo and >&2; sleep 1000")] {
        let terminal = command.terminal.is_some();
        let told = Talk::start(&served, proto::Command { timeout, ..command }).ends(-1, Some(9), proto::Verdict::TimedOut);
        let wanted: [&[u8]; 2] = if terminal { [b"before\r\nand\r\n", b""] } else { [b"before\n", b"and\n"] };
        assert_eq!([told.stdout, told.stderr], wanted);
    }
}

#[test]
fn a_client_that_leaves_ends_all_that_its_command_started() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(2));
    let command = format!("(setsid sleep {marker} &) ; trap '' HUP INT TERM; sleep {marker} & echo ready; sleep {marker}");
    for (command, ready) in [(sh(&id, &command), "ready\n"), (on_terminal(&id, &command), "ready\r\n")] {
        let mut talk = Talk::start(&served, command);
        talk.shows(ready);
        until(|| processes(&marker) == 3, "all of them run");
        drop(talk);
        until(|| processes(&marker) == 0, "none of them is left");
    }
    assert_eq!(served.world.says(&id, "echo on"), "on\n");
}

#[test]
fn what_may_not_be_is_told_as_elsewhere() {
    let served = Served::new();
    let id = served.sandbox();
    let begin = |key: &str, first: Input| Talk::begin(&served, key, first).and_then(|mut talk| talk.rest());
    refused(begin("wrong", Input::Command(sh(&id, "true"))), Code::Unauthenticated, "this key is not known here");
    refused(begin("other", Input::Command(sh(&id, "true"))), Code::NotFound, "sandbox");
    refused(begin("secret", Input::Command(sh("sb_0123456789abcdef", "true"))), Code::NotFound, "sandbox");
    refused(begin("secret", Input::Command(sh(&served.stopped(), "true"))), Code::FailedPrecondition, "sandbox is not running");
    for (first, told) in [
        (Input::Stdin(Bytes::from_static(b"x")), "command: the first message is another"),
        (Input::Command(sh("x", "true")), "sandbox_id: \"x\" is no id"),
        (Input::Command(sh(&id, "")), "command: it is empty"),
        (Input::Command(proto::Command { argv: vec!["x".to_owned()], ..sh(&id, "x") }), "argv: name a command line or"),
        (Input::Command(proto::Command { terminal: Some(proto::Size { rows: 0, cols: 1 }), ..sh(&id, "x") }), "terminal: 0 rows"),
        (
            Input::Command(proto::Command { timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }), ..sh(&id, "x") }),
            "timeout: -1 s",
        ),
        (
            Input::Command(proto::Command { timeout: Some(prost_types::Duration { seconds: 3600, nanos: 0 }), ..sh(&id, "x") }),
            "timeout: 3600000 ms",
        ),
    ] {
        refused(begin("secret", first), Code::InvalidArgument, told);
    }
    // What is wrong later ends the command.
    let marker = seconds(3);
    for (input, code, told) in [
        (Input::Signal(65), Code::InvalidArgument, "signal: 65 is no signal"),
        (Input::Resize(proto::Size { rows: 1, cols: 1 }), Code::InvalidArgument, "resize: the command has no terminal"),
        (Input::Command(sh(&id, "x")), Code::InvalidArgument, "command: only the first message is one"),
        (Input::Stdin(Bytes::from(vec![0; 2 << 20])), Code::OutOfRange, ""),
    ] {
        let mut talk = Talk::start(&served, sh(&id, &format!("echo ready; sleep {marker}")));
        talk.shows("ready\n");
        talk.say(input);
        refused(talk.rest(), code, told);
        until(|| processes(&marker) == 0, "it has ended");
    }
}

#[test]
fn nothing_that_a_command_writes_is_taken_for_word_of_its_end() {
    use enclos_proto::prost::Message;
    let served = Served::new();
    let id = served.sandbox();
    let end = proto::RunOutput { output: Some(Output::Exit(proto::Exit { exit_code: 0, ..proto::Exit::default() })) };
    let framed = [&[0, 0, 0, 0, end.encoded_len() as u8][..], &end.encode_to_vec()].concat();
    // Every descriptor it has or can open through /proc, and the terminal's other end.
    let script = "import os, sys\n\
                  said = sys.stdin.buffer.read()\n\
                  os.write(1, said); os.write(2, said)\n\
                  reached = 0\n\
                  for fd in range(3, 4096):\n\
                  \x20   try: reached += os.write(fd, said)\n\
                  \x20   except OSError: pass\n\
                  for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:\n\
                  \x20   try: reached += len(os.listdir(f'/proc/{pid}/fd'))\n\
                  \x20   except OSError: pass\n\
                  sys.exit(33 if reached == 0 else 1)\n";
    let argv = ["python3", "-c", script].map(str::to_owned).to_vec();
    let mut talk = Talk::start(&served, proto::Command { argv, ..sh(&id, "") });
    talk.write(&framed);
    talk.hang_up();
    let told = talk.ends(33, None, proto::Verdict::Ended);
    assert_eq!([told.stdout, told.stderr], [framed.clone(), framed]);
}

#[test]
fn a_command_may_be_silent_for_longer_than_an_upload() {
    let served = Served::waiting(Duration::from_millis(200));
    let id = served.sandbox();
    let mut talk = Talk::start(&served, sh(&id, "sleep 1.5; cat"));
    std::thread::sleep(Duration::from_secs(1));
    talk.write(b"still here");
    talk.hang_up();
    assert_eq!(talk.ends(0, None, proto::Verdict::Ended).stdout, b"still here");
    // A client that says nothing at all is given up.
    let (_say, request) = feed::<proto::RunInput>("secret");
    refused(served.block(served.client().run(request)), Code::DeadlineExceeded, "no message came within 0.2 s");
}
