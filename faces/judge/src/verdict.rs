//! From the engine's report to the judge's: verdict, evidence, figures.

use std::time::Duration;

use enclos_sandbox::spec::{LimitReport, Report, Verdict as EngineVerdict, signal};

use crate::api::{Evidence, Limits, StepReport, Verdict};

/// Everything of a step but what it wrote.
#[must_use]
pub fn step_report(report: &Report, limits: &Limits) -> StepReport {
    let figure = |name: &str| report.figure(name).map(|figure| figure.value);
    let micros = |name: &str| Duration::from_micros(figure(name).unwrap_or(0));
    let cpu = micros("cpu");
    let mut verdict = of_engine(report.verdict);
    // With extra time the sandbox kills later than at the limit; the limit still judges.
    let slow = limits.cpu.is_some_and(|limit| cpu > limit);
    if slow && matches!(verdict, Verdict::Ok | Verdict::RuntimeError | Verdict::Signaled | Verdict::DiskLimit) {
        verdict = Verdict::TimedOut;
    }
    StepReport {
        verdict,
        evidence: evidence(report, verdict, limits),
        exit_code: report.exit_code,
        signal: report.signal,
        killed: report.limits.iter().any(|limit| limit.hit && KILLING.contains(&&limit.name[..])),
        stdout: Vec::new(),
        stderr: Vec::new(),
        stdout_truncated: false,
        stderr_truncated: false,
        cpu,
        wall: micros("wall"),
        memory: figure("memory-peak"),
        max_rss: figure("resident-peak"),
        oom_kills: figure("oom-kills").unwrap_or(0),
        processes: figure("processes-peak"),
        switches_voluntary: figure("switches-voluntary"),
        switches_forced: figure("switches-forced"),
        disk: figure("disk"),
        files: Vec::new(),
        weakened: report.weakened.clone(),
    }
}

/// A step of which nothing was measured.
#[must_use]
pub fn empty_report(verdict: Verdict) -> StepReport {
    StepReport {
        verdict,
        evidence: None,
        exit_code: None,
        signal: None,
        killed: false,
        stdout: Vec::new(),
        stderr: Vec::new(),
        stdout_truncated: false,
        stderr_truncated: false,
        cpu: Duration::ZERO,
        wall: Duration::ZERO,
        memory: None,
        max_rss: None,
        oom_kills: 0,
        processes: None,
        switches_voluntary: None,
        switches_forced: None,
        disk: None,
        files: Vec::new(),
        weakened: Vec::new(),
    }
}

/// Limits at which the sandbox kills.
const KILLING: [&str; 5] = ["wall", "idle", "cpu", "memory", "output"];

fn of_engine(verdict: EngineVerdict) -> Verdict {
    match verdict {
        EngineVerdict::Ok => Verdict::Ok,
        EngineVerdict::RuntimeError => Verdict::RuntimeError,
        EngineVerdict::Signaled => Verdict::Signaled,
        EngineVerdict::TimedOut => Verdict::TimedOut,
        EngineVerdict::Idleness => Verdict::Idleness,
        EngineVerdict::OutOfMemory => Verdict::OutOfMemory,
        EngineVerdict::OutputLimit => Verdict::OutputLimit,
        EngineVerdict::DiskLimit => Verdict::DiskLimit,
        EngineVerdict::Security => Verdict::Security,
        EngineVerdict::InternalError => Verdict::InternalError,
    }
}

fn evidence(report: &Report, verdict: Verdict, limits: &Limits) -> Option<Evidence> {
    let text = match verdict {
        Verdict::Ok => return None,
        Verdict::TimedOut => return Some(cpu_evidence(report, limits)),
        Verdict::RuntimeError => report.exit_code.map(|code| format!("exited with status {code}")),
        Verdict::Signaled => {
            report.signal.map(|signal| format!("ended by signal {signal} ({})", signal::name(signal).unwrap_or("real-time signal")))
        }
        _ => None,
    };
    let text = report.evidence.clone().or(text).unwrap_or_else(|| verdict.as_str().to_lowercase().replace('_', " "));
    let hit = report.limits.iter().find(|limit| limit.hit && Some(verdict) == verdict_of_limit(&limit.name));
    Some(match hit {
        Some(limit) => limit_evidence(report, limit, text),
        None => Evidence { text, limit: None, allowed: None, measured: None, unit: None, source: None },
    })
}

