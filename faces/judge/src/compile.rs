//! From sources to something that can be run.
//!
//! Each stage runs in a sandbox of its own, with limits as tight as any program's: a compiler runs what its input tells it to. What a stage
//! leaves is taken from the dead sandbox by descriptor, bounded, and never looked into.

use std::sync::Arc;

use enclos_sandbox::{Files, collect};

use crate::api::{Evidence, JobError, LimitSettings, Limits, SourceFile, StepOptions, StepReport, Verdict};
use crate::cache::{Cache, Compiled, Key, KeyMaker};
use crate::job::Turn;
use crate::language::{Definition, Stage};
use crate::program::{Runnable, known_words, names, seal};
use crate::run::{BOX, Heard, Input, Order, Ran, Runner};
use crate::toolchain::Toolchain;

/// Where a stage finds the language's own files.
const HELPERS: &str = "/tmp";
/// Their directory there.
const HELPERS_NAME: &str = ".judge";
/// Most bytes that are kept of what a stage makes.
const LARGEST: u64 = 64 << 20;
/// Most files that are looked at in a stage's directory.
const MOST_FILES: usize = 10_000;
/// What camisole's users know.
const NO_RESULT: &str = "Cannot find result binary.\n";

/// A program in some language.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its language.
    pub language: &'a Arc<Definition>,
    /// The language's programs; all of them are there.
    pub toolchain: &'a Arc<Toolchain>,
    /// Its files.
    pub files: &'a [SourceFile],
    /// How to compile it.
    pub options: &'a StepOptions,
    /// What the files are called in the words of a refusal.
    pub field: &'a str,
}

/// What came of it.
#[derive(Debug)]
pub struct Made {
    /// What can be run; `None`: it was not compiled.
    pub runnable: Option<Runnable>,
    /// The compiler's run; `None` for a language without one.
    pub report: Option<StepReport>,
    /// It was there already.
    pub cached: bool,
}

/// Makes a program fit to be run. `turn` is called before each stage, and what it gives is dropped after it.
///
/// # Errors
/// A name that is refused, a cancelled job, or Enclos fails.
pub fn make(
    source: Source<'_>,
    settings: &LimitSettings,
    cache: &Cache,
    runner: &Runner,
    heard: Heard<'_>,
    turn: impl Fn() -> Result<Turn, JobError>,
) -> Result<Made, JobError> {
    let language = source.language;
    let runnable = |files: Files, name: &str| Runnable {
        language: Arc::clone(language),
        toolchain: Arc::clone(source.toolchain),
        files,
        name: name.to_owned(),
    };
    if language.compile.is_empty() {
        let main = language.program_name();
        let names = names(source.files, Some(&main), source.field)?;
        let files = seal(names.iter().copied().zip(source.files.iter().map(|file| &file.contents[..])), 0o700)?;
        let name = names.first().copied().unwrap_or(&main);
        return Ok(Made { runnable: Some(runnable(files, name)), report: None, cached: false });
    }
    let key = key(&source);
    let (compiled, cached) = match cache.get(&key) {
        Some(compiled) => (compiled, true),
        None => {
            let compiled = Arc::new(stages(&source, settings, runner, heard, &turn)?);
            // What a limit ended may go better next time.
            if matches!(compiled.report.verdict, Verdict::Ok | Verdict::RuntimeError) {
                cache.put(key, Arc::clone(&compiled));
            }
            (compiled, false)
        }
    };
    let name = language.program_name();
    Ok(Made { runnable: compiled.files.clone().map(|files| runnable(files, &name)), report: Some(compiled.report.clone()), cached })
}

fn key(source: &Source<'_>) -> Key {
    let mut maker = KeyMaker::default();
    maker.part(format!("{:?}", source.language.compile)).part(format!("{:?}", source.language.program)).part(source.language.key());
    maker.part(format!("{:?}", source.toolchain.identity())).part(format!("{:?}", source.options));
    for file in source.files {
        maker.part(file.name.as_deref().unwrap_or("")).part([u8::from(file.name.is_some())]).part(&file.contents);
    }
    maker.key()
}

/// What a stage starts from.
struct Start {
    /// Put below [`BOX`].
    files: Files,
    /// Name of the main source.
    main: String,
    /// Names of all sources of the language.
    sources: Vec<String>,
}

fn stages(
    source: &Source<'_>,
    settings: &LimitSettings,
    runner: &Runner,
    heard: Heard<'_>,
    turn: &impl Fn() -> Result<Turn, JobError>,
) -> Result<Compiled, JobError> {
    let language = source.language;
    let main = language.source_name();
    let all = names(source.files, Some(&main), source.field)?;
    let mut start = Start {
        files: seal(all.iter().copied().zip(source.files.iter().map(|file| &file.contents[..])), 0o600)?,
        main: all.first().copied().unwrap_or(&main).to_owned(),
        // A header is there, but nobody names it to the compiler.
        sources: all
            .iter()
            .enumerate()
            .filter(|(index, name)| *index == 0 || name.ends_with(&language.extension))
            .map(|(_, name)| (*name).to_owned())
            .collect(),
    };
    let (last, before) =
        language.compile.split_last().ok_or_else(|| JobError::Internal("a language without stages was compiled".to_owned()))?;
    for (stage, next) in before.iter().zip(&language.compile[1..]) {
        match one(source, stage, &start, settings, runner, heard, turn)? {
            (report, Some(outputs)) => {
                let name = next.source.clone().unwrap_or_else(|| main.clone());
                let first = outputs.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
                start = Start { files: seal([(&name[..], &first[..])], 0o600)?, main: name.clone(), sources: vec![name] };
                drop(report);
            }
            (report, None) => return Ok(Compiled { files: None, bytes: 0, report }),
        }
    }
    let (report, outputs) = one(source, last, &start, settings, runner, heard, turn)?;
    let Some(outputs) = outputs else { return Ok(Compiled { files: None, bytes: 0, report }) };
    let bytes = outputs.iter().map(|(name, bytes)| (name.len() + bytes.len()) as u64).sum();
    let files = seal(outputs.iter().map(|(name, bytes)| (&name[..], &bytes[..])), 0o700)?;
    Ok(Compiled { files: Some(files), bytes, report })
}

