//! The launcher process, for the tests of this crate.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    match socket.map(|socket| enclos_sandbox::launcher::serve(&socket)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
