//! What the tests need beyond the Rust toolchain, and installing it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// One Debian package the tests need.
pub struct Need {
    /// Its name.
    package: &'static str,
    /// It is there when one of these is: another package, or a build of one's own, may bring it too. Below `/usr`, because that is what a
    /// sandbox shows.
    proof: Proof,
    /// What for.
    why: &'static str,
}

/// What shows that a package, or something as good, is installed.
enum Proof {
    /// A file.
    File(&'static str),
    /// A module of the system's Python.
    Python(&'static str),
}
use Proof::{File, Python};

/// Everything but the virtual machine. The machine this is meant for is a Debian or Ubuntu with nothing but a Rust toolchain.
pub const TESTS: [Need; 20] = [
    Need { package: "gcc", proof: File("/usr/bin/gcc"), why: "compiles test payloads; must itself run inside a sandbox" },
    Need { package: "libc6-dev", proof: File("/usr/include/stdio.h"), why: "headers and static libraries for those payloads" },
    Need { package: "git", proof: File("/usr/bin/git"), why: "must work inside a sandbox" },
    Need { package: "bubblewrap", proof: File("/usr/bin/bwrap"), why: "the incumbent: every compat case and every ratio is against it" },
    Need { package: "util-linux", proof: File("/usr/bin/setpriv"), why: "setpriv runs the suites as a user without rights" },
    Need { package: "uidmap", proof: File("/usr/bin/newuidmap"), why: "id maps of an ordinary user with ranges in /etc/subuid" },
    Need { package: "libcap2-bin", proof: File("/usr/sbin/capsh"), why: "prints capability sets inside a sandbox" },
    Need { package: "strace", proof: File("/usr/bin/strace"), why: "shows which system call a default filter refuses" },
    Need { package: "python3", proof: File("/usr/bin/python3"), why: "must run under the default filter" },
    Need { package: "python3-numpy", proof: Python("numpy"), why: "must run under the default filter: threads, mmap, CPU detection" },
    Need { package: "default-jdk-headless", proof: File("/usr/bin/javac"), why: "a JVM must run under the default filter" },
    Need { package: "golang-go", proof: File("/usr/bin/go"), why: "Go's runtime and compiler must run under the default filter" },
    Need { package: "nodejs", proof: File("/usr/bin/node"), why: "V8 must run under the default filter" },
    Need { package: "sqlite3", proof: File("/usr/bin/sqlite3"), why: "file locks inside a sandbox" },
    Need { package: "python3-venv", proof: Python("ensurepip"), why: "BuildStream and asv-bwrap, which call bwrap, come from PyPI" },
    Need { package: "busybox-static", proof: File("/usr/bin/busybox"), why: "the root in which BuildStream builds" },
    Need { package: "curl", proof: File("/usr/bin/curl"), why: "the examples of the judge's guide" },
    Need { package: "rsync", proof: File("/usr/bin/rsync"), why: "must work in a workspace" },
    Need { package: "cargo", proof: File("/usr/bin/cargo"), why: "must build in a workspace" },
    Need { package: "procps", proof: File("/usr/bin/ps"), why: "ps reads /proc inside a sandbox" },
];

/// The sample job of `cargo xtask serve`.
pub const SAMPLE: [Need; 2] = [
    Need { package: "python3", proof: File("/usr/bin/python3"), why: "the sample job is a Python program" },
    Need { package: "util-linux", proof: File("/usr/bin/setpriv"), why: "setpriv ends the server with the command that started it" },
];

/// The virtual machine with a pure cgroup v2 kernel.
pub const VM: [Need; 6] = [
    Need { package: "qemu-system-x86", proof: File("/usr/bin/qemu-system-x86_64"), why: "the virtual machine, in software" },
    Need { package: "busybox-static", proof: File("/usr/bin/busybox"), why: "the virtual machine's first file system" },
    Need { package: "e2fsprogs", proof: File("/usr/sbin/mke2fs"), why: "the virtual machine's disk" },
    Need { package: "kmod", proof: File("/usr/sbin/depmod"), why: "finds the virtual machine's kernel modules" },
    Need { package: "binutils", proof: File("/usr/bin/strings"), why: "reads the version of the virtual machine's kernel" },
    Need { package: "python3-venv", proof: Python("ensurepip"), why: "virtme-ng, which boots the virtual machine, comes from PyPI" },
];

/// Installs what is missing of `needs`; prints what and why. Nothing missing: nothing is asked of apt.
///
/// # Errors
/// When something is missing and cannot be installed: no rights, no apt, no such package. The message is the command to run.
pub fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.proof.holds()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("  installing {}: {}", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!("as root: apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("only root can install packages; {by_hand}");
    }
    // A list that cannot be fetched is no failure yet: what is wanted may stand in the others.
    if let Err(error) = apt(&["update"]) {
        println!("  note: {error:#}");
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments).with_context(|| by_hand.clone())?;
    match missing.iter().find(|need| !need.proof.holds()) {
        None => Ok(()),
        Some(need) => bail!("{} is installed, but {} is not there", need.package, need.proof),
    }
}

/// Runs apt-get without questions; its output is shown only when it fails.
///
/// # Errors
/// When apt-get is missing or fails.
pub fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "Dpkg::Use-Pty=0"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command.output().context("running apt-get")?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("apt-get {}: {}", arguments.join(" "), String::from_utf8_lossy(&text).trim());
    }
    Ok(())
}

/// Makes a virtual environment of the system's Python that holds these packages of PyPI (as pip takes them), unless it is there already.
///
/// # Errors
/// When Python or pip fails.
pub fn from_pypi(venv: &Path, packages: &[&str], why: &str) -> Result<()> {
    // Written last: an installation that was stopped leaves nothing that looks finished.
    let done = venv.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|text| text.lines().eq(packages.iter().copied())) {
        return Ok(());
    }
    println!("  installing {} from PyPI: {why}", packages.join(", "));
    quiet(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    quiet(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    std::fs::write(&done, packages.join("\n")).with_context(|| format!("writing {}", done.display()))
}

/// Runs a command whose output is shown only when it fails.
///
/// # Errors
/// When it cannot be run or fails.
pub fn quiet(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim());
    }
    Ok(())
}

impl Proof {
    fn holds(&self) -> bool {
        match self {
            File(path) => Path::new(path).exists(),
            Python(module) => Command::new("/usr/bin/python3")
                .args(["-c", &format!("import {module}")])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            File(path) => f.write_str(path),
            Python(module) => write!(f, "Python's {module}"),
        }
    }
}

/// Where cargo-nextest is, if it is installed.
#[must_use]
pub fn nextest() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("cargo-nextest")).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hold_only_for_what_is_there() {
        assert!(File("/proc/self/exe").holds());
        assert!(!File("/proc/self/no-such-file").holds());
        assert!(!Python("no_such_module").holds());
    }

    #[test]
    fn every_need_says_why() {
        for need in TESTS.iter().chain(&VM) {
            assert!(!need.why.is_empty() && need.package.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
    }
}
