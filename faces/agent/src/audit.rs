//! Who did what: one line of JSON for each call that changes or runs something.
//!
//! ```json
//! {"at":1764120000000,"who":"alice","what":"exec","which":"sb_0123456789abcdef","outcome":"ok","verdict":"ended","exit_code":0}
//! ```
//!
//! `outcome` is of the call, `verdict` and `exit_code` of the command that it ran. What a session is asked for has the session as `which`, and its
//! sandbox beside. No line holds a command, its output or the contents of a file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use enclos_host::tracing;
use serde::Serialize;

use crate::api::{AgentError, ExecResult, Result, Verdict};
use crate::core::clock::now;
use crate::figures;

/// The file; or none.
#[derive(Debug)]
pub struct Audit {
    file: Option<Mutex<File>>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: i64,
    who: &'a str,
    what: &'a str,
    which: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What else is known of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The sandbox of the session that is meant.
    pub sandbox: Option<&'a str>,
    /// The session that was made.
    pub session: Option<&'a str>,
    /// How a command ended.
    pub verdict: Option<Verdict>,
    /// What a command or a shell ended with.
    pub exit_code: Option<i32>,
}

impl<'a> About<'a> {
    /// How a command ended, if it was run.
    #[must_use]
    pub fn command(done: &Result<ExecResult>) -> About<'a> {
        let ended = |result: &ExecResult| About { verdict: Some(result.verdict), exit_code: Some(result.exit_code), ..About::default() };
        done.as_ref().map(ended).unwrap_or_default()
    }

    /// The session that is meant is of this sandbox.
    #[must_use]
    pub fn of(self, sandbox: Option<&'a str>) -> About<'a> {
        About { sandbox, ..self }
    }
}

impl Audit {
    /// Opens the file, made if it is missing, readable for nobody else.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: Option<&Path>) -> std::io::Result<Audit> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = match path {
            None => None,
            Some(path) => Some(Mutex::new(std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?)),
        };
        Ok(Audit { file })
    }

    /// Adds a line.
    pub fn write(&self, who: &str, what: &str, which: &str, failed: Option<&AgentError>) {
        self.write_about(who, what, which, About::default(), failed);
    }

    /// Adds a line that says more.
    pub fn write_about(&self, who: &str, what: &str, which: &str, about: About<'_>, failed: Option<&AgentError>) {
        let Some(file) = &self.file else { return };
        let outcome = failed.map_or("ok", word);
        let About { sandbox, session, verdict, exit_code } = about;
        let (verdict, why) = (verdict.map(figures::word), failed.map(ToString::to_string));
        let line = Line { at: now(), who, what, which, sandbox, session, outcome, verdict, exit_code, why };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        // One write, so that lines stay whole.
        if let Err(error) = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text) {
            tracing::error!(%error, "the audit could not be written");
        }
    }
}

/// A fault in one word.
fn word(error: &AgentError) -> &'static str {
    match error {
        AgentError::Invalid { .. } => "invalid",
        AgentError::NotFound { .. } => "not-found",
        AgentError::AlreadyRunning | AgentError::NotRunning | AgentError::SessionClosed | AgentError::Precondition(_) => "precondition",
        AgentError::Conflict(_) => "conflict",
        AgentError::Denied { .. } => "denied",
        AgentError::Quota { .. } => "quota",
        AgentError::TimedOut => "timed-out",
        AgentError::Cancelled => "cancelled",
        AgentError::Unsupported(_) => "unsupported",
        AgentError::Unavailable(_) => "unavailable",
        AgentError::Internal(_) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_private() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        let audit = Audit::open(Some(&path)).unwrap();
        audit.write("al\"ice", "exec", "sb_1", None);
        audit.write("bob", "start", "sb_2", Some(&AgentError::AlreadyRunning));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), lines[0]["who"].as_str(), lines[0]["outcome"].as_str()), (2, Some("al\"ice"), Some("ok")));
        assert_eq!((lines[1]["outcome"].as_str(), lines[1]["why"].as_str()), (Some("precondition"), Some("sandbox is already running")));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
