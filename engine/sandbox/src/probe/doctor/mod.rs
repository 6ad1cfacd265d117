//! What this host can enforce, line by line: behind `enclos doctor`.
//!
//! # Theory of operation
//!
//! What can be tried is tried, because nothing else is true for sure: a throw-away process makes each namespace and mounts each file system
//! ([`attempt`](self)), a control group is made and frozen, and whole sandboxes run a command that does nothing. Settings of the host
//! (sysctls, `/proc/self/status`, the list of security modules) are read only to explain a refusal and to name its remedy. They are texts, so
//! that the explaining is tested with the texts of other hosts.
//!
//! Nothing is left behind but `/run/enclos/ids`, as by every run of root. Slow, compared with a run: tens of milliseconds.

mod acts;
mod attempt;
mod calls;
mod finding;
mod ground;
mod groups;
mod id_maps;
mod mounts;
mod namespaces;
mod runs;
mod walls;

use std::path::Path;

pub use finding::{Finding, State};
pub use ground::apparmor_profile;

use super::Facts;
use ground::Ground;

/// Where packages put the program.
const USUAL_BINARY: &str = "/usr/local/bin/enclos";

/// Examines this host. Remedies that must name the program say `/usr/local/bin/enclos`; see [`doctor_for`].
///
/// ```
/// use enclos_sandbox::probe::doctor::{State, doctor};
///
/// for finding in doctor().iter().filter(|finding| finding.state == State::Missing) {
///     assert!(!finding.cost.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
/// }
/// ```
#[must_use]
pub fn doctor() -> Vec<Finding> {
    doctor_for(Path::new(USUAL_BINARY))
}

/// Examines this host for the program at `binary`, which remedies name where they must.
#[must_use]
pub fn doctor_for(binary: &Path) -> Vec<Finding> {
    let facts = Facts::probe().ok();
    let privileged = facts.as_ref().is_some_and(|facts| facts.privileged);
    // The one text that can be had without /proc.
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let ground = Ground { release, ..Ground::read(privileged, &|path| std::fs::read_to_string(path).ok()) };
    let mut findings = Vec::with_capacity(48);
    if facts.is_none() {
        findings.push(Finding::missing(
            "/proc",
            "it is not mounted, or parts of it cannot be read",
            "no sandbox can be made, and the lines below know less than they could",
            "mount -t proc proc /proc",
        ));
    }
    findings.extend(calls::findings(&ground));
    findings.extend(namespaces::findings(&ground, binary));
    findings.extend(facts.iter().map(|facts| id_maps::finding(facts, &ground)));
    findings.extend(mounts::findings(facts.as_ref(), &ground, binary));
    findings.extend(walls::findings(&ground));
    findings.extend(facts.iter().flat_map(|facts| groups::findings(&facts.cgroups, &ground)));
    findings.extend(runs::findings(&ground, binary));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_examined_and_nothing_wrong_goes_without_cost_and_remedy() {
        let findings = doctor_for(Path::new("/opt/enclos"));
        for word in
            ["kernel", "user namespace", "seccomp", "Landlock", "overlay", "pidfd", "clone3", "memory controller", "pids controller"]
        {
            assert!(findings.iter().any(|finding| finding.subject.contains(word)), "{word} is missing: {findings:#?}");
        }
        for finding in &findings {
            let Finding { subject, detail, cost, remedy, state } = finding;
            assert!(!subject.is_empty() && !detail.is_empty(), "{finding:?}");
            assert_eq!(*state == State::Ok, cost.is_empty() && remedy.is_empty(), "{finding:?}");
            assert_eq!(cost.is_empty(), remedy.is_empty(), "{finding:?}");
            assert!(![subject, detail, cost, remedy].iter().any(|text| text.contains('\n')), "a line is one line: {finding:?}");
        }
        let mut subjects: Vec<_> = findings.iter().map(|finding| &finding.subject).collect();
        subjects.sort();
        subjects.dedup();
        assert_eq!(subjects.len(), findings.len(), "each thing has one line: {findings:#?}");
    }

    #[test]
    fn the_lines_agree_with_each_other() {
        let findings = doctor();
        let state = |subject: &str| findings.iter().find(|finding| finding.subject == subject).map(|finding| finding.state);
        if state("a sandbox, by default") == Some(State::Ok) {
            for needed in ["clone3", "user namespaces", "mount namespaces", "pid namespaces", "fresh /proc", "tmpfs in a user namespace"] {
                assert_eq!(state(needed), Some(State::Ok), "a sandbox was made: {findings:#?}");
            }
        }
        if state("a sandbox with an overlay") == Some(State::Ok) {
            assert_ne!(state("overlay in a user namespace"), Some(State::Missing), "{findings:#?}");
        }
    }

    /// The first test of this file again, as nobody: an ordinary user without subordinate ids. Where the tests run as an ordinary user that one is enough.
    #[test]
    fn an_ordinary_user_is_examined_too() {
        use std::os::unix::fs::PermissionsExt;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // Where the test binary lies, nobody may not be allowed to go.
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("tests");
        std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        for path in [directory.path(), &binary] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let name = "this_host_is_examined_and_nothing_wrong_goes_without_cost_and_remedy";
        let output = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&binary)
            .args(["--exact", &format!("probe::doctor::tests::{name}")])
            .current_dir("/")
            .output()
            .expect("setpriv, of util-linux");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_finding_is_json_with_plain_words() {
        let finding = Finding::weak("a", "b", "c", "d");
        let json = serde_json::to_string(&finding).unwrap();
        assert_eq!(json, r#"{"subject":"a","state":"weak","detail":"b","cost":"c","remedy":"d"}"#);
    }
}
