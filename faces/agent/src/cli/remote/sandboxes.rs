//! Sandboxes: made, started, looked at, changed, ended; commands and shells in them.

use std::io::{IsTerminal, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::super::arguments::{self, DISK, ENV, IMAGE, JSON, MEMORY, NET, PRESET, PROCESSES, RULE, SHELL, TIMEOUT};
use super::super::words::{Flag, Given, Record};
use super::http::{Server, escape};
use super::{CA, CERT, CERT_KEY, Done, Entry, INTERACTIVE, KEY, SERVER, TTY, codebases, command, flag, id, show, shown, talk, terminal};

const CODEBASE: Flag = flag!("--codebase" "ID" false "the codebase that its workspace shows");
const LABEL: Flag = flag!("--label" "NAME=VALUE" true "a word about it");
const EXPIRES: Flag = flag!("--expires" "TIME" false "destroy it after this time, e.g. 2h");
const START: Flag = flag!("--start" "" false "and start it");
const END: Flag = flag!("--end" "" false "end what runs in it, where that is needed");
const ONTO: Flag = flag!("--onto" "VERSION" false "the version to go to");
const DROP: Flag = flag!("--drop-denied" "" false "leave out what the rules forbid, instead of refusing all of it");
const WORKDIR: Flag = flag!("--workdir" "PATH" false "where it starts (default: the workspace)");

/// Most bytes of standard input, which travels with the request.
const MOST_INPUT: u64 = 8 << 20;

macro_rules! entry {
    ($name:literal $operands:literal $plain:expr, $rest:literal, [$($flag:ident),*], $help:literal, $act:expr) => {
        Entry {
            record: Record { name: $name, operands: $operands, plain: $plain, rest: $rest, flags: &[$(&$flag,)* &SERVER, &KEY, &CA, &CERT, &CERT_KEY], help: $help },
            act: $act,
        }
    };
}
pub(super) use entry;

/// Commands about sandboxes.
pub const COMMANDS: &[Entry] = &[
    entry!("create" "[DIR]" (0, 1), false,
        [CODEBASE, PRESET, RULE, LABEL, IMAGE, NET, MEMORY, PROCESSES, DISK, ENV, EXPIRES, START, JSON],
        "Make a sandbox on a server, on a codebase, a directory of yours, or nothing", create),
    entry!("start" "SANDBOX" (1, 1), false, [JSON], "Bring a sandbox to life", |server, given| act(server, given, "start")),
    entry!("stop" "SANDBOX" (1, 1), false, [JSON], "End everything in a sandbox; its files stay", |server, given| act(server, given, "stop")),
    entry!("ls" "" (0, 0), false, [CODEBASE, LABEL, JSON], "List sandboxes", list),
    entry!("show" "SANDBOX" (1, 1), false, [JSON], "Everything about a sandbox", |server, given| {
        Ok(shown(given, &server.json("GET", &place(given), None)?, show::one))
    }),
    entry!("rm" "SANDBOX…" (1, 1000), false, [], "Destroy sandboxes, with their changes", remove),
    entry!("exec" "SANDBOX -- COMMAND…" (1, 1), true, [INTERACTIVE, TTY, ENV, WORKDIR, TIMEOUT],
        "Run a command in a sandbox; standard input travels with it, streams and status come back", exec),
    entry!("run" "DIR [FLAGS] -- COMMAND…" (1, 1), true, [PRESET, RULE, IMAGE, NET, MEMORY, PROCESSES, DISK, ENV, TIMEOUT],
        "Run one command on a copy of a directory, on a server; nothing is kept", run),
    entry!("diff" "SANDBOX" (1, 1), false, [JSON], "What was changed and not committed", |server, given| {
        let document = server.json("GET", &format!("{}/diff", place(given)), None)?;
        Ok(shown(given, &document, |document| show::changes(show::items(document, "changes"))))
    }),
    entry!("commit" "SANDBOX" (1, 1), false, [DROP, JSON], "Make a version of what was changed, all of it or nothing", commit),
    entry!("rollback" "SANDBOX" (1, 1), false, [ONTO, END, JSON], "Throw away what was changed", |server, given| {
        let request = json!({ "onto": given.count(&ONTO)?, "end_processes": given.on(&END) });
        Ok(shown(given, &server.json("POST", &format!("{}/rollback", place(given)), Some(&request))?, one))
    }),
    entry!("snapshot" "SANDBOX" (1, 1), false, [JSON], "Copy what was changed", |server, given| {
        Ok(shown(given, &server.json("POST", &format!("{}/snapshots", place(given)), None)?, show::one))
    }),
    entry!("snapshots" "SANDBOX" (1, 1), false, [JSON], "List snapshots of a sandbox", |server, given| {
        let list = json!({ "snapshots": server.all(&format!("{}/snapshots", place(given)), "snapshots")? });
        let columns = [("snapshot", "id"), ("version", "version"), ("made", "created_at")];
        Ok(shown(given, &list, |list| show::table(show::items(list, "snapshots"), &columns)))
    }),
    entry!("restore" "SANDBOX SNAPSHOT" (2, 2), false, [END, JSON], "Put a snapshot in place of what was changed", |server, given| {
        let request = json!({ "snapshot_id": given.plain[1], "end_processes": given.on(&END) });
        Ok(shown(given, &server.json("POST", &format!("{}/restore", place(given)), Some(&request))?, one))
    }),
    entry!("fork" "SANDBOX" (1, 1), false, [JSON], "Make a second sandbox with the same files, rules and settings", |server, given| act(server, given, "fork")),
    entry!("rules" "SANDBOX" (1, 1), false, [PRESET, RULE, END, JSON], "Show the rules of a sandbox, or put others in place", rules),
    entry!("explain" "SANDBOX PATH" (2, 2), false, [JSON], "Which rule decides a path, and why", |server, given| {
        let document = server.json("GET", &format!("{}/explain?path={}", place(given), escape(&given.plain[1])), None)?;
        Ok(shown(given, &document, |document| format!("{}\n", show::text(&document["text"]))))
    }),
];

fn place(given: &Given) -> String {
    format!("/v1/agent/sandboxes/{}", id(given))
}

fn one(document: &Value) -> String {
    show::sandboxes(std::slice::from_ref(document))
}

fn act(server: &Server, given: &Given, word: &str) -> Result<Done, String> {
    Ok(shown(given, &server.json("POST", &format!("{}/{word}", place(given)), None)?, one))
}

fn list(server: &Server, given: &Given) -> Result<Done, String> {
    let mut path = "/v1/agent/sandboxes?".to_owned();
    if let Some(codebase) = given.one(&CODEBASE) {
        path += &format!("codebase_id={}&", escape(codebase));
    }
    for (name, value) in given.pairs(&LABEL)? {
        path += &format!("label.{}={}&", escape(&name), escape(&value));
    }
    let list = json!({ "sandboxes": server.all(path.trim_end_matches(['&', '?']), "sandboxes")? });
    Ok(shown(given, &list, |list| show::sandboxes(show::items(list, "sandboxes"))))
}

/// What `create` and `run` have in common.
fn wanted(given: &Given) -> Result<Value, String> {
    let mut request = json!({ "env": given.pairs(&ENV)?, "resources": {} });
    for (flag, field) in [(&IMAGE, "image"), (&NET, "network")] {
        if let Some(value) = given.one(flag) {
            request[field] = value.into();
        }
    }
    for (value, field) in [(given.size(&MEMORY)?, "memory"), (given.count(&PROCESSES)?, "pids"), (given.size(&DISK)?, "disk")] {
        if let Some(value) = value {
            request["resources"][field] = value.into();
        }
    }
    Ok(request)
}

/// The rules of the command line: with a codebase there are always some.
fn ruled(given: &Given, request: &mut Value) -> Result<(), String> {
    request["rules"] = serde_json::to_value(arguments::rules(given)?).map_err(|error| error.to_string())?;
    Ok(())
}

fn create(server: &Server, given: &Given) -> Result<Done, String> {
    let mut request = wanted(given)?;
    request["labels"] = json!(given.pairs(&LABEL)?);
    if let Some(expires) = given.span(&EXPIRES)? {
        request["expires_in"] = json!(expires.as_secs_f64());
    }
    let codebase = match (given.plain.first(), given.one(&CODEBASE)) {
        (Some(_), Some(_)) => return Err("--codebase: a directory is given, too; leave one of both out".to_owned()),
        (Some(directory), None) => Some(codebases::upload(server, Path::new(directory), None)?),
        (None, codebase) => codebase.map(str::to_owned),
    };
    if let Some(codebase) = &codebase {
        request["codebase_id"] = codebase.clone().into();
        ruled(given, &mut request)?;
    }
    let mut made = server.json("POST", "/v1/agent/sandboxes", Some(&request))?;
    if given.on(&START) {
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        made = server.json("POST", &format!("/v1/agent/sandboxes/{}/start", escape(&id)), None)?;
    }
    Ok(shown(given, &made, one))
}

fn remove(server: &Server, given: &Given) -> Result<Done, String> {
    for id in &given.plain {
        server.json("DELETE", &format!("/v1/agent/sandboxes/{}", escape(id).replace('/', "%2F")), None)?;
    }
    Ok(Done::Text(String::new()))
}

fn command_of(given: &Given, request: &mut Value) -> Result<(), String> {
    let argv = given.rest.clone().filter(|argv| !argv.is_empty()).ok_or("the command is missing: write it after --")?;
    request["argv"] = argv.into();
    if let Some(timeout) = given.span(&TIMEOUT)? {
        request["timeout"] = json!(timeout.as_secs_f64());
    }
    Ok(())
}

/// What lies on standard input, as a part of the request.
fn input_of(request: &mut Value) -> Result<(), String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut bytes = Vec::new();
        stdin.lock().take(MOST_INPUT + 1).read_to_end(&mut bytes).map_err(|error| format!("stdin: {error}"))?;
        if bytes.len() as u64 > MOST_INPUT {
            return Err(format!("stdin: more than {MOST_INPUT} bytes: stream it (enclos agent exec -i)"));
        }
        if !bytes.is_empty() {
            request["stdin"] = command::data(&bytes);
        }
    }
    Ok(())
}

