//! What a group has used.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::file::{keyed, number, open_read, read, read_all};
use crate::group::Node;
use crate::{CgroupError, Controller, Group, Version};

/// One figure and where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The value; its unit is that of the field.
    pub value: u64,
    /// Where it was read, e.g. `cgroup v2 memory.peak`.
    pub source: &'static str,
}

/// What a group has used so far. `None`: this host or kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of every process that ever was in the group, in microseconds.
    pub cpu: Option<Reading>,
    /// The part of it in user mode, in microseconds.
    pub cpu_user: Option<Reading>,
    /// The part of it in the kernel, in microseconds.
    pub cpu_system: Option<Reading>,
    /// Memory charged now, in bytes.
    pub memory_current: Option<Reading>,
    /// The most memory that was charged at once, in bytes. Where the kernel keeps no peak (v2 before 5.19): the most that
    /// [`Group::usage`] saw.
    pub memory_peak: Option<Reading>,
    /// How often an allocation met the group's limit on memory, whether or not it could be reclaimed.
    pub memory_limit_hits: Option<Reading>,
    /// How many processes of the group the kernel killed for want of memory.
    pub oom_kills: Option<Reading>,
    /// Tasks now.
    pub pids_current: Option<Reading>,
    /// The most tasks at once. Where the kernel keeps no peak (before 6.1): the most that [`Group::usage`] saw.
    pub pids_peak: Option<Reading>,
    /// How often a fork or clone failed because of the group's limit on tasks.
    pub pids_limit_hits: Option<Reading>,
}

/// Where CPU time is read; kept open, because the watch loop reads it often.
#[derive(Debug)]
pub(crate) enum Clock {
    /// `cpu.stat`.
    V2(OwnedFd),
    /// `cpuacct.usage`, nanoseconds.
    V1(OwnedFd),
}

impl Clock {
    fn usec(&self) -> Result<Option<u64>, Errno> {
        let (fd, mut start) = match self {
            Clock::V2(fd) | Clock::V1(fd) => (fd, [0; 64]),
        };
        // Both begin with the figure: `usage_usec N`, or `N` alone.
        let length = rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut start, 0))?;
        let line = start[..length].split(|b| *b == b'\n').next().unwrap_or_default();
        Ok(match self {
            Clock::V2(_) => keyed(line, "usage_usec"),
            Clock::V1(_) => number(line).map(|nanoseconds| nanoseconds / 1_000),
        })
    }
}

impl Group {
    /// CPU time of every process that ever was in the group, in microseconds. One `pread(2)`; made for a watch loop.
    ///
    /// # Errors
    /// [`CgroupError::Unable`] when the group measures no CPU time ([`Meters::cpu`](crate::Meters::cpu)); `ENODEV` when it was removed.
    pub fn cpu_usec(&self) -> Result<u64, CgroupError> {
        let node = self.clock_node().ok_or_else(|| self.unable("measure CPU time", "it is in no hierarchy that counts it"))?;
        let file = clock_file(node);
        let failed = |errno| self.io("read", node, file, errno);
        let clock = match self.clock.get() {
            Some(clock) => clock,
            None => {
                let fd = open_read(&node.dir, file).map_err(failed)?;
                self.clock.get_or_init(|| if node.version == Version::V2 { Clock::V2(fd) } else { Clock::V1(fd) })
            }
        };
        let counted = clock.usec().map_err(failed)?.ok_or_else(|| self.malformed(node, file, "a count of CPU time"))?;
        Ok(counted.saturating_sub(self.clock_before[0]))
    }

    /// Counts CPU time from now on.
    pub(crate) fn restart_clock(&mut self) -> Result<(), CgroupError> {
        self.clock_before = [0; 3];
        let Some(node) = self.clock_node() else { return Ok(()) };
        if node.version == Version::V1 {
            return self.put(node, clock_file(node), "0");
        }
        let mut usage = Usage::default();
        self.read_cpu(node, &mut usage)?;
        self.clock_before = [usage.cpu, usage.cpu_user, usage.cpu_system].map(|reading| reading.map_or(0, |reading| reading.value));
        Ok(())
    }

