//! The words after `enclos agent`.
//!
//! - [`words`], [`arguments`]: what may be written; the help is made from it.
//! - [`shell`]: a sandbox on a copy of a directory, without a server. - [`keep`]: what it changed, brought back.
//! - [`image`]: root file systems. - [`remote`]: the words that ask a server.

mod arguments;
mod image;
mod keep;
mod remote;
mod shell;
mod state;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use enclos_sandbox::Launcher;
use enclos_sandbox::spec::exit;

use arguments::Command;

/// Exit code for a command line that makes no sense.
const USAGE: u8 = exit::FAILURE;

/// Runs the command that `args` (after `agent`) asks for. `launcher` starts the launcher; it is called before any thread is started.
pub fn main(args: impl Iterator<Item = OsString>, launcher: impl FnOnce() -> Result<Launcher, enclos_sandbox::Error>) -> ExitCode {
    match arguments::parse(args) {
        Ok(Command::Help(text)) => print(&text),
        Ok(Command::Shell(wanted)) => match shell::run(&wanted, launcher) {
            Ok(code) => ExitCode::from(code),
            Err(line) => fail(exit::FAILURE, &line),
        },
        Ok(Command::Image(wanted)) => match image::run(&wanted) {
            Ok(text) => print(&text),
            Err(line) => fail(exit::FAILURE, &line),
        },
        Ok(Command::Remote(entry, given)) => done(remote::run(entry, &given)),
        Ok(Command::RemoteShell(given)) => done(remote::shell(&given)),
        Err(line) => fail(USAGE, &line),
    }
}

fn done(done: Result<remote::Done, String>) -> ExitCode {
    match done {
        Ok(remote::Done::Text(text)) => print(&text),
        Ok(remote::Done::Status(code)) => ExitCode::from(code),
        Err(line) => fail(exit::FAILURE, &line),
    }
}

/// A reader that has seen enough is no error.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(exit::FAILURE, &format!("stdout: {error}")),
        _ => ExitCode::SUCCESS,
    }
}

/// One line to whoever sits there; what it tells of others' files is made harmless first.
fn say(line: &str) {
    // A line that cannot be written has no one to read it.
    let _ = writeln!(std::io::stderr(), "enclos agent: {}", enclos_host::table::printable(line.as_bytes(), 4096));
}

fn fail(code: u8, line: &str) -> ExitCode {
    say(line);
    ExitCode::from(code)
}
