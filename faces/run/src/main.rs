//! The program `enclos`: `enclos run` and the small commands around it.
//!
//! Everything a caller can write is in [`flags::table`]; everything that is done is in the engine (`enclos-sandbox`). In between lies only what
//! belongs to a command line: relative paths, the environment, the current directory, files for the streams, and the text of the report.

#![forbid(unsafe_code)]
// With another C library the standard library finds the arguments only in a start-up of its own.
#![cfg_attr(all(not(test), target_env = "gnu"), no_main)]

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use enclos_spec::exit;

mod bwrap;
mod commands;
mod completions;
mod doctor;
#[cfg(test)]
mod expect;
mod flags;
mod launch;
mod man;
mod report_file;
mod run;
mod server;
mod show;
mod text;

#[cfg(all(not(test), target_env = "gnu"))]
enclos_sys::entry!(enclos);

#[cfg(not(all(not(test), target_env = "gnu")))]
fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(enclos())
}

/// The whole program; its exit status.
fn enclos() -> u8 {
    let mut args = std::env::args_os();
    let called_as = args.next().unwrap_or_default();
    if Path::new(&called_as).file_name().is_some_and(|name| name == "bwrap") {
        return bwrap::main(&called_as, args);
    }
    let word = args.next();
    match word.as_ref().and_then(|word| word.to_str()).unwrap_or_default() {
        "run" => run::main(args),
        "bwrap" => bwrap::main(OsStr::new("enclos bwrap"), args),
        "doctor" => doctor::main(args),
        "launch" => launch::main(args),
        "completions" => write_completions(args),
        "man" => write_man(args),
        word @ ("serve" | "judge" | "agent" | "build" | "bench") => fail("", &server::become_server(word, args)),
        "help" | "--help" | "-h" => print(&commands::help(text::Look::of(&std::io::stdout()))),
        "version" | "--version" | "-V" => print(concat!("enclos ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => match word {
            None => fail("", "the command is missing: write enclos COMMAND, e.g. enclos run -- true; enclos --help names them all"),
            Some(word) => fail("", &commands::unknown(&word.to_string_lossy())),
        },
    }
}

/// Writes text to stdout. A reader that has seen enough is no error.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail("", &format!("stdout: {}", run::paths::reason(&error))),
        _ => exit::SUCCESS,
    }
}

/// One line on stderr, and our exit code. `command` is the word after `enclos`, or empty.
fn fail(command: &str, line: &str) -> u8 {
    let space = if command.is_empty() { "" } else { " " };
    // A line that cannot be written has no one to read it; the exit code stays.
    let _ = writeln!(std::io::stderr(), "enclos{space}{command}: {}", text::look::tame(line));
    exit::FAILURE
}

/// `enclos completions SHELL [DIR]`: ours on stdout, or ours and bubblewrap's as files.
fn write_completions(mut args: impl Iterator<Item = OsString>) -> u8 {
    let shells = completions::NAMES.join(", ");
    let (name, directory) = match (args.next(), args.next(), args.next()) {
        (Some(name), directory, None) => (name, directory),
        _ => return fail("completions", &format!("write one shell ({shells}), and a directory if it is not to be printed")),
    };
    let Some(shell) = completions::SHELLS.iter().find(|shell| name == shell.name) else {
        return fail("completions", &format!("{name:?} is not a shell there are completions for: write one of {shells}"));
    };
    match directory {
        None => print(&(shell.own.1)()),
        Some(directory) => write_files("completions", &directory, [shell.own, shell.bwrap].map(|(file, script)| (file, script()))),
    }
}

/// `enclos man [DIR]`.
fn write_man(mut args: impl Iterator<Item = OsString>) -> u8 {
    match (args.next(), args.next()) {
        (None, _) => print(&man::run()),
        (Some(directory), None) => write_files("man", &directory, man::pages()),
        (Some(_), Some(_)) => fail("man", "write one directory, or none"),
    }
}

fn write_files(command: &str, directory: &OsStr, files: impl IntoIterator<Item = (&'static str, String)>) -> u8 {
    for (name, text) in files {
        let file = Path::new(directory).join(name);
        if let Err(error) = std::fs::write(&file, text) {
            return fail(command, &format!("{file:?}: {}", run::paths::reason(&error)));
        }
    }
    exit::SUCCESS
}
