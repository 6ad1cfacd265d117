//! Namespaces, one by one, each made and used.

use std::path::Path;

use enclos_sys::clone::NamespaceFlags as N;

use super::acts::{self, Act};
use super::attempt::{Refusal, attempt};
use super::finding::Finding;
use super::ground::{FEW, Ground, lasting_sysctl};

struct Kind {
    subject: &'static str,
    /// Middle part of the sysctl `user.max_*_namespaces`.
    sysctl: &'static str,
    flags: N,
    act: Act,
    cost: &'static str,
}

const NOTHING_RUNS: &str = "no sandbox can be made";

const KINDS: [Kind; 7] = [
    Kind { subject: "user namespaces", sysctl: "user", flags: N::USER, act: acts::use_capability, cost: NOTHING_RUNS },
    Kind { subject: "mount namespaces", sysctl: "mnt", flags: N::USER.and(N::MOUNT), act: acts::separate_mounts, cost: NOTHING_RUNS },
    Kind { subject: "pid namespaces", sysctl: "pid", flags: N::USER.and(N::PID), act: acts::be_first, cost: NOTHING_RUNS },
    Kind {
        subject: "network namespaces",
        sysctl: "net",
        flags: N::USER.and(N::NET),
        act: acts::loopback,
        cost: "no sandbox can be made without the host's network: only --net host runs",
    },
    Kind { subject: "ipc namespaces", sysctl: "ipc", flags: N::USER.and(N::IPC), act: acts::nothing, cost: NOTHING_RUNS },
    Kind { subject: "uts namespaces", sysctl: "uts", flags: N::USER.and(N::UTS), act: acts::set_host_name, cost: NOTHING_RUNS },
    Kind { subject: "cgroup namespaces", sysctl: "cgroup", flags: N::USER, act: acts::cgroup_namespace, cost: NOTHING_RUNS },
];

/// One line for each kind.
pub fn findings(ground: &Ground, binary: &Path) -> Vec<Finding> {
    KINDS.iter().map(|kind| finding(kind, attempt(kind.flags, kind.act), ground, binary)).collect()
}

fn finding(kind: &Kind, tried: Result<(), Refusal>, ground: &Ground, binary: &Path) -> Finding {
    let sysctl = format!("user.max_{}_namespaces", kind.sysctl);
    match (tried, ground.limit(kind.sysctl)) {
        (Ok(()), Some(limit)) if limit < FEW => Finding::weak(
            kind.subject,
            format!("usable; at most {limit} at once ({sysctl})"),
            format!("no more than {limit} sandboxes at once for each user"),
            lasting_sysctl(&sysctl, "15000"),
        ),
        (Ok(()), limit) => {
            let mut detail = limit.map_or("usable".to_owned(), |limit| format!("usable; at most {limit} at once ({sysctl})"));
            if kind.sysctl == "user" && ground.apparmor_restricts && !ground.privileged {
                detail += "; AppArmor restricts them, and lets this program";
            }
            Finding::ok(kind.subject, detail)
        }
        (Err(refusal), _) => {
            let (why, remedy) = ground.blame(&refusal, kind.sysctl, binary);
            let detail = if why.is_empty() { refusal.to_string() } else { format!("{refusal}: {why}") };
            Finding::missing(kind.subject, detail, kind.cost, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;
    use enclos_sys::Errno;

    fn user(tried: Result<(), Refusal>, ground: &Ground) -> Finding {
        finding(&KINDS[0], tried, ground, Path::new("/usr/bin/enclos"))
    }

    #[test]
    fn a_refusal_names_cause_cost_and_remedy() {
        let ground = Ground { clone_forbidden: true, ..Ground::default() };
        let found = user(Err(Refusal::Clone(Errno::PERM)), &ground);
        assert_eq!(found.state, State::Missing);
        assert_eq!(found.detail, "clone3: Operation not permitted: kernel.unprivileged_userns_clone is 0");
        assert_eq!(found.cost, NOTHING_RUNS);
        assert!(found.remedy.contains("kernel.unprivileged_userns_clone = 1"), "{}", found.remedy);
    }

    #[test]
    fn few_of_them_is_weak_and_plenty_is_well() {
        let with = |limit| Ground { limits: vec![("user", limit)], ..Ground::default() };
        assert_eq!(user(Ok(()), &with(10)).state, State::Weak);
        assert_eq!(user(Ok(()), &with(10)).cost, "no more than 10 sandboxes at once for each user");
        assert_eq!(user(Ok(()), &with(95_000)), Finding::ok("user namespaces", "usable; at most 95000 at once (user.max_user_namespaces)"));
    }

    #[test]
    fn ubuntu_with_the_profile_in_place_is_well_and_says_why() {
        let ground = Ground { apparmor_restricts: true, ..Ground::default() };
        let found = user(Ok(()), &ground);
        assert_eq!(found.state, State::Ok);
        assert!(found.detail.ends_with("AppArmor restricts them, and lets this program"), "{}", found.detail);
    }
}
