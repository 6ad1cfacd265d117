//! Which ids a sandbox can have.

use std::path::Path;

use enclos_spec::{Bound, Ids, Policy, Seccomp, Switch};
use enclos_sys::Errno;
use enclos_sys::clone::NamespaceFlags;

use super::acts;
use super::attempt::{Refusal, Setting, attempt_in};
use super::finding::Finding;
use super::ground::{Ground, REPORT};
use crate::plan::{Wants, plan};
use crate::probe::{Facts, ids};

const SUBJECT: &str = "id maps";

/// One line.
pub fn finding(facts: &Facts, ground: &Ground) -> Finding {
    if facts.privileged { of_root(facts) } else { of_user(facts, ground) }
}

fn of_root(facts: &Facts) -> Finding {
    let Some((first, ranges)) = ids::room(&facts.own_ids) else {
        let own = facts.own_ids.iter().map(|r| format!("{}-{}", r.inside, r.inside.saturating_add(r.count.saturating_sub(1))));
        return Finding::weak(
            SUBJECT,
            format!("this user namespace has the ids {} and none to give away", own.collect::<Vec<_>>().join(", ")),
            "every command runs under the id of the caller, root of this container, and sandboxes alive at the same time share it",
            "give the container more ids: podman run --userns=auto:size=1048576; docker: userns-remap with a range of 1048576 in /etc/subuid and \
             /etc/subgid",
        );
    };
    match ids::lease(&facts.own_ids) {
        Ok(lease) => Finding::ok(
            SUBJECT,
            format!("{ranges} ranges of {} ids from {first}, one for each sandbox; {} is free", ids::RANGE, lease.base),
        ),
        Err(error) => match error.failure().map(|failure| failure.errno) {
            Some(Errno::USERS) => Finding::weak(
                SUBJECT,
                error.to_string(),
                "no further sandbox can be made until one ends",
                "end sandboxes, or give this user namespace more ids",
            ),
            _ => Finding::missing(
                SUBJECT,
                error.to_string(),
                "no sandbox can be made as root: ranges of ids are reserved in /run/enclos",
                "make /run writable: mount -t tmpfs -o mode=755 tmpfs /run (docker run --tmpfs /run), or run enclos as an ordinary user",
            ),
        },
    }
}

fn of_user(facts: &Facts, ground: &Ground) -> Finding {
    // The planner's own choice, so that what is tried is what a run does.
    let policy =
        Policy { ids: Ids::Range, processes: Some(Bound::Unlimited), seccomp: Seccomp::None, landlock: Switch::Off, ..Policy::default() };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let tables = Tables {
        name: ids::user_name(&read("/etc/passwd"), facts.uid).map(str::to_owned),
        id: facts.uid,
        subuid: read("/etc/subuid"),
        subgid: read("/etc/subgid"),
    };
    match plan(&policy, facts, Wants::default()) {
        Ok(planned) => {
            let setting = Setting { namespaces: NamespaceFlags::USER, identity: Some(&planned.plan.identity), group: None };
            tried(attempt_in(&setting, acts::nothing), &planned.identity, ground)
        }
        Err(_) if facts.uid == 0 => Finding::weak(
            SUBJECT,
            "root without CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID is treated as an ordinary user, and has no range in /etc/subuid",
            OWN_ID,
            "give it those capabilities (docker run --cap-add SYS_ADMIN), or run enclos as an ordinary user with a range",
        ),
        Err(_) => {
            let installed = |program: &str| ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|d| Path::new(d).join(program).is_file());
            no_range(&tables, installed("newuidmap") && installed("newgidmap"))
        }
    }
}

const OWN_ID: &str =
    "commands run under your own id: they count as yours, sandboxes alive at the same time share it, and --ids range is refused";

fn tried(answer: Result<(), Refusal>, words: &str, ground: &Ground) -> Finding {
    match answer {
        Ok(()) => Finding::ok(SUBJECT, format!("{words}, mapped by newuidmap")),
        Err(refusal) if ground.no_new_privileges => Finding::missing(
            SUBJECT,
            format!("{words}: {refusal}: no_new_privs is set, so newuidmap gets no rights"),
            "no sandbox can be made but with --ids own",
            "start enclos without no_new_privs (systemd: NoNewPrivileges=no; docker run without --security-opt no-new-privileges), or use --ids own",
        ),
        Err(Refusal::Maps(failure)) => Finding::missing(
            SUBJECT,
            format!("{words}: {failure}"),
            "no sandbox can be made but with --ids own",
            "give newuidmap and newgidmap back their rights: apt-get install --reinstall uidmap, or chmod u+s /usr/bin/newuidmap \
             /usr/bin/newgidmap; and compare /etc/subuid, /etc/subgid with newuidmap(1)",
        ),
        Err(refusal @ (Refusal::Clone(_) | Refusal::Act(_) | Refusal::Killed(_))) => Finding::missing(
            SUBJECT,
            format!("{words}: cannot be tried: {refusal}"),
            "no sandbox can be made",
            if refusal.is_denial() { "as for user namespaces".to_owned() } else { format!("as for user namespaces; else {REPORT}") },
        ),
    }
}

