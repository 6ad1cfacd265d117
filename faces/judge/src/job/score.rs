//! Points, groups, and the verdict of a whole job.

use crate::api::{SubtaskScore, Test, TestReport, Verdict};

/// What a test is worth.
#[must_use]
pub fn points(test: &Test) -> f64 {
    test.points.unwrap_or(1.0)
}

/// Share of its points that a test earned: by its verdict, or by what its checker said.
#[must_use]
pub fn share(verdict: Verdict, of_checker: Option<f64>) -> f64 {
    match verdict {
        Verdict::Ok => of_checker.unwrap_or(1.0),
        Verdict::Partial => of_checker.unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Groups in order of their first test: all of a group's points, times the smallest share of any of its tests.
#[must_use]
pub fn subtasks(tests: &[TestReport]) -> Vec<SubtaskScore> {
    let mut groups: Vec<(SubtaskScore, f64)> = Vec::new();
    for test in tests {
        let Some(name) = &test.subtask else { continue };
        let index = groups.iter().position(|(group, _)| group.name == *name).unwrap_or_else(|| {
            groups.push((SubtaskScore { name: name.clone(), verdict: Verdict::Ok, score: 0.0, points: 0.0 }, 1.0));
            groups.len() - 1
        });
        let (group, smallest) = &mut groups[index];
        group.points += test.points;
        group.verdict = group.verdict.max(test.verdict);
        // A test that is worth nothing still has to pass.
        let share = if test.points > 0.0 { test.score / test.points } else { f64::from(u8::from(test.verdict == Verdict::Ok)) };
        *smallest = smallest.min(share);
    }
    groups.into_iter().map(|(group, smallest)| SubtaskScore { score: group.points * smallest, ..group }).collect()
}

/// Points earned and points there were.
#[must_use]
pub fn total(tests: &[TestReport], subtasks: &[SubtaskScore]) -> (f64, f64) {
    let alone = tests.iter().filter(|test| test.subtask.is_none());
    let of_tests = alone.fold((0.0, 0.0), |(score, points), test| (score + test.score, points + test.points));
    subtasks.iter().fold(of_tests, |(score, points), group| (score + group.score, points + group.points))
}

/// A fault of the problem or of Enclos first; else the first test that did not pass.
#[must_use]
pub fn verdict(tests: &[TestReport]) -> Verdict {
    let faults = [Verdict::InternalError, Verdict::CheckerFailed];
    let fault = faults.into_iter().find(|fault| tests.iter().any(|test| test.verdict == *fault));
    let failed = || tests.iter().map(|test| test.verdict).find(|verdict| !matches!(verdict, Verdict::Ok | Verdict::Skipped));
    fault.or_else(failed).unwrap_or(Verdict::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(subtask: Option<&str>, verdict: Verdict, share: f64, points: f64) -> TestReport {
        TestReport {
            name: String::new(),
            verdict,
            score: share * points,
            points,
            subtask: subtask.map(str::to_owned),
            step: None,
            check: None,
            runs: Vec::new(),
        }
    }

    #[test]
    fn a_group_counts_by_its_weakest_test() {
        let tests = [
            test(None, Verdict::Ok, 1.0, 1.0),
            test(Some("a"), Verdict::Ok, 1.0, 10.0),
            test(Some("a"), Verdict::Partial, 0.5, 20.0),
            test(Some("b"), Verdict::WrongAnswer, 0.0, 0.0),
            test(Some("b"), Verdict::Ok, 1.0, 40.0),
            test(Some("c"), Verdict::Ok, 1.0, 5.0),
        ];
        let groups = subtasks(&tests);
        let shown: Vec<(&str, Verdict, f64, f64)> = groups.iter().map(|g| (&g.name[..], g.verdict, g.score, g.points)).collect();
        assert_eq!(shown, [("a", Verdict::Partial, 15.0, 30.0), ("b", Verdict::WrongAnswer, 0.0, 40.0), ("c", Verdict::Ok, 5.0, 5.0)]);
        assert_eq!(total(&tests, &groups), (21.0, 76.0));
    }

    #[test]
    fn the_first_failure_is_the_verdict_and_a_fault_comes_before_it() {
        let of = |verdicts: &[Verdict]| verdict(&verdicts.iter().map(|v| test(None, *v, 0.0, 1.0)).collect::<Vec<_>>());
        assert_eq!(of(&[]), Verdict::Ok);
        assert_eq!(of(&[Verdict::Ok, Verdict::WrongAnswer, Verdict::TimedOut]), Verdict::WrongAnswer);
        assert_eq!(of(&[Verdict::WrongAnswer, Verdict::CheckerFailed]), Verdict::CheckerFailed);
        assert_eq!(of(&[Verdict::WrongAnswer, Verdict::Skipped]), Verdict::WrongAnswer);
    }
}
