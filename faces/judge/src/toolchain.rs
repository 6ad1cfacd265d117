//! Which programs of the languages are on this host, and what version they are.
//!
//! Looked up only where the system keeps programs, so that what a user has in a home or a version manager is never run for others; and anew
//! each time, so that what is installed while the judge runs is found. Versions are asked inside a sandbox, and remembered for as long as the
//! file stays the same.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::language::{Definition, Program};

/// Where programs are looked up, in this order.
const DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// Where they must lie, links followed.
const SYSTEM: [&str; 4] = ["/usr/", "/lib/", "/lib64/", "/bin/"];

/// A file as it is now: another file, or the same one written anew, differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// A program that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its path, the same inside and outside.
    pub path: String,
    /// What it is.
    pub identity: Identity,
}

/// The programs of one language on this host.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// One for each program of the definition, in its order.
    pub programs: Vec<Option<Found>>,
    /// Host paths that it sees beside the system directories.
    pub see: Vec<PathBuf>,
}

impl Toolchain {
    /// Looks a language's programs up.
    #[must_use]
    pub fn look_up(language: &Definition) -> Toolchain {
        Toolchain {
            programs: language.program.iter().map(find).collect(),
            see: language.see.iter().flat_map(|pattern| matches(pattern)).collect(),
        }
    }

    /// The path of the program called `command`.
    #[must_use]
    pub fn path(&self, language: &Definition, command: &str) -> Option<&str> {
        let index = language.program.iter().position(|program| program.command == command)?;
        self.programs.get(index)?.as_ref().map(|found| &found.path[..])
    }

    /// Commands that were not found.
    #[must_use]
    pub fn missing(&self, language: &Definition) -> Vec<String> {
        let pairs = language.program.iter().zip(&self.programs);
        pairs.filter(|(_, found)| found.is_none()).map(|(program, _)| program.command.clone()).collect()
    }

    /// What it is: changes when a program does, or when a package of the system does (libraries and headers are part of a toolchain too).
    #[must_use]
    pub fn identity(&self) -> Vec<Identity> {
        let package_list = identity_of(Path::new("/var/lib/dpkg/status"));
        self.programs.iter().flatten().map(|found| found.identity.clone()).chain(package_list).collect()
    }
}

fn find(program: &Program) -> Option<Found> {
    std::iter::once(&program.command)
        .chain(&program.or)
        .find_map(|name| DIRECTORIES.iter().find_map(|directory| executable(&format!("{directory}/{name}"))))
}

fn executable(path: &str) -> Option<Found> {
    let real = std::fs::canonicalize(path).ok()?;
    if !SYSTEM.iter().any(|directory| real.starts_with(directory)) {
        return None;
    }
    let metadata = std::fs::metadata(&real).ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return None;
    }
    Some(Found { path: path.to_owned(), identity: identity_of(&real)? })
}

fn identity_of(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Identity {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// Paths that are there: `pattern` itself, or what matches the `*` in its last part. Links are replaced by what they lead to, since only that
/// can be shown.
fn matches(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    let Some((directory, (before, after))) =
        path.parent().zip(path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('*')))
    else {
        return std::fs::canonicalize(path).into_iter().collect();
    };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let matching = names.filter(|name| name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after));
    let mut found: Vec<PathBuf> = matching.filter_map(|name| std::fs::canonicalize(directory.join(name)).ok()).collect();
    found.sort();
    found.dedup();
    found
}

/// What a program says about its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The first numbers joined by points.
    pub number: Option<String>,
    /// The first lines of what it says.
    pub text: Option<String>,
}

/// Versions by file.
#[derive(Debug, Default)]
pub struct Versions {
    known: Mutex<HashMap<Identity, Version>>,
}

impl Versions {
    /// The version of what was found; `ask` runs the program and gives what it said, `None` when it could not be run (asked again next time).
    pub fn of(&self, found: &Found, ask: impl FnOnce() -> Option<String>) -> Version {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&found.identity).cloned();
        if let Some(version) = known {
            return version;
        }
        let Some(said) = ask() else { return Version::default() };
        let version = Version { number: number_in(&said), text: first_lines(&said) };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(found.identity.clone(), version.clone());
        version
    }
}

/// The first run of digits, point, digits (and so on) in a text.
fn number_in(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        let mut end = at;
        if at > start {
            while end + 1 < bytes.len() && bytes[end] == b'.' && bytes[end + 1].is_ascii_digit() {
                end += 1;
                while end < bytes.len() && bytes[end].is_ascii_digit() {
                    end += 1;
                }
            }
            if end > at {
                return Some(text[start..end].to_owned());
            }
        } else {
            at += 1;
        }
    }
    None
}

fn first_lines(text: &str) -> Option<String> {
    let lines: Vec<String> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).take(3).map(|line| line.chars().take(200).collect()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_programs_say() {
        for (said, number) in [
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0\n", Some("12.2.0")),
            ("go version go1.19.8 linux/amd64", Some("1.19.8")),
            ("v4.9.3 20180930122740 x86_64", Some("4.9.3")),
            ("javac 17.0.15", Some("17.0.15")),
            ("Python 3", None),
            ("1. x 2.y 3.4", Some("3.4")),
            ("", None),
            ("é9.1.", Some("9.1")),
        ] {
            assert_eq!(number_in(said).as_deref(), number, "{said}");
        }
    }

    #[test]
    fn only_programs_of_the_system_are_found() {
        let program = |command: &str| Program { command: command.to_owned(), or: Vec::new(), options: Vec::new(), version: Vec::new() };
        assert!(find(&program("sh")).is_some());
        assert!(find(&program("no-such-program")).is_none());
        assert!(find(&program(".")).is_none(), "a directory is no program");
    }

    #[test]
    fn patterns_match_what_is_there() {
        assert_eq!(matches("/usr/li*"), matches("/usr/li*"));
        assert!(matches("/us*").contains(&PathBuf::from("/usr")));
        assert!(matches("/no/such/*").is_empty() && matches("/no-such").is_empty());
    }
}
