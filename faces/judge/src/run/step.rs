//! One command from its order to its report.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enclos_sandbox::spec::{CpuList, Policy};
use enclos_sandbox::{Child, Command, Error, Files, Launcher, Outcome, Stage, Stdio};
use rustix::io::Errno;

use super::input::Input;
use super::policy;
use super::streams::{Alarm, drain};
use crate::api::{Cancel, Controls, Evidence, JobError, Limits, Observer, Step, StepReport, Stream, Verdict};
use crate::job::Turn;
use crate::sandboxes::Sandboxes;
use crate::verdict::{empty_report, step_report};

/// Working directory of every step.
pub const BOX: &str = "/box";

/// Said where nothing holds memory.
const UNHELD: &str = "memory: no control group holds it here, and a bound on address space would stop this language: nothing holds it";

/// What to run.
#[derive(Debug)]
pub struct Order<'a> {
    /// Path inside.
    pub program: &'a str,
    /// After the program's name.
    pub arguments: &'a [String],
    /// Over the policy's.
    pub environment: Vec<(String, String)>,
    /// Every limit.
    pub limits: &'a Limits,
    /// Host paths that are shown.
    pub see: &'a [PathBuf],
    /// Standard input.
    pub input: Input<'a>,
    /// Where standard output goes; `None`: it is kept.
    pub output: Option<OwnedFd>,
    /// Standard error goes where standard output goes.
    pub merge_stderr: bool,
    /// Files and below which directory they are put.
    pub files: Vec<(&'static str, Files)>,
    /// Whether [`BOX`] is wanted afterwards.
    pub collect: bool,
    /// It reserves address space by the gigabyte without using it.
    pub reserves: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// The report, output included.
    pub report: StepReport,
    /// [`BOX`] as the command left it. Nobody can write there any more.
    pub directory: Option<Arc<OwnedFd>>,
}

/// Runs orders.
#[derive(Debug)]
pub struct Runner {
    sandboxes: Sandboxes,
    best_effort: bool,
    /// Of each sandbox; `None`: none of its own.
    cpu_shares: Option<u64>,
    /// Among which CPUs each step's are.
    cpus: Option<CpuList>,
    /// A control group holds memory, not the address space of each process.
    memory_held: bool,
}

/// Whom a step concerns.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    /// Ends it.
    pub cancel: &'a Cancel,
    /// Hears of it.
    pub observer: &'a dyn Observer,
    /// By which name.
    pub step: Step,
}

