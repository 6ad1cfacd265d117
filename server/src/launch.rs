//! `enclos-server launch`: the launcher process (`enclos_sandbox::Launcher`), which talks to us over the socket that is its standard input.
//!
//! The same as `enclos launch`, so that a server needs no second program beside it; but nicer, since here others wait for the server's answers.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// By how much the launcher, and so every sandbox, steps back behind the server.
const NICE: i32 = 5;

/// Serves until the server closes the socket.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    if let Some(word) = args.next() {
        return crate::fail(
            "launch",
            &format!("{word:?} is too much: a server starts enclos-server launch, with a socket as standard input"),
        );
    }
    // Ctrl-C in a terminal is for the server, which ends its work first. An error means that we have a session of our own already.
    let _ = rustix::process::setsid();
    // Programs get what the server's own threads leave, where both compete for the same share of a processor: answering is little work, and waited for.
    let _ = rustix::process::nice(NICE);
    let socket = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) => socket,
        Err(error) => return crate::fail("launch", &format!("standard input: {error}")),
    };
    match enclos_sandbox::launcher::serve(&socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::fail("launch", &error.to_string()),
    }
}
