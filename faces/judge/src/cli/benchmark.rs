//! `enclos judge benchmark`: what the languages cost on this machine.

use std::time::Duration;

use serde_json::json;

use super::{Outcome, chosen, json, not_installed};
use crate::LocalJudge;
use crate::api::{Cancel, Job, Judge, NoObserver, StepReport, Verdict};
use enclos_host::table::{Table, mib, ms};

/// Runs whose median is shown.
const ROUNDS: usize = 5;
/// Bounds of the search for the least memory, MiB.
const LEAST: u64 = 2;
const MOST: u64 = 1024;

struct Figures {
    memory_needed: Option<u64>,
    memory_used: Option<u64>,
    cpu: Duration,
    wall: Duration,
    compile: Option<Duration>,
}

/// For each language the least memory limit under which its reference program still passes, what it then uses, and its times.
pub fn run(judge: &LocalJudge, names: &[String], as_json: bool) -> Outcome {
    let mut table = Table::new(&["language", "memory needed", "memory used", "cpu", "wall", "compile"]);
    let (mut documents, mut fine) = (Vec::new(), true);
    for language in chosen(judge, names)? {
        if !language.available {
            fine &= names.is_empty();
            table.row([language.name.clone(), not_installed(&language)]);
            continue;
        }
        let figures = measure(judge, &language.key)?;
        fine &= figures.memory_needed.is_some();
        table.row([
            language.name.clone(),
            figures.memory_needed.map_or_else(|| format!("more than {MOST} MiB"), |mib| format!("{mib} MiB")),
            mib(figures.memory_used),
            ms(figures.cpu),
            ms(figures.wall),
            figures.compile.map_or_else(|| "-".to_owned(), ms),
        ]);
        documents.push(json!({
            "language": language.key,
            "memory_needed": figures.memory_needed.map(|mib| mib << 20),
            "memory_used": figures.memory_used,
            "cpu_us": figures.cpu.as_micros(),
            "wall_us": figures.wall.as_micros(),
            "compile_us": figures.compile.map(|span| span.as_micros()),
        }));
    }
    if as_json {
        return Ok((json(&json!({ "ok": fine, "rounds": ROUNDS, "languages": documents })), fine));
    }
    Ok((table.text(), fine))
}

fn measure(judge: &LocalJudge, language: &str) -> Result<Figures, String> {
    let job = judge.reference(language).map_err(|error| error.to_string())?;
    let once = |job: &Job| judge.run(job, &Cancel::new(), &NoObserver).map_err(|error| error.to_string());
    let first = once(&job)?;
    let compile = first.compile.as_ref().map(|report| report.wall);
    let mut steps: Vec<StepReport> = Vec::new();
    for _ in 0..ROUNDS {
        steps.extend(once(&job)?.tests.into_iter().filter_map(|test| test.step));
    }
    let median = |of: fn(&StepReport) -> Duration| {
        let mut values: Vec<Duration> = steps.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let passes = |mib: u64| {
        let mut job = job.clone();
        job.run.limits.memory = Some(mib << 20);
        once(&job).map(|answer| answer.verdict == Verdict::Ok)
    };
    Ok(Figures {
        memory_needed: least(LEAST, MOST, passes)?,
        memory_used: steps.iter().filter_map(|step| step.memory).min(),
        cpu: median(|step| step.cpu),
        wall: median(|step| step.wall),
        compile,
    })
}

/// The least number from `low` to `high` that passes, where more always passes too; `None` when not even `high` does.
fn least(mut low: u64, mut high: u64, passes: impl Fn(u64) -> Result<bool, String>) -> Result<Option<u64>, String> {
    if !passes(high)? {
        return Ok(None);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if passes(middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_passes_is_found() {
        for wanted in [2, 3, 500, 1023, 1024] {
            assert_eq!(least(2, 1024, |n| Ok(n >= wanted)), Ok(Some(wanted)));
        }
        assert_eq!(least(2, 1024, |_| Ok(false)), Ok(None));
    }
}
