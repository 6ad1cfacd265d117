//! Codebases on a server.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::super::arguments::JSON;
use super::super::say;
use super::super::words::{Flag, Given, Record};
use super::http::{Body, Server, escape};
use super::pack::pack;
use super::sandboxes::entry;
use super::{CA, CERT, CERT_KEY, Done, Entry, KEY, SERVER, flag, id, show, shown};

const NAME: Flag = flag!("--name" "NAME" false "what it is called (default: the directory's name)");
const VERSION: Flag = flag!("--version" "N" false "a version (default: the newest)");

/// Commands about codebases.
pub const COMMANDS: &[Entry] = &[
    entry!("codebase create" "DIR" (1, 1), false, [NAME, JSON], "Copy a directory to a server", |server, given| {
        let id = upload(server, Path::new(&given.plain[0]), given.one(&NAME))?;
        Ok(shown(given, &server.json("GET", &format!("/v1/agent/codebases/{}", escape(&id)), None)?, |one| table(std::slice::from_ref(one))))
    }),
    entry!("codebase ls" "" (0, 0), false, [JSON], "List codebases", |server, given| {
        let list = json!({ "codebases": server.all("/v1/agent/codebases", "codebases")? });
        Ok(shown(given, &list, |list| table(show::items(list, "codebases"))))
    }),
    entry!("codebase get" "ID FILE|-" (2, 2), false, [VERSION], "A version as a tar archive", get),
    entry!("codebase rm" "ID…" (1, 1000), false, [], "Remove codebases", |server, given| {
        for id in &given.plain {
            server.json("DELETE", &format!("/v1/agent/codebases/{}", escape(id).replace('/', "%2F")), None)?;
        }
        Ok(Done::Text(String::new()))
    }),
];

fn table(list: &[Value]) -> String {
    let columns = [
        ("codebase", "id"),
        ("name", "name"),
        ("version", "version"),
        ("files", "file_count"),
        ("size", "size"),
        ("changed", "updated_at"),
    ];
    show::table(list, &columns)
}

/// Copies a directory to a new codebase; gives its id. What cannot be copied is named.
///
/// # Errors
/// One line; then there is no new codebase.
pub fn upload(server: &Server, directory: &Path, name: Option<&str>) -> Result<String, String> {
    let full = std::fs::canonicalize(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let own = full.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
    let made = server.json("POST", "/v1/agent/codebases", Some(&json!({ "name": name.unwrap_or(&own) })))?;
    let id = made["id"].as_str().ok_or("the server's answer names no codebase")?.to_owned();
    let place = format!("/v1/agent/codebases/{}", escape(&id));
    let sent =
        pack(&full, |from| server.send("PUT", &format!("{place}/archive?replace=true"), "application/json", Body::Stream(from))?.json());
    match sent {
        Ok((_, left_out)) => {
            for (path, what) in left_out {
                say(&format!("{}: a {what}, is not copied", path.display()));
            }
            Ok(id)
        }
        Err(line) => {
            // What was begun is nothing anybody wants; the line says why.
            let _ = server.json("DELETE", &place, None);
            Err(line)
        }
    }
}

fn get(server: &Server, given: &Given) -> Result<Done, String> {
    let version = given.count(&VERSION)?.map(|version| format!("?version={version}")).unwrap_or_default();
    let mut from = server.send("GET", &format!("/v1/agent/codebases/{}/archive{version}", id(given)), "*/*", Body::None)?.body;
    let to = &given.plain[1];
    let copied = if to == "-" {
        std::io::copy(&mut from, &mut std::io::stdout().lock()).and_then(|_| std::io::stdout().flush())
    } else {
        std::fs::File::create(to).and_then(|mut file| std::io::copy(&mut from, &mut file).map(drop))
    };
    copied.map_err(|error| format!("{to}: {error}"))?;
    Ok(Done::Text(String::new()))
}
