//! The file a report goes to.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use enclos_spec::report::SCHEMA;
use enclos_spec::{Report, Verdict};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::run::paths::reason;
use crate::show;

/// The report about a run that did not come about.
#[must_use]
pub fn no_run(complaint: String) -> Report {
    Report {
        schema: SCHEMA,
        verdict: Verdict::InternalError,
        exit_code: None,
        signal: None,
        evidence: Some(complaint),
        figures: Vec::new(),
        limits: Vec::new(),
        layers: Vec::new(),
        weakened: Vec::new(),
    }
}

/// Opens the report's file before the command runs: a wrong path is told at once, and what the command puts in its place is not followed.
///
/// # Errors
/// The path and the system's text.
pub fn open(path: &Path) -> Result<File, String> {
    // What an earlier command may have planted is not followed, wherever on the path, and not waited for: a link, a FIFO. What lies below /dev (`/dev/stderr`) is the
    // host's own.
    let (flags, mode) = (OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::from_raw_mode(0o666));
    let opened = if path.starts_with("/dev") {
        rustix::fs::open(path, flags, mode)
    } else {
        openat2(CWD, path, flags | OFlags::NONBLOCK, mode, ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
    };
    opened.map(File::from).map_err(|errno| format!("{path:?}: {}", reason(&errno.into())))
}

/// Writes it as JSON, over what was there.
///
/// # Errors
/// What the system says.
pub fn write(file: &mut File, report: &Report, notes: &[String]) -> std::io::Result<()> {
    // A pipe or a terminal has nothing to be cut off.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(show::report::json(report, notes).as_bytes())
}
