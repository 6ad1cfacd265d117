//! The seam between the judge and its transports: blocking, free of any runtime and of any wire format.
//!
//! A transport makes a [`Job`], calls [`Judge::run`] on a thread that may block, and gets an [`Answer`]. While it runs, an [`Observer`]
//! hears of what happens, and a [`Cancel`] ends it at once.
//!
//! Nothing here holds a path of the host, and no error text does: they may be shown to clients.

mod answer;
mod job;
mod limits;
mod observer;
mod status;

use std::fmt;

pub use answer::{Answer, CheckReport, Evidence, OutputFile, RunFigures, StepReport, SubtaskScore, TestReport, Verdict};
pub use enclos_host::cancel::{Cancel, CancelGuard};
pub use job::{Checker, Job, Program, SourceFile, StepOptions, Test};
pub use limits::{LimitSettings, Limits};
pub use observer::{Controls, NoObserver, Observer, Step, Stream};
pub use status::{LanguageStatus, ProgramStatus, SystemInfo};

/// A judge. Every call blocks; call it from threads that may.
pub trait Judge: Send + Sync {
    /// Every language that is defined, in the order of their keys, and whether it can be run here now. Looks at the host anew (bounded in
    /// time; versions of programs that did not change are remembered).
    fn languages(&self) -> Vec<LanguageStatus>;

    /// The host.
    fn system(&self) -> SystemInfo;

    /// Limits that hold where a job names none, and the greatest it may ask for.
    fn limits(&self) -> &LimitSettings;

    /// Compiles and runs. Waits for its turn where more is asked for at once than the host has cores.
    ///
    /// # Errors
    /// When the job cannot be carried out at all. A program that fails in any way is no error: see [`Answer::verdict`].
    fn run(&self, job: &Job, cancel: &Cancel, observer: &dyn Observer) -> Result<Answer, JobError>;

    /// The reference program of a language (any case) as a job with one test that expects `42\n`.
    ///
    /// # Errors
    /// [`JobError::UnknownLanguage`].
    fn reference(&self, language: &str) -> Result<Job, JobError>;
}

/// A job that could not be carried out. One line each, fit for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// No language of this name is defined.
    UnknownLanguage {
        /// As the job wrote it.
        name: String,
        /// The defined name that is nearest.
        nearest: Option<String>,
    },
    /// Defined, but its programs are not installed here.
    MissingLanguage {
        /// Display name.
        name: String,
        /// Commands that were not found.
        missing: Vec<String>,
        /// Debian packages that bring them; empty: none does.
        packages: Vec<String>,
    },
    /// A field of the job that makes no sense or exceeds what is allowed.
    Refused {
        /// The field as a path, e.g. `tests[3].limits.memory`.
        field: String,
        /// The value as given and what would be right.
        message: String,
    },
    /// [`Cancel::cancel`] was called.
    Cancelled,
    /// Enclos failed. The text is for logs and clients alike: no path of the host.
    Internal(String),
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::UnknownLanguage { name, nearest: Some(nearest) } => {
                write!(f, "language: {name:?} is not defined: did you mean {nearest:?}?")
            }
            JobError::UnknownLanguage { name, nearest: None } => write!(f, "language: {name:?} is not defined"),
            JobError::MissingLanguage { name, missing, packages } => {
                write!(f, "language: {name} is not installed here: {} not found", missing.join(", "))?;
                match packages.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; Debian packages: {}", packages.join(" ")),
                }
            }
            JobError::Refused { field, message } => write!(f, "{field}: {message}"),
            JobError::Cancelled => f.write_str("cancelled"),
            JobError::Internal(message) => f.write_str(message),
        }
    }
}