impl Runner {
    /// See [`Sandboxes::new`]. `best_effort`: what this host cannot hold is weakened and told instead of refused.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(launcher: Launcher, templates: usize, parked: usize, best_effort: bool) -> io::Result<Runner> {
        let sandboxes = Sandboxes::new(launcher, templates, parked)?;
        let asked = policy::of(&Limits { memory: Some(64 << 20), ..Limits::default() }, &[], false);
        let memory_held = !best_effort || !matches!(sandboxes.prepare(&asked), Err(Error::Unenforceable { field: "memory", .. }));
        Ok(Runner { sandboxes, best_effort, cpu_shares: None, cpus: None, memory_held })
    }

    /// Gives every sandbox from now on this weight against others where processors are short, however many processes and sessions it has. Where the
    /// host has no controller for it, nothing changes: it is no limit of a job, and no verdict depends on it.
    ///
    /// # Errors
    /// A weight that is none.
    pub fn weigh(&mut self, shares: u64) -> Result<(), Error> {
        let asked = Policy { cpu_shares: Some(shares), ..policy::of(&Limits::default(), &[], false) };
        match self.sandboxes.prepare(&asked) {
            Err(Error::Unenforceable { field: "cpu-shares", .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.cpu_shares = Some(shares);
                Ok(())
            }
        }
    }

    /// Steps run on the CPUs of their turn, which are some of these; none: on all that there are.
    pub fn choose_among(&mut self, cpus: Vec<usize>) {
        self.cpus = (!cpus.is_empty()).then_some(CpuList(cpus));
    }

    fn policy(&self, limits: &Limits, see: &[PathBuf]) -> Policy {
        Policy { cpu_shares: self.cpu_shares, cpus: self.cpus.clone(), ..policy::of(limits, see, self.best_effort) }
    }

    /// Whether this host can hold these limits, before a job asks for them.
    ///
    /// # Errors
    /// What is missing, by name and with its remedy: words for whoever runs the judge, not for clients.
    pub fn prepare(&self, limits: &Limits) -> Result<(), Error> {
        self.sandboxes.prepare(&self.policy(limits, &[]))
    }

    /// Runs one command to its end, on the CPUs of its turn.
    ///
    /// # Errors
    /// When it was cancelled, or Enclos fails. A command that fails is no error.
    pub fn run(&self, order: Order<'_>, turn: &Turn, heard: Heard<'_>) -> Result<Ran, JobError> {
        if heard.cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let alarm = Alarm::new(heard.cancel).map_err(|e| internal("alarm", &e))?;
        let mut policy = self.policy(order.limits, order.see);
        // A bound on address space in the place of one on memory would stop it before its first instruction.
        let unheld = order.reserves && !self.memory_held && policy.memory.take().is_some();
        let words = wrapped(&order);
        let (mut command, refill) = self.sandboxes.command(&policy, &words[0]).map_err(|e| failed(&e))?;
        command.args(&words[1..]).envs(&order.environment).cpus(turn.cpus());
        for (directory, files) in &order.files {
            command.files(directory, files);
        }
        if order.collect {
            command.collect(BOX);
        }
        let limits = order.limits.clone();
        let first = match &order.input {
            Input::Live(bytes) => Some(*bytes),
            _ => None,
        };
        command.stdin(order.input.stdio().map_err(|e| internal("input", &e))?);
        command.stdout(order.output.map_or(Stdio::Piped, Stdio::Fd)).stderr(Stdio::Piped);
        let child = command.spawn();
        refill.ask();
        let (ended, output) = match child {
            Ok(child) => Running::new(child).watch(first, &alarm, heard),
            Err(error) => (Err(error), [Vec::new(), Vec::new()]),
        };
        if heard.cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let mut ran = finish(ended, output, &limits)?;
        if unheld {
            ran.report.weakened.push(UNHELD.to_owned());
        }
        Ok(ran)
    }
}

/// The words of the command, behind those that put in force what the engine has no key for. No shell reads them: `sh` runs a constant script,
/// which takes them as its arguments and executes them as they are.
fn wrapped(order: &Order<'_>) -> Vec<String> {
    let mut words = Vec::with_capacity(order.arguments.len() + 8);
    if order.merge_stderr {
        words.extend(["/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"].map(str::to_owned));
    }
    if let Some(bytes) = order.limits.address_space {
        words.extend(["/usr/bin/prlimit".to_owned(), format!("--as={bytes}"), "--".to_owned()]);
    }
    words.push(order.program.to_owned());
    words.extend(order.arguments.iter().cloned());
    words
}

/// A command that runs.
struct Running {
    child: Arc<Mutex<Option<Child>>>,
    stdin: Option<File>,
    output: [Option<File>; 2],
}

fn lock(child: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn new(mut child: Child) -> Running {
        let (stdin, output) = (child.stdin.take(), [child.stdout.take(), child.stderr.take()]);
        Running { child: Arc::new(Mutex::new(Some(child))), stdin, output }
    }

    /// Reads until its end. `first`: what is written to an open input before anybody else may.
    fn watch(self, first: Option<&[u8]>, alarm: &Alarm, heard: Heard<'_>) -> (Result<Outcome, Error>, [Vec<u8>; 2]) {
        let theirs = Arc::clone(&self.child);
        let controls = Controls::new(self.stdin, move |number| match &*lock(&theirs) {
            Some(child) => child.signal(number).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        });
        let kill = || {
            if let Some(child) = &*lock(&self.child) {
                let _ = child.kill();
            }
        };
        let ended = || lock(&self.child).as_ref().is_none_or(Child::has_ended);
        let live = heard.observer.wants_output();
        let mut tell = |stream: usize, bytes: &[u8]| {
            if live {
                heard.observer.output(heard.step, [Stream::Stdout, Stream::Stderr][stream], bytes);
            }
        };
        let output = std::thread::scope(|scope| {
            match first.filter(|bytes| !bytes.is_empty()) {
                // It may not read all of it before it writes, and what it writes is read here.
                Some(bytes) => drop(scope.spawn(|| {
                    let _ = controls.write_stdin(bytes);
                    heard.observer.started(heard.step, &controls);
                })),
                None => heard.observer.started(heard.step, &controls),
            }
            let output = drain(self.output, alarm, &kill, &ended, &mut tell);
            controls.ended();
            output
        });
        let child = lock(&self.child).take();
        let ended = child.map_or_else(|| Err(Error::InitLost("waited for twice".to_owned())), |mut child| child.wait());
        (ended, output)
    }
}

