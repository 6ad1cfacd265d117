//! A directory, a mark and a user for one test.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hostile;

/// The user that stands for "an ordinary user" when the tests run as root. It has no entry in any file of the host and owns nothing.
pub const ORDINARY_USER: u32 = 64_007;

/// As whom the command line tool runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// User 0.
    Root,
    /// Anyone else: whoever runs the tests, or [`ORDINARY_USER`] when root does.
    User,
}

impl Who {
    /// Everyone the tests can be here: root is both, anyone else is only themselves.
    #[must_use]
    pub fn all_here() -> &'static [Who] {
        if rustix::process::geteuid().is_root() { &[Who::Root, Who::User] } else { &[Who::User] }
    }

    /// The word used in names of tests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Who::Root => "root",
            Who::User => "user",
        }
    }

    /// The user to change to before the tool is run; `None`: stay.
    #[must_use]
    pub fn switch_to(self) -> Option<u32> {
        (self == Who::User && rustix::process::geteuid().is_root()).then_some(ORDINARY_USER)
    }
}

/// A place of its own for one test: `work` (where the tool is run, holding the probe), `out` (reports, outputs), both owned by the
/// test's user, and a mark by which everything of this test can be known. Removed when dropped.
#[derive(Debug)]
pub struct World {
    /// As whom the tool runs.
    pub who: Who,
    /// In the environment of every process this world starts, and in the name of its directory.
    pub mark: String,
    dir: PathBuf,
    tool: Once,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl World {
    /// A new world.
    ///
    /// # Panics
    /// If its directory cannot be made.
    #[must_use]
    pub fn new(who: Who) -> World {
        let mark = format!("enclosmark{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("enclos-test-{mark}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let world = World { who, mark, dir, tool: Once::new() };
        world.open_up(&world.dir);
        world.make_dir("work");
        world.make_dir("out");
        world
    }

    /// A path in this world.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same as text, for arguments.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Makes a directory the test's user may write.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.open_up(&path);
        path
    }

    /// Makes a file that belongs to the test's user, readable by all.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("a file just made");
        self.give(&path);
        path
    }

    /// Copies the probe to `work/probe`.
    ///
    /// # Errors
    /// Why it cannot be had: no C compiler.
    pub fn install_probe(&self) -> Result<PathBuf, String> {
        let path = self.path("work/probe");
        if !path.exists() {
            std::fs::copy(hostile::probe()?, &path).map_err(|e| format!("{}: {e}", path.display()))?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
        }
        Ok(path)
    }

    /// Gives a file or directory to the test's user.
    pub fn give(&self, path: &Path) {
        if let Some(uid) = self.who.switch_to() {
            chown(path, Some(uid), Some(uid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }

    /// Runs `action` the first time only.
    pub(crate) fn once(&self, action: impl FnOnce()) {
        self.tool.call_once(action);
    }

    fn open_up(&self, path: &Path) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a directory just made");
        self.give(path);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.dir).is_err() {
            // Modes of 0000 and paths longer than PATH_MAX are part of some tests; rm(1) copes with both.
            let dir = &self.dir;
            let _ = std::process::Command::new("chmod").arg("-R").arg("u+rwX").arg(dir).stderr(std::process::Stdio::null()).status();
            let _ = std::process::Command::new("rm").arg("-rf").arg(dir).stderr(std::process::Stdio::null()).status();
        }
    }
}
