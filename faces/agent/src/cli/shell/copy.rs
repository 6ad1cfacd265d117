//! The directory, copied into the store.

use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use enclos_cas::{Import, Special};
use rustix::fs::{AtFlags, FileType, statat};

use super::super::say;
use crate::LocalAgent;
use crate::api::Caller;

/// When a copy is long enough to say how far it is, and how often.
const PATIENCE: Duration = Duration::from_secs(1);
/// Names that are told one by one.
const TOLD: usize = 10;

/// Copies a directory; gives the version. What cannot be copied is named.
///
/// # Errors
/// One line.
pub fn copy(agent: &LocalAgent, caller: &Caller, codebase: &str, directory: &OwnedFd, home: &Path) -> Result<u64, String> {
    let device = rustix::fs::fstat(directory).map_err(|errno| errno.to_string())?.st_dev;
    // Our own files may lie in it: whoever copies a home copies no store that grows while it is copied.
    let own = rustix::fs::stat(home).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let mut left_out = Vec::new();
    let mut progress = Progress { begun: Instant::now(), told: None, entries: 0, shown: std::io::stderr().is_terminal() };
    let mut filter = |path: &Path, kind: FileType| {
        progress.one();
        if kind == FileType::Directory
            && let Ok(stat) = statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)
        {
            if stat.st_dev != device {
                left_out.push((path.to_owned(), "other file system"));
                return false;
            }
            if Some((stat.st_dev, stat.st_ino)) == own {
                left_out.push((path.to_owned(), "directory of Enclos itself"));
                return false;
            }
        }
        true
    };
    let bounds = Import { special: Special::LeaveOut, ..Import::default() };
    let imported = agent.import(caller, codebase, directory, &bounds, &mut filter);
    progress.end();
    let (version, found) = imported.map_err(|error| error.to_string())?;
    left_out.extend(found);
    for (path, what) in left_out.iter().take(TOLD) {
        say(&format!("{}: a {what}, is not copied", path.display()));
    }
    if left_out.len() > TOLD {
        say(&format!("{} more are not copied", left_out.len() - TOLD));
    }
    Ok(version)
}

struct Progress {
    begun: Instant,
    told: Option<Instant>,
    entries: u64,
    shown: bool,
}

impl Progress {
    fn one(&mut self) {
        self.entries += 1;
        if !self.shown || !self.entries.is_multiple_of(64) || self.begun.elapsed() < PATIENCE {
            return;
        }
        if self.told.is_none_or(|told| told.elapsed() > Duration::from_millis(200)) {
            self.told = Some(Instant::now());
            // Only for whoever looks.
            let _ = write!(std::io::stderr(), "\rcopying: {} files", self.entries);
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
