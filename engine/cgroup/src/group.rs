//! One group: the directories of one sandbox in every hierarchy it needs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::file::{open_write, read, write};
use crate::limits::{CPU_PERIOD, cpu_list, cpu_weight, host_swaps, memory_value, pids_value};
use crate::parent::{Made, Parent};
use crate::usage::Clock;
use crate::{CgroupError, Controller, ControllerSet, Host, Limits, Missing, Name, Pressure, Version};

/// The group of one sandbox. What a job leaves behind (page cache above all) is charged to whoever comes next: so it is used once, unless [`Group::renew`] finds
/// nothing left.
///
/// Dropping it kills what is still in it and removes it, as far as that goes in a quarter of a second; [`Group::remove`] says whether it went.
#[derive(Debug)]
pub struct Group {
    pub(crate) name: Name,
    pub(crate) nodes: Vec<Node>,
    pub(crate) v1_tasks: Vec<OwnedFd>,
    pub(crate) unmetered: Vec<(Controller, Missing)>,
    pub(crate) weaker: Vec<String>,
    /// What it was made to limit and measure.
    pub(crate) limits: Limits,
    /// Its limits are others, or not set yet.
    pub(crate) unset: bool,
    /// Somebody may find it again by its name ([`Group::keep`]).
    pub(crate) kept: AtomicBool,
    /// The limit on memory last set, in bytes.
    pub(crate) memory_limit: Option<u64>,
    pub(crate) clock: OnceLock<Clock>,
    /// CPU time, in microseconds, that those before have used, where the kernel counts on: all of it, in user mode, in the kernel.
    pub(crate) clock_before: [u64; 3],
    /// The same of pressure.
    pub(crate) pressure_before: Pressure,
    /// Highest value seen, for kernels that do not keep one.
    pub(crate) seen_memory: AtomicU64,
    pub(crate) seen_pids: AtomicU64,
}

/// The group's directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct Node {
    pub version: Version,
    pub controllers: ControllerSet,
    pub dir: OwnedFd,
    pub within: Arc<OwnedFd>,
    pub parent: Arc<Parent>,
}

impl Node {
    pub(crate) fn new(version: Version, controllers: ControllerSet, parent: Arc<Parent>, made: Made) -> Self {
        Node { version, controllers, dir: made.dir, within: made.within, parent }
    }
}

impl Host {
    /// Makes the group `name`, in the hierarchies that `limits` needs and no others.
    ///
    /// # Errors
    /// [`CgroupError::MissingController`] for a limit (or `freeze`) whose controller this host does not give us; [`CgroupError::Io`] and
    /// [`CgroupError::Write`] where the kernel refuses (`EEXIST`: the name was used before; `EAGAIN`: a `cgroup.max.descendants` above).
    /// Nothing stays behind then.
    pub fn create(&self, name: &Name, limits: &Limits) -> Result<Group, CgroupError> {
        let layout = self
            .layout(limits.required(), limits.wanted())
            .map_err(|(controller, reason)| CgroupError::MissingController { controller, reason })?;
        let mut group = Group {
            name: name.clone(),
            nodes: Vec::with_capacity(layout.v1.len() + 1),
            v1_tasks: Vec::with_capacity(layout.v1.len()),
            unmetered: layout.missing,
            weaker: Vec::new(),
            limits: limits.clone(),
            unset: true,
            kept: AtomicBool::new(false),
            memory_limit: None,
            clock: OnceLock::new(),
            clock_before: [0; 3],
            pressure_before: Pressure::default(),
            seen_memory: AtomicU64::new(0),
            seen_pids: AtomicU64::new(0),
        };
        // From here on an error drops the group, which removes what was made.
        if let Some((parent, controllers)) = layout.v2 {
            let made = parent.make(name.as_str())?;
            group.nodes.push(Node::new(Version::V2, controllers, parent, made));
        }
        for (parent, controllers) in layout.v1 {
            let made = parent.make(name.as_str())?;
            group.nodes.push(Node::new(Version::V1, controllers, parent, made));
        }
        group.make_ready()?;
        Ok(group)
    }
}

