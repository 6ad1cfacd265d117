//! What a client asks for.

use std::collections::BTreeMap;

use enclos_host::wire::{object, word};
use serde::Deserialize;
use utoipa::ToSchema;

use super::bounded::runs;
use super::{Data, Limits};

object!(RunRequest, Source, File, CompileOptions, RunOptions, Test, Checker, Program, Callback, BatchRequest);
word!(CheckerKind);

/// How often a test may be run.
pub(super) const MOST_RUNS: u64 = 100;
/// How many tests a run may have.
pub const MOST_TESTS: usize = 1000;
/// How many runs a batch may have.
pub const MOST_IN_A_BATCH: usize = 1000;

/// One program, and what to run it against.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RunRequest {
    /// Name of a language, in any case; `GET /v1/languages` lists them.
    #[schema(min_length = 1)]
    pub language: String,
    /// The program, when it is one file whose name does not matter. This or `sources`.
    #[serde(default)]
    #[schema(value_type = Option<Data>)]
    pub source: Option<Data>,
    /// The program's files, the main one first. This or `source`.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000)]
    pub sources: Option<Vec<Source>>,
    /// How to compile. Languages that are not compiled ignore it.
    #[serde(default)]
    pub compile: CompileOptions,
    /// How to run, for every test that does not say otherwise.
    #[serde(default)]
    pub run: RunOptions,
    /// What to run it against, in order. Absent: one test without input. Empty: it is only compiled.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub tests: Option<Vec<Test>>,
    /// A program that talks with the program: each one's standard output is the other's standard input. It is called with three paths,
    /// `input output answer`, and its exit code is the verdict, as with a checker.
    #[serde(default)]
    pub interactor: Option<Program>,
    /// Skip all tests after the first that does not pass.
    #[serde(default)]
    pub stop_at_first_failure: bool,
    /// How often to run each test; the worst run counts.
    #[serde(default = "one", deserialize_with = "runs")]
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub runs: u64,
    /// Answer 202 with a token at once; the result is fetched with it, also from the next server when this one dies.
    #[serde(default)]
    pub r#async: bool,
    /// Whom to tell when an asynchronous run has ended.
    #[serde(default)]
    pub callback: Option<Callback>,
    /// Send output while it is written, when the answer is a stream of events.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub live: bool,
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// A file of a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Source {
    /// Path relative to the working directory, e.g. `lib/helper.py`. The first file may go without: the language names it.
    #[serde(default)]
    pub name: Option<String>,
    /// Exact bytes.
    pub contents: Data,
}

/// A file that is given to a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct File {
    /// Path relative to the working directory.
    pub name: String,
    /// Exact bytes.
    pub contents: Data,
}

/// How to compile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct CompileOptions {
    /// Options added to the compiler's.
    #[schema(max_items = 1000)]
    pub arguments: Vec<String>,
    /// Variables, over the language's own.
    pub environment: BTreeMap<String, String>,
    /// Limits of compiling.
    pub limits: Limits,
}

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct RunOptions {
    /// The program's arguments.
    #[schema(max_items = 1000)]
    pub arguments: Vec<String>,
    /// Variables, over the language's own.
    pub environment: BTreeMap<String, String>,
    /// Limits of running.
    pub limits: Limits,
    /// Standard error goes where standard output goes, in the order in which it was written.
    pub merge_stderr: bool,
}

/// One run of the program.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Test {
    /// Name in the report; absent: `test000`, `test001` and so on.
    #[serde(default)]
    pub name: Option<String>,
    /// Standard input; it ends after these bytes.
    #[serde(default)]
    #[schema(value_type = Option<Data>)]
    pub stdin: Option<Data>,
    /// Arguments instead of the run's.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub arguments: Option<Vec<String>>,
    /// Variables over the run's.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Limits over the run's, one by one.
    #[serde(default)]
    pub limits: Limits,
    /// What a right program prints.
    #[serde(default)]
    #[schema(value_type = Option<Data>)]
    pub expected: Option<Data>,
    /// Who compares. Absent: `trimmed` where something is expected, else nobody.
    #[serde(default)]
    pub checker: Option<Checker>,
    /// Files put into the working directory before the run.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub files_in: Vec<File>,
    /// Files to give back after the run, relative to the working directory.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub files_out: Vec<String>,
    /// When this test does not pass, those after it are skipped.
    #[serde(default)]
    pub fatal: bool,
    /// What passing is worth; absent: 1.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub points: Option<f64>,
    /// Name of the group it belongs to: a group's points count only when all of its tests pass.
    #[serde(default)]
    pub subtask: Option<String>,
}

/// Who compares what was printed with what was expected.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Checker {
    /// How.
    pub kind: CheckerKind,
    /// For `float`: greatest absolute difference of two numbers.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub absolute: Option<f64>,
    /// For `float`: greatest difference relative to the expected number.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub relative: Option<f64>,
    /// For `program`: the program, called with three paths, `input output answer`, and answering with testlib's exit codes.
    #[serde(default)]
    pub program: Option<Program>,
}

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", rename_all = "lowercase")]
pub enum CheckerKind {
    /// Nobody compares.
    None,
    /// Byte by byte.
    Exact,
    /// Line by line; blanks at the ends of lines and empty lines at the end do not count.
    Trimmed,
    /// Word by word.
    Tokens,
    /// Word by word; numbers may differ a little.
    Float,
    /// Lines in any order.
    Unordered,
    /// A program decides.
    Program,
}

/// A program of the problem: a checker or an interactor. Compiled and run in sandboxes like any other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Program {
    /// Name of a language.
    #[schema(min_length = 1)]
    pub language: String,
    /// The program, when it is one file. This or `sources`.
    #[serde(default)]
    #[schema(value_type = Option<Data>)]
    pub source: Option<Data>,
    /// The program's files, the main one first. This or `source`.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000)]
    pub sources: Option<Vec<Source>>,
    /// How to compile.
    #[serde(default)]
    pub compile: CompileOptions,
    /// How to run; arguments follow the three paths.
    #[serde(default)]
    pub run: RunOptions,
}

/// Whom to tell when a run has ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Callback {
    /// The run's record is sent here with POST. Servers allow none by default; see `GET /v1/info`.
    #[schema(min_length = 1, max_length = 2000)]
    pub url: String,
}

/// Many runs, taken together or not at all.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BatchRequest {
    /// The runs; each is asynchronous, whatever it says of that.
    #[schema(min_items = 1, max_items = 1000)]
    pub runs: Vec<RunRequest>,
}
