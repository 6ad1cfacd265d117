//! Where a script runs, and what it finds there.
//!
//! | name | what |
//! |---|---|
//! | `$B` | the program, as `$W/bin/bwrap` |
//! | `$PROGRAMS` | a Python environment with programs that call `bwrap`, if there is one |
//! | `$W` | the case's directory, owned by the user, current directory of the script |
//! | `$RO` | arguments that show the host's programs read-only and nothing else |
//! | `norm FILE` | prints a file with process ids and namespace numbers made equal |
//! | `$W/file` | a file holding `data` |
//! | `$W/dir` | a directory with `f` and `sub/g` |
//! | `$W/low1`, `$W/low2` | for overlays: `a` and `b`; `a` and `c` |
//! | `$W/filter.N` | filters: 1 and 2 make mkdir fail with EPERM and EACCES, 3 makes rmdir fail with ENOSPC, `short` is cut off |

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use enclos_testkit::Who;

use crate::programs::{self, Program};

/// Said before every script.
const PRELUDE: &str = r#"
RO='--ro-bind /usr /usr --ro-bind-try /bin /bin --ro-bind-try /lib /lib --ro-bind-try /lib64 /lib64'
export RO
norm() { sed -E 's/"child-pid": [0-9]+/"child-pid": PID/; s/(-namespace": )[0-9]+/\1NS/g' "$1"; }
"#;

/// Held while a program is copied and while one is started: a process started in between would inherit the copy open for writing, and what is open for
/// writing cannot be executed.
pub static STARTING: Mutex<()> = Mutex::new(());

/// A directory for one run of one case; gone when dropped.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    who: Who,
}

impl Place {
    /// Makes it.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(name: &str, who: Who, program: &Program) -> io::Result<Place> {
        let dir = std::env::temp_dir().join(format!("enclos-compat-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o755))?;
        let place = Place { dir, who };
        place.fill()?;
        place.program(program)?;
        Ok(place)
    }

    fn fill(&self) -> io::Result<()> {
        for dir in ["dir", "dir/sub", "low1", "low2", "up", "work", "out"] {
            self.make_dir(dir)?;
        }
        self.write("file", b"data\n")?;
        self.write("dir/f", b"f\n")?;
        self.write("dir/sub/g", b"g\n")?;
        for (name, text) in [("low1/a", "a1\n"), ("low1/b", "b1\n"), ("low2/a", "a2\n"), ("low2/c", "c2\n")] {
            self.write(name, text.as_bytes())?;
        }
        let filters = [("filter.1", filter(MKDIR, 1)), ("filter.2", filter(MKDIR, 13)), ("filter.3", filter(RMDIR, 28))];
        for (name, bytes) in &filters {
            self.write(name, bytes)?;
        }
        self.write("filter.short", &filters[0].1[..21])?;
        self.own(&self.dir)
    }

    /// A link; for an ordinary user a copy of ours: the build directory may lie below one that they cannot enter.
    fn program(&self, program: &Program) -> io::Result<()> {
        fs::create_dir(self.dir.join("bin"))?;
        let name = self.dir.join("bin/bwrap");
        if self.who.switch_to().is_none() || program.version.is_some() {
            return std::os::unix::fs::symlink(&program.path, name);
        }
        let _quiet = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        fs::copy(&program.path, &name)?;
        fs::set_permissions(&name, PermissionsExt::from_mode(0o755))
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        let dir = self.dir.join(name);
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o755))?;
        self.own(&dir)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.dir.join(name);
        fs::write(&file, bytes)?;
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644))?;
        self.own(&file)
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        match self.who.switch_to() {
            Some(user) => chown(path, Some(user), Some(user)),
            None => Ok(()),
        }
    }

    /// The words that run a script here as the user, and its environment.
    #[must_use]
    pub fn command(&self, script: &str) -> (Vec<OsString>, Vec<(&'static str, OsString)>) {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(user) = self.who.switch_to() {
            let id = user.to_string();
            words.extend(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"].map(OsString::from));
        }
        words.extend(["/bin/sh", "-c"].map(OsString::from));
        words.push(format!("{PRELUDE}{script}").into());
        let mut environment = vec![
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOME", "/".into()),
            ("LC_ALL", "C".into()),
            ("W", self.dir.clone().into()),
            ("B", self.dir.join("bin/bwrap").into()),
        ];
        environment.extend(programs::of_pypi().map(|programs| ("PROGRAMS", programs.into())));
        (words, environment)
    }

    /// An expectation with this place's names filled in.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        let (uid, gid) = match self.who.switch_to() {
            Some(user) => (user, user),
            None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        text.replace("{uid}", &uid.to_string()).replace("{gid}", &gid.to_string()).replace("{w}", &self.dir.to_string_lossy())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(target_arch = "x86_64")]
const MKDIR: u32 = 83;
#[cfg(target_arch = "x86_64")]
const RMDIR: u32 = 84;
/// `mkdirat`: there is no mkdir on newer architectures.
#[cfg(not(target_arch = "x86_64"))]
const MKDIR: u32 = 34;
/// `unlinkat`.
#[cfg(not(target_arch = "x86_64"))]
const RMDIR: u32 = 35;

/// A filter, as `seccomp_export_bpf(3)` writes it, that answers one system call with an error and allows the rest.
fn filter(call: u32, errno: u32) -> Vec<u8> {
    const LOAD_NUMBER: (u16, u8, u8, u32) = (0x20, 0, 0, 0);
    const RETURN: u16 = 0x06;
    const JUMP_EQUAL: u16 = 0x15;
    [LOAD_NUMBER, (JUMP_EQUAL, 0, 1, call), (RETURN, 0, 0, 0x0005_0000 | errno), (RETURN, 0, 0, 0x7fff_0000)]
        .iter()
        .flat_map(|(code, yes, no, k)| [&code.to_ne_bytes()[..], &[*yes, *no], &k.to_ne_bytes()].concat())
        .collect()
}
