//! The controllers Enclos knows, and small sets of them.

use std::fmt;

/// A resource controller of `cgroups(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Limits and counts memory: anonymous, page cache, tmpfs, kernel, swap.
    Memory,
    /// Limits and counts tasks (threads count, as for `RLIMIT_NPROC`).
    Pids,
    /// Weights and quotas of CPU time.
    Cpu,
    /// Counts CPU time. On v2 this is no controller but part of every group (`cpu.stat`).
    CpuAcct,
    /// Binds to CPUs and memory nodes.
    CpuSet,
    /// Stops and resumes. On v2 this is no controller but part of every group (`cgroup.freeze`).
    Freezer,
    /// Limits and counts block I/O (`blkio` on v1).
    Io,
}

impl Controller {
    /// Every controller, in the order they are reported.
    pub const ALL: [Controller; 7] = [
        Controller::Memory,
        Controller::Pids,
        Controller::Cpu,
        Controller::CpuAcct,
        Controller::CpuSet,
        Controller::Freezer,
        Controller::Io,
    ];

    /// Its name as a v1 mount option and in `/proc/self/cgroup`.
    #[must_use]
    pub const fn v1_name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
            Controller::CpuAcct => "cpuacct",
            Controller::CpuSet => "cpuset",
            Controller::Freezer => "freezer",
            Controller::Io => "blkio",
        }
    }

    /// Its name in v2's `cgroup.controllers`; `None` where every v2 group can do it without a controller.
    #[must_use]
    pub const fn v2_name(self) -> Option<&'static str> {
        match self {
            Controller::CpuAcct | Controller::Freezer => None,
            Controller::Io => Some("io"),
            other => Some(other.v1_name()),
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Controller::Io => "io",
            other => other.v1_name(),
        })
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ControllerSet(u8);

impl ControllerSet {
    /// The empty set.
    pub const NONE: ControllerSet = ControllerSet(0);

    /// What every v2 group does without a controller.
    pub const V2_CORE: ControllerSet = ControllerSet(Controller::CpuAcct.bit() | Controller::Freezer.bit());

    /// As a number, to be written down.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// What a number stands for; bits of no controller are left out.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Controller::ALL.into_iter().filter(|controller| bits & controller.bit() != 0).collect()
    }

    /// The set with `controller` added.
    #[must_use]
    pub const fn with(self, controller: Controller) -> Self {
        ControllerSet(self.0 | controller.bit())
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        ControllerSet(self.0 | other.0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        ControllerSet(self.0 & !other.0)
    }

    /// Whether `controller` is in it.
    #[must_use]
    pub const fn has(self, controller: Controller) -> bool {
        self.0 & controller.bit() != 0
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, in the order of [`Controller::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(move |c| self.has(*c))
    }

    /// The known names in a list separated by `separator`, each found by `name`.
    fn parse(list: &[u8], separator: u8, name: impl Fn(Controller) -> Option<&'static str>) -> Self {
        list.split(|b| *b == separator)
            .filter_map(|word| Controller::ALL.into_iter().find(|c| name(*c).is_some_and(|n| n.as_bytes() == word.trim_ascii())))
            .collect()
    }

    /// Reads a v1 list such as `rw,cpu,cpuacct`; unknown words are passed over.
    pub(crate) fn from_v1(list: &[u8]) -> Self {
        Self::parse(list, b',', |c| Some(c.v1_name()))
    }

    /// Reads a v2 list such as `cpuset cpu io memory`; unknown words are passed over.
    pub(crate) fn from_v2(list: &[u8]) -> Self {
        Self::parse(list, b' ', Controller::v2_name)
    }

    /// What to write to `cgroup.subtree_control` to enable (`+`) or disable (`-`) this set.
    pub(crate) fn v2_request(self, sign: char) -> String {
        self.iter().filter_map(Controller::v2_name).map(|name| format!("{sign}{name}")).collect::<Vec<_>>().join(" ")
    }
}

impl FromIterator<Controller> for ControllerSet {
    fn from_iter<I: IntoIterator<Item = Controller>>(controllers: I) -> Self {
        controllers.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for ControllerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, controller) in self.iter().enumerate() {
            write!(f, "{}{controller}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for ControllerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_both_versions_are_read_by_their_own_names() {
        assert_eq!(ControllerSet::from_v1(b"rw,cpu,cpuacct").to_string(), "cpu, cpuacct");
        assert_eq!(ControllerSet::from_v1(b"rw,blkio").to_string(), "io");
        assert_eq!(ControllerSet::from_v1(b"rw,io").to_string(), "");
        assert_eq!(ControllerSet::from_v2(b"cpuset cpu io memory hugetlb pids rdma misc\n").to_string(), "memory, pids, cpu, cpuset, io");
        assert!(ControllerSet::from_v2(b"freezer cpuacct").is_empty(), "v2 has no controllers of these names");
    }

    #[test]
    fn a_request_names_only_what_v2_calls_a_controller() {
        let set: ControllerSet = [Controller::Pids, Controller::Memory, Controller::Freezer].into_iter().collect();
        assert_eq!(set.v2_request('+'), "+memory +pids");
        assert_eq!(set.v2_request('-'), "-memory -pids");
    }
}
