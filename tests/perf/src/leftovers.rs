//! What sandboxes of this process have left to be cleared away.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Waits until no more than `alive` sandboxes of this process have anything in their control groups; empty ones are kept for a moment, for the next sandboxes.
///
/// # Errors
/// When that takes more than ten seconds.
pub fn cleared(alive: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let left = own_groups();
        if left <= alive {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(10) {
            bail!("{left} sandboxes are not cleared away after ten seconds, {alive} may be left");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Sandboxes of this process that have a control group with a process in it, each counted once however many hierarchies there are.
fn own_groups() -> usize {
    let prefix = format!("enclos-{}-", std::process::id());
    let mut names = std::collections::BTreeSet::new();
    let mut pending: Vec<PathBuf> = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            // The type comes with the entry: no further call for the many files.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            match entry.file_name().to_str() {
                Some(name) if name.starts_with(&prefix) => {
                    // Gone meanwhile: nothing is in it.
                    if std::fs::read(entry.path().join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty()) {
                        names.insert(name.to_owned());
                    }
                }
                _ => pending.push(entry.path()),
            }
        }
    }
    names.len()
}
