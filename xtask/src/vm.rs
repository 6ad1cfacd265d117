//! The lane with a pure cgroup v2 host: Debian's own kernel under QEMU, with the host's files as its root.
//!
//! ```text
//! cargo xtask test ── vng (virtme-ng, from PyPI) ── qemu, in software ── Linux from linux-image-amd64
//!                                                                          / = the host's files over 9p, writes thrown away
//!                                                                          └─ xtask in-vm PLAN: the suite runner, as on the host
//! ```
//!
//! The kernel package is unpacked below the target directory, never installed: nothing of the host's boot is touched. The cloud flavour would
//! be smaller, but has no 9p. No KVM: where a test machine is itself a virtual one, nested KVM hangs or is missing, and a lane that is
//! fast on one machine and dead on the next is worth less than one that takes its minutes everywhere.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::cargo::{Program, tests_of};
use crate::install::{self, quiet};
use crate::lanes::cache;
use crate::stage::{NOBODY, Stage};
use crate::suite::{self, Journal, Suite};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The version this lane was made with; a newer one may call its options otherwise.
const VIRTME_NG: &str = "virtme-ng==1.42";
/// Debian's package that always depends on its newest kernel.
const KERNEL: &str = "linux-image-amd64";
/// How long all machines together may live. Emulation is ten to twenty times slower than the host.
const LIFE: Duration = Duration::from_secs(1500);
/// Seconds one test may take in it.
const TEST_LIMIT: u64 = 180;
/// A machine in which no test starts or ends for so long is stuck: longer than booting and one test take.
const STUCK: Duration = Duration::from_secs(TEST_LIMIT + 60);
/// How often that is looked at.
const GLANCE: Duration = Duration::from_secs(1);
/// The tests' journal, in the folder that the host and the machine share.
const JOURNAL: &str = "journal";
/// Where a disk of its own is mounted inside. Programs and homes lie on it: on 9p each page fault would be a message to the host, and neither 9p
/// nor this kernel's tmpfs can map ids, as the file systems that people have can.
const INSIDE: &str = "/mnt";
/// Bytes of that disk; the file behind it grows with what is written.
const DISK: u64 = 4 << 30;
/// The first virtio disk.
const DEVICE: &str = "/dev/vda";

/// What runs in the machine: only what looks different on a pure cgroup v2 host, because time there is dear.
struct Part {
    name: &'static str,
    package: &'static str,
    user: Option<u32>,
    only: &'static [&'static str],
    without: &'static [&'static str],
    /// How many run at once: one where clocks and counts are read.
    jobs: usize,
}

const PARTS: [Part; 4] = [
    Part { name: "cgroup", package: "enclos-cgroup", user: None, only: &[], without: &[], jobs: 1 },
    Part {
        name: "limits",
        package: "enclos-tests-e2e",
        user: None,
        only: &["limits::"],
        without: &["as_user", "idle_is_hit_and_activity"],
        jobs: 1,
    },
    Part { name: "escape", package: "enclos-tests-escape", user: None, only: &["root::"], without: SPEED, jobs: 2 },
    Part { name: "escape-user", package: "enclos-tests-escape", user: Some(NOBODY), only: DEBIAN_USER, without: SPEED, jobs: 2 },
];

/// Tests that measure how fast the processor is, or read the whole file system over 9p, and see nothing here that they do not see natively.
const SPEED: &[&str] = &["orphan_daemon", "everything_writable", "every_writable_place_filled", "mount_point_swapped"];

/// Attempts by an ordinary user whose outcome hangs on the kernel: Debian's has its own rules for user namespaces, and a cgroup v2 tree
/// that is not delegated enforces nothing.
const DEBIAN_USER: &[&str] = &["namespace", "mount", "memory_", "bomb", "rights", "identity", "device", "neighbours"];

/// What the host hands to the machine.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    suites: Vec<Suite>,
    /// `enclos` as the host sees it.
    programs: Vec<PathBuf>,
}

/// What the machine hands back.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    kernel: String,
    controllers: String,
    tallies: Vec<(String, Tally)>,
}

