//! From a request to a job: what the types cannot say is checked here, and refused by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::Problem;
use super::wire;
use crate::api;

type Built<T> = Result<T, Problem>;

/// The job that a request asks for.
///
/// # Errors
///
/// 422, with the field.
pub fn job(request: wire::RunRequest) -> Built<api::Job> {
    let tests = match request.tests {
        None => vec![api::Test::default()],
        Some(tests) => {
            at_most("tests", tests.len(), wire::MOST_TESTS, "tests")?;
            tests.into_iter().enumerate().map(|(index, given)| test(&format!("tests[{index}]"), given)).collect::<Built<_>>()?
        }
    };
    Ok(api::Job {
        language: language("language", request.language)?,
        sources: sources("", request.source, request.sources)?,
        compile: compile("compile", request.compile)?,
        run: run("run", request.run)?,
        tests,
        interactor: request.interactor.map(|given| program("interactor", given)).transpose()?.map(Arc::new),
        stop_at_first_failure: request.stop_at_first_failure,
        runs: u32::try_from(request.runs).unwrap_or(u32::MAX),
        interactive: false,
    })
}

fn at_most(field: &str, given: usize, most: usize, what: &str) -> Built<()> {
    if given > most {
        return Err(Problem::refused(field, &format!("{given} {what} are too many: at most {most}")));
    }
    Ok(())
}

fn language(field: &str, name: String) -> Built<String> {
    if name.is_empty() {
        return Err(Problem::refused(field, "\"\" is no language: write the name of one, e.g. \"python\""));
    }
    Ok(name)
}

/// `parent`: the path of what holds `source` and `sources`, with its dot.
fn sources(parent: &str, source: Option<wire::Data>, sources: Option<Vec<wire::Source>>) -> Built<Vec<api::SourceFile>> {
    let list = format!("{parent}sources");
    match (source, sources) {
        (Some(data), None) => Ok(vec![api::SourceFile { name: None, contents: data.0 }]),
        (None, Some(files)) if files.is_empty() => Err(Problem::refused(&list, "[] holds no program: write at least one file")),
        (None, Some(files)) => {
            at_most(&list, files.len(), 1000, "files")?;
            let named = |(index, file): (usize, wire::Source)| match (index, file.name) {
                (1.., None) => {
                    Err(Problem::refused(&format!("{list}[{index}].name"), "missing: only the first file may go without a name"))
                }
                (_, Some(name)) => {
                    Ok(api::SourceFile { name: Some(path(&format!("{list}[{index}].name"), name)?), contents: file.contents.0 })
                }
                (0, None) => Ok(api::SourceFile { name: None, contents: file.contents.0 }),
            };
            files.into_iter().enumerate().map(named).collect()
        }
        (Some(_), Some(_)) => Err(Problem::refused(&list, "given together with source: write one of them")),
        (None, None) => Err(Problem::refused(&format!("{parent}source"), "missing: write the program here, or its files into sources")),
    }
}

/// A path below the working directory. The judge looks again; here the message can name the field as the client wrote it.
fn path(field: &str, name: String) -> Built<String> {
    let good = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    if name.is_empty() || name.len() > 1000 || name.contains('\0') || !name.split('/').all(good) {
        let shown = enclos_host::wire::shown(&serde_json::Value::from(name));
        let mut problem = Problem::refused(
            field,
            &format!("{shown} is no name of a file: write a path relative to the working directory, without . or .., e.g. \"lib/a.txt\""),
        );
        problem.value = Some(shown.into());
        return Err(problem);
    }
    Ok(name)
}

fn arguments(field: &str, given: Vec<String>) -> Built<Vec<String>> {
    at_most(field, given.len(), 1000, "arguments")?;
    match given.iter().position(|argument| argument.contains('\0')) {
        Some(index) => Err(Problem::refused(&format!("{field}[{index}]"), "holds a NUL character: no argument can")),
        None => Ok(given),
    }
}

fn environment(field: &str, given: BTreeMap<String, String>) -> Built<BTreeMap<String, String>> {
    at_most(field, given.len(), 1000, "variables")?;
    for (name, value) in &given {
        if name.is_empty() || name.contains(['=', '\0']) {
            let shown = enclos_host::wire::shown(&serde_json::Value::from(name.as_str()));
            return Err(Problem::refused(field, &format!("{shown} is no name of a variable: it is empty, or holds = or a NUL character")));
        }
        if value.contains('\0') {
            return Err(Problem::refused(&format!("{field}.{name}"), "holds a NUL character: no variable can"));
        }
    }
    Ok(given)
}

