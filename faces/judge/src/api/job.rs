//! What a job asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Limits;

/// One program, and what to run it against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// Key or display name of a language, in any case.
    pub language: String,
    /// The program. The first file is the main one; at least one.
    pub sources: Vec<SourceFile>,
    /// How to compile. Ignored by languages that are not compiled.
    pub compile: StepOptions,
    /// How to run, for every test that does not say otherwise.
    pub run: StepOptions,
    /// What to run it against, in order. Empty: only compiled.
    pub tests: Vec<Test>,
    /// A program that talks with the job's program: each one's standard output is the other's standard input. It gets the arguments
    /// `input output answer` of testlib, and its exit code is the verdict, as a checker's is.
    pub interactor: Option<Arc<Program>>,
    /// No test is run after one that did not pass. As if every test were [`Test::fatal`].
    pub stop_at_first_failure: bool,
    /// How often each test is run, at least once: 0 counts as 1. The worst run's verdict counts; figures are of that run, all runs' are in
    /// [`TestReport::runs`](super::TestReport::runs).
    pub runs: u32,
    /// Standard input of each test stays open after [`Test::stdin`], for [`Controls`](super::Controls); tests run one after another. Without
    /// it input always ends.
    pub interactive: bool,
}

/// A file of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the working directory, e.g. `lib/helper.py`. `None` for the first file: the language chooses.
    pub name: Option<String>,
    /// Exact bytes.
    pub contents: Vec<u8>,
}

/// How to carry out a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOptions {
    /// Arguments: for compiling, options added to the compiler's; for running, the program's.
    pub arguments: Vec<String>,
    /// Variables, over the language's own.
    pub environment: BTreeMap<String, String>,
    /// Limits; what is `None` is the default ([`LimitSettings`](super::LimitSettings)).
    pub limits: Limits,
    /// Standard error goes where standard output goes, in the order in which it was written.
    pub merge_stderr: bool,
}

/// One run of the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Test {
    /// Name in the report; `None`: `test000`, `test001`, … by position.
    pub name: Option<String>,
    /// Standard input; it ends after these bytes.
    pub stdin: Vec<u8>,
    /// Arguments instead of the job's.
    pub arguments: Option<Vec<String>>,
    /// Variables over the job's.
    pub environment: BTreeMap<String, String>,
    /// Limits over the job's, one by one.
    pub limits: Limits,
    /// What a right program prints. Needed by every checker but [`Checker::None`] and [`Checker::Program`].
    pub expected: Option<Vec<u8>>,
    /// Who compares.
    pub checker: Checker,
    /// Files put into the working directory before the run.
    pub files_in: Vec<SourceFile>,
    /// Files to give back after the run, relative to the working directory.
    pub files_out: Vec<String>,
    /// When this test does not pass, the ones after it are skipped.
    pub fatal: bool,
    /// What passing is worth; `None`: 1.
    pub points: Option<f64>,
    /// Name of the group of tests it belongs to: a group's points count only when all of its tests pass; partial scores count by the group's
    /// smallest share.
    pub subtask: Option<String>,
}

/// Who compares what was printed with what was expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Checker {
    /// Nobody: a program that ends with 0 within its limits passes.
    #[default]
    None,
    /// Byte by byte.
    Exact,
    /// Line by line; blanks at the ends of lines and empty lines at the end do not count.
    Trimmed,
    /// Word by word; how much blank is between words does not count.
    Tokens,
    /// Word by word; words that are numbers on both sides may differ by `absolute`, or by `relative` times the expected value.
    Float {
        /// Greatest absolute difference.
        absolute: f64,
        /// Greatest relative difference.
        relative: f64,
    },
    /// Lines in any order, each compared as [`Checker::Trimmed`] does.
    Unordered,
    /// A program that is called with the three paths `input output answer` and answers with testlib's exit codes: 0 accepted, 1 wrong, 2
    /// wrong format, 3 the checker failed, 7 points (`points X` on stderr), 8 output ended too soon, 16 to 116 partial (hundredths, plus 16).
    Program(Arc<Program>),
}

/// A program that belongs to the problem, not to the contestant. Compiled and run in sandboxes like any other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Key or display name of a language.
    pub language: String,
    /// As for [`Job::sources`].
    pub sources: Vec<SourceFile>,
    /// How to compile.
    pub compile: StepOptions,
    /// How to run; arguments follow the three paths.
    pub run: StepOptions,
}
