//! `enclos judge test`.

use serde_json::json;

use super::{Outcome, chosen, json, not_installed};
use crate::LocalJudge;
use crate::api::{Answer, Cancel, Judge, NoObserver, Verdict};
use enclos_host::table::{Table, mib, ms, printable};

/// Runs the reference programs. All is well when every language that is installed, and every one that was named, passes.
pub fn run(judge: &LocalJudge, names: &[String], as_json: bool) -> Outcome {
    let mut table = Table::new(&["language", "result", "compile", "run", "memory"]);
    let (mut documents, mut notes) = (Vec::new(), String::new());
    let (mut fine, mut counts) = (true, (0, 0, 0));
    for language in chosen(judge, names)? {
        if !language.available {
            fine &= names.is_empty();
            counts.2 += 1;
            table.row([language.name.clone(), "not installed".to_owned(), not_installed(&language)]);
            documents.push(json!({ "language": language.key, "installed": false }));
            continue;
        }
        let answer =
            judge.reference(&language.key).and_then(|job| judge.run(&job, &Cancel::new(), &NoObserver)).map_err(|e| e.to_string())?;
        let passed = answer.verdict == Verdict::Ok;
        fine &= passed;
        *(if passed { &mut counts.0 } else { &mut counts.1 }) += 1;
        let step = answer.tests.first().and_then(|test| test.step.as_ref());
        table.row([
            language.name.clone(),
            if passed { "ok".to_owned() } else { answer.verdict.to_string() },
            answer.compile.as_ref().map_or_else(|| "-".to_owned(), |compile| ms(compile.wall)),
            step.map_or_else(|| "-".to_owned(), |step| ms(step.wall)),
            mib(step.and_then(|step| step.memory)),
        ]);
        documents.push(json!({
            "language": language.key,
            "installed": true,
            "verdict": answer.verdict.as_str(),
            "compile_us": answer.compile.as_ref().map(|compile| compile.wall.as_micros()),
            "run_us": step.map(|step| step.wall.as_micros()),
            "memory": step.and_then(|step| step.memory),
        }));
        if !passed {
            notes.push_str(&format!("\n{}\n{}\n", language.name, told(&answer)));
        }
    }
    if as_json {
        return Ok((json(&json!({ "ok": fine, "languages": documents })), fine));
    }
    let (passed, failed, missing) = counts;
    Ok((format!("{}{notes}\n{passed} ok, {failed} failed, {missing} not installed\n", table.text()), fine))
}

/// Everything that a failed program said.
fn told(answer: &Answer) -> String {
    const MOST: usize = 4000;
    let mut out = String::new();
    let steps = answer.compile.iter().chain(answer.tests.iter().filter_map(|test| test.step.as_ref()));
    for step in steps {
        if let Some(evidence) = &step.evidence {
            out.push_str(&format!("  {}\n", evidence.text));
        }
        for bytes in [&step.stdout, &step.stderr] {
            for line in printable(bytes, MOST).lines() {
                out.push_str(&format!("  | {line}\n"));
            }
        }
    }
    out
}
