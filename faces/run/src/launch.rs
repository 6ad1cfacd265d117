//! `enclos launch`: the launcher process of a server (`enclos_sandbox::Launcher`), which talks to it over the socket that is its standard input.

use std::ffi::OsString;
use std::os::fd::AsFd;

use crate::run::paths::reason;

/// Serves until the server closes the socket.
pub fn main(mut args: impl Iterator<Item = OsString>) -> u8 {
    if let Some(word) = args.next() {
        return crate::fail("launch", &format!("{word:?} is too much: a server starts enclos launch, with a socket as standard input"));
    }
    let socket = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) => socket,
        Err(error) => return crate::fail("launch", &format!("standard input: {}", reason(&error))),
    };
    match enclos_sandbox::launcher::serve(&socket) {
        Ok(()) => enclos_spec::exit::SUCCESS,
        Err(error) => crate::fail("launch", &error.to_string()),
    }
}
