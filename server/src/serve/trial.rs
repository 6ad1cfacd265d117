//! One program before the first request: a host on which none can be run is told at the start, not to every client.

use enclos_judge::LocalJudge;
use enclos_judge::api::{Cancel, JobError, Judge, NoObserver, Verdict};

/// Languages to try with, the quickest first; the first that is installed is the one.
const LANGUAGES: [&str; 5] = ["perl", "lua", "python", "c", "ruby"];

/// Runs a reference program.
///
/// # Errors
/// One line: why no program can be run here, and what can be done.
pub fn run(judge: &LocalJudge) -> Result<(), String> {
    for language in LANGUAGES {
        let answer = judge.reference(language).and_then(|job| judge.run(&job, &Cancel::new(), &NoObserver));
        match answer {
            Ok(answer) if answer.verdict == Verdict::Ok => return Ok(()),
            Ok(answer) => {
                // A host that is busy, or a toolchain that is broken: others may work.
                tracing::warn!(language, verdict = answer.verdict.as_str(), "the reference program is not judged OK");
                return Ok(());
            }
            Err(JobError::MissingLanguage { .. } | JobError::UnknownLanguage { .. }) => {}
            Err(error) => return Err(cannot(&error)),
        }
    }
    tracing::warn!("no language is installed that could be tried: enclos judge languages tells what there is");
    Ok(())
}

/// What is said of a host on which no program can be run. The engine names its own flag.
#[must_use]
pub fn cannot(error: &dyn std::fmt::Display) -> String {
    let error = error.to_string();
    let hint = if error.contains("--best-effort") { "; for a server that is --set judge.best-effort=true" } else { "" };
    format!("no program can be run here: {error}{hint}")
}
