//! The launcher process, for the tests of this crate; and `judge …`, the commands of `enclos judge` without the program around them.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    if args.next().is_some_and(|word| word == "judge") {
        return enclos_judge::cli::main(args, || enclos_sandbox::Launcher::start(program));
    }
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    match socket.map(|socket| enclos_sandbox::launcher::serve(&socket)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
