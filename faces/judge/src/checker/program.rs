//! What testlib's exit codes mean. The same for checkers and interactors.
//!
//! Source: the interface of testlib as its documentation has it: 0 ok, 1 wrong answer, 2 presentation error, 3 fail, 7 points (`points X` first
//! on stderr), 8 unexpected end of file, 16 and up: partially correct, in hundredths.

use crate::api::{CheckReport, StepReport, Verdict};

/// Most of what a checker says that is passed on.
const MESSAGE: usize = 1000;

/// What the run of a checker says about the program it checked.
#[must_use]
pub fn judged(step: StepReport) -> CheckReport {
    let said = said(&step.stderr);
    let (verdict, share) = match (step.verdict, step.exit_code) {
        (Verdict::Ok, _) => (Verdict::Ok, 1.0),
        (Verdict::RuntimeError, Some(1 | 2 | 8)) => (Verdict::WrongAnswer, 0.0),
        (Verdict::RuntimeError, Some(7)) => match points(&said) {
            Some(share) => (partial(share), share),
            None => (Verdict::CheckerFailed, 0.0),
        },
        (Verdict::RuntimeError, Some(code @ 16..=116)) => {
            let share = f64::from(code - 16) / 100.0;
            (partial(share), share)
        }
        _ => (Verdict::CheckerFailed, 0.0),
    };
    let message = match (verdict, &step.evidence) {
        (Verdict::CheckerFailed, Some(evidence)) if said.is_empty() => evidence.text.clone(),
        (Verdict::CheckerFailed, Some(evidence)) => format!("{}: {said}", evidence.text),
        _ => said,
    };
    CheckReport { verdict, share, message, step: Some(step) }
}

fn partial(share: f64) -> Verdict {
    if share >= 1.0 { Verdict::Ok } else { Verdict::Partial }
}

/// The share of `points X`: of 1 when X is at most 1, else of 100, as judges of both kinds read it.
fn points(said: &str) -> Option<f64> {
    let mut words = said.split_whitespace();
    let number = match words.next()? {
        "points" => words.next()?,
        first => first,
    };
    let value: f64 = number.parse().ok()?;
    let share = if value > 1.0 { value / 100.0 } else { value };
    (value.is_finite() && value >= 0.0).then(|| share.min(1.0))
}

/// Bounded, one line, without control characters.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[..stderr.len().min(MESSAGE)]);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::empty_report;

    fn of(code: i32, stderr: &str) -> (Verdict, f64) {
        let verdict = if code == 0 { Verdict::Ok } else { Verdict::RuntimeError };
        let report = judged(StepReport { exit_code: Some(code), stderr: stderr.as_bytes().to_vec(), ..empty_report(verdict) });
        (report.verdict, report.share)
    }

    #[test]
    fn every_exit_code_of_testlib() {
        assert_eq!(of(0, "ok"), (Verdict::Ok, 1.0));
        for code in [1, 2, 8] {
            assert_eq!(of(code, ""), (Verdict::WrongAnswer, 0.0));
        }
        for code in [3, 4, 9, 15, 117, 255] {
            assert_eq!(of(code, ""), (Verdict::CheckerFailed, 0.0));
        }
        assert_eq!((of(16, ""), of(66, ""), of(116, "")), ((Verdict::Partial, 0.0), (Verdict::Partial, 0.5), (Verdict::Ok, 1.0)));
        assert_eq!(of(7, "points 0.25 some words"), (Verdict::Partial, 0.25));
        assert_eq!(of(7, "points 40"), (Verdict::Partial, 0.4));
        assert_eq!(of(7, "0.5"), (Verdict::Partial, 0.5));
        assert_eq!(of(7, "points 100"), (Verdict::Ok, 1.0));
        for nonsense in ["", "points", "points many", "points -1", "points nan"] {
            assert_eq!(of(7, nonsense), (Verdict::CheckerFailed, 0.0), "{nonsense}");
        }
    }

    #[test]
    fn a_checker_that_a_limit_ended_has_failed() {
        for verdict in [Verdict::TimedOut, Verdict::OutOfMemory, Verdict::Signaled, Verdict::OutputLimit] {
            assert_eq!(judged(empty_report(verdict)).verdict, Verdict::CheckerFailed);
        }
    }

    #[test]
    fn what_it_says_is_bounded_and_of_one_line() {
        let step =
            StepReport { exit_code: Some(1), stderr: "a\nb\u{1b}[2J".repeat(10_000).into_bytes(), ..empty_report(Verdict::RuntimeError) };
        let report = judged(step);
        assert!(report.message.len() <= MESSAGE && !report.message.contains(char::is_control));
    }
}