/// By the job's own limit, which is not the engine's when there is extra time.
fn cpu_evidence(report: &Report, limits: &Limits) -> Evidence {
    let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let allowed = limits.cpu.map(us).or(report.limit("cpu").map(|limit| limit.value));
    let figure = report.figure("cpu");
    let measured = figure.map(|figure| figure.value);
    let seconds = |us: Option<u64>| us.map_or_else(|| "?".to_owned(), |us| format!("{:.3} s", us as f64 / 1e6));
    Evidence {
        text: format!("cpu time {} of {} allowed", seconds(measured), seconds(allowed)),
        limit: Some("cpu"),
        allowed,
        measured,
        unit: Some("us"),
        source: figure.map(|figure| figure.source.clone()),
    }
}

fn limit_evidence(report: &Report, limit: &LimitReport, text: String) -> Evidence {
    let measured_by = match &limit.name[..] {
        "memory" => Some("memory-peak"),
        // A stream that was cut is at its cap; which one it was is in the text.
        "output" => Some(if text.contains("stderr") { "stderr" } else { "stdout" }),
        name @ ("wall" | "cpu" | "disk" | "inodes") => Some(name),
        "idle" => Some("wall"),
        _ => None,
    };
    let figure = measured_by.and_then(|name| report.figure(name));
    Evidence {
        text,
        limit: Some(static_name(&limit.name)),
        allowed: Some(limit.value),
        measured: figure.map(|figure| figure.value),
        unit: match &limit.unit[..] {
            "us" => Some("us"),
            "bytes" => Some("bytes"),
            _ => Some("count"),
        },
        source: figure.map(|figure| figure.source.clone()).or_else(|| Some(limit.enforcer.clone())),
    }
}

/// Which verdict a limit leads to. The ones that only refuse (processes, open files) lead to none.
fn verdict_of_limit(name: &str) -> Option<Verdict> {
    Some(match name {
        "wall" | "idle" => Verdict::Idleness,
        "cpu" => Verdict::TimedOut,
        "memory" => Verdict::OutOfMemory,
        "output" => Verdict::OutputLimit,
        "disk" | "inodes" | "file-size" => Verdict::DiskLimit,
        _ => return None,
    })
}

/// The name as in [`Limits`].
fn static_name(name: &str) -> &'static str {
    match name {
        "wall" => "wall",
        "idle" => "idle",
        "cpu" => "cpu",
        "memory" => "memory",
        "output" => "output",
        "disk" => "disk",
        "inodes" => "inodes",
        _ => "file_size",
    }
}

#[cfg(test)]
mod tests {
    use enclos_sandbox::spec::{Figure, report::SCHEMA};

    use super::*;

    fn report(verdict: EngineVerdict, figures: &[(&str, u64)], hit: Option<(&str, u64, &str)>) -> Report {
        Report {
            schema: SCHEMA,
            verdict,
            exit_code: Some(0),
            signal: None,
            evidence: None,
            figures: figures
                .iter()
                .map(|(name, value)| Figure { name: (*name).into(), value: *value, unit: "us".into(), source: "a meter".into() })
                .collect(),
            limits: hit
                .map(|(name, value, unit)| LimitReport {
                    name: name.into(),
                    value,
                    unit: unit.into(),
                    enforcer: "somebody".into(),
                    meter: "a meter".into(),
                    hit: true,
                })
                .into_iter()
                .collect(),
            layers: Vec::new(),
            weakened: Vec::new(),
        }
    }

    #[test]
    fn the_limit_judges_where_extra_time_lets_a_program_end() {
        let limits = Limits { cpu: Some(Duration::from_millis(300)), extra_cpu: Some(Duration::from_millis(600)), ..Limits::default() };
        let step = step_report(&report(EngineVerdict::Ok, &[("cpu", 400_000)], None), &limits);
        assert_eq!(step.verdict, Verdict::TimedOut);
        let evidence = step.evidence.unwrap();
        assert_eq!((evidence.limit, evidence.allowed, evidence.measured), (Some("cpu"), Some(300_000), Some(400_000)));
        assert_eq!(evidence.text, "cpu time 0.400 s of 0.300 s allowed");
        let step = step_report(&report(EngineVerdict::Ok, &[("cpu", 200_000)], None), &limits);
        assert_eq!((step.verdict, step.evidence), (Verdict::Ok, None));
    }

    #[test]
    fn a_limit_that_was_hit_is_the_evidence() {
        let found = report(EngineVerdict::OutOfMemory, &[("memory-peak", 64 << 20)], Some(("memory", 64 << 20, "bytes")));
        let step = step_report(&found, &Limits::default());
        let evidence = step.evidence.unwrap();
        assert_eq!(
            (evidence.limit, evidence.allowed, evidence.measured, evidence.unit),
            (Some("memory"), Some(64 << 20), Some(64 << 20), Some("bytes"))
        );
        assert_eq!(evidence.source.as_deref(), Some("a meter"));
        assert!(step.killed);
    }
}
