//! The server itself: its languages, limits and queue.

use serde::Serialize;
use utoipa::ToSchema;

use super::Limits;
use crate::api;

/// A program that a language needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LanguageProgram)]
pub struct Program {
    /// Its name, e.g. `gcc`.
    pub command: String,
    /// Whether it was found.
    pub found: bool,
    /// Its version, where it says one.
    pub version: Option<String>,
    /// Options it is always called with.
    pub options: Vec<String>,
}

/// A language that is defined here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Language {
    /// Lower-cased display name, e.g. `c++`.
    pub key: String,
    /// Display name, e.g. `C++`.
    pub name: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Of its source files, with the dot.
    pub extension: String,
    /// Whether it is compiled.
    pub compiled: bool,
    /// Whether everything it needs was found here.
    pub available: bool,
    /// What it needs.
    pub programs: Vec<Program>,
    /// Debian packages that bring what it needs.
    pub packages: Vec<String>,
    /// One line for people.
    pub note: Option<String>,
}

/// Every language that is defined here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Languages {
    /// In the order of their keys.
    pub languages: Vec<Language>,
}

impl From<api::LanguageStatus> for Language {
    fn from(language: api::LanguageStatus) -> Self {
        let program = |program: api::ProgramStatus| Program {
            command: program.command,
            found: program.found,
            version: program.version,
            options: program.options,
        };
        Self {
            key: language.key,
            name: language.name,
            aliases: language.aliases,
            extension: language.extension,
            compiled: language.compiled,
            available: language.available,
            programs: language.programs.into_iter().map(program).collect(),
            packages: language.packages,
            note: language.note,
        }
    }
}

/// Limits of this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitInfo {
    /// For compiling, where a request says nothing.
    pub compile: Limits,
    /// For running, where a request says nothing.
    pub run: Limits,
    /// The greatest that may be asked for.
    pub most: Limits,
}

/// The queue at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueInfo {
    /// Cores that runs may use.
    pub cores: usize,
    /// Cores in use.
    pub cores_in_use: usize,
    /// Runs that wait.
    pub waiting: usize,
    /// Runs that may wait.
    pub capacity: usize,
    /// Runs that run.
    pub running: usize,
}

/// What is switched on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Features {
    /// Asynchronous runs and batches.
    pub r#async: bool,
    /// Callbacks.
    pub callbacks: bool,
}

/// This server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Info {
    /// Of the program.
    pub version: String,
    /// Of this interface.
    pub api: String,
    /// What is switched on.
    pub features: Features,
    /// Limits.
    pub limits: LimitInfo,
    /// The queue.
    pub queue: QueueInfo,
}