impl Group {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its directory in the v2 tree, for `CLONE_INTO_CGROUP` (`clone3(2)`); `None` when it has none. Opened with `O_PATH`.
    #[must_use]
    pub fn v2_dir(&self) -> Option<BorrowedFd<'_>> {
        self.nodes.iter().find(|node| node.version == Version::V2).map(|node| node.dir.as_fd())
    }

    /// One write-only `tasks` for each v1 hierarchy it is in. A child enters by writing `0` to each, before it runs anything and while it has one thread:
    /// that moves the writing thread alone, for which the kernel need not stop every fork of the host (`cgroup.procs` takes that lock, and waits for RCU).
    ///
    /// It may do so in whatever namespaces and under whatever user id it has by then: since Linux 5.17 (and stable kernels of early 2022)
    /// the rights of whoever opened the file count, not those of the writer; on older kernels write before giving up root.
    #[must_use]
    pub fn v1_tasks(&self) -> &[OwnedFd] {
        &self.v1_tasks
    }

    /// Closes [`v1_tasks`](Group::v1_tasks), which nothing needs once the child is in.
    pub fn close_v1_tasks(&mut self) {
        self.v1_tasks = Vec::new();
    }

    /// Whether it is in no hierarchy at all: nothing was asked of it that this host can do.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Its directories.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.nodes.iter().map(|node| self.path(node))
    }

    /// The meters asked for that this host does not have, and why.
    #[must_use]
    pub fn unmetered(&self) -> &[(Controller, Missing)] {
        &self.unmetered
    }

    /// Limits that hold less than they say, one line each; empty on a complete host.
    #[must_use]
    pub fn weaker(&self) -> &[String] {
        &self.weaker
    }

    /// Which files hold a limit of this group, for the Report; `None` when the group does not have the controller.
    #[must_use]
    pub fn enforcer(&self, controller: Controller) -> Option<&'static str> {
        let node = self.node(controller)?;
        Some(match (controller, node.version) {
            (Controller::Memory, Version::V2) => "cgroup v2 memory.max, memory.swap.max=0",
            (Controller::Memory, Version::V1) => "cgroup v1 memory.limit_in_bytes, memory.memsw.limit_in_bytes",
            (Controller::Pids, Version::V2) => "cgroup v2 pids.max",
            (Controller::Pids, Version::V1) => "cgroup v1 pids.max",
            (Controller::Cpu, Version::V2) => "cgroup v2 cpu.max, cpu.weight",
            (Controller::Cpu, Version::V1) => "cgroup v1 cpu.cfs_quota_us, cpu.shares",
            (Controller::CpuSet, Version::V2) => "cgroup v2 cpuset.cpus",
            (Controller::CpuSet, Version::V1) => "cgroup v1 cpuset.cpus",
            _ => return None,
        })
    }

    /// Moves a process with all its threads into the group. For processes that could not be born in it.
    ///
    /// # Errors
    /// `ESRCH`: no such process; `EACCES`: not ours to move.
    pub fn add(&self, pid: u32) -> Result<(), CgroupError> {
        self.nodes.iter().try_for_each(|node| self.put(node, "cgroup.procs", &pid.to_string()))
    }

    /// Changes the limit on memory of the living group, in bytes; `None` lifts it.
    ///
    /// # Errors
    /// On v1 `EBUSY` when more is in use and cannot be reclaimed; on v2 the kernel kills instead.
    pub fn set_memory(&mut self, limit: Option<u64>) -> Result<(), CgroupError> {
        let node = self.node(Controller::Memory).ok_or_else(|| self.unable("limit memory", "it was made without the memory controller"))?;
        let weaker = match node.version {
            Version::V2 => self.set_memory_v2(node, limit)?,
            Version::V1 => self.set_memory_v1(node, limit)?,
        };
        self.weaker.extend(weaker);
        self.memory_limit = limit;
        self.unset = true;
        Ok(())
    }

    /// Changes the limit on tasks of the living group; `None` lifts it. Below the present number no task is killed, but none can be added.
    ///
    /// # Errors
    /// [`CgroupError::Unable`] when the group was made without the pids controller.
    pub fn set_pids(&mut self, limit: Option<u64>) -> Result<(), CgroupError> {
        let node = self.node(Controller::Pids).ok_or_else(|| self.unable("limit tasks", "it was made without the pids controller"))?;
        self.put(node, "pids.max", &pids_value(limit))?;
        self.unset = true;
        Ok(())
    }

    /// Sets its limits, and opens what its first process enters it by.
    pub(crate) fn make_ready(&mut self) -> Result<(), CgroupError> {
        // Nobody else changes them: who could write to a group could as well do so while its sandbox lives.
        if std::mem::take(&mut self.unset) {
            self.weaker.clear();
            let limits = self.limits.clone();
            self.apply(&limits)?;
            self.unset = false;
        }
        self.v1_tasks.clear();
        for node in self.nodes.iter().filter(|node| node.version == Version::V1) {
            let tasks = open_write(&node.dir, "tasks").map_err(|errno| self.io("open", node, "tasks", errno))?;
            self.v1_tasks.push(tasks);
        }
        Ok(())
    }

    /// What it was made to limit and measure.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn apply(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        if limits.memory.is_some() {
            self.set_memory(limits.memory)?;
        }
        if limits.pids.is_some() {
            self.set_pids(limits.pids)?;
        }
        if let Some(node) = self.node(Controller::Cpu) {
            self.set_cpu_time(node, limits.cpu_quota, limits.cpu_shares)?;
        }
        if let (Some(cpus), Some(node)) = (&limits.cpus, self.node(Controller::CpuSet)) {
            self.set_cpus(node, cpus)?;
        }
        Ok(())
    }

    fn set_cpu_time(&self, node: &Node, quota: Option<u64>, shares: Option<u64>) -> Result<(), CgroupError> {
        match node.version {
            Version::V2 => {
                if let Some(quota) = quota {
                    self.put(node, "cpu.max", &format!("{quota} {CPU_PERIOD}"))?;
                }
                shares.map_or(Ok(()), |shares| self.put(node, "cpu.weight", &cpu_weight(shares).to_string()))
            }
            Version::V1 => {
                if let Some(quota) = quota {
                    self.put(node, "cpu.cfs_period_us", &CPU_PERIOD.to_string())?;
                    self.put(node, "cpu.cfs_quota_us", &quota.to_string())?;
                }
                shares.map_or(Ok(()), |shares| self.put(node, "cpu.shares", &shares.to_string()))
            }
        }
    }

    fn set_cpus(&self, node: &Node, cpus: &[usize]) -> Result<(), CgroupError> {
        if node.version == Version::V1 {
            // A new v1 cpuset has no memory nodes, and takes no process while it has none.
            let nodes = read(&*node.within, "cpuset.effective_mems")
                .or_else(|_| read(&*node.within, "cpuset.mems"))
                .map_err(|errno| self.io("read memory nodes above", node, "cpuset.mems", errno))?;
            self.put(node, "cpuset.mems", &String::from_utf8_lossy(nodes.trim_ascii()))?;
        }
        self.put(node, "cpuset.cpus", &cpu_list(cpus))
    }

    fn set_memory_v2(&self, node: &Node, limit: Option<u64>) -> Result<Option<String>, CgroupError> {
        let (swap, together) = if limit.is_some() { ("0", "1") } else { ("max", "0") };
        // Swap first: between the two writes nothing can flee to it.
        let swap = self.put_if_there(node, "memory.swap.max", swap)?;
        self.put(node, "memory.max", &memory_value(limit, Version::V2))?;
        self.put_if_there(node, "memory.oom.group", together)?;
        Ok((limit.is_some() && !swap && host_swaps())
            .then(|| "memory: this kernel does not count swap (boot with swapaccount=1)".to_owned()))
    }

    /// v1 has two limits, memory and memory with swap, and refuses any order of writes in which the first exceeds the second for a moment.
    fn set_memory_v1(&self, node: &Node, limit: Option<u64>) -> Result<Option<String>, CgroupError> {
        const BOTH: &str = "memory.memsw.limit_in_bytes";
        let value = memory_value(limit, Version::V1);
        let counts_swap = match self.put(node, "memory.limit_in_bytes", &value) {
            Ok(()) => self.put_if_there(node, BOTH, &value)?,
            Err(error) if error.errno() == Some(Errno::INVAL) => {
                let counts_swap = self.put_if_there(node, BOTH, &value)?;
                self.put(node, "memory.limit_in_bytes", &value)?;
                counts_swap
            }
            Err(error) => return Err(error),
        };
        if counts_swap || limit.is_none() || !host_swaps() {
            return Ok(None);
        }
        self.put_if_there(node, "memory.swappiness", "0")?;
        Ok(Some("memory: this kernel does not count swap (boot with swapaccount=1); swappiness is 0 instead".to_owned()))
    }

    /// The group's directory where `controller` is.
    pub(crate) fn node(&self, controller: Controller) -> Option<&Node> {
        self.nodes.iter().find(|node| node.controllers.has(controller))
    }

    pub(crate) fn path(&self, node: &Node) -> PathBuf {
        node.parent.path().join(self.name.as_str())
    }

    /// Writes one file of the group.
    pub(crate) fn put(&self, node: &Node, file: &str, value: &str) -> Result<(), CgroupError> {
        write(&node.dir, file, value.as_bytes()).map_err(|errno| CgroupError::Write {
            path: self.path(node).join(file),
            value: value.to_owned(),
            errno,
        })
    }

    /// Writes a file that some kernels do not have; `false` when this one does not.
    pub(crate) fn put_if_there(&self, node: &Node, file: &str, value: &str) -> Result<bool, CgroupError> {
        match self.put(node, file, value) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn io(&self, action: &'static str, node: &Node, file: &str, errno: Errno) -> CgroupError {
        let path = self.path(node);
        CgroupError::Io { action, path: if file.is_empty() { path } else { path.join(file) }, errno }
    }

    pub(crate) fn unable(&self, what: &'static str, why: &'static str) -> CgroupError {
        CgroupError::Unable { name: self.name.to_string(), what, why }
    }
}
