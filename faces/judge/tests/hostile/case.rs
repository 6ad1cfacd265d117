//! One hostile program and what becomes of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enclos_judge::api::{Answer, Cancel, Job, Judge, Limits, NoObserver, SourceFile, StepReport, Test, Verdict};
use enclos_judge::{LocalJudge, Settings};
use enclos_sandbox::Launcher;
use enclos_testkit::host::pids_marked;

/// The launcher of these tests: an example of this crate, built beside them.
pub fn launcher_program() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/judge_launch");
    assert!(program.is_file(), "{} is missing: cargo build -p enclos-judge --examples", program.display());
    program
}

/// One judge for all tests of this process. Beside the built-in languages it knows `Script`, whose compiler does what its source says.
pub fn judge() -> &'static LocalJudge {
    static JUDGE: OnceLock<LocalJudge> = OnceLock::new();
    JUDGE.get_or_init(|| {
        let launcher = Launcher::start(launcher_program()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("script.toml"), SCRIPT).unwrap();
        let languages = Some(directory.path().to_owned());
        LocalJudge::new(launcher, Settings { languages, cache: 0, ..Settings::default() }).unwrap()
    })
}

const SCRIPT: &str = r#"
name = "Script"
extension = ".sh"
reference = ""
[[program]]
command = "sh"
[[compile]]
program = "sh"
arguments = ["{source}", "{arguments}"]
"#;

/// A job under construction.
pub struct Case {
    pub job: Job,
    mark: String,
}

/// What came of it.
pub struct Ended {
    pub answer: Answer,
}

/// The limits that hold unless a test says otherwise.
pub fn tight() -> Limits {
    Limits {
        cpu: Some(Duration::from_secs(1)),
        // Not the 2 s of a quiet machine: a busy one must not turn a TIMED_OUT into an IDLENESS.
        wall: Some(Duration::from_secs(20)),
        memory: Some(64 << 20),
        processes: Some(20),
        output: Some(1 << 20),
        disk: Some(16 << 20),
        inodes: Some(1000),
        ..Limits::default()
    }
}

impl Case {
    pub fn new(language: &str, source: &str) -> Case {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("judge-mark-{}-{}-end", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let source = SourceFile { name: None, contents: source.as_bytes().to_vec() };
        let mut job = Job { language: language.to_owned(), sources: vec![source], tests: vec![Test::default()], ..Job::default() };
        job.run.limits = tight();
        job.run.environment.insert("JUDGE_MARK".to_owned(), mark.clone());
        job.compile.environment.insert("JUDGE_MARK".to_owned(), mark.clone());
        Case { job, mark }
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Case {
        change(&mut self.job.run.limits);
        self
    }

    pub fn compile(mut self, change: impl FnOnce(&mut Limits)) -> Case {
        change(&mut self.job.compile.limits);
        self
    }

    pub fn arguments(mut self, words: &[&str]) -> Case {
        self.job.run.arguments = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub fn stdin(mut self, bytes: Vec<u8>) -> Case {
        self.job.tests[0].stdin = bytes;
        self
    }

    /// Runs it, and waits until nothing of it is left.
    #[track_caller]
    pub fn run(self) -> Ended {
        let answer = judge().run(&self.job, &Cancel::new(), &NoObserver).unwrap();
        // What is dead is reaped off the request's path.
        let started = std::time::Instant::now();
        while !pids_marked(&self.mark).is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10), "left behind: {:?}", pids_marked(&self.mark));
            std::thread::sleep(Duration::from_millis(5));
        }
        Ended { answer }
    }
}

impl Ended {
    #[track_caller]
    pub fn step(&self) -> &StepReport {
        let step = self.answer.tests.first().and_then(|test| test.step.as_ref());
        step.unwrap_or_else(|| panic!("was not run: {}", self.described()))
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.step().stdout).into_owned()
    }

    #[track_caller]
    pub fn is(self, verdict: Verdict) -> Ended {
        assert_eq!(self.answer.verdict, verdict, "{}", self.described());
        self
    }

    #[track_caller]
    pub fn ends_as(self, verdicts: &[Verdict]) -> Ended {
        assert!(verdicts.contains(&self.answer.verdict), "{verdicts:?}: {}", self.described());
        self
    }

    #[track_caller]
    pub fn prints(self, text: &str) -> Ended {
        assert_eq!(self.said(), text, "{}", self.described());
        self
    }

    /// Which limit the evidence names.
    #[track_caller]
    pub fn by(self, limit: &str) -> Ended {
        assert_eq!(self.step().evidence.as_ref().and_then(|evidence| evidence.limit), Some(limit), "{}", self.described());
        self
    }

    pub fn described(&self) -> String {
        let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        let steps = self.answer.compile.iter().chain(self.answer.tests.iter().filter_map(|test| test.step.as_ref()));
        let steps: Vec<String> = steps
            .map(|s| {
                format!(
                    "{} code {:?} signal {:?} cpu {:?} wall {:?} evidence {:?}\n{}\n{}",
                    s.verdict,
                    s.exit_code,
                    s.signal,
                    s.cpu,
                    s.wall,
                    s.evidence,
                    cut(&s.stdout),
                    cut(&s.stderr)
                )
            })
            .collect();
        format!("{}\n{}", self.answer.verdict, steps.join("\n"))
    }
}

/// A file of the host that nobody may read or change.
pub struct Canary {
    directory: tempfile::TempDir,
    before: (Vec<u8>, std::fs::Metadata),
}

impl Canary {
    pub fn new() -> Canary {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("canary");
        std::fs::write(&path, b"the host's own secret").unwrap();
        let before = (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap());
        Canary { directory, before }
    }

    pub fn path(&self) -> String {
        self.directory.path().join("canary").to_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn intact(&self) {
        use std::os::unix::fs::MetadataExt;
        let (bytes, was) = &self.before;
        let now = std::fs::metadata(self.path()).unwrap();
        assert_eq!(std::fs::read(self.path()).unwrap(), *bytes);
        let of = |m: &std::fs::Metadata| {
            (m.ino(), m.mode(), m.uid(), m.gid(), m.nlink(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
        };
        assert_eq!(of(&now), of(was));
        let names: Vec<_> = std::fs::read_dir(self.directory.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["canary"]);
    }
}
