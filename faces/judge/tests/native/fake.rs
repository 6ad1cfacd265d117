//! A judge that runs nothing: the source of a job says what is to come of it, so that every answer is known beforehand.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use enclos_judge::api::{
    Answer, Cancel, CheckReport, Checker, Controls, Evidence, Job, JobError, Judge, LanguageStatus, LimitSettings, Observer, OutputFile,
    ProgramStatus, SourceFile, Step, StepReport, Stream, SystemInfo, Test, TestReport, Verdict,
};

/// Longer than anything takes that goes well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Languages `fake` and `fakec` (compiled), and `missing`.
///
/// A source is lines, and each test carries out all of them: `print TEXT`, `error TEXT`, `bytes` (three that are no UTF-8), `echo` (its
/// input), `arguments`, `files` (gives back what came in), `exit N`, `sleep MS`, `wait` (until cancelled), `talk` (interactive: echoes lines
/// until its input ends, tells signals), `count` (how many jobs were begun so far), `break` (Enclos fails), `panic`.
#[derive(Debug, Default)]
pub struct Fake {
    limits: LimitSettings,
    /// Jobs that were begun.
    pub begun: AtomicUsize,
    /// Jobs that run.
    pub running: AtomicUsize,
    /// Jobs that were ended from outside.
    pub cancelled: AtomicUsize,
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Judge for Fake {
    fn languages(&self) -> Vec<LanguageStatus> {
        let language = |key: &str, name: &str, available: bool| LanguageStatus {
            key: key.to_owned(),
            name: name.to_owned(),
            aliases: vec![format!("{key}1")],
            extension: ".fake".to_owned(),
            compiled: key == "fakec",
            available,
            programs: vec![ProgramStatus {
                command: key.to_owned(),
                found: available,
                version: available.then(|| "1.2".to_owned()),
                version_text: None,
                options: vec!["-S".to_owned()],
            }],
            packages: vec!["fake-package".to_owned()],
            note: None,
        };
        vec![language("fake", "Fake", true), language("fakec", "FakeC", true), language("missing", "Missing", false)]
    }

    fn system(&self) -> SystemInfo {
        unreachable!("the native interface does not ask for it")
    }

    fn limits(&self) -> &LimitSettings {
        &self.limits
    }

    fn run(&self, job: &Job, cancel: &Cancel, observer: &dyn Observer) -> Result<Answer, JobError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Counted(&self.running);
        self.reference(&job.language)?;
        self.check_limits(job)?;
        if job.language.eq_ignore_ascii_case("missing") {
            let (missing, packages) = (vec!["missing".to_owned()], vec!["missing-package".to_owned()]);
            return Err(JobError::MissingLanguage { name: "Missing".to_owned(), missing, packages });
        }
        let compile = job.language.eq_ignore_ascii_case("fakec").then(|| compiled(job, observer));
        let failed = compile.as_ref().is_some_and(|report| report.verdict != Verdict::Ok);
        let mut tests: Vec<TestReport> = Vec::new();
        for (index, test) in job.tests.iter().enumerate().filter(|_| !failed) {
            let stopped = tests
                .iter()
                .zip(&job.tests)
                .any(|(report, test)| report.verdict != Verdict::Ok && (test.fatal || job.stop_at_first_failure));
            let step = if stopped { None } else { Some(self.step(job, index, test, cancel, observer)?) };
            let report = report(index, test, step);
            observer.test(index, &report);
            tests.push(report);
        }
        let first_bad = tests.iter().map(|test| test.verdict).find(|verdict| *verdict != Verdict::Ok).unwrap_or(Verdict::Ok);
        Ok(Answer {
            verdict: if failed { Verdict::CompileError } else { first_bad },
            score: tests.iter().map(|test| test.score).sum(),
            points: job.tests.iter().map(|test| test.points.unwrap_or(1.0)).sum(),
            subtasks: Vec::new(),
            compile,
            compile_cached: false,
            tests,
        })
    }

