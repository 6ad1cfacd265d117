//! `enclos-server keep PATH`: the process that holds sandboxes while no server does (`enclos_agent::keeper`).

use std::ffi::OsString;
use std::process::ExitCode;

/// Keeps until there is nothing to keep.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(path), None) = (args.next(), args.next()) else {
        return crate::fail("keep", "a server starts enclos-server keep, with the path of its socket");
    };
    // Signals of a terminal are for the server. An error means that we have a session of our own already.
    let _ = rustix::process::setsid();
    match enclos_agent::keeper::serve(path.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::fail("keep", &format!("{}: {error}", path.display())),
    }
}