/// The lane.
///
/// # Errors
/// When the machine cannot be had, does not boot, or does not answer in time.
pub fn lane(workspace: &Workspace, stage: &Stage) -> Result<Tally> {
    install::install(&install::VM)?;
    let vng = virtme(workspace)?;
    let kernel = kernel(workspace)?;
    let (plan, mut total) = plan(stage);
    let answer = answer(&vng, &kernel, stage, &plan)?;
    println!("  Linux {} with cgroup v2 controllers: {}", answer.kernel, answer.controllers);
    for part in &PARTS {
        let ran = answer.tallies.iter().filter(|(name, _)| name == part.name);
        let tally = ran.fold(Tally::default(), |sum, (_, tally)| sum + *tally);
        println!("  {:<12} {tally}", part.name);
        total += if tally == Tally::default() { Tally::one(false) } else { tally };
    }
    Ok(total)
}

/// The suites, with paths as the host sees them; a part that cannot be had is one failure, and the others still run.
fn plan(stage: &Stage) -> (Plan, Tally) {
    let mut plan = Plan { suites: Vec::new(), programs: Vec::new() };
    let mut failures = Tally::default();
    for part in &PARTS {
        if let Err(error) = part.add_to(&mut plan, stage) {
            println!("    FAIL {}: {error:#}", part.name);
            failures += Tally::one(false);
        }
    }
    plan.programs.push(stage.enclos().to_owned());
    (plan, failures)
}

impl Part {
    fn add_to(&self, plan: &mut Plan, stage: &Stage) -> Result<()> {
        for program in tests_of(self.package)? {
            let mut suite = stage.suite(self.name, &program, self.user)?;
            (suite.jobs, suite.limit) = (self.jobs, TEST_LIMIT);
            suite.only = self.only.iter().map(|word| (*word).to_owned()).collect();
            suite.without = self.without.iter().map(|word| (*word).to_owned()).collect();
            plan.suites.push(suite);
        }
        Ok(())
    }
}

/// Path of `vng` in a virtual environment of its own.
fn virtme(workspace: &Workspace) -> Result<PathBuf> {
    let venv = cache(workspace, "vm")?.join("venv");
    install::from_pypi(&venv, &[VIRTME_NG], "boots the virtual machine")?;
    Ok(venv.join("bin/vng"))
}

/// Path of the kernel, with its modules beside it in the same tree.
fn kernel(workspace: &Workspace) -> Result<PathBuf> {
    let folder = cache(workspace, "vm")?.join("kernel");
    if let Some(image) = image(&folder) {
        return Ok(image);
    }
    let package = kernel_package()?;
    println!("  unpacking {package} from Debian: the virtual machine's kernel");
    // Unpacked beside its place and renamed when whole: a run that was stopped leaves nothing that looks finished.
    let partial = folder.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial)?;
    }
    std::fs::create_dir_all(&partial)?;
    quiet(Command::new("apt-get").args(["-q", "download", &package]).current_dir(&partial))?;
    let archives = std::fs::read_dir(&partial)?.collect::<Result<Vec<_>, _>>()?;
    let [archive] = &archives[..] else { bail!("apt-get download {package} left {} files", archives.len()) };
    quiet(Command::new("dpkg-deb").arg("--extract").arg(archive.path()).arg(&partial))?;
    std::fs::remove_file(archive.path())?;
    std::fs::rename(&partial, &folder)?;
    image(&folder).with_context(|| format!("{package} holds no kernel"))
}

/// Name of the newest kernel package, which [`KERNEL`] depends on.
fn kernel_package() -> Result<String> {
    let ask = || -> Result<Option<String>> {
        let output = Command::new("apt-cache").args(["depends", KERNEL]).output().context("running apt-cache")?;
        Ok(dependency(&String::from_utf8_lossy(&output.stdout)))
    };
    if let Some(package) = ask()? {
        return Ok(package);
    }
    install::apt(&["update"])?;
    ask()?.with_context(|| format!("apt knows no {KERNEL}"))
}

/// The first `Depends:` of `apt-cache depends` on a kernel.
fn dependency(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim().strip_prefix("Depends: ").filter(|p| p.starts_with("linux-image-")).map(str::to_owned))
}

/// The kernel image in an unpacked package.
fn image(folder: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(folder.join("boot")).ok()?.flatten();
    entries.find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-")).map(|entry| entry.path())
}

