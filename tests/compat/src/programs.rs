//! The programs compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, PoisonError};

use crate::place::STARTING;

/// One of the programs.
#[derive(Clone, Debug)]
pub struct Program {
    /// For messages.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its bubblewrap version; `None` for ours.
    pub version: Option<Vec<u32>>,
}

/// `0.11.1` as numbers that compare.
#[must_use]
pub fn version(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.parse().ok()).collect()
}

fn bubblewrap(path: &Path) -> Option<Program> {
    let quiet = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(path).arg("--version").output().ok()?;
    drop(quiet);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().nth(1)?.to_owned();
    Some(Program { label: format!("bubblewrap {number}"), path: path.to_owned(), version: Some(version(&number)) })
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A virtual environment with the programs of PyPI that call `bwrap`, if there is one.
#[must_use]
pub fn of_pypi() -> Option<PathBuf> {
    named("ENCLOS_PROGRAMS")
}

/// Debian's bubblewrap, if it is installed.
#[must_use]
pub fn incumbent() -> Option<Program> {
    static FOUND: OnceLock<Option<Program>> = OnceLock::new();
    FOUND.get_or_init(|| bubblewrap(&named("ENCLOS_BWRAP").unwrap_or_else(|| "/usr/bin/bwrap".into()))).clone()
}

/// A newer bubblewrap, if one was named.
///
/// # Panics
/// If one was named that does not run.
#[must_use]
pub fn newer() -> Option<Program> {
    static FOUND: OnceLock<Option<Program>> = OnceLock::new();
    let find = || {
        let path = named("ENCLOS_BWRAP_NEW")?;
        Some(bubblewrap(&path).unwrap_or_else(|| panic!("ENCLOS_BWRAP_NEW: {}: does not run", path.display())))
    };
    FOUND.get_or_init(find).clone()
}

/// Ours; `None` when `ENCLOS_COMPAT=incumbent` leaves it out.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn ours() -> Option<Program> {
    if std::env::var_os("ENCLOS_COMPAT").is_some_and(|value| value == "incumbent") {
        return None;
    }
    let path = named("ENCLOS_BIN").unwrap_or_else(|| enclos_testkit::hostile::build_dir().join("enclos"));
    assert!(path.is_file(), "{}: no such program; build it first: cargo build -p enclos (or name it in ENCLOS_BIN)", path.display());
    Some(Program { label: "enclos".to_owned(), path, version: None })
}
