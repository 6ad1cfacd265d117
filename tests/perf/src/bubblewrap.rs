//! bubblewrap doing what a plan of ours says, in the nearest words it has.
//!
//! Where a word is missing bubblewrap gets less to do, never more: it has no filter, no Landlock, no limits and no report; of `/proc` it covers
//! only what it covers by itself. Our one private tmpfs that shows in several places is a tmpfs for each place.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use enclos_spec::plan::{Access, Content, Namespaces, Op, Plan, Source};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::Deserialize;

use crate::race::Contender;
use crate::setup::{Setup, ends_well, quiet, works};

/// Name of Debian's bubblewrap among contenders.
pub const BUBBLEWRAP: &str = "bubblewrap";

/// Where Debian installs it.
const PROGRAM: &str = "/usr/bin/bwrap";

/// What `enclos run --explain --json` prints, as far as it is needed here.
#[derive(Deserialize)]
struct Explained {
    plan: Plan,
    environment: Vec<String>,
    directories: Vec<PathBuf>,
}

/// A bubblewrap command line, with the files it reads from descriptors.
pub struct Bubblewrap {
    command: Command,
    files: Vec<File>,
}

impl Bubblewrap {
    /// Debian's, doing what `enclos run` does for the no-op.
    ///
    /// # Errors
    /// When the plan cannot be had or holds something bubblewrap has no words for, or the command does not work.
    pub fn debian(setup: &Setup) -> Result<Self> {
        Self::new(Path::new(PROGRAM), setup)
    }

    /// Another program that takes the same command line.
    ///
    /// # Errors
    /// As for [`Bubblewrap::debian`].
    pub fn new(program: &Path, setup: &Setup) -> Result<Self> {
        let explained = explain(setup)?;
        let mut bubblewrap = Bubblewrap { command: quiet(program), files: Vec::new() };
        bubblewrap.process(&explained)?;
        for op in &explained.plan.ops {
            bubblewrap.operation(op)?;
        }
        bubblewrap.command.arg("--").arg(&setup.noop);
        bubblewrap.lend(true)?;
        works(&mut bubblewrap.command)?;
        bubblewrap.lend(false)?;
        Ok(bubblewrap)
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub fn run(&mut self) -> Result<()> {
        self.timed_run().map(drop)
    }

    /// As one who is timed.
    pub fn contender(mut self, name: &'static str) -> Contender<'static> {
        Contender::told(name, move || self.timed_run())
    }

    /// Runs it; nanoseconds from the start to the end.
    fn timed_run(&mut self) -> Result<f64> {
        self.lend(true)?;
        let started = Instant::now();
        let ended = ends_well(&mut self.command);
        let took = started.elapsed().as_nanos() as f64;
        // Nobody else inherits them.
        self.lend(false)?;
        ended.map(|()| took)
    }

    fn args(&mut self, words: &[&str]) -> &mut Command {
        self.command.args(words)
    }

    fn process(&mut self, explained: &Explained) -> Result<()> {
        let Plan { namespaces, identity, hostname, die_with_parent, new_session, .. } = &explained.plan;
        let Namespaces { user, pid, net, ipc, uts, cgroup, .. } = *namespaces;
        let unshare = [(user, "user"), (pid, "pid"), (net, "net"), (ipc, "ipc"), (uts, "uts"), (cgroup, "cgroup")];
        for (_, name) in unshare.iter().filter(|(new, _)| *new) {
            self.command.arg(format!("--unshare-{name}"));
        }
        if let (true, Some(uid), Some(gid)) = (user, identity.uid, identity.gid) {
            self.args(&["--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        }
        if let Some(name) = hostname {
            self.args(&["--hostname", name]);
        }
        for (_, word) in [(die_with_parent, "--die-with-parent"), (new_session, "--new-session")].iter().filter(|(asked, _)| **asked) {
            self.args(&[word]);
        }
        self.args(&["--cap-drop", "ALL", "--clearenv"]);
        for pair in &explained.environment {
            let (name, value) = pair.split_once('=').with_context(|| format!("environment {pair:?}"))?;
            self.args(&["--setenv", name, value]);
        }
        if let Some(directory) = explained.directories.first() {
            self.command.arg("--chdir").arg(directory);
        }
        Ok(())
    }

    fn operation(&mut self, op: &Op) -> Result<()> {
        let octal = |mode: &u32| format!("{mode:o}");
        match op {
            Op::Bind { src: Source::Path(src) | Source::Exact(src), dst, access, optional, .. } => {
                let word = match access {
                    Access::ReadOnly => "--ro-bind",
                    Access::ReadWrite => "--bind",
                    Access::Devices => "--dev-bind",
                };
                let word = if *optional { format!("{word}-try") } else { word.to_owned() };
                self.command.arg(word).arg(src).arg(dst);
            }
            Op::Tmpfs { dst, size, mode, .. } => self.tmpfs(dst, *mode, *size),
            Op::Scratch { size, places, .. } => places.iter().for_each(|place| self.tmpfs(&place.dst, place.mode, *size)),
            Op::Proc { dst, .. } => drop(self.command.arg("--proc").arg(dst)),
            Op::Dev { dst, .. } => drop(self.command.arg("--dev").arg(dst)),
            Op::Mqueue { dst } => drop(self.command.arg("--mqueue").arg(dst)),
            Op::Dir { dst, mode, .. } => drop(self.command.args(["--perms", &octal(mode), "--dir"]).arg(dst)),
            Op::Symlink { target, dst } => drop(self.command.arg("--symlink").arg(target).arg(dst)),
            Op::Chmod { dst, mode } => drop(self.command.args(["--chmod", &octal(mode)]).arg(dst)),
            Op::RemountReadOnly { dst } => drop(self.command.arg("--remount-ro").arg(dst)),
            Op::File { dst, content: Content::Bytes(bytes), mode, .. } => {
                let number = self.file(bytes)?;
                self.command.args(["--perms", &octal(mode), "--file", &number.to_string()]).arg(dst);
            }
            other => bail!("bubblewrap has no words for {other:?}"),
        }
        Ok(())
    }

    fn tmpfs(&mut self, dst: &Path, mode: u32, size: Option<u64>) {
        self.args(&["--perms", &format!("{mode:o}")]);
        if let Some(size) = size {
            self.args(&["--size", &size.to_string()]);
        }
        self.command.arg("--tmpfs").arg(dst);
    }

    /// A file for a descriptor; gives its number.
    fn file(&mut self, bytes: &[u8]) -> Result<i32> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        let number = file.as_raw_fd();
        self.files.push(file);
        Ok(number)
    }

    /// Lets children inherit the files, at their start (a child reads to the end, and the offset is shared), or no longer.
    fn lend(&mut self, inherited: bool) -> Result<()> {
        for file in &mut self.files {
            fcntl_setfd(&*file, if inherited { FdFlags::empty() } else { FdFlags::CLOEXEC })?;
            file.rewind()?;
        }
        Ok(())
    }
}

fn explain(setup: &Setup) -> Result<Explained> {
    let output = quiet(&setup.enclos)
        .args(["run", "--explain", "--json", "--"])
        .arg(&setup.noop)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::inherit())
        .output()?;
    serde_json::from_slice(&output.stdout).context("reading enclos run --explain --json")
}
