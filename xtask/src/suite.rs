//! Runs compiled test programs, one process per test.
//!
//! The same runner serves three places: here as root, here as a user without rights, and inside the virtual machine, where neither cargo nor
//! nextest is. A process per test is what tests that make namespaces, move their root or kill their process group need.
//!
//! Convention: a test that this host cannot run prints `SKIP: <test>: <reason>` and returns. A test whose path contains a module `alone` runs
//! while no other does: it measures time, or counts what is left on the host.
//!
//! A test that failed beside others runs once more, alone. If it then holds it has passed, and the line `FLAKY` shows what it said the first
//! time: on a machine with noisy neighbours a deadline is missed now and then, and a defect fails twice. More than [`SECOND_CHANCES`] failures
//! of one suite are no noise.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::tally::{Tally, skip_line};

/// A compiled test program and how to run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suite {
    /// What the summary calls it.
    pub name: String,
    /// The libtest program.
    pub program: PathBuf,
    /// Run as this user and group instead of ours.
    pub user: Option<u32>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where the tests start and leave their output.
    pub directory: PathBuf,
    /// How many run at once.
    pub jobs: usize,
    /// Seconds after which a test is killed and has failed; five times as many for one that runs alone.
    pub limit: u64,
    /// Only tests whose path contains one of these; empty: all.
    pub only: Vec<String>,
    /// Not those whose path contains one of these.
    pub without: Vec<String>,
    /// Where the start and end of each test is noted, for whoever finds us dead.
    pub journal: Option<PathBuf>,
}

/// Lines of a failed test's output that are shown, the last ones: a flood would hide the other failures.
const SHOWN: usize = 80;

/// Most failed tests of one suite that are run once more.
const SECOND_CHANCES: usize = 4;

/// What one test left behind.
struct Outcome {
    tally: Tally,
    /// Rows of a table the test printed: attempt, expected, seen.
    rows: Vec<Vec<String>>,
    /// What to show of it: why it failed or skipped itself.
    notes: Vec<String>,
}

/// Runs every chosen test and prints what failed or was skipped.
///
/// # Errors
/// When the program cannot list its tests. A program without a chosen test is none: it counts nothing.
pub fn run(suite: &Suite) -> Result<Tally> {
    let ignored: BTreeSet<String> = list(suite, &["--ignored"])?.into_iter().collect();
    let chosen: Vec<String> = list(suite, &[])?.into_iter().filter(|name| suite.chooses(name) && !ignored.contains(name)).collect();
    let mut total = Tally { skipped: ignored.len(), ..Tally::default() };
    let mut rows = Vec::new();
    for name in &ignored {
        println!("    SKIP {}::{name}: marked #[ignore]", suite.name);
    }
    let (alone, together): (Vec<String>, Vec<String>) = chosen.into_iter().partition(|name| is_alone(name));
    let mut failed = Vec::new();
    for (names, jobs) in [(together, suite.jobs), (alone, 1)] {
        let Part { tally, rows: more, failed: those } = run_some(suite, names, jobs)?;
        total += tally;
        rows.extend(more);
        failed.extend(those);
    }
    if failed.len() <= SECOND_CHANCES {
        let again = run_some(suite, failed.clone(), 1)?;
        for name in failed.iter().filter(|name| !again.failed.contains(name)) {
            println!("    FLAKY {}::{name}: failed beside others (above), passed alone", suite.name);
        }
        rows.extend(again.rows);
        total.failed -= failed.len();
        total += again.tally;
    }
    print_table(rows);
    Ok(total)
}

/// What the journal of a run tells.
#[derive(Debug, Default, PartialEq)]
pub struct Journal<'a> {
    /// Seconds and name of each test that came to its end.
    pub ended: Vec<(f64, &'a str)>,
    /// Those that were running when it stopped.
    pub running: Vec<&'a str>,
}

impl<'a> Journal<'a> {
    /// Reads what [`Suite::journal`] holds.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        let mut journal = Journal::default();
        for (event, name) in text.lines().filter_map(|line| line.split_once(' ')) {
            if let Ok(seconds) = event.parse() {
                journal.running.retain(|running| *running != name);
                journal.ended.push((seconds, name));
            } else {
                journal.running.push(name);
            }
        }
        journal
    }
}

/// What a number of tests left behind.
#[derive(Default)]
struct Part {
    tally: Tally,
    rows: Vec<Vec<String>>,
    failed: Vec<String>,
}

/// Whether a test must run while no other does.
fn is_alone(name: &str) -> bool {
    name.split("::").any(|part| part == "alone")
}

