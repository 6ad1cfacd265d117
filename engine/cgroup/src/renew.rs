//! Using a group again: making one and removing it takes longer than starting what runs in it, on v1 above all.
//!
//! Only what nobody can tell from a new one is used again. Every count begins anew: it is set back where the kernel can do that, remembered and taken off where it
//! counts on, and where neither is possible the directory is made anew (v1), or the whole group given up (v2).

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::group::Node;
use crate::remove::remove_tree;
use crate::wait::Deadline;
use crate::{CgroupError, Controller, Group, Pressure, Version};

/// How long its last process may take to be counted out, once it has ended.
const PATIENCE: Duration = Duration::from_millis(50);

/// Memory that may be left charged: what the kernel charges ahead for each CPU (64 pages) counts as used, and more than that is never known exactly. At most a mebibyte.
const CHARGED_AHEAD: u64 = 64 * 4096;
const MOST_CPUS: u64 = 4;

/// As many tasks every sandbox has at once, whatever runs in it: its init and the first command. A peak that is no higher tells nothing of those before.
const ALWAYS: u64 = 2;

impl Group {
    /// Makes a group all of whose processes have ended as good as a new one, with the limits it was made with. `false`: it cannot be, and is to be removed: more is left
    /// charged to it than the kernel's own counting may be off, it ran out of something, and the kernel cannot set that back (v2); or somebody may look for it by its name.
    ///
    /// Waits a moment for the last process to be counted out.
    ///
    /// # Errors
    /// Whatever the files of the group give; it is to be removed then too.
    pub fn renew(&mut self) -> Result<bool, CgroupError> {
        // v2 keeps the highest value of memory for good: `memory.peak` is set back only for one open descriptor.
        let counts_on = self.node(Controller::Memory).is_some_and(|node| node.version == Version::V2);
        if counts_on || self.nodes.is_empty() || self.kept.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let deadline = Deadline::after(PATIENCE);
        // The v2 tree comes first, and tells when it is empty.
        for at in 0..self.nodes.len() {
            if !self.is_deserted(&self.nodes[at], deadline)? {
                return Ok(false);
            }
            if self.forgets(&self.nodes[at], deadline)? {
                continue;
            }
            // The v2 directory is where processes are born, and on most hosts the only one.
            if self.nodes[at].version == Version::V2 {
                return Ok(false);
            }
            self.make_anew(at)?;
            self.unset = true;
        }
        self.restart_clock()?;
        self.pressure_before = Pressure::default();
        self.pressure_before = self.pressure()?;
        *self.seen_memory.get_mut() = 0;
        *self.seen_pids.get_mut() = 0;
        self.make_ready()?;
        Ok(true)
    }

    /// No process, and no group inside it.
    fn is_deserted(&self, node: &Node, deadline: Deadline) -> Result<bool, CgroupError> {
        let failed = |errno| self.io("look into", node, "", errno);
        let empty = match node.version {
            // The count of tasks will tell.
            Version::V1 if node.controllers.has(Controller::Pids) => true,
            Version::V1 => crate::file::read(&node.dir, "cgroup.procs").map_err(failed)?.is_empty(),
            Version::V2 => Self::node_empties(node, deadline).map_err(failed)?,
        };
        // A directory of kernfs has two links, and one more for each directory in it.
        Ok(empty && rustix::fs::fstat(&node.dir).map_err(failed)?.st_nlink <= 2)
    }

    /// Sets what one hierarchy counts back, and lets run what was stopped; `false` where something of those before could still be told.
    fn forgets(&self, node: &Node, deadline: Deadline) -> Result<bool, CgroupError> {
        if node.controllers.has(Controller::Memory) && !self.forgets_memory(node)? {
            return Ok(false);
        }
        if node.controllers.has(Controller::Pids) && !self.forgets_tasks(node, deadline)? {
            return Ok(false);
        }
        if node.controllers.has(Controller::Freezer) {
            let (file, value) = if node.version == Version::V2 { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
            self.put(node, file, value)?;
        }
        Ok(true)
    }

    /// Sets v1's counts of memory back; `false` where that hides something.
    fn forgets_memory(&self, node: &Node) -> Result<bool, CgroupError> {
        let kills = self.content(node, "memory.oom_control")?.and_then(|control| crate::file::keyed(&control, "oom_kill"));
        if kills != Some(0) {
            return Ok(false);
        }
        let both = self.number(node, "memory.memsw.usage_in_bytes")?;
        let left = both.map_or_else(|| self.number_that_must_be(node, "memory.usage_in_bytes"), Ok)?;
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64).min(MOST_CPUS);
        if left > cpus * CHARGED_AHEAD {
            return Ok(false);
        }
        for file in ["memory.max_usage_in_bytes", "memory.failcnt"] {
            self.put(node, file, "0")?;
        }
        if both.is_some() {
            for file in ["memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt"] {
                self.put(node, file, "0")?;
            }
        }
        Ok(true)
    }

    /// Whether its counts of tasks tell nothing of those before. A task leaves the count when it is waited for, which may be a moment after its end.
    fn forgets_tasks(&self, node: &Node, deadline: Deadline) -> Result<bool, CgroupError> {
        while self.number_that_must_be(node, "pids.current")? > 0 {
            if !deadline.pause() {
                return Ok(false);
            }
        }
        let peak = self.number(node, "pids.peak")?;
        if peak.is_some_and(|peak| peak > ALWAYS) {
            return Ok(false);
        }
        // A limit that was not reached refused nobody.
        if peak.is_some() && self.limits.pids.is_none_or(|limit| limit > ALWAYS) {
            return Ok(true);
        }
        let hits = self.content(node, "pids.events")?.and_then(|events| crate::file::keyed(&events, "max"));
        Ok(hits.is_none_or(|hits| hits == 0))
    }

    /// Removes the directory in one hierarchy and makes it once more.
    fn make_anew(&mut self, at: usize) -> Result<(), CgroupError> {
        let name = self.name.as_str();
        let Node { version, controllers, within, parent, .. } = self.nodes.remove(at);
        if let Err(errno) = remove_tree(&*within, name, 0) {
            let path = parent.path().join(name);
            // What could not be removed now is removed with the group.
            let dir = crate::file::open_dir(&*within, name);
            self.nodes.extend(dir.map(|dir| Node { version, controllers, dir, within, parent }));
            return Err(CgroupError::Io { action: "remove", path, errno });
        }
        parent.left();
        let made = parent.make(name)?;
        // It may be open in the old one.
        self.clock.take();
        self.nodes.insert(at, Node::new(version, controllers, parent, made));
        Ok(())
    }
}