fn exec(server: &Server, given: &Given) -> Result<Done, String> {
    let mut request = json!({ "env": given.pairs(&ENV)? });
    if let Some(workdir) = given.one(&WORKDIR) {
        request["workdir"] = workdir.into();
    }
    command_of(given, &mut request)?;
    if given.on(&INTERACTIVE) || given.on(&TTY) {
        return talk::run(server, &format!("{}/exec/stream", place(given)), request, given.on(&INTERACTIVE), given.on(&TTY))
            .map(Done::Status);
    }
    input_of(&mut request)?;
    command::run(server, &format!("{}/exec", place(given)), &request).map(Done::Status)
}

fn run(server: &Server, given: &Given) -> Result<Done, String> {
    let mut request = wanted(given)?;
    ruled(given, &mut request)?;
    command_of(given, &mut request)?;
    input_of(&mut request)?;
    let codebase = codebases::upload(server, Path::new(&given.plain[0]), None)?;
    request["codebase_id"] = codebase.clone().into();
    let ran = command::run(server, "/v1/agent/run", &request);
    let removed = server.json("DELETE", &format!("/v1/agent/codebases/{codebase}"), None);
    let status = ran?;
    removed?;
    Ok(Done::Status(status))
}

fn commit(server: &Server, given: &Given) -> Result<Done, String> {
    let request = json!({ "drop_denied": given.on(&DROP) });
    let document = server.json("POST", &format!("{}/commit", place(given)), Some(&request))?;
    Ok(shown(given, &document, |document| {
        let mut text = match document["version"].as_u64() {
            Some(version) => format!("version {version}\n{}", show::changes(show::items(document, "changes"))),
            None => "nothing to commit\n".to_owned(),
        };
        let dropped = show::items(document, "dropped");
        if !dropped.is_empty() {
            text += &format!("\nleft out:\n{}", show::changes(dropped));
        }
        text
    }))
}

