//! Files of running sandboxes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::words::{Given, Record};
use super::http::{Body, Server, escape};
use super::sandboxes::entry;
use super::{CA, CERT, CERT_KEY, Done, Entry, KEY, SERVER};

/// Commands about files.
pub const COMMANDS: &[Entry] = &[
    entry!("cp" "FROM TO" (2, 2), false, [], "Copy a file into a sandbox or out of it: one of both is SANDBOX:PATH, - is standard input or output", copy),
    entry!("cat" "SANDBOX:PATH" (1, 1), false, [], "Print a file of a running sandbox", |server, given| {
        let (sandbox, path) = inside(&given.plain[0]).ok_or_else(|| format!("{:?} is not right: write SANDBOX:PATH", given.plain[0]))?;
        fetch(server, sandbox, path, &mut std::io::stdout().lock())?;
        Ok(Done::Text(String::new()))
    }),
];

/// `SANDBOX:PATH`.
fn inside(word: &str) -> Option<(&str, &str)> {
    word.split_once(':').filter(|(sandbox, path)| sandbox.starts_with("sb_") && !path.is_empty())
}

fn place(sandbox: &str, path: &str) -> String {
    let path = path.strip_prefix("/workspace/").unwrap_or(path).trim_start_matches('/');
    format!("/v1/agent/sandboxes/{}/files/{}", escape(sandbox), escape(path))
}

fn copy(server: &Server, given: &Given) -> Result<Done, String> {
    let (from, to) = (&given.plain[0], &given.plain[1]);
    match (inside(from), inside(to)) {
        (None, Some((sandbox, path))) => {
            let named = Path::new(from).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let path = if path.ends_with('/') { format!("{path}{named}") } else { path.to_owned() };
            if from == "-" {
                send(server, sandbox, &path, 0o644, &mut std::io::stdin().lock())?;
            } else {
                let fail = |error: std::io::Error| format!("{from}: {error}");
                let mut file = File::open(from).map_err(fail)?;
                let stat = file.metadata().map_err(fail)?;
                if !stat.is_file() {
                    return Err(format!(
                        "{from}: only files are copied one by one; a directory goes into a codebase (enclos agent create {from})"
                    ));
                }
                send(server, sandbox, &path, stat.permissions().mode() & 0o777, &mut file)?;
            }
        }
        (Some((sandbox, path)), None) if to == "-" => fetch(server, sandbox, path, &mut std::io::stdout().lock())?,
        (Some((sandbox, path)), None) => {
            let named = path.rsplit('/').next().unwrap_or_default();
            let to = if Path::new(to).is_dir() { Path::new(to).join(named) } else { PathBuf::from(to) };
            // Under another name until it is whole.
            let beside = to.with_file_name(super::super::state::unique(".enclos-"));
            let fail = |error: std::io::Error| format!("{}: {error}", to.display());
            let mut file = File::options().write(true).create_new(true).open(&beside).map_err(fail)?;
            let done = fetch(server, sandbox, path, &mut file).and_then(|()| std::fs::rename(&beside, &to).map_err(fail));
            if done.is_err() {
                // The line says what is wrong.
                let _ = std::fs::remove_file(&beside);
            }
            done?;
        }
        _ => {
            return Err(
                "one of both, and only one, is SANDBOX:PATH, e.g. enclos agent cp notes.txt sb_0123456789abcdef:notes.txt".to_owned()
            );
        }
    }
    Ok(Done::Text(String::new()))
}

fn send(server: &Server, sandbox: &str, path: &str, mode: u32, from: &mut dyn Read) -> Result<(), String> {
    server.send("PUT", &format!("{}?mode={mode:04o}", place(sandbox, path)), "application/json", Body::Stream(from)).map(drop)
}

fn fetch(server: &Server, sandbox: &str, path: &str, to: &mut dyn Write) -> Result<(), String> {
    let mut body = server.send("GET", &place(sandbox, path), "*/*", Body::None)?.body;
    std::io::copy(&mut body, to).map_err(|error| format!("{path}: {error}"))?;
    to.flush().map_err(|error| format!("{path}: {error}"))
}