/// Runs the plan in a machine, and in a second one when the first got stuck, as a test that failed is run once more: it has been seen once, nobody
/// knows of what, and a defect of ours sticks twice. One that ended without an answer has failed.
fn answer(vng: &Path, kernel: &Path, stage: &Stage, plan: &Plan) -> Result<Answer> {
    let deadline = Instant::now() + LIFE;
    match boot(vng, kernel, stage, plan, deadline)? {
        Ok(answer) => Ok(answer),
        Err(Silent { end: End::Stuck, why }) if Instant::now() < deadline => {
            println!("    STUCK vm: {why}\n  booting a second machine");
            boot(vng, kernel, stage, plan, deadline)?.map_err(|silent| anyhow!(silent.why))
        }
        Err(silent) => bail!(silent.why),
    }
}

/// A machine without an answer.
struct Silent {
    end: End,
    why: String,
}

/// Boots, runs the plan, and reads the answer, or why there is none.
fn boot(vng: &Path, kernel: &Path, stage: &Stage, plan: &Plan, deadline: Instant) -> Result<Result<Answer, Silent>> {
    let shared = stage.folder("vm")?;
    // The running program itself, even when a lane before has built it anew and its file is another one by now.
    let program = Program { name: "xtask".to_owned(), test: false, path: PathBuf::from("/proc/self/exe") };
    let xtask = stage.put("vm-bin", &program)?.path;
    std::fs::write(shared.join("plan.json"), serde_json::to_vec(plan)?)?;
    let console = File::create(shared.join("console"))?;
    File::create(shared.join(JOURNAL))?;
    let disk = stage.path().join("disk");
    File::create(&disk)?.set_len(DISK)?;
    quiet(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&disk).env("PATH", "/usr/sbin:/sbin"))?;
    let inside = format!("{} in-vm {} >{1}/output 2>&1", xtask.display(), shared.display());
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", vng.parent().context("vng lies in a folder")?.display());
    // timeout(1) ends the whole group, QEMU included: when the time is over, and when we die and setpriv(1) tells it.
    let mut command = Command::new("/usr/bin/setpriv");
    let life = deadline.saturating_duration_since(Instant::now()).as_secs().max(1);
    command.args(["--pdeathsig", "TERM", "--", "timeout", "--kill-after=5", &life.to_string()]).arg(vng);
    // With what the kernel says: a machine that hangs tells nothing else.
    command.arg("--verbose").arg("--run").arg(kernel).args([
        "--disable-kvm",
        "--memory",
        "2G",
        "--cpus",
        "2",
        "--append",
        "cgroup_no_v1=all",
    ]);
    command.arg("--disk").arg(&disk).arg(format!("--rwdir={}", shared.display())).arg("--").arg(&inside);
    // virtme-ng keeps settings in a home; not in ours.
    command.env("PATH", path).env("HOME", stage.folder("vm-home")?).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    command.current_dir(stage.path()).stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    println!("  booting (about half a minute until the first test; at most {life} s in all)");
    let end = watch(command.spawn().context("running vng")?, &shared.join(JOURNAL), STUCK)?;
    for line in std::fs::read_to_string(shared.join("output")).unwrap_or_default().lines() {
        println!("  {line}");
    }
    match std::fs::read(shared.join("answer.json")) {
        Ok(answer) => Ok(Ok(serde_json::from_slice(&answer).context("reading the machine's answer")?)),
        Err(_) => Ok(Err(Silent { why: no_answer(&shared, &end), end })),
    }
}

/// How a machine ended: by itself, or because no test started or ended for [`STUCK`].
#[derive(Debug)]
enum End {
    Itself(ExitStatus),
    Stuck,
}

/// Waits for a machine, and ends one in whose journal nothing is written for so long.
fn watch(mut vng: Child, journal: &Path, patience: Duration) -> Result<End> {
    let ended = pidfd_open(Pid::from_child(&vng), PidfdFlags::empty()).context("opening a pidfd of vng")?;
    let size = || std::fs::metadata(journal).map_or(0, |metadata| metadata.len());
    let (mut seen, mut since) = (size(), Instant::now());
    while !suite::ends_within(&ended, GLANCE)? {
        if size() != seen {
            (seen, since) = (size(), Instant::now());
        } else if since.elapsed() >= patience {
            // timeout(1) passes it on to all that it started.
            let _ = kill_process(Pid::from_child(&vng), Signal::TERM);
            vng.wait().context("reaping vng")?;
            return Ok(End::Stuck);
        }
    }
    Ok(End::Itself(vng.wait().context("reaping vng")?))
}

