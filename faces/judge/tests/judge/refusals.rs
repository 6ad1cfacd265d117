//! Jobs that cannot be carried out.

use enclos_judge::api::{Cancel, JobError, Judge, NoObserver};

use crate::support::{job, judge};

fn error(job: &enclos_judge::api::Job) -> JobError {
    judge().run(job, &Cancel::new(), &NoObserver).unwrap_err()
}

#[test]
fn a_language_that_nobody_defined() {
    assert_eq!(error(&job("pyton", "")).to_string(), "language: \"pyton\" is not defined: did you mean \"python\"?");
    assert_eq!(error(&job("foobar", "")).to_string(), "language: \"foobar\" is not defined");
}

#[test]
fn a_language_that_is_not_installed() {
    if judge().languages().iter().any(|language| language.key == "f#" && language.available) {
        enclos_testkit::skip("a_language_that_is_not_installed", "F# is installed here");
        return;
    }
    assert!(matches!(error(&job("F#", "")), JobError::MissingLanguage { ref missing, .. } if missing[0] == "fsharpc"));
}

#[test]
fn limits_beyond_what_is_allowed() {
    let mut job = job("python", "");
    job.tests[0].limits.memory = Some(1 << 50);
    assert_eq!(error(&job).to_string(), "tests[0].limits.memory: is more than this judge allows");
}

#[test]
fn a_cancelled_job_is_not_begun() {
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(judge().run(&job("c", "int main(void) { return 0; }"), &cancel, &NoObserver), Err(JobError::Cancelled));
}
