//! The launcher process, and the keeper (`keep PATH`), for the tests of this crate.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let done = match (words.next(), words.next()) {
        (Some(word), Some(path)) if word == "keep" => {
            let _ = rustix::process::setsid();
            enclos_agent::keeper::serve(path.as_ref()).is_ok()
        }
        _ => {
            let socket = std::io::stdin().as_fd().try_clone_to_owned();
            socket.is_ok_and(|socket| enclos_sandbox::launcher::serve(&socket).is_ok())
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
