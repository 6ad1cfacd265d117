//! What these tests share: one judge, and words to write jobs with.

use std::sync::OnceLock;

use enclos_judge::api::{Answer, Cancel, Job, Judge, NoObserver, SourceFile, Test, Verdict};
use enclos_judge::{LocalJudge, Settings};
use enclos_sandbox::Launcher;

/// The launcher of these tests: an example of this crate, built beside them.
pub fn launcher() -> Launcher {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/judge_launch");
    assert!(program.is_file(), "{} is missing: cargo build -p enclos-judge --examples", program.display());
    Launcher::start(program).unwrap()
}

/// One judge for all tests of this process.
pub fn judge() -> &'static LocalJudge {
    static JUDGE: OnceLock<LocalJudge> = OnceLock::new();
    JUDGE.get_or_init(|| LocalJudge::new(launcher(), Settings::default()).unwrap())
}

/// A program of one file and one test.
pub fn job(language: &str, source: &str) -> Job {
    let source = SourceFile { name: None, contents: source.as_bytes().to_vec() };
    Job { language: language.to_owned(), sources: vec![source], tests: vec![Test::default()], ..Job::default() }
}

/// Runs it on [`judge`].
pub fn run(job: &Job) -> Answer {
    judge().run(job, &Cancel::new(), &NoObserver).unwrap()
}

/// The first test's verdict, exit code, and what it printed.
#[track_caller]
pub fn first(answer: &Answer) -> (Verdict, Option<i32>, String) {
    let Some(test) = answer.tests.first() else { panic!("no test was run: {answer:?}") };
    let step = test.step.as_ref().unwrap_or_else(|| panic!("no step: {answer:?}"));
    (test.verdict, step.exit_code, String::from_utf8_lossy(&step.stdout).into_owned())
}
