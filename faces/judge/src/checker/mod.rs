//! Whether what was printed is right.
//!
//! The checkers here compare bytes and never look at more than they are given; a checker that is a program runs in a sandbox ([`program`]).

mod float;
pub mod program;
mod text;

use crate::api::{CheckReport, Checker, JobError, Verdict};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Same,
    /// Where and how it differs, one line.
    Differs(String),
}

/// Compares; `None` when the checker is none, or a program.
#[must_use]
pub fn compare(checker: &Checker, expected: &[u8], printed: &[u8]) -> Option<CheckReport> {
    let found = match checker {
        Checker::None | Checker::Program(_) => return None,
        Checker::Exact => text::exact(expected, printed),
        Checker::Trimmed => text::trimmed(expected, printed),
        Checker::Tokens => text::tokens(expected, printed, |a, b| a == b),
        Checker::Float { absolute, relative } => text::tokens(expected, printed, |a, b| float::near(a, b, *absolute, *relative)),
        Checker::Unordered => text::unordered(expected, printed),
    };
    Some(match found {
        Found::Same => CheckReport { verdict: Verdict::Ok, share: 1.0, message: "as expected".to_owned(), step: None },
        Found::Differs(message) => CheckReport { verdict: Verdict::WrongAnswer, share: 0.0, message, step: None },
    })
}

/// Whether a checker can work with what a test gives it.
///
/// # Errors
/// [`JobError::Refused`] about `field`.
pub fn validate(checker: &Checker, expected: Option<&[u8]>, field: &str) -> Result<(), JobError> {
    let refused = |part: &str, message: &str| Err(JobError::Refused { field: format!("{field}.{part}"), message: message.to_owned() });
    if let Checker::Float { absolute, relative } = checker {
        for (name, value) in [("absolute", *absolute), ("relative", *relative)] {
            if !value.is_finite() || value < 0.0 {
                return refused(&format!("checker.{name}"), &format!("{value} is no tolerance: write a number from 0 on"));
            }
        }
    }
    if expected.is_none() && !matches!(checker, Checker::None | Checker::Program(_)) {
        return refused("expected", "is missing: this checker compares with it");
    }
    Ok(())
}
