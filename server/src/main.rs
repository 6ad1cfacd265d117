//! The program `enclos-server`: wires the faces into one process. No logic of a face is here.
//!
//! `enclos serve` and `enclos judge` become this program, which lies next to `enclos`.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use enclos_sandbox::Launcher;
use enclos_spec::exit;

mod keep;
mod launch;
mod serve;

/// This program; its `launch` is the engine's launcher.
const OWN: &str = "/proc/self/exe";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let word = args.next();
    match word.as_ref().and_then(|word| word.to_str()).unwrap_or_default() {
        "serve" => serve::main(args),
        "judge" => enclos_judge::cli::main(args, || Launcher::start(OWN)),
        "agent" => enclos_agent::cli::main(args, || Launcher::start(OWN)),
        "launch" => launch::main(args),
        "keep" => keep::main(args),
        "version" | "--version" | "-V" => print(concat!("enclos-server ", env!("CARGO_PKG_VERSION"), "\n")),
        "help" | "--help" | "-h" => print(HELP),
        _ => fail("", &unknown(word.as_ref())),
    }
}

const HELP: &str = "enclos-server serve   serve the judge over HTTP (enclos-server serve --help)\n\
                    enclos-server judge   run and test programs from the command line (enclos-server judge --help)\n\
                    enclos-server agent   shells on copies of a project, and root file systems (enclos-server agent --help)\n\
                    enclos-server launch  the launcher, which a server starts for itself\n\
                    enclos-server keep    holds sandboxes while no server does; a server starts it for itself\n";

fn unknown(word: Option<&OsString>) -> String {
    match word {
        None => "the command is missing: write enclos-server serve, judge or agent".to_owned(),
        Some(word) => format!("{word:?} is not a command: write serve, judge or agent"),
    }
}

/// Writes text to stdout. A reader that has seen enough is no error.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail("", &format!("stdout: {error}")),
        _ => ExitCode::SUCCESS,
    }
}

/// One line on stderr, and our exit code. `command` is the word after `enclos-server`, or empty.
fn fail(command: &str, line: &str) -> ExitCode {
    let space = if command.is_empty() { "" } else { " " };
    // A line that cannot be written has no one to read it; the exit code stays.
    let _ = writeln!(std::io::stderr(), "enclos-server{space}{command}: {line}");
    ExitCode::from(exit::FAILURE)
}