type Outputs = Vec<(String, Vec<u8>)>;

/// One stage: its report, and what it made; nothing when it failed.
fn one(
    source: &Source<'_>,
    stage: &Stage,
    start: &Start,
    settings: &LimitSettings,
    runner: &Runner,
    heard: Heard<'_>,
    turn: &impl Fn() -> Result<Turn, JobError>,
) -> Result<(StepReport, Option<Outputs>), JobError> {
    let language = source.language;
    let limits = source.options.limits.over(&stage.limits.limits()).over(&settings.compile);
    let output = format!("{BOX}/{}", stage.outputs[0]);
    let mut words = known_words(language, source.toolchain, Some(&stage.program), limits.memory);
    words.arguments.clone_from(&source.options.arguments);
    words.source.clone_from(&start.main);
    words.sources.clone_from(&start.sources);
    words.output = output;
    words.helpers = format!("{HELPERS}/{HELPERS_NAME}");
    let program = source.toolchain.path(language, &stage.program).unwrap_or(&stage.program);
    let mut files = vec![(BOX, start.files.clone())];
    if !stage.helpers.is_empty() {
        let named: Vec<(String, &str)> = stage.helpers.iter().map(|(name, text)| (format!("{HELPERS_NAME}/{name}"), &text[..])).collect();
        files.push((HELPERS, seal(named.iter().map(|(name, text)| (&name[..], text.as_bytes())), 0o700)?));
    }
    let mut environment: Vec<(String, String)> = stage.environment.clone().into_iter().collect();
    environment.extend(source.options.environment.clone());
    let order = Order {
        program,
        arguments: &words.fill(&stage.arguments),
        environment,
        limits: &limits,
        see: &source.toolchain.see,
        input: Input::Bytes(b""),
        output: None,
        merge_stderr: source.options.merge_stderr,
        files,
        collect: !stage.output_is_stdout,
        reserves: language.reserves_address_space,
    };
    let turn = turn()?;
    let ran = runner.run(order, &turn, heard)?;
    drop(turn);
    Ok(taken(ran, stage, &limits))
}

/// Takes what a stage made, from a directory in which nothing can change any more.
fn taken(ran: Ran, stage: &Stage, limits: &Limits) -> (StepReport, Option<Outputs>) {
    let Ran { mut report, directory } = ran;
    if report.verdict != Verdict::Ok {
        return (report, None);
    }
    if stage.output_is_stdout {
        let bytes = std::mem::take(&mut report.stdout);
        return (report, Some(vec![(stage.outputs[0].clone(), bytes)]));
    }
    let most = limits.file_size.unwrap_or(LARGEST).min(LARGEST);
    let found = directory.as_ref().ok_or_else(|| "its directory is gone".to_owned()).and_then(|directory| outputs(directory, stage, most));
    match found {
        Ok(outputs) => (report, Some(outputs)),
        Err(why) => (without_result(report, &why), None),
    }
}

fn outputs(directory: &std::os::fd::OwnedFd, stage: &Stage, most: u64) -> Result<Outputs, String> {
    let mut out = Outputs::new();
    let mut left = most;
    for pattern in &stage.outputs {
        let names = match pattern.split_once('*') {
            None => vec![pattern.clone()],
            Some((before, after)) => matching(directory, before, after)?,
        };
        if names.is_empty() {
            return Err(format!("no {pattern}"));
        }
        for name in names {
            let bytes = collect::read(directory, &name, left).map_err(|error| format!("{pattern}: {error}"))?;
            left -= bytes.len() as u64;
            out.push((name, bytes));
        }
    }
    Ok(out)
}

/// Regular files of a directory and those below it whose last part matches.
fn matching(directory: &std::os::fd::OwnedFd, before: &str, after: &str) -> Result<Vec<String>, String> {
    let entries = collect::list(directory, MOST_FILES).map_err(|error| error.to_string())?;
    let fits = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    let names = entries.into_iter().filter_map(|entry| entry.path.into_os_string().into_string().ok());
    let mut names: Vec<String> = names.filter(|path| fits(path)).collect();
    names.sort_unstable();
    Ok(names)
}

/// The compiler said all is well, and there is nothing to run.
fn without_result(mut report: StepReport, why: &str) -> StepReport {
    if !report.stderr.is_empty() {
        report.stderr.push(b'\n');
    }
    report.stderr.extend_from_slice(NO_RESULT.as_bytes());
    report.verdict = Verdict::CompileError;
    let text = format!("the compiler succeeded but left no result ({why})");
    report.evidence = Some(Evidence { text, limit: None, allowed: None, measured: None, unit: None, source: None });
    report
}