fn compile(field: &str, given: wire::CompileOptions) -> Built<api::StepOptions> {
    Ok(api::StepOptions {
        arguments: arguments(&format!("{field}.arguments"), given.arguments)?,
        environment: environment(&format!("{field}.environment"), given.environment)?,
        limits: given.limits.into(),
        merge_stderr: false,
    })
}

fn run(field: &str, given: wire::RunOptions) -> Built<api::StepOptions> {
    Ok(api::StepOptions {
        arguments: arguments(&format!("{field}.arguments"), given.arguments)?,
        environment: environment(&format!("{field}.environment"), given.environment)?,
        limits: given.limits.into(),
        merge_stderr: given.merge_stderr,
    })
}

fn program(field: &str, given: wire::Program) -> Built<api::Program> {
    Ok(api::Program {
        language: language(&format!("{field}.language"), given.language)?,
        sources: sources(&format!("{field}."), given.source, given.sources)?,
        compile: compile(&format!("{field}.compile"), given.compile)?,
        run: run(&format!("{field}.run"), given.run)?,
    })
}

fn test(field: &str, given: wire::Test) -> Built<api::Test> {
    let below = |name: &str| format!("{field}.{name}");
    at_most(&below("files_in"), given.files_in.len(), 1000, "files")?;
    at_most(&below("files_out"), given.files_out.len(), 1000, "files")?;
    let file_in = |(index, file): (usize, wire::File)| {
        let name = path(&format!("{field}.files_in[{index}].name"), file.name)?;
        Ok(api::SourceFile { name: Some(name), contents: file.contents.0 })
    };
    let file_out = |(index, name): (usize, String)| path(&format!("{field}.files_out[{index}]"), name);
    if let Some(points) = given.points.filter(|points| !(0.0..=1e9).contains(points)) {
        return Err(Problem::refused(&below("points"), &format!("{points} is out of bounds: write a number from 0 to 1000000000")));
    }
    Ok(api::Test {
        name: given.name,
        stdin: given.stdin.unwrap_or_default().0,
        arguments: given.arguments.map(|given| arguments(&below("arguments"), given)).transpose()?,
        environment: environment(&below("environment"), given.environment)?,
        limits: given.limits.into(),
        checker: checker(field, given.checker, given.expected.is_some())?,
        expected: given.expected.map(|data| data.0),
        files_in: given.files_in.into_iter().enumerate().map(file_in).collect::<Built<_>>()?,
        files_out: given.files_out.into_iter().enumerate().map(file_out).collect::<Built<_>>()?,
        fatal: given.fatal,
        points: given.points,
        subtask: given.subtask,
    })
}

/// What a float checker takes for near enough, when the request does not say.
const NEAR: f64 = 1e-9;