fn finish(ended: Result<Outcome, Error>, [stdout, stderr]: [Vec<u8>; 2], limits: &Limits) -> Result<Ran, JobError> {
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(error) => return not_started(&error).map(|report| Ran { report, directory: None }).ok_or_else(|| failed(&error)),
    };
    let mut report = step_report(&outcome.report, limits);
    let cap = policy::output_cap(limits).unwrap_or(u64::MAX);
    let cut = |bytes: &[u8]| report.verdict == Verdict::OutputLimit && bytes.len() as u64 >= cap;
    (report.stdout_truncated, report.stderr_truncated) = (cut(&stdout), cut(&stderr));
    (report.stdout, report.stderr) = (stdout, stderr);
    Ok(Ran { report, directory: outcome.directory })
}

/// Faults before the command's first instruction that are the job's own: what was compiled cannot be executed, or what it brings does not fit.
fn not_started(error: &Error) -> Option<StepReport> {
    let failure = error.failure()?;
    let (verdict, code, text, limit) = match (failure.stage, failure.errno) {
        (Stage::Execute, _) => (Verdict::RuntimeError, Some(127), format!("execve: {}", failure.reason()), None),
        (Stage::WriteFiles, Errno::NOSPC | Errno::FBIG | Errno::NOMEM) => {
            (Verdict::DiskLimit, None, format!("the files it is given do not fit: {}", failure.reason()), Some("disk"))
        }
        (Stage::WriteFiles, Errno::NOTDIR | Errno::ISDIR | Errno::EXIST) => {
            (Verdict::RuntimeError, None, format!("the files it is given cannot lie beside its own: {}", failure.reason()), None)
        }
        _ => return None,
    };
    let evidence = Evidence { text: text.clone(), limit, allowed: None, measured: None, unit: None, source: None };
    Some(StepReport { evidence: Some(evidence), exit_code: code, stderr: format!("{text}\n").into_bytes(), ..empty_report(verdict) })
}

/// A fault of Enclos, in words that name no path of the host.
fn failed(error: &Error) -> JobError {
    JobError::Internal(match error {
        Error::Step(failure) => format!("sandbox: cannot {}: {}", failure.stage.text(), failure.reason()),
        // What is missing names places of the host.
        Error::Unenforceable { field, .. } => {
            format!("sandbox: this host cannot enforce {field}; its operator learns why from: enclos doctor")
        }
        Error::Policy(error) => format!("sandbox: {error}"),
        Error::InitLost(why) => format!("sandbox: lost: {why}"),
        Error::Cgroup(_) => "sandbox: the control group failed".to_owned(),
        Error::Filter { .. } => "sandbox: the system call filter failed".to_owned(),
    })
}

pub(crate) fn internal(what: &str, error: &io::Error) -> JobError {
    let text = error.to_string();
    JobError::Internal(format!("{what}: {}", text.split(" (os error").next().unwrap_or(&text)))
}

/// `Command::envs`, which the engine's command does not have.
trait Environment {
    fn envs(&mut self, variables: &[(String, String)]) -> &mut Self;
}

impl Environment for Command {
    fn envs(&mut self, variables: &[(String, String)]) -> &mut Self {
        for (key, value) in variables {
            self.env(key, value);
        }
        self
    }
}
