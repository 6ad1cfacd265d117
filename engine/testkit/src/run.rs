//! The command line tool, run in a [`World`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::world::ORDINARY_USER;
use crate::{Outcome, World, hostile};

/// What stands between the command and the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// `enclos run`.
    Enclos,
    /// New namespaces and full rights in them, nothing more: what a control run has to break out of its promises.
    Weak,
    /// Nothing at all.
    None,
}

/// One run of the tool.
#[derive(Debug)]
pub struct Run<'w> {
    world: &'w World,
    wall: Wall,
    wrapper: Vec<OsString>,
    flags: Vec<OsString>,
    command: Vec<OsString>,
    env: Vec<(String, String)>,
    stdin: Input,
    directory: Option<PathBuf>,
    report: bool,
    limit: Duration,
    verbatim: bool,
}

#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    From(File),
}

impl<'w> Run<'w> {
    /// `enclos run`, with a report, in `work` of this world.
    #[must_use]
    pub fn new(world: &'w World) -> Run<'w> {
        Run {
            world,
            wall: Wall::Enclos,
            wrapper: Vec::new(),
            flags: Vec::new(),
            command: Vec::new(),
            env: Vec::new(),
            stdin: Input::Nothing,
            directory: None,
            report: true,
            limit: Duration::from_secs(60),
            verbatim: false,
        }
    }

    /// `enclos` with exactly these arguments: no `run`, no report, no command.
    #[must_use]
    pub fn tool<I: IntoIterator<Item: Into<OsString>>>(world: &'w World, arguments: I) -> Run<'w> {
        Run { report: false, verbatim: true, ..Run::new(world).flags(arguments) }
    }

    /// Another wall, for control runs; flags of `enclos run` are then left out.
    #[must_use]
    pub fn wall(mut self, wall: Wall) -> Self {
        self.wall = wall;
        self
    }

    /// Options of `enclos run`.
    #[must_use]
    pub fn flags<I: IntoIterator<Item: Into<OsString>>>(mut self, flags: I) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// The command.
    #[must_use]
    pub fn command<I: IntoIterator<Item: Into<OsString>>>(mut self, words: I) -> Self {
        self.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// `sh -c SCRIPT`.
    #[must_use]
    pub fn sh(self, script: &str) -> Self {
        self.command(["/bin/sh", "-c", script])
    }

    /// The probe with these arguments.
    #[must_use]
    pub fn probe(mut self, arguments: &[&str]) -> Self {
        self.command = vec![self.world.path("work/probe").into()];
        self.command.extend(arguments.iter().map(Into::into));
        self
    }

    /// A variable in the tool's own environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Bytes on stdin; without this it is `/dev/null`.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = Input::Bytes(bytes.to_vec());
        self
    }

    /// A file as stdin.
    #[must_use]
    pub fn stdin_from(mut self, file: File) -> Self {
        self.stdin = Input::From(file);
        self
    }

    /// Programs before the tool: `nice`, `sh -c 'ulimit …; exec "$@"' sh`.
    #[must_use]
    pub fn under<I: IntoIterator<Item: Into<OsString>>>(mut self, wrapper: I) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Another working directory for the tool.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// No `--report`.
    #[must_use]
    pub fn without_report(mut self) -> Self {
        self.report = false;
        self
    }

    /// How long it may take before the test kills it and calls it stuck; a minute without this.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Every word of the command line, the program first.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words = self.wrapper.clone();
        match self.wall {
            Wall::Enclos => {
                words.push(program(self.world).into());
                if !self.verbatim {
                    words.push("run".into());
                }
                words.extend(self.flags.iter().cloned());
                if self.report {
                    words.push(format!("--report={}", self.world.text("out/report.json")).into());
                }
                if !self.verbatim {
                    words.push("--".into());
                }
            }
            Wall::Weak => words.extend(WEAK_WALL.iter().map(Into::into)),
            Wall::None => {}
        }
        words.extend(self.command.iter().cloned());
        words
    }

    /// Starts it.
    ///
    /// # Panics
    /// If there is no tool to run.
    #[must_use]
    pub fn start(self) -> Live {
        let words = self.words();
        let report = self.world.path("out/report.json");
        let _ = std::fs::remove_file(&report);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().current_dir(self.directory.clone().unwrap_or_else(|| self.world.path("work")));
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", self.world.path("out")).env("ENCLOS_TEST_MARK", &self.world.mark).env("TERM", "dumb");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(uid) = self.user() {
            command.uid(uid).gid(uid);
        }
        let (stdin, bytes) = match self.stdin {
            Input::Nothing => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::From(file) => (file.into(), None),
        };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command).unwrap_or_else(|e| panic!("{}: {e}", words[0].display()));
        crate::host::started(child.id());
        if let (Some(bytes), Some(mut pipe)) = (bytes, child.stdin.take()) {
            std::thread::spawn(move || {
                let _ = pipe.write_all(&bytes);
            });
        }
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        Live { child, stdout, stderr, report, started: Instant::now(), limit: self.limit }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn output(self) -> Outcome {
        self.start().wait()
    }

