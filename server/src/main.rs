//! The program `enclos-server`: wires the faces into one process. No logic of a face is here.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use enclos_spec::exit;

mod launch;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let word = args.next();
    match word.as_ref().and_then(|word| word.to_str()).unwrap_or_default() {
        "launch" => launch::main(args),
        _ => fail("", &unknown(word.as_ref())),
    }
}

fn unknown(word: Option<&OsString>) -> String {
    match word {
        None => "the command is missing: write enclos-server serve".to_owned(),
        Some(word) => format!("{word:?} is not a command: write serve"),
    }
}

/// One line on stderr, and our exit code. `command` is the word after `enclos-server`, or empty.
fn fail(command: &str, line: &str) -> ExitCode {
    let space = if command.is_empty() { "" } else { " " };
    // A line that cannot be written has no one to read it; the exit code stays.
    let _ = writeln!(std::io::stderr(), "enclos-server{space}{command}: {line}");
    ExitCode::from(exit::FAILURE)
}