/// Why there is no answer, with how far the tests had come and the end of what the machine's console said.
fn no_answer(shared: &Path, end: &End) -> String {
    let read = |name: &str| String::from_utf8_lossy(&std::fs::read(shared.join(name)).unwrap_or_default()).into_owned();
    let (console, journal) = (read("console"), read(JOURNAL));
    let lines: Vec<&str> = console.lines().collect();
    // timeout(1) ends with 124 when the time was over, 137 when it had to kill.
    let why = match end {
        End::Stuck => format!("no test started or ended for {} s", STUCK.as_secs()),
        End::Itself(status) if matches!(status.code(), Some(124 | 137)) => "the machine did not answer in time".to_owned(),
        End::Itself(status) => format!("the machine ended ({status}) without an answer"),
    };
    format!("{why}; {}; its console ended with\n{}", progress(&journal), lines[lines.len().saturating_sub(30)..].join("\n"))
}

/// How far the tests had come, and which took long.
fn progress(journal: &str) -> String {
    let mut journal = Journal::read(journal);
    journal.ended.sort_by(|(one, _), (two, _)| two.total_cmp(one));
    let slowest: Vec<String> = journal.ended.iter().take(5).map(|(seconds, name)| format!("{name} {seconds:.0} s")).collect();
    let running = if journal.running.is_empty() { "no test".to_owned() } else { journal.running.join(" and ") };
    format!("{running} was running, {} had ended (slowest: {})", journal.ended.len(), slowest.join(", "))
}

/// `cargo xtask in-vm FOLDER`: the inside of [`boot`].
///
/// # Errors
/// When the machine is not what the lane promises, or the plan cannot be carried out.
pub fn inside(folder: &Path) -> Result<()> {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").context("no pure cgroup v2 here")?;
    for needed in ["memory", "pids", "cpu"] {
        if !controllers.split_whitespace().any(|name| name == needed) {
            bail!("this kernel's cgroup v2 tree has no controller {needed}, only {}", controllers.trim());
        }
    }
    // Stays reachable when the host's /tmp, in which it may lie, is covered.
    std::env::set_current_dir(folder)?;
    let plan: Plan = serde_json::from_slice(&std::fs::read("plan.json")?)?;
    let suites = furnish(plan)?;
    let mut answer = Answer {
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        controllers: controllers.trim().to_owned(),
        tallies: Vec::new(),
    };
    for suite in suites {
        let started = Instant::now();
        let tally = suite::run(&suite).unwrap_or_else(|error| {
            println!("    FAIL {}: {error:#}", suite.name);
            Tally::one(false)
        });
        println!("{}: {tally} in {} s", suite.name, started.elapsed().as_secs());
        answer.tallies.push((suite.name, tally));
    }
    std::fs::write("answer.json", serde_json::to_vec(&answer)?)?;
    Ok(())
}