    /// Everything the group can say of what it used.
    ///
    /// # Errors
    /// Whatever reading a file gives; `ENODEV` or `ENOENT` when the group was removed.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let mut usage = Usage::default();
        if let Some(node) = self.clock_node() {
            self.read_cpu(node, &mut usage)?;
        }
        if let Some(node) = self.node(Controller::Memory) {
            match node.version {
                Version::V2 => self.read_memory_v2(node, &mut usage)?,
                Version::V1 => self.read_memory_v1(node, &mut usage)?,
            }
        }
        if let Some(node) = self.node(Controller::Pids) {
            self.read_pids(node, &mut usage)?;
        }
        Ok(usage)
    }

    /// Which file CPU time is read from, for the Report.
    #[must_use]
    pub fn cpu_source(&self) -> Option<&'static str> {
        self.clock_node().map(|node| if node.version == Version::V2 { CPU_V2 } else { CPU_V1 })
    }

    fn clock_node(&self) -> Option<&Node> {
        self.node(Controller::CpuAcct)
    }

    fn read_cpu(&self, node: &Node, usage: &mut Usage) -> Result<(), CgroupError> {
        let total = self.cpu_usec()?;
        usage.cpu = reading(Some(total), self.cpu_source().unwrap_or_default());
        if node.version == Version::V1 {
            let parts = self.number(node, "cpuacct.usage_user")?.zip(self.number(node, "cpuacct.usage_sys")?);
            let parts = parts.map(|(user, system)| split(total, user, system));
            usage.cpu_user = reading(parts.map(|(user, _)| user), "cgroup v1 cpuacct.usage in the ratio of usage_user to usage_sys");
            usage.cpu_system = reading(parts.map(|(_, system)| system), "cgroup v1 cpuacct.usage in the ratio of usage_sys to usage_user");
            return Ok(());
        }
        if let Some(Clock::V2(fd)) = self.clock.get() {
            let stat = read_all(fd.as_fd()).map_err(|errno| self.io("read", node, "cpu.stat", errno))?;
            // All from one reading, so that the parts add up.
            let [all, user, system] = self.clock_before;
            let since = |key, before| keyed(&stat, key).map(|counted| counted.saturating_sub(before));
            usage.cpu = reading(since("usage_usec", all), CPU_V2);
            usage.cpu_user = reading(since("user_usec", user), "cgroup v2 cpu.stat user_usec");
            usage.cpu_system = reading(since("system_usec", system), "cgroup v2 cpu.stat system_usec");
        }
        Ok(())
    }

    fn read_memory_v2(&self, node: &Node, usage: &mut Usage) -> Result<(), CgroupError> {
        let current = self.number_that_must_be(node, "memory.current")?;
        let seen = raise(&self.seen_memory, current);
        usage.memory_current = reading(Some(current), "cgroup v2 memory.current");
        usage.memory_peak = reading(self.number(node, "memory.peak")?, "cgroup v2 memory.peak")
            .or(reading(Some(seen), "cgroup v2 memory.current, highest sample"));
        if let Some(events) = self.content(node, "memory.events")? {
            usage.memory_limit_hits = reading(keyed(&events, "max"), "cgroup v2 memory.events max");
            usage.oom_kills = reading(keyed(&events, "oom_kill"), "cgroup v2 memory.events oom_kill");
        }
        Ok(())
    }

    fn read_memory_v1(&self, node: &Node, usage: &mut Usage) -> Result<(), CgroupError> {
        match self.number(node, "memory.memsw.usage_in_bytes")? {
            Some(current) => {
                usage.memory_current = reading(Some(current), "cgroup v1 memory.memsw.usage_in_bytes");
                usage.memory_peak =
                    reading(self.number(node, "memory.memsw.max_usage_in_bytes")?, "cgroup v1 memory.memsw.max_usage_in_bytes");
            }
            None => {
                let current = self.number_that_must_be(node, "memory.usage_in_bytes")?;
                usage.memory_current = reading(Some(current), "cgroup v1 memory.usage_in_bytes");
                usage.memory_peak = reading(self.number(node, "memory.max_usage_in_bytes")?, "cgroup v1 memory.max_usage_in_bytes");
            }
        }
        // With both limits alike it is the one on memory and swap that is met; Linux 6.18 does not count that, and its 0 would be a lie.
        let hits = [self.number(node, "memory.failcnt")?, self.number(node, "memory.memsw.failcnt")?];
        let hits = hits.into_iter().flatten().reduce(u64::saturating_add);
        let met = usage.memory_peak.zip(self.memory_limit).is_some_and(|(peak, limit)| peak.value.saturating_add(PAGE) > limit);
        usage.memory_limit_hits = reading(hits.filter(|hits| *hits > 0 || !met), "cgroup v1 memory.failcnt + memory.memsw.failcnt");
        let control = self.content(node, "memory.oom_control")?;
        usage.oom_kills = reading(control.and_then(|c| keyed(&c, "oom_kill")), "cgroup v1 memory.oom_control oom_kill");
        Ok(())
    }

    fn read_pids(&self, node: &Node, usage: &mut Usage) -> Result<(), CgroupError> {
        let current = self.number_that_must_be(node, "pids.current")?;
        let seen = raise(&self.seen_pids, current);
        let peak = self.number(node, "pids.peak")?;
        let hits = self.content(node, "pids.events")?.and_then(|events| keyed(&events, "max"));
        let source = |v2, v1| if node.version == Version::V2 { v2 } else { v1 };
        usage.pids_current = reading(Some(current), source("cgroup v2 pids.current", "cgroup v1 pids.current"));
        usage.pids_peak = reading(peak, source("cgroup v2 pids.peak", "cgroup v1 pids.peak"))
            .or(reading(Some(seen), source("cgroup v2 pids.current, highest sample", "cgroup v1 pids.current, highest sample")));
        usage.pids_limit_hits = reading(hits, source("cgroup v2 pids.events max", "cgroup v1 pids.events max"));
        Ok(())
    }

    /// The content of a file of the group; `None` when this kernel does not have it.
    pub(crate) fn content(&self, node: &Node, file: &str) -> Result<Option<Vec<u8>>, CgroupError> {
        match read(&node.dir, file) {
            Ok(content) => Ok(Some(content)),
            Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.io("read", node, file, errno)),
        }
    }

    pub(crate) fn number(&self, node: &Node, file: &str) -> Result<Option<u64>, CgroupError> {
        match self.content(node, file)? {
            Some(content) => number(&content).map(Some).ok_or_else(|| self.malformed(node, file, "a number")),
            None => Ok(None),
        }
    }

    pub(crate) fn number_that_must_be(&self, node: &Node, file: &str) -> Result<u64, CgroupError> {
        self.number(node, file)?.ok_or_else(|| self.io("read", node, file, Errno::NOENT))
    }

    pub(crate) fn malformed(&self, node: &Node, file: &str, wanted: &'static str) -> CgroupError {
        let content = read(&node.dir, file).unwrap_or_default();
        let text = String::from_utf8_lossy(&content[..content.len().min(80)]).into_owned();
        CgroupError::Malformed { path: self.path(node).join(file), text, wanted }
    }
}