fn rules(server: &Server, given: &Given) -> Result<Done, String> {
    let document = if given.one(&PRESET).is_none() && given.all(&RULE).is_empty() {
        server.json("GET", &place(given), None)?
    } else {
        let mut request = json!({ "end_processes": given.on(&END) });
        ruled(given, &mut request)?;
        server.json("PUT", &format!("{}/rules", place(given)), Some(&request))?
    };
    let rules = json!({ "rules": document["rules"] });
    Ok(shown(given, &rules, |rules| show::rules(show::items(rules, "rules"))))
}

/// `shell SANDBOX`.
pub fn shell(server: &Server, given: &Given) -> Result<Done, String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stdout().is_terminal() {
        return Err("there is no terminal: write enclos agent exec SANDBOX -- COMMAND".to_owned());
    }
    let mut new = json!({ "env": given.pairs(&ENV)? });
    if let Ok(term) = std::env::var("TERM") {
        new["env"]["TERM"] = term.into();
    }
    match (&given.rest, given.one(&SHELL)) {
        (Some(argv), None) if !argv.is_empty() => new["argv"] = argv.clone().into(),
        (_, Some(shell)) => new["shell"] = shell.into(),
        _ => {}
    }
    terminal::run(server, &id(given), new).map(Done::Status)
}