/// Mounts the disk, moves everything onto it, and covers the host's /tmp: what happens there meanwhile is not the machine's.
fn furnish(plan: Plan) -> Result<Vec<Suite>> {
    quiet(Command::new("modprobe").args(["--all", "virtio_blk", "ext4", "overlay"]))?;
    quiet(Command::new("mount").args(["-t", "ext4", DEVICE, INSIDE]))?;
    let disk = Path::new(INSIDE);
    let programs = disk.join("bin");
    std::fs::create_dir_all(&programs)?;
    for program in &plan.programs {
        std::fs::copy(program, programs.join(program.file_name().context("a program without a name")?))?;
    }
    let suites = plan.suites.into_iter().map(|suite| moved_in(suite, disk)).collect::<Result<Vec<_>>>()?;
    quiet(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp"]))?;
    Ok(suites)
}

/// The suite with its program and home on the machine's own disk.
fn moved_in(suite: Suite, disk: &Path) -> Result<Suite> {
    let (name, from) = suite.program.file_name().zip(suite.program.parent()).context("a program without a name or folder")?;
    let folder = disk.join(from.file_name().context("a program in the root folder")?);
    let home = disk.join(suite.directory.file_name().context("a home without a name")?);
    let program = folder.join(name);
    for folder in [&folder, &home] {
        std::fs::create_dir_all(folder)?;
        std::os::unix::fs::chown(folder, suite.user, suite.user)?;
    }
    std::fs::copy(&suite.program, &program)?;
    // What an earlier lane compiled for the suite need not be compiled again, slowly.
    if from.join("hostile").is_dir() {
        copy_folder(&from.join("hostile"), &folder.join("hostile"))?;
    }
    let user = suite.env.iter().find(|(name, _)| name == "USER").map_or("root", |(_, user)| user.as_str()).to_owned();
    let env = suite::environment(&user, &home, &disk.join("bin/enclos"));
    Ok(Suite { program, directory: home, env, journal: Some(PathBuf::from(JOURNAL)), ..suite })
}

/// Copies the files of a folder that has no folders.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_kernel_behind_the_name_is_found() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n  Suggests: x\n";
        assert_eq!(dependency(text).as_deref(), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(dependency("linux-image-amd64\n"), None);
    }

    #[test]
    fn a_host_without_an_answer_is_told_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("console"), "Kernel panic\n").unwrap();
        std::fs::write(folder.path().join(JOURNAL), "start s::a\n1.5 s::a\nstart s::b\n").unwrap();
        let why = no_answer(folder.path(), &End::Itself(ExitStatus::from_raw(0)));
        assert!(why.starts_with("the machine ended") && why.ends_with("Kernel panic"), "{why}");
        assert!(why.contains("s::b was running, 1 had ended (slowest: s::a 2 s)"), "{why}");
        let late = End::Itself(ExitStatus::from_raw(124 << 8));
        assert!(no_answer(folder.path(), &late).starts_with("the machine did not answer in time"));
        assert!(no_answer(folder.path(), &End::Stuck).starts_with("no test started or ended for 240 s"));
    }

    #[test]
    fn a_stuck_machine_is_ended_and_a_busy_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join(JOURNAL);
        let machine = |script: &str| {
            let mut command = Command::new("timeout");
            command.args(["60", "sh", "-c", script]).current_dir(folder.path());
            watch(command.spawn().unwrap(), &journal, Duration::from_secs(1)).unwrap()
        };
        let started = Instant::now();
        assert!(matches!(machine("echo start s::a >> journal; kill -STOP $$"), End::Stuck));
        assert!(started.elapsed() < Duration::from_secs(30));
        let busy = "for i in 1 2 3 4 5 6; do sleep 0.4; echo 0.4 s::a >> journal; done; exit 3";
        assert!(matches!(machine(busy), End::Itself(status) if status.code() == Some(3)));
    }

    #[test]
    fn a_suite_moves_onto_the_disk_with_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let tests = folder.path().join("tests-u7");
        std::fs::create_dir_all(tests.join("hostile")).unwrap();
        std::fs::write(tests.join("t-1"), "x").unwrap();
        std::fs::write(tests.join("hostile/probe"), "x").unwrap();
        let suite = Suite {
            name: "t".to_owned(),
            program: tests.join("t-1"),
            user: None,
            env: suite::environment("u7", folder.path(), Path::new("/host/enclos")),
            directory: PathBuf::from("/host/home-t"),
            jobs: 1,
            limit: 1,
            only: Vec::new(),
            without: Vec::new(),
            journal: None,
        };
        let disk = folder.path().join("disk");
        let moved = moved_in(suite, &disk).unwrap();
        let value = |name: &str| moved.env.iter().find(|(n, _)| n == name).map(|(_, v)| PathBuf::from(v)).unwrap();
        assert_eq!(moved.program, disk.join("tests-u7/t-1"));
        assert!(disk.join("tests-u7/hostile/probe").is_file());
        assert_eq!((value("USER"), value("ENCLOS_BIN")), (PathBuf::from("u7"), disk.join("bin/enclos")));
        assert_eq!((value("HOME"), moved.directory), (disk.join("home-t"), disk.join("home-t")));
    }
}
