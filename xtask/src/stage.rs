//! A folder outside the checkout that any user may read: the programs under test, and a home for each user who runs them.
//!
//! A checkout often lies where only its owner can go (`/root`, a home with mode 0700); a test run as somebody else must not depend on it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cargo::{Program, build};
use crate::suite::Suite;

/// The user without rights; a number nobody has an account for, so that nothing on the host is theirs.
pub const NOBODY: u32 = 61_234;
/// Seconds after which a test is killed.
const LIMIT: u64 = 120;

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
        let dir = tempfile::Builder::new().prefix("enclos-test-").tempdir().context("making a folder for the programs under test")?;
        open_to_all(dir.path())?;
        let stage = Stage {
            enclos: dir.path().join("bin/enclos"),
            dir,
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        for program in build(&["build", "--locked", "--package", "enclos", "--bins"])? {
            stage.put("bin", &program)?;
        }
        Ok(stage)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
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

/// Readable and executable for everybody, whatever the umask.
fn open_to_all(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).with_context(|| format!("opening {}", path.display()))
}
