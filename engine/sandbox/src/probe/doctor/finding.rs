//! One line of the report.

use serde::Serialize;

/// How well something works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As designed.
    Ok,
    /// It works, but less than designed.
    Weak,
    /// It does not work.
    Missing,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, e.g. `user namespaces`.
    pub subject: String,
    /// How well it works.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What its weakness or absence costs: what Enclos cannot do. Empty when it is well.
    pub cost: String,
    /// What to do about it, a command where there is one. Empty when it is well.
    pub remedy: String,
}

impl Finding {
    /// It is as designed.
    pub fn ok(subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding { subject: subject.into(), state: State::Ok, detail: detail.into(), cost: String::new(), remedy: String::new() }
    }

    /// It is less than designed.
    pub fn weak(subject: impl Into<String>, detail: impl Into<String>, cost: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { subject: subject.into(), state: State::Weak, detail: detail.into(), cost: cost.into(), remedy: remedy.into() }
    }

    /// It is not there.
    pub fn missing(subject: impl Into<String>, detail: impl Into<String>, cost: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { state: State::Missing, ..Finding::weak(subject, detail, cost, remedy) }
    }
}

impl From<enclos_cgroup::Finding> for Finding {
    fn from(finding: enclos_cgroup::Finding) -> Finding {
        let state = match finding.state {
            enclos_cgroup::State::Ok => State::Ok,
            enclos_cgroup::State::Weak => State::Weak,
            enclos_cgroup::State::Missing => State::Missing,
        };
        Finding { subject: finding.subject, state, detail: finding.detail, cost: finding.cost, remedy: finding.remedy }
    }
}
