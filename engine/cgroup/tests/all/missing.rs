//! What this host cannot do is refused by name, never dropped.

use enclos_cgroup::{CgroupError, Controller, Host, Limits, Meters, Missing, Name, ProcView, Restrict};

use crate::real::{hosts, make};

fn without_cgroups() -> Host {
    Host::detect(&ProcView::read().unwrap().restricted(Restrict::NoCgroups))
}

#[test]
fn each_limit_without_its_controller_is_an_error_that_names_it() {
    let host = without_cgroups();
    for (controller, limits) in [
        (Controller::Memory, Limits { memory: Some(1 << 20), ..Limits::default() }),
        (Controller::Pids, Limits { pids: Some(1), ..Limits::default() }),
        (Controller::CpuSet, Limits { cpus: Some(vec![0]), ..Limits::default() }),
        (Controller::Freezer, Limits { freeze: true, ..Limits::default() }),
    ] {
        let error = host.create(&Name::fresh().unwrap(), &limits).unwrap_err();
        assert_eq!(error.to_string(), format!("the {controller} controller is missing: not mounted"));
        assert!(matches!(error, CgroupError::MissingController { reason: Missing::NotMounted, .. }));
    }
}

#[test]
fn meters_without_a_controller_are_named_and_their_figures_absent() {
    let mut group = make(&without_cgroups(), &Limits { meters: Meters::ALL, ..Limits::default() });
    assert!(group.is_nowhere());
    let missing: Vec<Controller> = group.unmetered().iter().map(|(controller, _)| *controller).collect();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert_eq!(group.usage().unwrap(), enclos_cgroup::Usage::default());
    assert!(group.cpu_usec().is_err(), "no clock is an error, not 0");
    assert!(group.kill().is_err() && group.freeze(std::time::Duration::ZERO).is_err() && group.populated().is_err());
    assert!(group.set_memory(Some(1)).is_err() && group.set_pids(Some(1)).is_err());
    assert!(group.oom_watch().unwrap().is_none() && group.v2_dir().is_none() && group.v1_tasks().is_empty());
    group.remove().unwrap();
}

#[test]
fn a_failed_limit_leaves_nothing_behind() {
    for host in hosts("a_failed_limit_leaves_nothing_behind", &[Controller::CpuAcct, Controller::CpuSet]) {
        let name = Name::fresh().unwrap();
        let limits = Limits { cpus: Some(vec![1_000_000]), meters: Meters::ALL, ..Limits::default() };
        let error = host.create(&name, &limits).unwrap_err();
        assert!(matches!(error, CgroupError::Write { .. }), "{error}");
        for controller in Controller::ALL {
            if let Ok(place) = host.place(controller) {
                assert!(!place.parent.join(name.as_str()).exists());
            }
        }
    }
}

#[test]
fn the_doctor_agrees_with_what_can_be_made() {
    for host in hosts("the_doctor_agrees_with_what_can_be_made", &[]) {
        for finding in host.findings() {
            let Some(controller) = Controller::ALL.into_iter().find(|c| finding.subject == format!("{c} controller")) else { continue };
            match host.place(controller) {
                Ok(place) => {
                    assert_ne!(finding.state, enclos_cgroup::State::Missing, "{finding:?}");
                    assert!(finding.detail.contains(place.parent.to_str().unwrap()), "{finding:?}");
                }
                Err(missing) => {
                    assert_ne!(finding.state, enclos_cgroup::State::Ok, "{finding:?}");
                    assert_eq!(finding.detail, missing.to_string());
                    assert!(!finding.remedy.is_empty() && !finding.cost.is_empty(), "{finding:?}");
                }
            }
        }
    }
}
