//! `enclos judge …`: the judge from the command line, for those who set one up.
//!
//! Every command prints a table for people, or with `--json` one document for programs.

mod arguments;
mod benchmark;
mod languages;
mod run;
mod test;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use enclos_sandbox::Launcher;

use crate::{LocalJudge, Settings};
use arguments::{Arguments, Command};

/// Exit status when a program was not judged `OK`, or a language failed.
const NOT_OK: u8 = 1;
/// Exit status for what is no command, as of a usage error.
const USAGE: u8 = 2;

const HELP: &str = "\
Compile and run programs nobody trusts, on this machine.

enclos judge languages            what is defined, found and missing, with versions
enclos judge test [LANGUAGE…]     run each language's reference program
enclos judge benchmark [LANGUAGE…]  the least memory each language needs, and its times
enclos judge run FILE             compile and run one program

Of run:
  --language NAME    the language; without it, by the file's ending
  --stdin FILE       what the program reads (- for our own standard input); without it, nothing
  --expect FILE      what it should print
  --checker WORD     how that is compared: exact, trimmed (default), tokens, unordered, float
  --cpu TIME  --wall TIME  --memory SIZE  --output SIZE  --processes N    limits, e.g. 2s, 64M
  -- ARGUMENT…       arguments of the program

Of all:
  --languages DIR    language files over the built-in ones
  --best-effort      weaken what this host cannot hold, instead of refusing
  --json             one JSON document instead of a table
  --help             this text

Exit status: 0 all is OK, 1 a program or language is not, 2 no such command, 125 Enclos failed.
";

/// Runs the command that `args` (after `judge`) asks for. `launcher` starts the launcher; it is called before any thread is started.
pub fn main(args: impl Iterator<Item = OsString>, launcher: impl FnOnce() -> Result<Launcher, enclos_sandbox::Error>) -> ExitCode {
    let arguments = match Arguments::parse(args) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return print(HELP),
        Err(message) => return fail(USAGE, &message),
    };
    let judge = launcher().map_err(|error| error.to_string()).and_then(|launcher| {
        // No server waits behind the programs here, so they step back for nobody.
        let own = Settings { cpu_shares: None, ..Settings::default() };
        let settings = Settings { languages: arguments.directory.clone(), best_effort: arguments.best_effort, ..own };
        LocalJudge::new(launcher, settings).map_err(|error| error.to_string())
    });
    let judge = match judge {
        Ok(judge) => judge,
        Err(message) => return fail(enclos_sandbox::spec::exit::FAILURE, &message),
    };
    let outcome = match &arguments.command {
        Command::Languages => languages::run(&judge, arguments.json),
        Command::Test(names) => test::run(&judge, names, arguments.json),
        Command::Benchmark(names) => benchmark::run(&judge, names, arguments.json),
        Command::Run(wanted) => run::run(&judge, wanted, arguments.json),
    };
    match outcome {
        Ok((text, true)) => print(&text),
        Ok((text, false)) => {
            print(&text);
            ExitCode::from(NOT_OK)
        }
        Err(message) => fail(enclos_sandbox::spec::exit::FAILURE, &message),
    }
}

/// What a command prints, and whether all is well; or why it could not be carried out.
type Outcome = Result<(String, bool), String>;

/// Names of languages, or all that can be run.
fn chosen(judge: &LocalJudge, names: &[String]) -> Result<Vec<crate::api::LanguageStatus>, String> {
    use crate::api::Judge as _;
    let all = judge.languages();
    if names.is_empty() {
        return Ok(all);
    }
    names
        .iter()
        .map(|name| {
            let job = judge.reference(name).map_err(|error| error.to_string())?;
            all.iter().find(|language| language.key == job.language).cloned().ok_or_else(|| format!("{name}: not defined"))
        })
        .collect()
}

/// What stands where a language cannot be run.
fn not_installed(language: &crate::api::LanguageStatus) -> String {
    if language.packages.is_empty() { "no Debian package".to_owned() } else { format!("apt install {}", language.packages.join(" ")) }
}

fn json(document: &serde_json::Value) -> String {
    format!("{document:#}\n")
}

/// A reader that has seen enough is no error.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(enclos_sandbox::spec::exit::FAILURE, &format!("stdout: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, line: &str) -> ExitCode {
    // A line that cannot be written has no one to read it; the exit code stays.
    let _ = writeln!(std::io::stderr(), "enclos judge: {line}");
    ExitCode::from(code)
}
