//! A server without listeners, for the tests of this crate: makes a sandbox and sessions in it, says their names, runs another for one command, and waits to be killed, or for a
//! line on its standard input to leave. With one word more (`endings`) only sessions that are going to end.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use enclos_agent::api::{Agent, Caller, Cancel, Exec, NewSandbox, NewSession, NoWatcher, Watcher};
use enclos_agent::{LocalAgent, settings};
use enclos_host::settings::Settings;
use enclos_sandbox::Launcher;

/// Says that a command runs.
struct Started(std::sync::mpsc::Sender<()>);

impl Watcher for Started {
    fn started(&self) {
        // Whoever listens has heard it once.
        let _ = self.0.send(());
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (launch, directory) = (words.next().expect("launcher"), words.next().expect("directory"));
    let text = words.next().unwrap_or_default();
    let settings = settings::of(&Settings::read(&settings::GROUPS, &text, &[]).expect("settings"), directory.into());
    let agent = LocalAgent::open(settings, Launcher::start(&launch).expect("launcher"), Some(Path::new(&launch))).expect("agent");
    let caller = Caller { name: Arc::from("alice"), operator: false };
    let id = agent.create_sandbox(&caller, &NewSandbox::default()).expect("sandbox").id;
    agent.start(&caller, &id).expect("start");
    if words.next().is_some() {
        return endings(&agent, &caller, &id);
    }
    let beat = "echo before > note; (i=0; while :; do i=$((i+1)); echo $i > /tmp/beat; sleep 0.02; done) > /dev/null 2>&1 &";
    let exec = Exec { command: beat.to_owned(), ..Exec::default() };
    agent.exec(&caller, &id, &exec, &Cancel::new(), &NoWatcher).expect("command");
    let session = agent.create_session(&caller, &id, &NewSession::default()).expect("session").id;
    agent.session_exec(&caller, &session, "cd /tmp; kept=kept; sleep 9991 &", None, &Cancel::new(), &NoWatcher).expect("command");
    let screen = NewSession { terminal: Some((24, 80)), argv: vec!["cat".to_owned()], ..NewSession::default() };
    let screen = agent.create_session(&caller, &id, &screen).expect("terminal").id;
    // It is under way when we are killed.
    let (busy, who, name) = (agent.clone(), caller.clone(), session.clone());
    std::thread::spawn(move || {
        busy.session_exec(&who, &name, "echo theirs; sleep 0.5; echo late; false", None, &Cancel::new(), &NoWatcher)
    });
    let (passing, who) = (agent.clone(), caller.clone());
    let program = vec!["sleep".to_owned(), (100_000 + std::process::id()).to_string()];
    let exec = Exec { argv: program, ..Exec::default() };
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || passing.run(&who, &NewSandbox::default(), &exec, &Cancel::new(), &Started(told)));
    hears.recv_timeout(std::time::Duration::from_secs(20)).expect("the sandbox of one call");
    std::thread::sleep(std::time::Duration::from_millis(200));
    println!("{id} {session} {screen}");
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_ok_and(|count| count > 0) {
        agent.leave();
    } else {
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
}

/// The first session of a sandbox, another, and a terminal; and one that ends when nobody is there. Then waits to be killed.
fn endings(agent: &LocalAgent, caller: &Caller, id: &str) {
    let shell = || agent.create_session(caller, id, &NewSession::default()).expect("session").id;
    let (first, other, alone) = (shell(), shell(), shell());
    let argv = ["sh", "-c", "read line; exit 9"].map(str::to_owned).to_vec();
    let screen = NewSession { terminal: Some((24, 80)), argv, ..NewSession::default() };
    let screen = agent.create_session(caller, id, &screen).expect("terminal").id;
    let (busy, who, name) = (agent.clone(), caller.clone(), alone.clone());
    std::thread::spawn(move || busy.session_exec(&who, &name, "sleep 1; exit 5", None, &Cancel::new(), &NoWatcher));
    std::thread::sleep(std::time::Duration::from_millis(300));
    println!("{first} {other} {alone} {screen}");
    std::thread::sleep(std::time::Duration::from_secs(600));
}
