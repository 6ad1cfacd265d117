//! Control groups: what `enclos-cgroup` says of each controller, and a group made to see the rest.

use std::time::Duration;

use enclos_cgroup::{CgroupError, Controller, Group, Host, Limits, Meters, Name, Reading};

use super::acts;
use super::attempt::{Setting, attempt_in};
use super::finding::Finding;
use super::ground::{Ground, REPORT};

/// One line for each tree, each controller, and each thing a group can do.
pub fn findings(host: &Host, ground: &Ground) -> Vec<Finding> {
    let mut findings: Vec<Finding> = host.findings().into_iter().map(Finding::from).collect();
    match make(host) {
        Ok(mut group) => {
            findings.extend(birth(&group, ground));
            findings.push(freezing(host, &group));
            findings.extend(peaks(&group));
            findings.push(pressure(&group, std::fs::read("/proc/pressure/memory").map(drop)));
            if let Err(error) = group.remove() {
                findings.push(Finding::weak("removing a group", error.to_string(), "an empty group stays behind after a run", REPORT));
            }
        }
        Err(error) => findings.push(Finding::missing(
            "making a group",
            error.to_string(),
            "no run that measures, and none with a limit on memory, processes or CPU time",
            "as for the controllers above; where a limit on groups is reached: raise cgroup.max.descendants of a group above ours",
        )),
    }
    findings
}

fn make(host: &Host) -> Result<Group, CgroupError> {
    let name = Name::fresh().map_err(|errno| CgroupError::Io {
        action: "name",
        path: "/proc/self/stat".into(),
        errno: crate::launch::idmap::errno_of(&errno),
    })?;
    let freeze = host.place(Controller::Freezer).is_ok();
    host.create(&name, &Limits { meters: Meters::ALL, freeze, ..Limits::default() })
}

/// A process born in the group: `CLONE_INTO_CGROUP`.
fn birth(group: &Group, ground: &Ground) -> Option<Finding> {
    const SUBJECT: &str = "birth in a group (CLONE_INTO_CGROUP)";
    let setting = Setting { group: Some(group.v2_dir()?), ..Setting::default() };
    Some(match attempt_in(&setting, acts::nothing) {
        Ok(()) => Finding::ok(SUBJECT, "usable"),
        Err(refusal) => Finding::missing(
            SUBJECT,
            refusal.to_string(),
            "no run that measures, and none with a limit that the v2 tree holds",
            if refusal.is_denial() {
                "start from a group that you may move processes within: systemd-run --user --scope -p Delegate=yes -- enclos …".to_owned()
            } else {
                ground.missing_call("5.7")
            },
        ),
    })
}

fn freezing(host: &Host, group: &Group) -> Finding {
    const SUBJECT: &str = "freeze a whole group";
    let cost = "a sandbox cannot be frozen and thawed";
    if let Err(missing) = host.place(Controller::Freezer) {
        return Finding::weak(SUBJECT, missing.to_string(), cost, "as for the freezer controller");
    }
    match group.freeze(Duration::from_secs(1)).and_then(|()| group.thaw()) {
        Ok(()) => Finding::ok(SUBJECT, "frozen and thawed"),
        Err(error) => Finding::weak(SUBJECT, error.to_string(), cost, "run Linux 5.2 or later with a v2 tree"),
    }
}

/// Peaks that the kernel keeps; where there is no controller its own line says so.
fn peaks(group: &Group) -> Vec<Finding> {
    let usage = match group.usage() {
        Ok(usage) => usage,
        Err(error) => {
            return vec![Finding::weak("meters", error.to_string(), "reports lack what the group has used", REPORT)];
        }
    };
    [("memory peak", usage.memory_peak, "5.19"), ("process peak", usage.pids_peak, "6.1")]
        .into_iter()
        .filter_map(|(subject, reading, since)| reading.map(|reading| peak(subject, reading, since)))
        .collect()
}

fn peak(subject: &str, reading: Reading, since: &str) -> Finding {
    if reading.source.contains("highest sample") {
        return Finding::weak(
            subject,
            reading.source,
            "the report gives the highest value that was sampled; a short peak may be missed",
            format!("run Linux {since} or later"),
        );
    }
    Finding::ok(subject, reading.source)
}

const PRESSURE: &str = "pressure (PSI)";
const UNKNOWN_WAITS: &str = "reports do not say how long a command waited for CPU, memory and disks";

fn pressure(group: &Group, of_host: std::io::Result<()>) -> Finding {
    match group.pressure() {
        Ok(pressure) if pressure.memory.is_some() => Finding::ok(PRESSURE, "cpu, memory and io of each group"),
        Err(error) => Finding::weak(PRESSURE, error.to_string(), UNKNOWN_WAITS, REPORT),
        Ok(_) if group.v2_dir().is_none() => Finding::weak(
            PRESSURE,
            "no group of ours in a v2 tree, which alone measures it",
            UNKNOWN_WAITS,
            "start where groups can be made in a v2 tree: systemd-run --user --scope -p Delegate=yes -- enclos …; as root without --user",
        ),
        Ok(_) => no_pressure(of_host),
    }
}

fn no_pressure(of_host: std::io::Result<()>) -> Finding {
    match of_host {
        Ok(()) => Finding::weak(
            PRESSURE,
            "of the whole host, not of a group",
            UNKNOWN_WAITS,
            "switch it on in the group we start from: echo 1 > cgroup.pressure",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::weak(
            PRESSURE,
            "the kernel does not measure it",
            UNKNOWN_WAITS,
            "boot with the kernel parameter psi=1, or run a kernel with CONFIG_PSI=y",
        ),
        Err(_) => Finding::weak(PRESSURE, "built into the kernel, but off", UNKNOWN_WAITS, "boot with the kernel parameter psi=1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_sampled_peak_is_weaker_than_one_the_kernel_keeps() {
        let sampled = peak("memory peak", Reading { value: 1, source: "cgroup v2 memory.current, highest sample" }, "5.19");
        assert_eq!((sampled.state, sampled.remedy.as_str()), (State::Weak, "run Linux 5.19 or later"));
        let kept = peak("memory peak", Reading { value: 1, source: "cgroup v2 memory.peak" }, "5.19");
        assert_eq!(kept, Finding::ok("memory peak", "cgroup v2 memory.peak"));
    }

    #[test]
    fn pressure_that_is_off_and_pressure_that_is_not_there() {
        assert!(no_pressure(Err(Error::from(ErrorKind::NotFound))).remedy.contains("CONFIG_PSI"));
        assert_eq!(no_pressure(Err(Error::from_raw_os_error(95))).detail, "built into the kernel, but off");
        assert!(no_pressure(Ok(())).remedy.contains("cgroup.pressure"));
    }
}
