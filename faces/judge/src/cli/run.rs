//! `enclos judge run`.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::arguments::Wanted;
use super::{Outcome, json};
use crate::LocalJudge;
use crate::api::{Answer, Cancel, Checker, Job, Judge, NoObserver, SourceFile, StepOptions, StepReport, Test, Verdict};
use enclos_host::table::{Table, mib, ms, printable};

/// Most of a stream that the table shows.
const SHOWN: usize = 16 * 1024;

/// Compiles and runs one program.
pub fn run(judge: &LocalJudge, wanted: &Wanted, as_json: bool) -> Outcome {
    let job = job(judge, wanted)?;
    let answer = judge.run(&job, &Cancel::new(), &NoObserver).map_err(|error| error.to_string())?;
    let fine = answer.verdict == Verdict::Ok;
    Ok((if as_json { json(&document(&answer)) } else { text(&answer) }, fine))
}

fn job(judge: &LocalJudge, wanted: &Wanted) -> Result<Job, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let language = match &wanted.language {
        Some(language) => language.clone(),
        None => by_ending(judge, &wanted.file)?,
    };
    let stdin = match &wanted.stdin {
        None => Vec::new(),
        Some(path) if path == Path::new("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(|error| format!("stdin: {error}"))?;
            bytes
        }
        Some(path) => read(path)?,
    };
    let expected = wanted.expect.as_deref().map(read).transpose()?;
    let checker = if expected.is_some() { wanted.checker.clone() } else { Checker::None };
    Ok(Job {
        language,
        sources: vec![SourceFile { name: None, contents: read(&wanted.file)? }],
        run: StepOptions { arguments: wanted.arguments.clone(), limits: wanted.limits.clone(), ..StepOptions::default() },
        tests: vec![Test { stdin, expected, checker, ..Test::default() }],
        ..Job::default()
    })
}

fn by_ending(judge: &LocalJudge, file: &Path) -> Result<String, String> {
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    // C++ has more endings than one.
    let ending = if matches!(&ending[..], ".cpp" | ".cxx" | ".C") { ".cc".to_owned() } else { ending };
    let names: Vec<String> = judge.with_ending(&ending);
    match &names[..] {
        [name] => Ok(name.clone()),
        [] => Err(format!("{}: no language has this ending: write --language NAME", file.display())),
        several => Err(format!("{}: several languages have this ending ({}): write --language NAME", file.display(), several.join(", "))),
    }
}

fn text(answer: &Answer) -> String {
    let mut table = Table::new(&["step", "verdict", "cpu", "wall", "memory", "evidence"]);
    let mut row = |name: &str, verdict: Verdict, step: &StepReport, said: &str| {
        let evidence = step.evidence.as_ref().map_or(said, |evidence| &evidence.text);
        table.row([name.to_owned(), verdict.to_string(), ms(step.cpu), ms(step.wall), mib(step.memory), evidence.to_owned()]);
    };
    let mut streams = String::new();
    let mut show = |name: &str, bytes: &[u8]| {
        if !bytes.is_empty() {
            streams.push_str(&format!("\n{name}:\n{}\n", printable(bytes, SHOWN).trim_end_matches('\n')));
        }
    };
    if let Some(compile) = &answer.compile {
        row("compile", compile.verdict, compile, "");
        show("compiler", &[&compile.stdout[..], &compile.stderr[..]].concat());
    }
    for test in &answer.tests {
        if let Some(step) = &test.step {
            row("run", test.verdict, step, test.check.as_ref().map_or("", |check| &check.message));
            show("stdout", &step.stdout);
            show("stderr", &step.stderr);
        }
    }
    format!("{}{streams}", table.text())
}

/// Bytes as text; what is not UTF-8 as an array of numbers would be no use to anybody on a command line, so it is told as lossy.
fn step(report: &StepReport) -> Value {
    let stream =
        |bytes: &[u8]| json!({ "text": String::from_utf8_lossy(bytes), "bytes": bytes.len(), "exact": std::str::from_utf8(bytes).is_ok() });
    json!({
        "verdict": report.verdict.as_str(),
        "evidence": report.evidence.as_ref().map(|evidence| &evidence.text),
        "exit_code": report.exit_code,
        "signal": report.signal,
        "cpu_us": report.cpu.as_micros(),
        "wall_us": report.wall.as_micros(),
        "memory": report.memory,
        "stdout": stream(&report.stdout),
        "stderr": stream(&report.stderr),
        "weakened": report.weakened,
    })
}

fn document(answer: &Answer) -> Value {
    let test = answer.tests.first();
    json!({
        "verdict": answer.verdict.as_str(),
        "compile": answer.compile.as_ref().map(step),
        "run": test.and_then(|test| test.step.as_ref()).map(step),
        "check": test.and_then(|test| test.check.as_ref()).map(|check| &check.message),
    })
}