    fn user(&self) -> Option<u32> {
        match self.wall {
            // The weak wall is always an ordinary user's: as root it would hold the host's rights.
            Wall::Weak if rustix::process::geteuid().is_root() => Some(ORDINARY_USER),
            _ => self.world.who.switch_to(),
        }
    }
}

/// Spawns, and tries again while the file is busy: a thread that forks just while another one writes a copy of the tool holds that file
/// open for writing until its own exec.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..200 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
    command.spawn()
}

const WEAK_WALL: &[&str] = &[
    "/usr/bin/unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
    "--ipc",
    "--net",
    "--",
];

/// The tool: `ENCLOS_BIN`, else `enclos` in this build's directory. Another user gets a copy in the world, since the build directory may be
/// below a home that is closed to others.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn program(world: &World) -> PathBuf {
    let built = std::env::var_os("ENCLOS_BIN").map_or_else(|| hostile::build_dir().join("enclos"), PathBuf::from);
    assert!(built.is_file(), "{}: no such program; build it first: cargo build -p enclos (or name it in ENCLOS_BIN)", built.display());
    if world.who.switch_to().is_none() {
        return built;
    }
    let copy = world.path("enclos");
    world.once(|| {
        std::fs::copy(&built, &copy).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("a file just made");
    });
    copy
}

type Drain = JoinHandle<Vec<u8>>;

/// Most that is kept of one stream. A test that fails because nothing bounds the output must not take the host's memory with it.
const KEPT: usize = 128 << 20;

fn drain(pipe: Option<impl Read + Send + 'static>) -> Drain {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(KEPT as u64).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        bytes
    })
}

/// The tool, running.
#[derive(Debug)]
pub struct Live {
    child: Child,
    stdout: Drain,
    stderr: Drain,
    report: PathBuf,
    started: Instant,
    limit: Duration,
}

impl Live {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal; nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's pid is positive");
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Waits for its end, or ends it when its time is over.
    ///
    /// # Panics
    /// If it cannot be waited for.
    #[must_use]
    pub fn wait(mut self) -> Outcome {
        let mut stuck = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            if self.started.elapsed() > self.limit && !stuck {
                stuck = true;
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let elapsed = self.started.elapsed();
        // An orphan that holds the streams open must not hold the test: it is given a little while, then reported as stuck.
        let patience = Instant::now();
        while !(self.stdout.is_finished() && self.stderr.is_finished()) && patience.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        stuck |= !(self.stdout.is_finished() && self.stderr.is_finished());
        let take = |drain: Drain| if drain.is_finished() { drain.join().unwrap_or_default() } else { Vec::new() };
        let report = std::fs::read(&self.report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: take(self.stdout),
            stderr: take(self.stderr),
            report,
            elapsed,
            stuck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Who;

    #[test]
    fn a_run_that_does_not_end_is_ended_and_called_stuck() {
        let world = World::new(Who::User);
        let run = || Run::new(&world).wall(Wall::None).within(Duration::from_millis(200));
        let outcome = run().sh("echo before; exec sleep 30").output();
        assert!(outcome.stuck && outcome.out() == "before\n", "{}", outcome.describe());
        let outcome = run().sh("echo done; exit 3").output();
        assert!(!outcome.stuck && outcome.code == Some(3), "{}", outcome.describe());
    }

    #[test]
    fn the_command_line_is_flags_report_command() {
        let world = World::new(Who::User);
        let run = Run::new(&world).flags(["--wall", "1s"]).under(["nice"]).command(["a", "--b"]);
        let words: Vec<String> = run.wall(Wall::None).words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["nice", "a", "--b"]);
    }
}