/// What decides whether a user has a range.
struct Tables {
    name: Option<String>,
    id: u32,
    subuid: String,
    subgid: String,
}

fn no_range(tables: &Tables, installed: bool) -> Finding {
    let name = tables.name.clone().unwrap_or_else(|| tables.id.to_string());
    let has = |table: &str| ids::subordinate(table, tables.name.as_deref(), tables.id).is_some();
    let mut lacking = Vec::new();
    let mut remedies = Vec::new();
    for (table, path, flag) in [(&tables.subuid, "/etc/subuid", "--add-subuids"), (&tables.subgid, "/etc/subgid", "--add-subgids")] {
        if !has(table) {
            let first = free_range(table);
            lacking.push(format!("{path} has no range of {} ids for {name}", ids::RANGE));
            remedies.push(match tables.name {
                Some(_) => format!("usermod {flag} {first}-{} {name}", first + (ids::RANGE - 1)),
                // usermod knows names only.
                None => format!("echo {name}:{first}:{} >> {path}", ids::RANGE),
            });
        }
    }
    if !installed {
        lacking.push("newuidmap and newgidmap are not installed".to_owned());
        remedies.push("apt-get install uidmap (Fedora: dnf install shadow-utils; Arch: shadow)".to_owned());
    }
    if remedies.is_empty() {
        remedies.push(REPORT.to_owned());
    }
    Finding::weak(SUBJECT, format!("your own id alone: {}", lacking.join("; ")), OWN_ID, format!("as root: {}", remedies.join(" && ")))
}

/// First id of a range that no line of a subuid(5) table overlaps.
fn free_range(table: &str) -> u32 {
    let ends = table.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1).map(str::parse::<u32>);
        fields.next()?.ok()?.checked_add(fields.next()?.ok()?)
    });
    let above = ends.max().unwrap_or(0).max(100_000);
    // Past the end of the id space: the administrator must find room.
    if above < u32::MAX - ids::RANGE { above } else { 100_000 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;
    use crate::{Failure, Stage};

    fn tables(name: Option<&str>, subuid: &str, subgid: &str) -> Tables {
        Tables { name: name.map(str::to_owned), id: 1000, subuid: subuid.to_owned(), subgid: subgid.to_owned() }
    }

    #[test]
    fn a_user_without_ranges_gets_the_commands_that_add_them() {
        let found = no_range(&tables(Some("ada"), "bob:100000:65536\n", ""), false);
        assert_eq!(found.state, State::Weak);
        assert_eq!(
            found.remedy,
            "as root: usermod --add-subuids 165536-231071 ada && usermod --add-subgids 100000-165535 ada && apt-get install uidmap (Fedora: \
             dnf install shadow-utils; Arch: shadow)"
        );
    }

    #[test]
    fn only_what_is_lacking_is_named() {
        let whole = "ada:100000:65536\n";
        let found = no_range(&tables(Some("ada"), whole, whole), false);
        assert_eq!(found.detail, "your own id alone: newuidmap and newgidmap are not installed");
        let found = no_range(&tables(Some("ada"), whole, "ada:100000:10\n"), true);
        assert_eq!(found.remedy, "as root: usermod --add-subgids 100010-165545 ada");
        let found = no_range(&tables(None, "", ""), true);
        assert!(found.remedy.starts_with("as root: echo 1000:100000:65536 >> /etc/subuid && "), "{}", found.remedy);
    }

    #[test]
    fn no_new_privileges_is_named_as_the_reason() {
        let failure = Failure::about(Stage::MapIds, Errno::PERM, "newuidmap: write to uid_map failed: Operation not permitted");
        let refused = || Err(Refusal::Maps(failure.clone()));
        let found = tried(refused(), "a range", &Ground { no_new_privileges: true, ..Ground::default() });
        assert!(found.detail.contains("no_new_privs") && found.remedy.contains("--ids own"), "{found:?}");
        let found = tried(refused(), "a range", &Ground::default());
        assert!(found.remedy.contains("uidmap"), "{found:?}");
    }

    proptest::proptest! {
        #[test]
        fn a_free_range_overlaps_no_line(lines: Vec<(u32, u32)>) {
            let table: String = lines.iter().map(|(first, count)| format!("u:{first}:{count}\n")).collect();
            let free = u64::from(free_range(&table));
            let room = lines.iter().all(|(first, count)| u64::from(*first) + u64::from(*count) < u64::from(u32::MAX - ids::RANGE));
            let overlaps = lines.iter().any(|(first, count)| {
                let (first, end) = (u64::from(*first), u64::from(*first) + u64::from(*count));
                free < end && first < free + u64::from(ids::RANGE)
            });
            proptest::prop_assert!(!room || !overlaps);
        }
    }
}