/// Runs these tests, `jobs` at a time.
fn run_some(suite: &Suite, names: Vec<String>, jobs: usize) -> Result<Part> {
    let queue = Mutex::new(names.into_iter());
    let total = Mutex::new(Part::default());
    let worker = |_| -> Result<()> {
        loop {
            // A statement of its own: the lock must not be held while the test runs.
            let next = queue.lock().expect("a worker panicked").next();
            let Some(name) = next else { return Ok(()) };
            let outcome = run_one(suite, &name)?;
            let mut total = total.lock().expect("a worker panicked");
            if outcome.tally.failed > 0 {
                total.failed.push(name);
            } else {
                total.rows.extend(outcome.rows);
            }
            total.tally += outcome.tally;
            drop(total);
            for note in outcome.notes {
                println!("    {note}");
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|index| scope.spawn(move || worker(index))).collect();
        workers.into_iter().try_for_each(|w| w.join().expect("a worker panicked"))
    })?;
    Ok(total.into_inner().expect("a worker panicked"))
}

/// Names of the program's tests.
fn list(suite: &Suite, more: &[&str]) -> Result<Vec<String>> {
    let mut command = suite.command();
    let output = command.args(["--list", "--format", "terse"]).args(more).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {}", suite.program.display()))?;
    if !output.status.success() {
        bail!("{} cannot list its tests: {}", suite.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.strip_suffix(": test").map(str::to_owned)).collect())
}

/// Runs one test to its end or its limit.
fn run_one(suite: &Suite, name: &str) -> Result<Outcome> {
    let output = tempfile::NamedTempFile::new().context("making a file for a test's output")?;
    // Opened for appending, so that both streams land in it in one order.
    let stream = File::options().append(true).open(output.path())?;
    let mut command = suite.command();
    command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    command.stdin(Stdio::null()).stdout(stream.try_clone()?).stderr(stream).process_group(0);
    let started = Instant::now();
    suite.note(name, None)?;
    let mut child = command.spawn().with_context(|| format!("running {}", suite.program.display()))?;
    // Ten thousand lives take longer than any other test.
    let limit = suite.limit * if is_alone(name) { 5 } else { 1 };
    let status = wait(&mut child, Duration::from_secs(limit))?;
    suite.note(name, Some(started.elapsed()))?;
    let text = String::from_utf8_lossy(&std::fs::read(output.path())?).into_owned();
    Ok(judge(&format!("{}::{name}", suite.name), status, started.elapsed(), &text))
}

/// Waits for `child`; `None` when it was killed at its limit. Whatever it left in its process group is killed either way.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let group = Pid::from_child(child);
    let watched = pidfd_open(group, PidfdFlags::empty()).context("opening a pidfd of a test")?;
    let ended = ends_within(&watched, limit)?;
    // The group outlives its leader as long as one member lives; nobody left is no error.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait().context("reaping a test")?;
    Ok(ended.then_some(status))
}

/// Whether the process behind a pidfd ends within `limit`.
///
/// # Errors
/// When it cannot be waited for.
pub fn ends_within(pidfd: &OwnedFd, limit: Duration) -> Result<bool> {
    let timeout = rustix::event::Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)).context("waiting for a process")? > 0)
}

/// What a test's end and output say.
fn judge(name: &str, status: Option<ExitStatus>, took: Duration, text: &str) -> Outcome {
    let failure = match status {
        Some(status) if status.success() => None,
        Some(status) => Some(status.to_string()),
        None => Some(format!("killed at its limit of {} s", took.as_secs())),
    };
    let rows = table_rows(text);
    if let Some(why) = failure {
        let lines: Vec<&str> = text.lines().collect();
        let kept = &lines[lines.len().saturating_sub(SHOWN)..];
        let shown = kept.iter().map(|line| format!("    | {line}")).collect::<Vec<_>>().join("\n");
        return Outcome { tally: Tally::one(false), rows, notes: vec![format!("FAIL {name} ({why})\n{shown}")] };
    }
    let mut outcome = Outcome { tally: Tally::one(true), rows, notes: Vec::new() };
    let reasons: Vec<&str> = text.lines().filter_map(skip_line).collect();
    if !reasons.is_empty() {
        outcome.tally.skip_one_passed();
        outcome.notes.push(format!("SKIP {name}: {}", reasons.join("; ")));
    }
    if took > Duration::from_secs(20) {
        outcome.notes.push(format!("slow {name}: {} s", took.as_secs()));
    }
    outcome
}

