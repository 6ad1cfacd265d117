//! A folder outside the checkout that any user may read: the programs under test, and a home for each user who runs them.
//!
//! A checkout often lies where only its owner can go (`/root`, a home with mode 0700); a test run as somebody else must not depend on it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cargo::{Program, build};
use crate::install::quiet;
use crate::suite::Suite;

/// The user without rights; a number nobody has an account for, so that nothing on the host is theirs.
pub const NOBODY: u32 = 61_234;
/// Seconds after which a test is killed.
const LIMIT: u64 = 120;

/// Start of the folder's name; the number of the process it belongs to follows.
const PREFIX: &str = "enclos-test-stage-";

/// `enclos` for the suites: optimised, because limits and ten thousand lives are about time, but with every assertion and overflow check,
/// and without the slow link of a release.
const PROFILE: [&str; 16] = [
    "--profile",
    "suites",
    "--config",
    "profile.suites.inherits='release'",
    "--config",
    "profile.suites.lto=false",
    "--config",
    "profile.suites.codegen-units=16",
    "--config",
    "profile.suites.incremental=true",
    "--config",
    "profile.suites.debug-assertions=true",
    "--config",
    "profile.suites.overflow-checks=true",
    "--config",
    "profile.suites.strip=false",
];

/// The folder; removed when dropped.
pub struct Stage {
    dir: TempDir,
    /// `enclos` as users have it.
    enclos: PathBuf,
    jobs: usize,
}

impl Stage {
    /// Builds `enclos` and puts it and its siblings into a new folder.
    ///
    /// # Errors
    /// When cargo fails or the folder cannot be made.
    pub fn new() -> Result<Self> {
        remove_abandoned(&std::env::temp_dir());
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir().context("making a folder for the programs under test")?;
        open_to_all(dir.path())?;
        let stage = Stage {
            enclos: dir.path().join("bin/enclos"),
            dir,
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        for program in build(&[["build", "--locked", "--package", "enclos", "--bins"].as_slice(), &PROFILE].concat())? {
            stage.put("bin", &program)?;
        }
        Ok(stage)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `enclos` in it.
    #[must_use]
    pub fn enclos(&self) -> &Path {
        &self.enclos
    }

    /// A way to run `program` as `user` (`None`: as ourselves), with a new and empty home.
    ///
    /// # Errors
    /// When its files cannot be made.
    pub fn suite(&self, name: &str, program: &Program, user: Option<u32>) -> Result<Suite> {
        let who = user.map_or("root".to_owned(), |id| format!("u{id}"));
        let home = self.folder(&format!("home-{name}-{}-{who}", program.name))?;
        // The program lies where its user may write: suites compile their hostile helpers beside it.
        let tests = format!("tests-{who}");
        let path = self.put(&tests, program)?.path;
        for folder in [&home, &self.folder(&tests)?] {
            chown(folder, user, user).with_context(|| format!("giving {} to {who}", folder.display()))?;
        }
        Ok(Suite {
            name: name.to_owned(),
            program: path,
            user,
            env: crate::suite::environment(&who, &home, &self.enclos),
            directory: home,
            jobs: self.jobs,
            limit: LIMIT,
            only: Vec::new(),
            without: Vec::new(),
            journal: None,
        })
    }

    /// Copies a file into `folder` of the stage, open to all.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn put(&self, folder: &str, program: &Program) -> Result<Program> {
        let file = program.path.file_name().context("a program without a name")?;
        let path = self.folder(folder)?.join(file);
        std::fs::copy(&program.path, &path).with_context(|| format!("copying {}", program.path.display()))?;
        open_to_all(&path)?;
        Ok(Program { path, ..program.clone() })
    }

    /// Copies a folder's content into `folder` of the stage, unless it is there already.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(&self, folder: &str, from: &Path) -> Result<PathBuf> {
        let path = self.dir.path().join(folder);
        if !path.exists() {
            quiet(Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(&path))?;
            open_to_all(&path)?;
        }
        Ok(path)
    }

    /// A folder of the stage, made if missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        open_to_all(&path)?;
        Ok(path)
    }
}

/// Removes the stages of runs that were killed before they could.
fn remove_abandoned(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Somebody else's, or being removed by another run right now: theirs to remove.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Readable and executable for everybody, whatever the umask.
fn open_to_all(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).with_context(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_owns_any_more_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        // No process has this number: it is above what `/proc/sys/kernel/pid_max` can be.
        let dead = path(&format!("{PREFIX}4194305-x"));
        let alive = path(&format!("{PREFIX}{}-x", std::process::id()));
        let other = path("enclos-test-other");
        for folder in [&dead, &alive, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        remove_abandoned(parent.path());
        assert_eq!([dead.exists(), alive.exists(), other.exists()], [false, true, true]);
    }
}
