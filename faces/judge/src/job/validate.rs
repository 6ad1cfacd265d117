//! Refusing by name what makes no sense, before anything is run.

use crate::api::{Checker, Job, JobError, LimitSettings, Limits, Program, StepOptions, Test};
use crate::checker;
use crate::program::is_path_below;

/// Most tests of a job.
pub const MOST_TESTS: usize = 10_000;
/// Most runs of a test.
pub const MOST_RUNS: u32 = 100;
/// Most files that go in or out with one step.
const MOST_FILES: usize = 1000;
/// Most arguments or variables of a step, and most bytes of them together: below what execve(2) takes.
const MOST_WORDS: usize = 1000;
const MOST_WORD_BYTES: usize = 96 * 1024;

fn refused(field: impl Into<String>, message: impl Into<String>) -> JobError {
    JobError::Refused { field: field.into(), message: message.into() }
}

/// Everything but names of source files, which the language has a say in.
///
/// # Errors
/// [`JobError::Refused`].
pub fn job(job: &Job, settings: &LimitSettings) -> Result<(), JobError> {
    if job.sources.is_empty() {
        return Err(refused("sources", "is empty: a program has at least one file"));
    }
    count("sources", job.sources.len(), MOST_FILES)?;
    count("tests", job.tests.len(), MOST_TESTS)?;
    if job.runs > MOST_RUNS {
        return Err(refused("runs", format!("{} is too much: at most {MOST_RUNS}", job.runs)));
    }
    if job.interactive && job.interactor.is_some() {
        return Err(refused("interactive", "a program talks either with its interactor or with the caller"));
    }
    options("compile", &job.compile, settings)?;
    options("run", &job.run, settings)?;
    if let Some(program) = &job.interactor {
        helper("interactor", program, settings)?;
    }
    for (index, test) in job.tests.iter().enumerate() {
        one_test(&format!("tests[{index}]"), test, settings)?;
    }
    Ok(())
}

fn one_test(field: &str, test: &Test, settings: &LimitSettings) -> Result<(), JobError> {
    limits(&format!("{field}.limits"), &test.limits, settings)?;
    words(&format!("{field}.arguments"), test.arguments.iter().flatten())?;
    variables(&format!("{field}.environment"), &test.environment)?;
    count(&format!("{field}.files_in"), test.files_in.len(), MOST_FILES)?;
    count(&format!("{field}.files_out"), test.files_out.len(), MOST_FILES)?;
    for (index, name) in test.files_out.iter().enumerate() {
        if !is_path_below(name) {
            let message = format!("{:?} is not allowed: write a path below the working directory, e.g. out/result.txt", short(name));
            return Err(refused(format!("{field}.files_out[{index}]"), message));
        }
    }
    if let Some(points) = test.points.filter(|points| !points.is_finite() || *points < 0.0) {
        return Err(refused(format!("{field}.points"), format!("{points} is not allowed: write a number from 0 on")));
    }
    if let Checker::Program(program) = &test.checker {
        helper(&format!("{field}.checker"), program, settings)?;
    }
    checker::validate(&test.checker, test.expected.as_deref(), field)
}

fn helper(field: &str, program: &Program, settings: &LimitSettings) -> Result<(), JobError> {
    if program.sources.is_empty() {
        return Err(refused(format!("{field}.sources"), "is empty: a program has at least one file"));
    }
    count(&format!("{field}.sources"), program.sources.len(), MOST_FILES)?;
    options(&format!("{field}.compile"), &program.compile, settings)?;
    options(&format!("{field}.run"), &program.run, settings)
}

fn options(field: &str, options: &StepOptions, settings: &LimitSettings) -> Result<(), JobError> {
    words(&format!("{field}.arguments"), &options.arguments)?;
    variables(&format!("{field}.environment"), &options.environment)?;
    limits(&format!("{field}.limits"), &options.limits, settings)
}

fn count(field: &str, count: usize, most: usize) -> Result<(), JobError> {
    if count > most { Err(refused(field, format!("{count} are too many: at most {most}"))) } else { Ok(()) }
}

fn words<'a>(field: &str, words: impl IntoIterator<Item = &'a String>) -> Result<(), JobError> {
    let (mut number, mut bytes) = (0, 0);
    for (index, word) in words.into_iter().enumerate() {
        if word.contains('\0') {
            return Err(refused(format!("{field}[{index}]"), "has a zero byte"));
        }
        (number, bytes) = (number + 1, bytes + word.len() + 1);
    }
    count(field, number, MOST_WORDS)?;
    if bytes > MOST_WORD_BYTES { Err(refused(field, format!("{bytes} bytes are too many: at most {MOST_WORD_BYTES}"))) } else { Ok(()) }
}