/// The unit the kernel counts memory in, or more: an allocation that fails needed at most this.
const PAGE: u64 = 64 << 10;

const CPU_V2: &str = "cgroup v2 cpu.stat usage_usec";
const CPU_V1: &str = "cgroup v1 cpuacct.usage";

fn clock_file(node: &Node) -> &'static str {
    if node.version == Version::V2 { "cpu.stat" } else { "cpuacct.usage" }
}

fn reading(value: Option<u64>, source: &'static str) -> Option<Reading> {
    value.map(|value| Reading { value, source })
}

/// Divides an exact total in the ratio of two sampled parts: v1 counts these by clock ticks, so they may fall well short of it. The kernel
/// does the same for v2 and for `getrusage(2)`.
fn split(total: u64, user: u64, system: u64) -> (u64, u64) {
    let sampled = u128::from(user) + u128::from(system);
    let share = (u128::from(total) * u128::from(system)).checked_div(sampled).unwrap_or(0);
    let system = u64::try_from(share).unwrap_or(total).min(total);
    (total - system, system)
}

/// Raises a highest value, and gives it.
fn raise(highest: &AtomicU64, value: u64) -> u64 {
    highest.fetch_max(value, Ordering::Relaxed).max(value)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn parts_add_up_to_the_total() {
        assert_eq!(split(1_000, 300, 100), (750, 250));
        assert_eq!(split(900, 0, 0), (900, 0), "no tick fell into it");
        assert_eq!(split(u64::MAX, u64::MAX, u64::MAX), (u64::MAX / 2 + 1, u64::MAX / 2));
    }

    proptest::proptest! {
        #[test]
        fn no_numbers_panic_and_nothing_is_lost(total: u64, user: u64, system: u64) {
            let (user, system) = split(total, user, system);
            proptest::prop_assert_eq!(user + system, total);
        }
    }
}
