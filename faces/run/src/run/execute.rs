//! A request, carried out by the engine: the plan printed, or the command run and the report written.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use enclos_sandbox::{Command, Error, Failure, Outcome, Stage};
use enclos_spec::{Policy, PolicyError, Report, exit};
use serde_json::json;

use super::paths::reason;
use super::request::Request;
use crate::report_file;
use crate::show;
use crate::text::Look;

/// Carries it out.
pub fn execute(request: &Request) -> u8 {
    let mut command = Command::new(&request.command[0]);
    command.args(&request.command[1..]).policy(&request.policy).tty(wants_terminal(request)).forward_signals(true);
    if request.explain {
        return explain(request, &command);
    }
    let file = match request.report_file.as_deref().map(report_file::open).transpose() {
        Ok(file) => file,
        Err(wrong) => return crate::fail("run", &format!("--report: {wrong}")),
    };
    // Without a reader no figure is worth a control group; limits bring their own.
    command.measure(request.report || file.is_some());
    let result = command.status();
    let code = match &result {
        Ok(outcome) => code(outcome.status),
        Err(error) => {
            let _ = crate::fail("run", &complaint(request, error));
            error.exit_code()
        }
    };
    let report = match &result {
        Ok(outcome) => outcome.report.clone(),
        Err(error) => report_file::no_run(complaint(request, error)),
    };
    if let Some(mut file) = file
        && let Err(error) = report_file::write(&mut file, &report, &request.notes)
    {
        return crate::fail("run", &format!("--report: {:?}: {}", request.report_file, reason(&error)));
    }
    say(request, &result, &report);
    #[expect(clippy::exit, reason = "what the process holds the kernel frees faster than we would")]
    std::process::exit(i32::from(code))
}

/// A private terminal: as the policy says, else when what the command reads is a terminal.
fn wants_terminal(request: &Request) -> bool {
    request.policy.tty.unwrap_or_else(|| request.policy.stdin.is_none() && std::io::stdin().is_terminal())
}

/// The command's status as a shell gives it.
fn code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => exit::SIGNAL_BASE + signal as u8,
        (None, None) => exit::FAILURE,
    }
}

/// What is said on stderr after the run.
fn say(request: &Request, result: &Result<Outcome, Error>, report: &Report) {
    let mut stderr = std::io::stderr();
    let text = match result {
        Ok(_) if request.report && request.json => show::report::json(report, &request.notes),
        Ok(_) if request.report => show::report::render(report, &request.notes, Look::of(&stderr)),
        Err(_) if request.report && request.json => show::report::json(report, &request.notes),
        Ok(outcome) if !outcome.status.success() && misses_the_directory(request) => {
            request.notes.iter().map(|note| format!("enclos run: note: {note}\n")).collect()
        }
        _ => return,
    };
    // Nobody may read it; the exit code says the most important thing.
    let _ = stderr.write_all(text.as_bytes());
}

/// Whether the current directory is not shown while an argument names something in it: then a failure is probably due to that.
fn misses_the_directory(request: &Request) -> bool {
    let in_directory = |word: &&OsStr| {
        let path = Path::new(word);
        path.is_relative() && !word.is_empty() && request.anchor.directory().is_some_and(|directory| directory.join(path).exists())
    };
    !request.notes.is_empty() && request.command.iter().skip(1).map(|word| word.as_os_str()).any(|word| in_directory(&word))
}

/// The error's line, with the flag's or the key's name where the value came from one, and with what may have caused it.
fn complaint(request: &Request, error: &Error) -> String {
    let mut line = error.to_string();
    let field = match error {
        Error::Policy(PolicyError::Value { field, .. }) | Error::Unenforceable { field, .. } => Some(*field),
        Error::Step(failure) => {
            let blamed = blame(&request.policy, failure);
            if let Some((field, value)) = &blamed {
                let reason = failure.reason();
                line = match failure.stage {
                    Stage::Place => format!("{field}: {value:?}: no place can be made for it: {reason}"),
                    _ => format!("{field}: {value:?}: {reason}"),
                };
            }
            blamed.map(|(field, _)| field)
        }
        _ => None,
    };
    if field.is_some_and(|field| request.flags.contains(&field)) {
        return format!("--{line}");
    }
    // A bare name is looked up in PATH, which never leads into the current directory.
    let by_path = request.command[0].as_encoded_bytes().contains(&b'/');
    match request.notes.as_slice() {
        [note, ..] if error.exit_code() == exit::NOT_FOUND && by_path => format!("{line} ({note})"),
        _ => line,
    }
}

/// The key that brought what a step failed on, and its value.
fn blame(policy: &Policy, failure: &Failure) -> Option<(&'static str, String)> {
    if let (Stage::Cpus, Some(cpus)) = (failure.stage, &policy.cpus) {
        return Some(("cpus", String::from(cpus.clone())));
    }
    let path = Path::new(failure.subject.as_deref()?);
    let is = |known: &Option<PathBuf>| known.as_deref() == Some(path);
    let has = |known: &[PathBuf]| known.iter().any(|known| known == path);
    let brought = match failure.stage {
        Stage::Source | Stage::Place | Stage::Operation => vec![
            ("ro", has(&policy.ro)),
            ("rw", has(&policy.rw)),
            ("tmpfs", has(&policy.tmpfs)),
            ("dev", has(&policy.dev)),
            ("bind", policy.bind.iter().any(|binding| binding.src == path || binding.dst == path)),
            ("overlay", policy.overlay.iter().any(|layered| layered.path == path)),
        ],
        Stage::Streams => vec![("stdin", is(&policy.stdin)), ("stdout", is(&policy.stdout)), ("stderr", is(&policy.stderr))],
        Stage::Workdir => vec![("workdir", is(&policy.workdir))],
        _ => Vec::new(),
    };
    let (field, _) = brought.into_iter().find(|(_, brought)| *brought)?;
    Some((field, path.display().to_string()))
}

fn explain(request: &Request, command: &Command) -> u8 {
    let planned = match command.explain() {
        Ok(planned) => planned,
        Err(error) => {
            let _ = crate::fail("run", &complaint(request, &error));
            return error.exit_code();
        }
    };
    let text = if request.json {
        let environment: Vec<String> = planned.environment.iter().map(|(name, value)| show::planned::assignment(name, value)).collect();
        let words: Vec<_> = request.command.iter().map(|word| word.to_string_lossy()).collect();
        let whole = json!({
            "command": words,
            "plan": planned.plan,
            "identity": planned.identity,
            "limits": planned.limits,
            "environment": environment,
            "directories": planned.directories,
            "weakened": planned.weakened,
            "notes": request.notes,
        });
        show::json(&whole)
    } else {
        show::planned::render(&planned, &request.command, &request.notes, Look::of(&std::io::stdout()))
    };
    crate::print(&text)
}
