//! Ending, stopping and resuming everything in a group.

use std::time::Duration;

use rustix::io::Errno;

use crate::file::{read, write};
use crate::group::Node;
use crate::wait::{Deadline, empties, events_reach, handles, kill, members};
use crate::{CgroupError, Controller, Group, Version};

/// How long [`Group::kill`] goes on where the kernel cannot kill a group at once.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

impl Group {
    /// Kills every process in the group, also those that fork at the same moment.
    ///
    /// By `cgroup.kill` (v2, since Linux 5.14) this returns at once and the processes end a little later: see [`Group::wait_empty`].
    /// Elsewhere the group is frozen if it can be, each process gets SIGKILL, and that repeats until none is left.
    ///
    /// # Errors
    /// [`CgroupError::TooLate`] when after two seconds there are still processes; [`CgroupError::Unable`] for a group that is nowhere.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let node = self.nodes.first().ok_or_else(|| self.unable("kill", "it is in no hierarchy"))?;
        if node.version == Version::V2 && self.put_if_there(node, "cgroup.kill", "1")? {
            return Ok(());
        }
        self.kill_each(node, Deadline::after(KILL_PATIENCE))
    }

    fn kill_each(&self, node: &Node, deadline: Deadline) -> Result<(), CgroupError> {
        let failed = |errno| self.io("kill", node, "cgroup.procs", errno);
        loop {
            // A frozen group cannot fork. On v1 a frozen process takes the signal only when thawed; on v2 it ends at once.
            let frozen = self.request_freeze(true);
            let processes = handles(&node.dir).map_err(failed)?;
            let killed = processes.iter().try_for_each(|process| kill(std::os::fd::AsFd::as_fd(process)));
            if frozen {
                self.request_freeze(false);
            }
            killed.map_err(failed)?;
            if members(&node.dir).map_err(failed)?.is_empty() {
                return Ok(());
            }
            if !deadline.pause() {
                return Err(self.too_late(node, "still has processes", KILL_PATIENCE));
            }
        }
    }

    /// Whether any process is in the group, or in a group below it.
    ///
    /// # Errors
    /// Whatever reading gives; [`CgroupError::Unable`] for a group that is nowhere.
    pub fn populated(&self) -> Result<bool, CgroupError> {
        let node = self.nodes.first().ok_or_else(|| self.unable("know its processes", "it is in no hierarchy"))?;
        if node.version == Version::V2 {
            let events = read(&node.dir, "cgroup.events").map_err(|errno| self.io("read", node, "cgroup.events", errno))?;
            return match crate::file::keyed(&events, "populated") {
                Some(count) => Ok(count != 0),
                None => Err(self.malformed(node, "cgroup.events", "\"populated\" and a number")),
            };
        }
        // Not by the numbers in it: a process outside our pid namespace reads 0.
        read(&node.dir, "cgroup.procs").map(|procs| !procs.is_empty()).map_err(|errno| self.io("read", node, "cgroup.procs", errno))
    }

    /// The processes in the group, as numbered in our pid namespace.
    ///
    /// # Errors
    /// As for [`Group::populated`].
    pub fn procs(&self) -> Result<Vec<u32>, CgroupError> {
        let node = self.nodes.first().ok_or_else(|| self.unable("know its processes", "it is in no hierarchy"))?;
        members(&node.dir).map_err(|errno| self.io("read", node, "cgroup.procs", errno))
    }

    /// Waits until the group has no process; `false` when `patience` ran out first.
    ///
    /// # Errors
    /// Whatever reading or waiting gives.
    pub fn wait_empty(&self, patience: Duration) -> Result<bool, CgroupError> {
        let deadline = Deadline::after(patience);
        for node in &self.nodes {
            if !Self::node_empties(node, deadline).map_err(|errno| self.io("wait for", node, "", errno))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn node_empties(node: &Node, deadline: Deadline) -> Result<bool, Errno> {
        match node.version {
            Version::V2 => events_reach(&node.dir, "populated", 0, deadline),
            Version::V1 => empties(&node.dir, deadline),
        }
    }

    /// Stops every process of the group, and returns when all have stopped.
    ///
    /// # Errors
    /// [`CgroupError::Unable`] unless it was made with [`Limits::freeze`](crate::Limits::freeze) or is in the v2 tree;
    /// [`CgroupError::TooLate`] when after `patience` not all have stopped; the group is thawed again then.
    pub fn freeze(&self, patience: Duration) -> Result<(), CgroupError> {
        let node = self.freezer()?;
        let result = self.reach_frozen(node, patience);
        if result.is_err() {
            self.request_freeze(false);
        }
        result
    }

    fn reach_frozen(&self, node: &Node, patience: Duration) -> Result<(), CgroupError> {
        const STATE: &str = "freezer.state";
        let deadline = Deadline::after(patience);
        let done = match node.version {
            Version::V2 => {
                self.put(node, "cgroup.freeze", "1")?;
                events_reach(&node.dir, "frozen", 1, deadline).map_err(|errno| self.io("read", node, "cgroup.events", errno))?
            }
            // v1 tells nobody when it is done; reading the state also moves it on (cgroup-v1/freezer-subsystem.rst).
            Version::V1 => loop {
                self.put(node, STATE, "FROZEN")?;
                let state = read(&node.dir, STATE).map_err(|errno| self.io("read", node, STATE, errno))?;
                if state.trim_ascii() == b"FROZEN" {
                    break true;
                }
                if !deadline.pause() {
                    break false;
                }
            },
        };
        if done { Ok(()) } else { Err(self.too_late(node, "is not frozen", patience)) }
    }

    /// Lets every process of the group run on.
    ///
    /// # Errors
    /// As for [`Group::freeze`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let node = self.freezer()?;
        match node.version {
            Version::V2 => self.put(node, "cgroup.freeze", "0"),
            Version::V1 => self.put(node, "freezer.state", "THAWED"),
        }
    }

    fn freezer(&self) -> Result<&Node, CgroupError> {
        self.node(Controller::Freezer).ok_or_else(|| self.unable("freeze", "it was made without the freezer"))
    }

    /// Asks for a stop or an end of it without waiting; `false` when the group cannot.
    fn request_freeze(&self, freeze: bool) -> bool {
        let Some(node) = self.node(Controller::Freezer) else { return false };
        let (file, value): (_, &[u8]) = match (node.version, freeze) {
            (Version::V2, true) => ("cgroup.freeze", b"1"),
            (Version::V2, false) => ("cgroup.freeze", b"0"),
            (Version::V1, true) => ("freezer.state", b"FROZEN"),
            (Version::V1, false) => ("freezer.state", b"THAWED"),
        };
        write(&node.dir, file, value).is_ok()
    }

    pub(crate) fn too_late(&self, node: &Node, what: &'static str, patience: Duration) -> CgroupError {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        CgroupError::TooLate { path: self.path(node), what, milliseconds }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{Deadline, KILL_PATIENCE};
    use crate::{Controller, Host, Limits, Meters, Name};

    /// What kernels before 5.14 and v1 need, also where this kernel could do better.
    #[test]
    fn killing_one_by_one_empties_a_group_that_forks() {
        let host = Host::probe().unwrap();
        if let Err(missing) = host.place(Controller::Freezer) {
            let line = format!("killing_one_by_one_empties_a_group_that_forks ... skipped: needs a group that can be frozen: {missing}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return;
        }
        let limits = Limits { freeze: true, meters: Meters::default(), ..Limits::default() };
        let mut group = host.create(&Name::fresh().unwrap(), &limits).unwrap();
        let script = "read go; storm() { n=0; while [ $n -lt 100 ]; do sleep 0.01 & wait $!; n=$((n+1)); done; sleep 60; }
                      for i in 1 2 3 4 5 6; do storm & done; echo on; wait";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        group.add(child.id()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        group.kill_each(&group.nodes[0], Deadline::after(KILL_PATIENCE)).unwrap();
        assert!(group.wait_empty(Duration::from_secs(5)).unwrap(), "left: {:?}", group.procs());
        child.wait().unwrap();
        group.remove().unwrap();
    }
}
