//! The words that ask a server: sandboxes, commands, files, changes, codebases.
//!
//! Each is one or two requests of the native interface (`/v1/agent`), and what the server answers: as it is with `--json`, else as a table.
//! What is wrong with a request is told by the server, which knows; only what would be no request at all is told here.

mod codebases;
mod command;
mod files;
pub mod http;
mod pack;
mod sandboxes;
mod show;
mod stream;
mod talk;
mod terminal;
mod wire;

use std::path::PathBuf;

use enclos_host::tls::Client;
use serde_json::Value;

use super::arguments::JSON;
use super::words::{Flag, Given, Record};
use http::Server;

/// What a command gives.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// Text to print.
    Text(String),
    /// It has printed; this is its status.
    Status(u8),
}

/// Carries a command out.
type Act = fn(&Server, &Given) -> Result<Done, String>;

/// A command and what it does.
#[derive(Debug)]
pub struct Entry {
    /// How it is written.
    pub record: Record,
    /// What it does.
    act: Act,
}

macro_rules! flag {
    ($name:literal $takes:literal $often:literal $help:literal) => {
        Flag { name: $name, short: "", takes: $takes, often: $often, help: $help }
    };
    ($short:literal, $name:literal $help:literal) => {
        Flag { name: $name, short: $short, takes: "", often: false, help: $help }
    };
}
use flag;

/// Where the server is.
pub const SERVER: Flag = flag!("--server" "ADDRESS" false "https://HOST:PORT, http://HOST:PORT or unix:/PATH (default: $ENCLOS_SERVER, else http://127.0.0.1:42920)");
/// Who asks.
pub const KEY: Flag =
    flag!("--key" "KEY" false "the key to call with (default: $ENCLOS_KEY; others on this host see what is written here)");

/// Whom we trust.
pub const CA: Flag = flag!("--ca" "FILE" false "authorities (PEM) that the server's certificate is to be signed by (default: $ENCLOS_CA, else those of this host)");
/// Who asks, where a server knows callers by their certificates.
pub const CERT: Flag =
    flag!("--cert" "FILE" false "the certificate (PEM) to call with, where the server asks for one (default: $ENCLOS_CERT)");
/// Its key.
pub const CERT_KEY: Flag = flag!("--cert-key" "FILE" false "the private key of --cert (PEM; default: $ENCLOS_CERT_KEY)");
/// Standard input as it comes.
pub const INTERACTIVE: Flag = flag!("-i", "--interactive" "standard input goes to the command as it comes, however long; signals do, too");
/// A terminal.
pub const TTY: Flag = flag!("-t", "--tty" "the command has a terminal, of the size of yours");

/// Every command that asks a server, in the order of the help.
pub fn commands() -> impl Iterator<Item = &'static Entry> {
    sandboxes::COMMANDS.iter().chain(files::COMMANDS).chain(codebases::COMMANDS)
}

/// Carries a command out.
///
/// # Errors
/// One line.
pub fn run(entry: &Entry, given: &Given) -> Result<Done, String> {
    (entry.act)(&server(given)?, given)
}

fn server(given: &Given) -> Result<Server, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = given.one(&SERVER).map(str::to_owned).or_else(|| variable("ENCLOS_SERVER"));
    let key = given.one(&KEY).map(str::to_owned).or_else(|| variable("ENCLOS_KEY"));
    let address = address.as_deref().unwrap_or(http::USUAL);
    let tls = if address.starts_with("https://") { Some(trust(given, &variable)?) } else { None };
    // What the environment says is for servers that speak TLS; what is written here is meant for this one.
    if tls.is_none()
        && let Some(flag) = [&CA, &CERT, &CERT_KEY].into_iter().find(|flag| given.on(flag))
    {
        return Err(format!("{}: {address:?} speaks no TLS: write https:// before it, or leave {} out", flag.name, flag.name));
    }
    Server::at(address, key, tls)
}

/// Whom we trust, and who we are.
fn trust(given: &Given, variable: &dyn Fn(&str) -> Option<String>) -> Result<Client, String> {
    let file = |flag: &Flag, name: &str| given.one(flag).map(str::to_owned).or_else(|| variable(name)).map(PathBuf::from);
    let (certificate, key) = (file(&CERT, "ENCLOS_CERT"), file(&CERT_KEY, "ENCLOS_CERT_KEY"));
    let own = match (&certificate, &key) {
        (Some(certificate), Some(key)) => Some((&**certificate, &**key)),
        (None, None) => None,
        (Some(_), None) => return Err("--cert-key: missing, though there is a certificate: write --cert-key FILE".to_owned()),
        (None, Some(_)) => return Err("--cert: missing, though there is its key: write --cert FILE".to_owned()),
    };
    Client::of(file(&CA, "ENCLOS_CA").as_deref(), own).map_err(|bad| format!("--server: TLS needs files that are right: {bad}"))
}

/// Whether a word names a sandbox on a server; a directory of this name is one with `./` before it.
pub fn is_sandbox(word: &str) -> bool {
    word.strip_prefix("sb_").is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The program on a terminal of a sandbox: what `shell` does when it is given one.
///
/// # Errors
/// One line.
pub fn shell(given: &Given) -> Result<Done, String> {
    sandboxes::shell(&server(given)?, given)
}

/// A document as it is, or as a table.
fn shown(given: &Given, document: &Value, table: impl FnOnce(&Value) -> String) -> Done {
    Done::Text(if given.on(&JSON) { format!("{document:#}\n") } else { table(document) })
}

/// An id as a part of an address.
fn id(given: &Given) -> String {
    http::escape(&given.plain[0]).replace('/', "%2F")
}
