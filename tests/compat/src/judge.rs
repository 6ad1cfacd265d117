//! Runs a case under each program and says whether it holds.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use enclos_testkit::Who;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::case::{Case, Incumbent};
use crate::place::{Place, STARTING};
use crate::programs::{self, Program};

/// A script that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(50);

/// What came of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit status, or 128 and the signal.
    pub status: Option<i32>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every program did what it must.
    Holds,
    /// Not run, and why; only for a fact of this host.
    Skipped(String),
    /// What is wrong.
    Fails(String),
}

/// Runs a case as `who`.
#[must_use]
pub fn judge(topic: &str, case: &Case, who: Who) -> Verdict {
    if let Some(needed) = case.needs
        && enclos_testkit::find_program(&[needed]).is_none()
    {
        return Verdict::Skipped(format!("{needed} is not installed"));
    }
    if case.with_programs && programs::of_pypi().is_none() {
        return Verdict::Skipped("ENCLOS_PROGRAMS names no directory; cargo xtask test --lane compat makes one".to_owned());
    }
    let label = format!("{topic}-{}-{}", case.name, who.word());
    let mut wrong = String::new();
    let mut ran = false;
    if let Some(ours) = programs::ours() {
        ran = true;
        check(&mut wrong, &label, case, who, &ours, true);
    }
    for incumbent in [programs::incumbent(), programs::newer()].into_iter().flatten() {
        ran = true;
        let must = match case.incumbent {
            Incumbent::Agrees => true,
            Incumbent::Since(version) => incumbent.version.as_ref().is_some_and(|its| *its >= programs::version(version)),
            Incumbent::Differs(_) => false,
        };
        check(&mut wrong, &label, case, who, &incumbent, must);
    }
    match (ran, wrong.is_empty()) {
        (false, _) => Verdict::Skipped("no bubblewrap is installed".to_owned()),
        (true, true) => Verdict::Holds,
        (true, false) => Verdict::Fails(wrong),
    }
}

/// Adds to `wrong` unless the program meets the expectation exactly if it must.
fn check(wrong: &mut String, label: &str, case: &Case, who: Who, program: &Program, must: bool) {
    let told = match Place::new(label, who, program) {
        Ok(place) => match run(&place, case.script) {
            Ok((seen, group)) => {
                // A case may leave something running on purpose.
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                differences(case, &place, &seen)
            }
            Err(error) => error,
        },
        Err(error) => format!("  the case's directory: {error}\n"),
    };
    if must && !told.is_empty() {
        let _ = writeln!(wrong, "{}:\n{told}", program.label);
    } else if !must && told.is_empty() {
        let _ = writeln!(wrong, "{}: the case is marked {:?}, yet it holds there: take the mark away", program.label, case.incumbent);
    }
}

fn differences(case: &Case, place: &Place, seen: &Seen) -> String {
    let mut told = String::new();
    let out = place.expand(case.out);
    if seen.out != out {
        let _ = writeln!(told, "  stdout: expected {out:?}\n          seen     {:?}", seen.out);
    }
    if seen.status != Some(case.status) {
        let _ = writeln!(told, "  status: expected {}, seen {:?}", case.status, seen.status);
    }
    let lines: Vec<&str> = seen.err.lines().collect();
    let wanted: Vec<String> = case.err.iter().map(|line| place.expand(line)).collect();
    if lines.len() != wanted.len() || lines.iter().zip(&wanted).any(|(line, start)| !line.starts_with(start.as_str())) {
        let _ = writeln!(told, "  stderr: expected {wanted:?}\n          seen     {:?}", seen.err);
    }
    told
}

/// Runs a script in its place; gives what it did, and its process group, in which something may still run.
///
/// # Errors
/// It could not be started, or hangs; then it has been killed.
pub fn run(place: &Place, script: &str) -> Result<(Seen, Option<Pid>), String> {
    let (words, environment) = place.command(script);
    let (out, err) = (place.dir.join("stdout"), place.dir.join("stderr"));
    let open = |path| File::create(path).map_err(|e| format!("  {e}\n"));
    // Files, not pipes: a process left behind would keep a pipe open and the test waiting. A group of its own, so that such a one can be ended.
    let quiet = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env_clear()
        .envs(environment)
        .current_dir(&place.dir)
        .stdin(Stdio::null())
        .stdout(open(&out)?)
        .stderr(open(&err)?)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("  {:?}: {e}\n", words[0]))?;
    drop(quiet);
    let status = wait(&mut child);
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Err(_), Some(group)) = (&status, group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = status?;
    let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|e| format!("  {e}\n"));
    let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok((Seen { out: read(&out)?, err: read(&err)?, status }, group))
}

fn wait(child: &mut std::process::Child) -> Result<ExitStatus, String> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|e| format!("  {e}\n"))? {
            return Ok(status);
        }
        if started.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("  hangs: still running after {} s\n", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
