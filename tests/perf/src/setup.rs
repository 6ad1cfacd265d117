//! What all measurements share: the programs that are run, and the floor they are measured against.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use enclos_sandbox::{Launcher, spec::Policy};
use tempfile::TempDir;

use crate::race::{Contender, Pace};

const NOOP: &str = include_str!("../payload/noop.c");
const TOLL: &str = include_str!("../payload/toll.c");

/// Name of the floor among contenders.
pub const FLOOR: &str = "posix_spawn";

/// Programs, and the directory they are in.
pub struct Setup {
    dir: TempDir,
    /// A static program that ends at once.
    pub noop: PathBuf,
    /// A static program that times itself (`payload/toll.c`).
    pub toll: PathBuf,
    /// `enclos`, built for release.
    pub enclos: PathBuf,
    /// `enclos-server`, built for release, where it is measured too.
    pub server: Option<PathBuf>,
    /// A Python interpreter that has AgentFense's client.
    pub python: Option<PathBuf>,
}

impl Setup {
    /// Compiles the payloads, and puts copies of our programs beside them, as an installation does: what the linker has written lies in the page cache in single pages, and
    /// a program that starts from there takes a tenth longer than one that was copied or read from a disk, as bubblewrap was.
    ///
    /// # Errors
    /// When one of our programs is not there or the compiler fails.
    pub fn new(enclos: &Path, server: Option<&Path>, python: Option<&Path>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("enclos-perf-").tempdir()?;
        let installed = |program: &Path, option: &str| {
            let copy = dir.path().join("bin").join(program.file_name().unwrap_or_default());
            std::fs::copy(program, &copy).with_context(|| format!("{option} {}", program.display()))?;
            Ok::<_, anyhow::Error>(copy)
        };
        std::fs::create_dir(dir.path().join("bin"))?;
        let enclos = installed(enclos, "--enclos")?;
        let server = server.map(|server| installed(server, "--server")).transpose()?;
        let noop = compile(dir.path(), "noop", NOOP, &["-nostdlib", "-nostartfiles"])?;
        let toll = compile(dir.path(), "toll", TOLL, &[])?;
        Ok(Setup { dir, noop, toll, enclos, server, python: python.map(Path::to_owned) })
    }

    /// Where all contenders start; it holds the payloads and is shown inside.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The floor: `posix_spawn(3)`, which is what the standard library uses for a command like this, exit, and wait.
    #[must_use]
    pub fn floor(&self) -> Contender<'static> {
        let mut command = quiet(&self.noop);
        Contender::timed(FLOOR, move || ends_well(&mut command))
    }

    /// The policy of `enclos run` without options, from [`Setup::directory`].
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { current_directory: Some(self.directory().to_owned()), ..Policy::default() }
    }

    /// A launcher process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launcher(&self) -> Result<Launcher> {
        Launcher::start(&self.enclos).context("starting enclos launch")
    }
}

fn compile(dir: &Path, name: &str, text: &str, flags: &[&str]) -> Result<PathBuf> {
    let (source, program) = (dir.join(name).with_extension("c"), dir.join(name));
    std::fs::write(&source, text)?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-static"]).args(flags).arg("-o").arg(&program).arg(&source);
    ensure!(cc.status().context("running cc")?.success(), "cc cannot build {name}");
    std::fs::remove_file(&source)?;
    Ok(program)
}

/// A command with an empty environment and no streams. The directory is inherited: setting it per child would take the standard library off
/// posix_spawn with some C libraries.
#[must_use]
pub fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command.
///
/// # Errors
/// When it does not end with 0.
pub fn ends_well(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("ended with {status}");
    }
    Ok(())
}

/// Runs a command once before anything is timed.
///
/// # Errors
/// What it said on stderr, when it does not end with 0.
pub fn works(command: &mut Command) -> Result<()> {
    let output = command.stderr(Stdio::piped()).output()?;
    command.stderr(Stdio::null());
    let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    ensure!(output.status.success(), "{}: {}: {said}", command.get_program().display(), output.status);
    Ok(())
}

/// The pace of measurements that take milliseconds.
#[must_use]
pub fn brisk(rounds: usize) -> Pace {
    Pace { warm_up: 20.min(rounds), rounds, rest: Duration::from_millis(1) }
}
