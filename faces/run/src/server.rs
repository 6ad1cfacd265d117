//! `enclos serve` and its kin: carried out by `enclos-server`, which lies next to this program, as `git` finds its commands.
//!
//! The servers need an async runtime and network protocols; this program must start in about a millisecond. So they are two programs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::run::paths::reason;

/// Becomes `enclos-server WORD ARGS`; comes back only with the reason why not.
pub fn become_server(word: &str, args: impl Iterator<Item = OsString>) -> String {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return format!("{word}: cannot tell where enclos lies: {}", reason(&error)),
    };
    let server = own.parent().unwrap_or(Path::new("/")).join("enclos-server");
    let error = Command::new(&server).arg(word).args(args).exec();
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{word}: enclos-server is not installed: put it next to enclos, as {}", server.display()),
        _ => format!("{word}: cannot execute {}: {}", server.display(), reason(&error)),
    }
}