/// `parent`: the path of the test.
fn checker(parent: &str, given: Option<wire::Checker>, expected: bool) -> Built<api::Checker> {
    let Some(given) = given else { return Ok(if expected { api::Checker::Trimmed } else { api::Checker::None }) };
    let only = |name: &str, kind: &str| {
        Err(Problem::refused(&format!("{parent}.checker.{name}"), &format!("only a checker of kind {kind} has it")))
    };
    if given.kind != wire::CheckerKind::Float && (given.absolute.is_some() || given.relative.is_some()) {
        return only(if given.absolute.is_some() { "absolute" } else { "relative" }, "float");
    }
    if given.kind != wire::CheckerKind::Program && given.program.is_some() {
        return only("program", "program");
    }
    if !expected && !matches!(given.kind, wire::CheckerKind::None | wire::CheckerKind::Program) {
        return Err(Problem::refused(&format!("{parent}.expected"), "missing: this checker compares with it"));
    }
    Ok(match given.kind {
        wire::CheckerKind::None => api::Checker::None,
        wire::CheckerKind::Exact => api::Checker::Exact,
        wire::CheckerKind::Trimmed => api::Checker::Trimmed,
        wire::CheckerKind::Tokens => api::Checker::Tokens,
        wire::CheckerKind::Unordered => api::Checker::Unordered,
        wire::CheckerKind::Float => {
            // One that is given stands alone; none given: both are near.
            let other = if given.absolute.is_none() && given.relative.is_none() { NEAR } else { 0.0 };
            let bound = |name: &str, value: Option<f64>| match value {
                Some(value) if value.is_nan() || value < 0.0 => Err(Problem::refused(
                    &format!("{parent}.checker.{name}"),
                    &format!("{value} is no difference: write a number of at least 0"),
                )),
                value => Ok(value.unwrap_or(other)),
            };
            api::Checker::Float { absolute: bound("absolute", given.absolute)?, relative: bound("relative", given.relative)? }
        }
        wire::CheckerKind::Program => match given.program {
            None => return Err(Problem::refused(&format!("{parent}.checker.program"), "missing: write the program that compares")),
            Some(given) => api::Checker::Program(Arc::new(program(&format!("{parent}.checker.program"), given)?)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::decode;

    fn built(body: &str) -> Built<api::Job> {
        job(decode::json(body.as_bytes()).unwrap())
    }

    #[test]
    fn the_shortest_request_is_one_test_without_input() {
        let job = built(r#"{"language": "C", "source": "int main;"}"#).unwrap();
        assert_eq!((&*job.language, job.runs, job.tests), ("C", 1, vec![api::Test::default()]));
        assert_eq!(job.sources, [api::SourceFile { name: None, contents: b"int main;".to_vec() }]);
        assert_eq!(built(r#"{"language": "C", "source": "", "tests": []}"#).unwrap().tests, []);
    }

    #[test]
    fn who_compares_follows_from_what_is_said() {
        let checker = |test: &str| {
            built(&format!(r#"{{"language": "c", "source": "", "tests": [{test}]}}"#)).map(|mut job| job.tests.remove(0).checker)
        };
        assert_eq!(checker("{}"), Ok(api::Checker::None));
        assert_eq!(checker(r#"{"expected": "1"}"#), Ok(api::Checker::Trimmed));
        assert_eq!(checker(r#"{"expected": "1", "checker": {"kind": "none"}}"#), Ok(api::Checker::None));
        let float = |absolute, relative| Ok(api::Checker::Float { absolute, relative });
        assert_eq!(checker(r#"{"expected": "1", "checker": {"kind": "float"}}"#), float(NEAR, NEAR));
        assert_eq!(checker(r#"{"expected": "1", "checker": {"kind": "float", "absolute": 0.5}}"#), float(0.5, 0.0));
        let program = r#"{"checker": {"kind": "program", "program": {"language": "python", "source": "exit()"}}}"#;
        assert!(matches!(checker(program), Ok(api::Checker::Program(_))));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_field() {
        for (rest, field) in [
            (r#""#, "source"),
            (r#", "source": "", "sources": []"#, "sources"),
            (r#", "sources": []"#, "sources"),
            (r#", "sources": [{"contents": ""}, {"contents": ""}]"#, "sources[1].name"),
            (r#", "sources": [{"name": "/etc/passwd", "contents": ""}]"#, "sources[0].name"),
            (r#", "source": "", "tests": [{"files_in": [{"name": "../x", "contents": ""}]}]"#, "tests[0].files_in[0].name"),
            (r#", "source": "", "tests": [{"files_out": ["a//b"]}]"#, "tests[0].files_out[0]"),
            (r#", "source": "", "run": {"arguments": ["a", "\u0000"]}"#, "run.arguments[1]"),
            (r#", "source": "", "run": {"environment": {"A=B": ""}}"#, "run.environment"),
            (r#", "source": "", "compile": {"environment": {"A": "\u0000"}}"#, "compile.environment.A"),
            (r#", "source": "", "tests": [{"checker": {"kind": "exact"}}]"#, "tests[0].expected"),
            (r#", "source": "", "tests": [{"expected": "", "checker": {"kind": "exact", "relative": 1}}]"#, "tests[0].checker.relative"),
            (r#", "source": "", "tests": [{"expected": "", "checker": {"kind": "float", "absolute": -1}}]"#, "tests[0].checker.absolute"),
            (r#", "source": "", "tests": [{"checker": {"kind": "program"}}]"#, "tests[0].checker.program"),
            (r#", "source": "", "tests": [{}, {"points": -1}]"#, "tests[1].points"),
            (r#", "source": "", "interactor": {"language": "", "source": ""}"#, "interactor.language"),
            (r#", "source": "", "interactor": {"language": "c"}"#, "interactor.source"),
        ] {
            let problem = built(&format!(r#"{{"language": "c"{rest}}}"#)).expect_err(rest);
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(field)), "{rest}: {problem:?}");
        }
    }

    #[test]
    fn more_than_there_may_be_is_refused() {
        let many = vec!["{}"; wire::MOST_TESTS + 1].join(",");
        let problem = built(&format!(r#"{{"language": "c", "source": "", "tests": [{many}]}}"#)).unwrap_err();
        assert_eq!(problem.detail, "tests: 1001 tests are too many: at most 1000");
    }
}
