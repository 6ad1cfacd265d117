//! Counting what passed, failed and was skipped.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// What became of a number of tests or checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Ran and held.
    pub passed: usize,
    /// Ran and did not hold, or could not be run though they had to.
    pub failed: usize,
    /// Said that this host cannot run them, and why.
    pub skipped: usize,
}

impl Tally {
    /// One check that held, or did not.
    #[must_use]
    pub fn one(held: bool) -> Self {
        Tally { passed: usize::from(held), failed: usize::from(!held), skipped: 0 }
    }

    /// Whether anything ran and nothing failed.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Counts a test that passed, but said on a line of its own that it skipped itself.
    pub fn skip_one_passed(&mut self) {
        self.passed = self.passed.saturating_sub(1);
        self.skipped += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Add for Tally {
    type Output = Tally;
    fn add(mut self, other: Self) -> Tally {
        self += other;
        self
    }
}

/// The closing line CI reads.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What the lines that test programs print say about themselves: `SKIP: <test>: <reason>`, or `None`.
#[must_use]
pub fn skip_line(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("SKIP: ")
}

/// Counts in the JUnit document nextest writes (with `store-success-output`), and the reasons of tests that skipped themselves.
#[must_use]
pub fn from_junit(xml: &str) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut reasons = Vec::new();
    for case in xml.split("<testcase ").skip(1) {
        let case = case.split("</testcase>").next().unwrap_or(case);
        let failed = case.contains("<failure") || case.contains("<error");
        tally += Tally::one(!failed);
        let said: Vec<&str> = case.lines().filter_map(|line| line.find("SKIP: ").and_then(|at| skip_line(&line[at..]))).collect();
        if !failed && !said.is_empty() {
            tally.skip_one_passed();
            reasons.push(said.join("; "));
        }
    }
    (tally, reasons)
}

/// Counts in the closing line of libtest: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
#[must_use]
pub fn from_libtest(line: &str) -> Option<Tally> {
    let counts = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| counts.split(';').find(|part| has(part, word)).and_then(number).unwrap_or(0);
    Some(Tally { passed: count("passed"), failed: count("failed"), skipped: count("ignored") })
}

/// Whether `part` is a number and then `word`, and maybe something in brackets.
fn has(part: &str, word: &str) -> bool {
    let words = part.trim().split_once(' ').map_or("", |(_, rest)| rest);
    words == word || words.strip_prefix(word).is_some_and(|rest| rest.starts_with(" ("))
}

fn number(part: &str) -> Option<usize> {
    part.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_is_counted() {
        let xml = r#"<testsuites tests="4"><testsuite name="x">
            <testcase name="a"><system-out>running 1 test
</system-out><system-err></system-err></testcase>
            <testcase name="b"><failure type="test failure"/><system-err>SKIP: b: late</system-err></testcase>
            <testcase name="c"><system-err>SKIP: c: no java here
</system-err></testcase>
            <testcase name="d"/>
        </testsuite></testsuites>"#;
        let (tally, reasons) = from_junit(xml);
        assert_eq!(tally, Tally { passed: 2, failed: 1, skipped: 1 });
        assert_eq!(reasons, ["c: no java here"]);
        assert_eq!(from_junit("").0, Tally::default());
    }

    #[test]
    fn libtest_lines_are_read() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.31s";
        assert_eq!(from_libtest(line), Some(Tally { passed: 3, failed: 1, skipped: 2 }));
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!Tally::default().is_success());
        assert!(!Tally { passed: 0, failed: 0, skipped: 3 }.is_success());
        assert!(!Tally { passed: 3, failed: 1, skipped: 0 }.is_success());
        assert!(Tally { passed: 3, failed: 0, skipped: 1 }.is_success());
    }

    #[test]
    fn the_closing_line_is_what_ci_reads() {
        assert_eq!(Tally { passed: 3, failed: 0, skipped: 1 }.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