/// The rows of tables whose head is `attempt | expected | seen`, as the escape suite prints them.
fn table_rows(text: &str) -> Vec<Vec<String>> {
    let split = |line: &str| -> Vec<String> { line.splitn(3, " | ").map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = text.lines().map(split).skip_while(|cells| *cells != ["attempt", "expected", "seen"]).skip(1);
    lines.by_ref().take_while(|cells| cells.len() == 3).collect()
}

/// Prints the rows of all tests as one table, sorted; nothing without rows.
fn print_table(mut rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    rows.sort();
    rows.insert(0, ["attempt", "expected", "seen"].map(str::to_owned).into());
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for row in &rows {
        println!("    {:first$} | {:second$} | {}", row[0], row[1], row[2]);
    }
}

impl Suite {
    /// Whether the filters let this test through.
    fn chooses(&self, name: &str) -> bool {
        let has = |words: &[String]| words.iter().any(|word| name.contains(word.as_str()));
        (self.only.is_empty() || has(&self.only)) && !has(&self.without)
    }

    /// One line of the journal: a test has started, or has ended after so long.
    fn note(&self, name: &str, took: Option<Duration>) -> Result<()> {
        let Some(path) = &self.journal else { return Ok(()) };
        let mut file = File::options().create(true).append(true).open(path).context("opening the journal")?;
        let event = took.map_or("start".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
        // At once and whole: two tests write side by side.
        file.write_all(format!("{event} {}::{name}\n", self.name).as_bytes()).context("writing the journal")
    }

    /// The program, as the right user, with nothing of our environment.
    fn command(&self) -> Command {
        // Whoever ends us ends the test as well.
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(id) = self.user {
            command.args([format!("--reuid={id}"), format!("--regid={id}")]).arg("--clear-groups");
        }
        // A shell that starts us in the background lets us ignore what its terminal sends, and so would every test.
        command.args(["--", "/usr/bin/env", "--default-signal=HUP,INT,QUIT", "--"]).arg(&self.program);
        command.env_clear().envs(self.env.iter().map(|(k, v)| (k, v))).current_dir(&self.directory);
        command
    }
}

/// The environment of a test: who it is, where it may write, which program it tests, and nothing else of ours.
#[must_use]
pub fn environment(user: &str, directory: &Path, enclos: &Path) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let pairs = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("USER", user.to_owned()),
        ("HOME", text(directory)),
        ("TMPDIR", text(directory)),
        ("ENCLOS_BIN", text(enclos)),
        ("INSTA_UPDATE", "no".to_owned()),
        // SPECIFICATION.md, P6.
        ("ENCLOS_LIVES", "10000".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn ends_are_judged() {
        let took = Duration::from_secs(1);
        let tally = |status, text: &str| judge("s::t", status, took, text).tally;
        assert_eq!(tally(Some(ExitStatus::from_raw(0)), "fine\n"), Tally::one(true));
        assert_eq!(tally(Some(ExitStatus::from_raw(101 << 8)), "SKIP: t: x\n"), Tally::one(false), "a failure skips nothing");
        assert_eq!(tally(Some(ExitStatus::from_raw(9)), ""), Tally::one(false));
        assert_eq!(tally(None, ""), Tally::one(false));
        assert_eq!(tally(Some(ExitStatus::from_raw(0)), "x\nSKIP: t: no java here\n"), Tally { passed: 0, failed: 0, skipped: 1 });
    }

    #[test]
    fn rows_of_the_escape_table_are_found() {
        let text =
            "test a ... ok\n\nattempt | expected       | seen\nroot::a | EPERM or ENOSYS | EPERM | twice\n\ntest result: ok. 1 | 2 | 3\n";
        assert_eq!(table_rows(text), [["root::a", "EPERM or ENOSYS", "EPERM | twice"]]);
        assert!(table_rows("a | b | c\n").is_empty());
    }

    #[test]
    fn a_test_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60 & sleep 60"]).process_group(0).spawn().unwrap();
        let group = Pid::from_child(&child);
        assert!(wait(&mut child, Duration::ZERO).unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(10));
        // A killed orphan stays in the group until init reaps it.
        while kill_process_group(group, Signal::KILL).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "a child of the test lives on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The runner runs this program's own tests: the listing, the filters and the process per test are the real ones.
    #[test]
    fn a_program_is_listed_filtered_and_run() {
        let directory = tempfile::tempdir().unwrap();
        let suite = Suite {
            name: "self".to_owned(),
            program: std::env::current_exe().unwrap(),
            user: None,
            env: environment("root", directory.path(), Path::new("/nowhere")),
            directory: directory.path().to_owned(),
            jobs: 2,
            limit: 60,
            only: vec!["tally::".to_owned()],
            without: vec!["junit".to_owned()],
            journal: Some(directory.path().join("journal")),
        };
        assert_eq!(run(&suite).unwrap(), Tally { passed: 3, failed: 0, skipped: 0 });
        let journal = std::fs::read_to_string(directory.path().join("journal")).unwrap();
        assert_eq!(Journal::read(&journal).ended.len(), 3, "{journal}");
        assert!(Journal::read(&journal).running.is_empty(), "{journal}");
        assert!(!run(&Suite { only: vec!["no such test".to_owned()], ..suite }).unwrap().is_success(), "running nothing is no success");
    }
}
