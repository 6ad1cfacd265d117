//! The planner on hosts other than this one: shown only some of its control groups.

use enclos_sandbox::plan::{By, Wants, plan};
use enclos_sandbox::probe::{Facts, Restrict};
use enclos_sandbox::spec::Policy;

fn on(restrict: Restrict, text: &str) -> Result<enclos_sandbox::plan::Planned, enclos_sandbox::Error> {
    plan(&Policy::from_toml(text).unwrap(), &Facts::probe_restricted(restrict).unwrap(), Wants::default())
}

#[test]
fn without_control_groups_a_memory_limit_is_refused_by_name() {
    let error = on(Restrict::NoCgroups, "memory = '64M'").unwrap_err().to_string();
    assert!(error.starts_with("memory: this host cannot enforce it") && error.contains("--best-effort"), "{error}");
}

#[test]
fn best_effort_takes_what_there_is_and_says_so() {
    let planned = on(Restrict::NoCgroups, "memory = '64M'\nbest-effort = true").unwrap();
    assert_eq!(planned.limits.memory.unwrap().by, By::Rlimit);
    assert!(planned.weakened.iter().any(|line| line.starts_with("memory: ")), "{:?}", planned.weakened);
}

#[test]
fn without_control_groups_processes_are_held_by_the_kernels_own_count() {
    let planned = on(Restrict::NoCgroups, "processes = 7").unwrap();
    assert_eq!(planned.limits.processes.unwrap().by, By::Rlimit);
}

#[test]
fn a_default_run_needs_nothing_that_a_bare_host_lacks() {
    for restrict in [Restrict::Nothing, Restrict::V1Only, Restrict::V2Only, Restrict::NoCgroups] {
        on(restrict, "").unwrap();
    }
}

#[test]
fn root_gets_ids_that_nobody_else_alive_has() {
    let (one, two) = (on(Restrict::Nothing, "").unwrap(), on(Restrict::Nothing, "").unwrap());
    if one.lease.is_none() {
        eprintln!("SKIP: root_gets_ids_that_nobody_else_alive_has: not root");
        return;
    }
    assert_ne!(one.plan.identity.uid_map, two.plan.identity.uid_map);
}

#[test]
fn bad_values_name_the_field() {
    for (text, field) in [
        ("hostname = 'a b'", "hostname"),
        ("uid = 65533", "uid"),
        ("wall = '0s'", "wall"),
        ("memory = '1K'", "memory"),
        ("ro = ['x']", "ro"),
    ] {
        let error = on(Restrict::Nothing, text).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}
