//! What a group limits and measures, and how that is written to it.

use crate::{Controller, ControllerSet};

/// What a group is to limit and to measure. The default limits and measures nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory and swap together, in bytes; the kernel rounds down to whole pages.
    pub memory: Option<u64>,
    /// Tasks alive at once. Threads count, and so does the sandbox's init.
    pub pids: Option<u64>,
    /// CPUs the group may use, by number.
    pub cpus: Option<Vec<usize>>,
    /// CPU time in each tenth of a second, µs, for all tasks together.
    pub cpu_quota: Option<u64>,
    /// Weight against others, as v1's `cpu.shares`: 2 to 262144, usually 1024.
    pub cpu_shares: Option<u64>,
    /// What is measured even where nothing limits it. What this host cannot measure is named by [`Group::unmetered`](crate::Group::unmetered).
    pub meters: Meters,
    /// Whether [`Group::freeze`](crate::Group::freeze) must work.
    pub freeze: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meters {
    /// CPU time of all processes that ever were in the group.
    pub cpu: bool,
    /// Memory now and at its highest.
    pub memory: bool,
    /// Tasks now and at their highest.
    pub pids: bool,
}

impl Meters {
    /// Everything.
    pub const ALL: Meters = Meters { cpu: true, memory: true, pids: true };
}

impl Limits {
    /// Controllers without which the group must not be made.
    pub(crate) fn required(&self) -> ControllerSet {
        choose([
            (Controller::Memory, self.memory.is_some()),
            (Controller::Pids, self.pids.is_some()),
            (Controller::Cpu, self.cpu_quota.is_some() || self.cpu_shares.is_some()),
            (Controller::CpuSet, self.cpus.is_some()),
            (Controller::Freezer, self.freeze),
        ])
    }

    /// Controllers that only measure.
    pub(crate) fn wanted(&self) -> ControllerSet {
        choose([(Controller::CpuAcct, self.meters.cpu), (Controller::Memory, self.meters.memory), (Controller::Pids, self.meters.pids)])
    }
}

fn choose<const N: usize>(controllers: [(Controller, bool); N]) -> ControllerSet {
    controllers.into_iter().filter_map(|(controller, chosen)| chosen.then_some(controller)).collect()
}

/// The highest number `pids.max` takes (`PID_MAX_LIMIT`); a higher one can never be reached.
const PIDS_MAX: u64 = 1 << 22;

/// The text of a limit on tasks; `None` lifts it.
pub(crate) fn pids_value(limit: Option<u64>) -> String {
    limit.map_or_else(|| "max".to_owned(), |n| n.min(PIDS_MAX).to_string())
}

/// The text of a limit on memory; `None` lifts it.
pub(crate) fn memory_value(limit: Option<u64>, version: crate::Version) -> String {
    match (limit, version) {
        (Some(bytes), _) => bytes.to_string(),
        (None, crate::Version::V2) => "max".to_owned(),
        (None, crate::Version::V1) => "-1".to_owned(),
    }
}

/// The period that a quota of CPU time is for, µs: the kernel's default.
pub(crate) const CPU_PERIOD: u64 = 100_000;

/// What a v1 share comes to as a v2 weight (1 to 10000). The curve that runc and crun have come to: it joins the ends
/// of both ranges and what is usual, 1024 and 100; a straight line between the ends makes 39 of 1024, so that who asks for what is usual gets less.
pub(crate) fn cpu_weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

/// The text form of `cpuset(7)`: `0-1,3`.
pub(crate) fn cpu_list(cpus: &[usize]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut text = String::new();
    let mut rest = sorted.as_slice();
    while let Some(&first) = rest.first() {
        let length = rest.iter().zip(first..).take_while(|(cpu, expected)| *cpu == expected).count();
        let comma = if text.is_empty() { "" } else { "," };
        text += &match length {
            1 => format!("{comma}{first}"),
            _ => format!("{comma}{first}-{}", first + length - 1),
        };
        rest = &rest[length..];
    }
    text
}

/// Whether the host has swap in use; asked only where swap is not counted.
pub(crate) fn host_swaps() -> bool {
    // The first line is a heading.
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_folded_into_ranges() {
        for (cpus, text) in [(&[][..], ""), (&[3], "3"), (&[3, 0, 1, 1], "0-1,3"), (&[0, 2, 4, 5, 6], "0,2,4-6")] {
            assert_eq!(cpu_list(cpus), text);
        }
    }

    #[test]
    fn shares_and_weights_have_the_same_ends() {
        assert_eq!([2, 256, 1024, 2048, 262_144, 0, u64::MAX].map(cpu_weight), [1, 35, 100, 174, 10_000, 1, 10_000]);
    }

    #[test]
    fn a_limit_no_host_can_reach_is_still_one_the_kernel_takes() {
        assert_eq!(pids_value(Some(u64::MAX)), "4194304");
        assert_eq!(pids_value(Some(20)), "20");
        assert_eq!(pids_value(None), "max");
        assert_eq!(memory_value(None, crate::Version::V1), "-1");
    }

    #[test]
    fn a_limit_requires_its_controller_and_a_meter_only_wants_it() {
        let limits = Limits { memory: Some(1), meters: Meters::ALL, ..Limits::default() };
        assert_eq!(limits.required().to_string(), "memory");
        assert_eq!(limits.wanted().to_string(), "memory, pids, cpuacct");
        assert!(Limits::default().required().union(Limits::default().wanted()).is_empty());
    }
}
