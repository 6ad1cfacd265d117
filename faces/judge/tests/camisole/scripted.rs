//! A judge that runs nothing: the source says what is to come of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use enclos_judge::api::{
    Answer, Cancel, Job, JobError, Judge, LanguageStatus, LimitSettings, Limits, Observer, ProgramStatus, SourceFile, StepReport,
    SystemInfo, Test, TestReport, Verdict,
};

/// Languages `script` (interpreted), `Compiled`, and `Missing`.
///
/// A source is lines; each test carries out all of them: `print TEXT`, `binary`, `cat` (its input), `limits` (what it was given), `exit N`,
/// `signal N`, `wait` (until cancelled), `cut` (output that the answer
/// has no room for), `over` (the output limit), `large N` (bytes), `panic`, `break` (a failure of Enclos), `uncompilable`, `no binary`.
#[derive(Debug, Default)]
pub struct Scripted {
    pub limits: LimitSettings,
    /// Jobs that are carried out now.
    pub running: AtomicUsize,
    /// Jobs that were ended from outside.
    pub cancelled: AtomicUsize,
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Judge for Scripted {
    fn languages(&self) -> Vec<LanguageStatus> {
        let language = |key: &str, name: &str, available| LanguageStatus {
            key: key.to_owned(),
            name: name.to_owned(),
            aliases: Vec::new(),
            extension: ".x".to_owned(),
            compiled: key != "script",
            available,
            programs: vec![ProgramStatus {
                command: format!("{key}-run"),
                found: available,
                version: available.then(|| "1.2.3".to_owned()),
                version_text: None,
                options: vec!["-O2".to_owned()],
            }],
            packages: Vec::new(),
            note: None,
        };
        vec![language("compiled", "Compiled", true), language("missing", "Missing", false), language("script", "Script", true)]
    }

    fn system(&self) -> SystemInfo {
        SystemInfo {
            arch: "x86_64".to_owned(),
            byte_order: "Little Endian".to_owned(),
            cache_l1d: Some(65536),
            cache_l1i: None,
            cache_l2: None,
            cache_l3: None,
            cpu_count: 2,
            cpu_mhz: Some(2445.4),
            cpu_name: Some("A processor".to_owned()),
            kernel: "Linux".to_owned(),
            kernel_release: "6.1.0".to_owned(),
            kernel_version: "#1 SMP".to_owned(),
            memory: 1 << 34,
        }
    }

    fn limits(&self) -> &LimitSettings {
        &self.limits
    }

    fn run(&self, job: &Job, cancel: &Cancel, observer: &dyn Observer) -> Result<Answer, JobError> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.running);
        let source = String::from_utf8_lossy(&job.sources[0].contents).into_owned();
        let compile = match job.language.to_lowercase().as_str() {
            "script" => None,
            "compiled" => Some(compile(&source)),
            "missing" => {
                let (missing, packages) = (vec!["missing-run".to_owned()], vec!["missing-package".to_owned()]);
                return Err(JobError::MissingLanguage { name: "Missing".to_owned(), missing, packages });
            }
            name => return Err(JobError::UnknownLanguage { name: name.to_owned(), nearest: Some("script".to_owned()) }),
        };
        let failed = source.contains("uncompilable") || source.contains("no binary");
        let mut tests: Vec<TestReport> = Vec::new();
        for (index, test) in job.tests.iter().enumerate().filter(|_| !(failed && compile.is_some())) {
            let stopped = tests.iter().zip(&job.tests).any(|(report, test)| {
                report.verdict != Verdict::Ok && (test.fatal || job.stop_at_first_failure || report.verdict == Verdict::Skipped)
            });
            let report = report(index, test, if stopped { None } else { Some(self.step(&source, test, cancel)?) });
            observer.test(index, &report);
            tests.push(report);
            if cancel.is_cancelled() {
                return Err(JobError::Cancelled);
            }
        }
        let first_bad = tests.iter().map(|test| test.verdict).find(|verdict| *verdict != Verdict::Ok).unwrap_or(Verdict::Ok);
        let verdict = if failed && compile.is_some() { Verdict::CompileError } else { first_bad };
        Ok(Answer { verdict, score: 0.0, points: 0.0, subtasks: Vec::new(), compile, compile_cached: false, tests })
    }

    fn reference(&self, language: &str) -> Result<Job, JobError> {
        Ok(Job {
            language: language.to_owned(),
            sources: vec![SourceFile { name: None, contents: b"print 42".to_vec() }],
            tests: vec![Test::default()],
            ..Job::default()
        })
    }
}

impl Scripted {
    fn step(&self, source: &str, test: &Test, cancel: &Cancel) -> Result<StepReport, JobError> {
        let mut step = step();
        for line in source.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "print" => step.stdout.extend(format!("{rest}\n").bytes()),
                "binary" => step.stdout.extend([0xff, 0, b'\n']),
                "cat" => step.stdout.extend(&test.stdin),
                "limits" => step.stdout.extend(limits(&test.limits).bytes()),
                "large" => step.stdout.resize(rest.parse().unwrap(), b'x'),
                "cut" => step.stdout_truncated = true,
                "over" => (step.stdout_truncated, step.verdict, step.signal) = (true, Verdict::OutputLimit, Some(9)),
                "exit" => {
                    step.exit_code = rest.parse().ok();
                    step.verdict = Verdict::RuntimeError;
                }
                "signal" => {
                    (step.exit_code, step.signal) = (None, rest.parse().ok());
                    step.verdict = Verdict::Signaled;
                }
                "wait" => {
                    let (sender, receiver) = channel();
                    let _guard = cancel.on_cancel(move || {
                        // Whoever waits for it may have given up.
                        let _ = sender.send(());
                    });
                    assert!(receiver.recv_timeout(enclos_testkit::http::PATIENCE).is_ok(), "nobody cancelled");
                    self.cancelled.fetch_add(1, Ordering::SeqCst);
                    return Err(JobError::Cancelled);
                }
                "panic" => panic!("as the source says"),
                "break" => return Err(JobError::Internal("/sys/fs/cgroup/x: EIO".to_owned())),
                _ => {}
            }
        }
        Ok(step)
    }
}

fn limits(limits: &Limits) -> String {
    let micros = |span: Option<Duration>| span.map(|span| span.as_micros());
    format!(
        "cpu {:?} wall {:?} extra {:?} memory {:?} space {:?} stack {:?} file {:?} processes {:?} disk {:?} inodes {:?}",
        micros(limits.cpu),
        micros(limits.wall),
        micros(limits.extra_cpu),
        limits.memory,
        limits.address_space,
        limits.stack,
        limits.file_size,
        limits.processes,
        limits.disk,
        limits.inodes
    )
}

fn compile(source: &str) -> StepReport {
    let mut step = step();
    if source.contains("uncompilable") {
        (step.verdict, step.exit_code) = (Verdict::RuntimeError, Some(1));
        step.stderr.extend(b"no\n");
    }
    step
}

fn report(index: usize, test: &Test, step: Option<StepReport>) -> TestReport {
    TestReport {
        name: test.name.clone().unwrap_or_else(|| format!("test{index:03}")),
        verdict: step.as_ref().map_or(Verdict::Skipped, |step| step.verdict),
        score: 0.0,
        points: 1.0,
        subtask: None,
        step,
        check: None,
        runs: Vec::new(),
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
        cpu: Duration::from_millis(16),
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
