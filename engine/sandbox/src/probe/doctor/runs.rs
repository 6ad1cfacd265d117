//! The proof of the whole: sandboxes really made, each with a command that does nothing.

use std::path::Path;
use std::time::Duration;

use enclos_spec::policy::Layered;
use enclos_spec::{Bound, Net, Policy, Size, Span, Verdict};
use enclos_sys::Errno;

use super::attempt::Refusal;
use super::finding::{Finding, State};
use super::ground::{Ground, REPORT};
use crate::command::{Command, Output};
use crate::error::{Error, Failure, Result, Stage};

/// One line for each kind of run.
pub fn findings(ground: &Ground, binary: &Path) -> Vec<Finding> {
    let base = || Policy { wall: Some(Bound::At(Span(Duration::from_secs(20)))), ..Policy::default() };
    let overlay = Layered { path: "/usr".into(), layer: None };
    let limits = Policy {
        memory: Some(Bound::At(Size::mib(64))),
        processes: Some(Bound::At(32)),
        cpu: Some(Bound::At(Span(Duration::from_secs(10)))),
        ..base()
    };
    let runs = [
        (DEFAULT, "no command can be run", base()),
        ("a sandbox with an overlay", "--overlay is refused", Policy { overlay: vec![overlay], ..base() }),
        ("a sandbox with its own loopback", "--net loopback is refused", Policy { net: Net::Loopback, ..base() }),
        ("a sandbox with limits on memory, processes and CPU time", "--memory, --processes or --cpu is refused", limits),
    ];
    let findings =
        runs.map(|(subject, cost, policy)| finding(subject, cost, Command::new("true").policy(&policy).output(), ground, binary));
    relate(findings)
}

const DEFAULT: &str = "a sandbox, by default";

/// What every run shares is told once, by the first.
fn relate<const N: usize>(mut findings: [Finding; N]) -> Vec<Finding> {
    if let Some((first, others)) = findings.split_first_mut() {
        for other in others.iter_mut().filter(|other| other.state == first.state && first.state != State::Ok) {
            if other.state == State::Weak && other.cost == first.cost {
                *other = Finding::ok(std::mem::take(&mut other.subject), format!("{MADE}; weaker as {DEFAULT}"));
            } else if other.detail == first.detail {
                other.remedy = format!("as for {DEFAULT}");
            }
        }
    }
    findings.into()
}

const MADE: &str = "made, run and removed";

fn finding(subject: &str, cost: &str, ran: Result<Output>, ground: &Ground, binary: &Path) -> Finding {
    match ran {
        Ok(Output { report, .. }) if report.verdict == Verdict::Ok && report.weakened.is_empty() => Finding::ok(subject, MADE),
        Ok(Output { report, .. }) if report.verdict == Verdict::Ok => {
            Finding::weak(subject, format!("{MADE}; weaker than designed"), report.weakened.join("; "), "as for the lines above about it")
        }
        Ok(Output { report, .. }) => Finding::missing(
            subject,
            format!("the command `true` ended with {:?}{}", report.verdict, report.evidence.map_or(String::new(), |e| format!(": {e}"))),
            cost,
            format!("see what it says: enclos run --report -- true; {REPORT}"),
        ),
        // Everything but the command itself worked.
        Err(Error::Step(Failure { stage: Stage::Execute, .. })) => {
            Finding::ok(subject, "made and removed; this host's system directories have no command `true` to run")
        }
        Err(error) => Finding::missing(subject, error.to_string(), cost, remedy(&error, ground, binary)),
    }
}

fn remedy(error: &Error, ground: &Ground, binary: &Path) -> String {
    match error {
        Error::Unenforceable { field, .. } => match *field {
            "memory" => "as for the memory controller; or --best-effort".to_owned(),
            "ids" => "as for id maps".to_owned(),
            field => format!("as for what {field} needs, above; or leave it out"),
        },
        Error::Cgroup(_) => "as for the controllers, and for making a group".to_owned(),
        Error::Step(failure) => of_step(failure, ground, binary),
        Error::Policy(_) | Error::Filter { .. } | Error::InitLost(_) => REPORT.to_owned(),
    }
}

