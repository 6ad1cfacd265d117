//! Who runs the no-op, and how.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::harness::Contender;
use crate::cargo::build;

/// A program that ends at once: no C library, no start-up, so that what is measured is not its own.
const NOOP: &str = r#"
void _start(void) {
#if defined(__x86_64__)
    __asm__ volatile("mov $60, %eax\n\txor %edi, %edi\n\tsyscall");
#elif defined(__aarch64__)
    __asm__ volatile("mov x8, #93\n\tmov x0, #0\n\tsvc #0");
#else
#error "no exit for this processor"
#endif
}
"#;

/// What all measurements share.
pub struct Setup {
    dir: TempDir,
    /// The static no-op.
    pub noop: PathBuf,
    /// `enclos`, built for release.
    pub enclos: PathBuf,
}

impl Setup {
    /// Builds the no-op and `enclos`.
    ///
    /// # Errors
    /// When a compiler fails.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("enclos-perf-").tempdir()?;
        let (source, noop) = (dir.path().join("noop.c"), dir.path().join("noop"));
        std::fs::write(&source, NOOP)?;
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-static", "-nostdlib", "-nostartfiles", "-o"]).arg(&noop).arg(&source);
        ensure!(cc.status().context("running cc")?.success(), "cc cannot build the static no-op");
        std::fs::remove_file(&source)?;
        let programs = build(&["build", "--locked", "--release", "--package", "enclos", "--bins"])?;
        let enclos = programs.into_iter().find(|p| p.name == "enclos").context("cargo built no enclos")?.path;
        Ok(Setup { dir, noop, enclos })
    }

    /// Where all contenders start: it holds the no-op and nothing else.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The floor: `posix_spawn(3)`, which is what the standard library uses for a command like this, exit, and wait.
    #[must_use]
    pub fn floor(&self) -> Contender<'static> {
        let mut command = self.command(&self.noop);
        Contender::once("posix_spawn", move || ends_well(&mut command))
    }

    /// `enclos run`, cold, with all its defaults and a report.
    #[must_use]
    pub fn enclos_run(&self) -> Contender<'static> {
        let mut command = self.command(&self.enclos);
        command.arg("run").arg(format!("--report={}", self.dir.path().join("report.json").display())).arg("--").arg(&self.noop);
        Contender::once("enclos run", move || ends_well(&mut command))
    }

    /// bubblewrap with the namespaces and mounts of `enclos run`; it has no filter, no limits and no report.
    #[must_use]
    pub fn bubblewrap(&self) -> Contender<'static> {
        let mut command = self.command(Path::new("/usr/bin/bwrap"));
        command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]);
        command.args(["--hostname", "enclos", "--ro-bind", "/usr", "/usr"]);
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let path = Path::new("/").join(name);
            match std::fs::read_link(&path) {
                Ok(target) => command.arg("--symlink").arg(target).arg(&path),
                Err(_) if path.is_dir() => command.arg("--ro-bind").arg(&path).arg(&path),
                Err(_) => &mut command,
            };
        }
        for path in ["/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache", "/etc/passwd", "/etc/group"] {
            command.args(["--ro-bind-try", path, path]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home"]);
        command.arg("--ro-bind").arg(self.dir.path()).arg(self.dir.path()).arg("--chdir").arg(self.dir.path()).arg("--").arg(&self.noop);
        Contender::once("bubblewrap", move || ends_well(&mut command))
    }

    /// A command with an empty environment, at home in [`Setup::directory`].
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        // The directory is inherited: changing it per child would take the standard library off posix_spawn with some C libraries.
        command
    }
}

fn ends_well(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("ended with {status}");
    }
    Ok(())
}
