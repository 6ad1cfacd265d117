//! What the test suites share: a world of its own for each test ([`World`]), the command line tool run in it ([`Run`]), the
//! hostile programs kept in `hostile/` ([`hostile`]), and a look at the host before and after ([`HostState`]).
//!
//! For tests only. A test that cannot run on this host says so through [`skip`], and only for a fact of the host (not root, no
//! compiler), never because a feature is missing.

#![forbid(unsafe_code)]

#[cfg(feature = "certificates")]
pub mod certificates;
pub mod host;
pub mod hostile;
pub mod http;
pub mod output;
pub mod run;
pub mod world;

pub use host::HostState;
pub use output::Outcome;
pub use run::{Live, Run, Wall};
pub use world::{Who, World};

/// Says on stderr that `test` cannot run here and why; the caller then returns.
#[expect(clippy::print_stderr, reason = "the line is for whoever runs the tests")]
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIP: {test}: {reason}");
}

/// The first of `names` found in the directories of `PATH`, or in `/usr/bin`.
#[must_use]
pub fn find_program(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = vec!["/usr/bin".into(), "/bin".into()];
    places.extend(std::env::split_paths(&path));
    names.iter().find_map(|name| places.iter().map(|place| place.join(name)).find(|file| file.is_file()))
}