/// The remedy of the line about what the failed step needs, where the refusal itself does not explain it.
fn of_step(failure: &Failure, ground: &Ground, binary: &Path) -> String {
    let blamed = |refusal: Refusal| if refusal.is_denial() { Some(ground.blame(&refusal, "user", binary).1) } else { None };
    match failure.stage {
        Stage::Clone => ground.blame(&Refusal::Clone(failure.errno), "user", binary).1,
        // An operation whose source is shown through a map of its own.
        Stage::MapIds if failure.op.is_some() => "as for id-mapped mounts".to_owned(),
        Stage::MapIds => "as for id maps, and user namespaces".to_owned(),
        Stage::Prepare if failure.errno == Errno::NOENT => "mount -t proc proc /proc".to_owned(),
        Stage::JoinCgroup | Stage::Cgroup => "as for the controllers, and for birth in a group".to_owned(),
        Stage::Landlock => "as for Landlock; or --landlock off".to_owned(),
        Stage::Seccomp => "as for seccomp filters; or --seccomp none".to_owned(),
        Stage::Operation | Stage::Place | Stage::Source => format!(
            "as for the lines about file systems (tmpfs, /proc, overlay, id-mapped mounts){}",
            failure
                .subject
                .as_ref()
                .map_or(String::new(), |subject| format!("; it was about {subject}: enclos run --explain -- true shows the step"))
        ),
        _ => blamed(Refusal::Act(failure.errno)).unwrap_or_else(|| REPORT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_points_to_its_line() {
        let of = |stage, errno| {
            let error = Error::from(Failure::about(stage, errno, "x"));
            finding("a sandbox", "no command can be run", Err(error), &Ground::default(), Path::new("/usr/bin/enclos"))
        };
        for (stage, errno, part) in [
            (Stage::Clone, Errno::NOSPC, "user.max_user_namespaces"),
            (Stage::MapIds, Errno::PERM, "id maps"),
            (Stage::Landlock, Errno::NOSYS, "--landlock off"),
            (Stage::Operation, Errno::PERM, "/proc"),
            (Stage::Pivot, Errno::PERM, "see who refused"),
            (Stage::Pivot, Errno::BUSY, "report it"),
        ] {
            let found = of(stage, errno);
            assert_eq!(found.state, State::Missing);
            assert!(found.remedy.contains(part), "{stage:?}: {}", found.remedy);
        }
        assert_eq!(of(Stage::Execute, Errno::NOENT).state, State::Ok);
    }

    #[test]
    fn what_every_run_shares_is_told_once() {
        let weak = |subject: &str, cost: &str| Finding::weak(subject, "made", cost, "r");
        let related = relate([weak(DEFAULT, "a"), weak("overlay", "a"), weak("limits", "b")]);
        assert_eq!(related.iter().map(|f| f.state).collect::<Vec<_>>(), [State::Weak, State::Ok, State::Weak]);
        let lost = |subject: &str, detail: &str| Finding::missing(subject, detail, "c", "r");
        let related = relate([lost(DEFAULT, "a"), lost("overlay", "a"), lost("limits", "b"), Finding::ok("x", "a")]);
        assert_eq!(related.iter().map(|f| f.remedy.as_str()).collect::<Vec<_>>(), ["r", "as for a sandbox, by default", "r", ""]);
    }

    #[test]
    fn a_limit_without_a_controller_points_to_it() {
        let error = Error::Unenforceable { field: "memory", missing: "no memory controller".to_owned() };
        let found = finding("limits", "--memory is refused", Err(error), &Ground::default(), Path::new("/usr/bin/enclos"));
        assert_eq!(found.remedy, "as for the memory controller; or --best-effort");
        assert!(found.detail.contains("no memory controller"), "{}", found.detail);
    }
}