    fn reference(&self, language: &str) -> Result<Job, JobError> {
        let known = ["fake", "fakec", "missing"].iter().any(|known| language.eq_ignore_ascii_case(known));
        if !known {
            return Err(JobError::UnknownLanguage { name: language.to_owned(), nearest: Some("fake".to_owned()) });
        }
        let sources = vec![SourceFile { name: None, contents: b"print 42".to_vec() }];
        Ok(Job { language: language.to_owned(), sources, tests: vec![Test::default()], ..Job::default() })
    }
}

impl Fake {
    fn check_limits(&self, job: &Job) -> Result<(), JobError> {
        for (index, test) in job.tests.iter().enumerate() {
            if let Some(name) = test.limits.beyond(&self.limits.most).first() {
                return Err(JobError::Refused { field: format!("tests[{index}].limits.{name}"), message: "is too great".to_owned() });
            }
        }
        for (field, limits) in [("compile", &job.compile.limits), ("run", &job.run.limits)] {
            if let Some(name) = limits.beyond(&self.limits.most).first() {
                return Err(JobError::Refused { field: format!("{field}.limits.{name}"), message: "is too great".to_owned() });
            }
        }
        Ok(())
    }

    fn step(&self, job: &Job, index: usize, test: &Test, cancel: &Cancel, observer: &dyn Observer) -> Result<StepReport, JobError> {
        let (written, signals) = channel();
        let (reader, writer) = io::pipe().map_err(|error| JobError::Internal(error.to_string()))?;
        let stdin = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
        let signal = move |number| written.send(number).map_err(|_| io::ErrorKind::BrokenPipe.into());
        let controls = Controls::new(job.interactive.then_some(stdin), signal);
        observer.started(Step::Test(index), &controls);
        let mut step = step();
        let source = String::from_utf8_lossy(&job.sources[0].contents).into_owned();
        for line in source.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let tell = |step: &mut StepReport, bytes: &[u8]| {
                step.stdout.extend(bytes);
                if observer.wants_output() {
                    observer.output(Step::Test(index), Stream::Stdout, bytes);
                }
            };
            match word {
                "print" => tell(&mut step, format!("{rest}\n").as_bytes()),
                "error" => step.stderr.extend(format!("{rest}\n").bytes()),
                "bytes" => tell(&mut step, &[0xff, 0, b'\n']),
                "echo" => tell(&mut step, &test.stdin),
                "arguments" => tell(&mut step, format!("{:?}\n", test.arguments.as_ref().unwrap_or(&job.run.arguments)).as_bytes()),
                "files" => step.files = files(test),
                "count" => tell(&mut step, format!("{}\n", self.begun.load(Ordering::SeqCst)).as_bytes()),
                "exit" => {
                    step.exit_code = rest.parse().ok();
                    step.verdict = Verdict::RuntimeError;
                    step.evidence = Some(evidence());
                }
                "sleep" => self.pause(cancel, Duration::from_millis(rest.parse().unwrap_or(0)))?,
                "wait" => self.pause(cancel, PATIENCE)?,
                "talk" => self.talk(cancel, &reader, &signals, &mut |bytes| tell(&mut step, bytes))?,
                "break" => return Err(JobError::Internal("the sandbox could not be made: EIO".to_owned())),
                "panic" => panic!("as the source says"),
                _ => {}
            }
        }
        controls.ended();
        Ok(step)
    }

    /// Until the time is over, or the job is cancelled.
    fn pause(&self, cancel: &Cancel, span: Duration) -> Result<(), JobError> {
        let (sender, cancelled) = channel();
        let _guard = cancel.on_cancel(move || {
            // Whoever waits for it may have given up.
            let _ = sender.send(());
        });
        match cancelled.recv_timeout(span) {
            Err(_) => Ok(()),
            Ok(()) => {
                self.cancelled.fetch_add(1, Ordering::SeqCst);
                Err(JobError::Cancelled)
            }
        }
    }

    /// An interactive program: echoes its input as it comes and tells the signals it gets, until its input ends.
    fn talk(
        &self,
        cancel: &Cancel,
        reader: &io::PipeReader,
        signals: &std::sync::mpsc::Receiver<i32>,
        tell: &mut dyn FnMut(&[u8]),
    ) -> Result<(), JobError> {
        let mut reader = reader.try_clone().map_err(|error| JobError::Internal(error.to_string()))?;
        let (sender, input) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = io::Read::read(&mut reader, &mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        loop {
            if cancel.is_cancelled() {
                self.cancelled.fetch_add(1, Ordering::SeqCst);
                return Err(JobError::Cancelled);
            }
            while let Ok(number) = signals.try_recv() {
                tell(format!("signal {number}\n").as_bytes());
            }
            match input.recv_timeout(Duration::from_millis(5)) {
                Ok(bytes) => tell(&bytes),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}

fn compiled(job: &Job, observer: &dyn Observer) -> StepReport {
    observer.started(Step::Compile, &Controls::new(None, |_| Err(io::ErrorKind::BrokenPipe.into())));
    let mut report = step();
    if job.sources[0].contents.starts_with(b"uncompilable") {
        report.verdict = Verdict::RuntimeError;
        report.exit_code = Some(1);
        report.stderr = b"line 1: no\n".to_vec();
        report.evidence = Some(evidence());
    }
    observer.compiled(&report);
    report
}

fn files(test: &Test) -> Vec<OutputFile> {
    let given = |name: &String| {
        let found = test.files_in.iter().find(|file| file.name.as_ref() == Some(name));
        OutputFile { name: name.clone(), contents: found.map(|file| file.contents.clone()).ok_or_else(|| "missing".to_owned()) }
    };
    test.files_out.iter().map(given).collect()
}

fn report(index: usize, test: &Test, step: Option<StepReport>) -> TestReport {
    let points = test.points.unwrap_or(1.0);
    let mut verdict = step.as_ref().map_or(Verdict::Skipped, |step| step.verdict);
    let mut check = None;
    if let (Verdict::Ok, Some(expected), Some(step)) = (verdict, &test.expected, &step)
        && test.checker != Checker::None
    {
        let same = step.stdout.trim_ascii_end() == expected.trim_ascii_end();
        verdict = if same { Verdict::Ok } else { Verdict::WrongAnswer };
        check = Some(CheckReport { verdict, share: if same { 1.0 } else { 0.0 }, message: String::new(), step: None });
    }
    TestReport {
        name: test.name.clone().unwrap_or_else(|| format!("test{index:03}")),
        verdict,
        score: if verdict == Verdict::Ok { points } else { 0.0 },
        points,
        subtask: test.subtask.clone(),
        step,
        check,
        runs: Vec::new(),
    }
}

fn evidence() -> Evidence {
    Evidence {
        text: "it ended with another status than 0".to_owned(),
        limit: Some("memory"),
        allowed: Some(1),
        measured: Some(2),
        unit: Some("bytes"),
        source: Some("wait4".to_owned()),
    }
}

fn step() -> StepReport {
    StepReport {
        verdict: Verdict::Ok,
        evidence: None,
        exit_code: Some(0),
        signal: None,
        killed: false,
        stdout: Vec::new(),
        stderr: Vec::new(),
        stdout_truncated: false,
        stderr_truncated: false,
        cpu: Duration::from_micros(16_500),
        wall: Duration::from_millis(20),
        memory: Some(5 << 20),
        max_rss: Some(4 << 20),
        oom_kills: 0,
        processes: None,
        switches_voluntary: Some(3),
        switches_forced: Some(1),
        disk: None,
        files: Vec::new(),
        weakened: Vec::new(),
    }
}