fn variables(field: &str, variables: &std::collections::BTreeMap<String, String>) -> Result<(), JobError> {
    if let Some(name) = variables.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(refused(field, format!("{:?} is not the name of a variable", short(name))));
    }
    words(field, variables.iter().flat_map(|(name, value)| [name, value]))
}

fn limits(field: &str, limits: &Limits, settings: &LimitSettings) -> Result<(), JobError> {
    if let Some(name) = limits.beyond(&settings.most).first() {
        return Err(refused(format!("{field}.{name}"), "is more than this judge allows"));
    }
    let zero = |span: Option<std::time::Duration>| span.is_some_and(|span| span.is_zero());
    for (name, nothing) in [("cpu", zero(limits.cpu)), ("wall", zero(limits.wall)), ("idle", zero(limits.idle))] {
        if nothing {
            return Err(refused(format!("{field}.{name}"), "0 leaves no time: write more, or leave it out"));
        }
    }
    const LEAST_MEMORY: u64 = 1 << 20;
    let too_little = [
        ("memory", limits.memory.is_some_and(|bytes| bytes < LEAST_MEMORY), "at least 1 MiB"),
        ("disk", limits.disk.is_some_and(|bytes| bytes < LEAST_MEMORY), "at least 1 MiB"),
        ("processes", limits.processes == Some(0), "at least 1: the program itself is one"),
        ("open_files", limits.open_files.is_some_and(|count| count < 4), "at least 4: three are the standard streams"),
        ("inodes", limits.inodes.is_some_and(|count| count < 16), "at least 16"),
    ];
    match too_little.into_iter().find(|(_, too_little, _)| *too_little) {
        Some((name, _, wanted)) => Err(refused(format!("{field}.{name}"), format!("is too little: write {wanted}"))),
        None => Ok(()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::api::SourceFile;

    fn fine() -> Job {
        Job {
            language: "c".to_owned(),
            sources: vec![SourceFile::default()],
            tests: vec![Test::default(), Test::default()],
            ..Job::default()
        }
    }

    #[test]
    fn each_refusal_names_its_field() {
        let settings = LimitSettings::default();
        job(&fine(), &settings).unwrap();
        type Change = fn(&mut Job);
        let cases: [(&str, Change); 16] = [
            ("sources", |j| j.sources.clear()),
            ("runs", |j| j.runs = 1000),
            ("tests", |j| j.tests = vec![Test::default(); MOST_TESTS + 1]),
            ("run.limits.memory", |j| j.run.limits.memory = Some(u64::MAX)),
            ("run.limits.memory", |j| j.run.limits.memory = Some(1)),
            ("compile.limits.cpu", |j| j.compile.limits.cpu = Some(Duration::ZERO)),
            ("tests[1].limits.processes", |j| j.tests[1].limits.processes = Some(0)),
            ("tests[0].files_out[0]", |j| j.tests[0].files_out = vec!["../../etc/shadow".to_owned()]),
            ("tests[0].points", |j| j.tests[0].points = Some(f64::NAN)),
            ("tests[0].expected", |j| j.tests[0].checker = Checker::Exact),
            ("tests[0].checker.absolute", |j| {
                j.tests[0].expected = Some(Vec::new());
                j.tests[0].checker = Checker::Float { absolute: f64::INFINITY, relative: 0.0 };
            }),
            ("tests[0].checker.sources", |j| j.tests[0].checker = Checker::Program(Arc::default())),
            ("run.environment", |j| drop(j.run.environment.insert("A=B".to_owned(), String::new()))),
            ("run.arguments[0]", |j| j.run.arguments = vec!["a\0b".to_owned()]),
            ("compile.arguments", |j| j.compile.arguments = vec!["x".repeat(200_000)]),
            ("interactor.sources", |j| j.interactor = Some(Arc::default())),
        ];
        for (wanted, change) in cases {
            let mut changed = fine();
            change(&mut changed);
            match job(&changed, &settings) {
                Err(JobError::Refused { field, .. }) => assert_eq!(field, wanted),
                other => panic!("{wanted}: {other:?}"),
            }
        }
    }
}
