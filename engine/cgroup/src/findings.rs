//! What `enclos doctor` says about control groups.

use std::fmt;

use crate::limits::host_swaps;
use crate::v2::Tree;
use crate::{Controller, ControllerSet, Host, Kind, Missing, Version};

/// How well something works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As designed.
    Ok,
    /// It works, but less than designed.
    Weak,
    /// It does not work.
    Missing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Ok => "ok",
            State::Weak => "weak",
            State::Missing => "missing",
        })
    }
}

/// One line of the doctor's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, e.g. `memory controller`.
    pub subject: String,
    /// How well it works.
    pub state: State,
    /// What was found: where it is, or why it is missing.
    pub detail: String,
    /// What its weakness or absence costs; empty when it is well.
    pub cost: String,
    /// What to do about it, a command where there is one; empty when it is well.
    pub remedy: String,
}

impl Host {
    /// What this host can do by control groups, line by line. Looks at every hierarchy, so it is not for the path of a run.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.kind_finding()];
        findings.extend(Controller::ALL.into_iter().map(|controller| self.controller_finding(controller)));
        findings.push(self.kill_finding());
        findings
    }

    fn kind_finding(&self) -> Finding {
        let points: Vec<String> = self
            .v2
            .iter()
            .map(|tree| format!("v2 at {}", tree.point.display()))
            .chain(self.v1.iter().map(|h| format!("v1 {} at {}", h.controllers.to_string().replace(", ", "+"), h.point.display())))
            .collect();
        let (state, cost, remedy) = match self.kind() {
            Kind::None => (State::Missing, "no limit on memory or tasks of a whole tree can be enforced", MOUNT_V2),
            _ => (State::Ok, "", ""),
        };
        let detail = if points.is_empty() { "no cgroup file system is mounted".to_owned() } else { points.join("; ") };
        let subject = format!("control groups: {}", self.kind());
        Finding { subject, state, detail, cost: cost.to_owned(), remedy: remedy.to_owned() }
    }

    fn controller_finding(&self, controller: Controller) -> Finding {
        let subject = format!("{controller} controller");
        match self.place(controller) {
            Ok(place) => {
                let core = place.version == Version::V2 && controller.v2_name().is_none();
                let how = if core { "part of every v2 group" } else { "usable" };
                let detail = format!("{how}; {} at {}, groups in {}", place.version, place.mount_point.display(), place.parent.display());
                let mut finding = Finding { subject, state: State::Ok, detail, cost: String::new(), remedy: String::new() };
                if controller == Controller::Memory && place.version == Version::V1 && !counts_swap_v1(&place.parent) && host_swaps() {
                    finding.state = State::Weak;
                    finding.detail += "; swap is not counted";
                    finding.cost = "a sandbox over its memory limit may go on in swap".to_owned();
                    finding.remedy = "boot with the kernel parameter swapaccount=1, or turn swap off: swapoff -a".to_owned();
                }
                finding
            }
            Err(missing) => Finding {
                subject,
                state: if matters(controller) { State::Missing } else { State::Weak },
                detail: missing.to_string(),
                cost: cost(controller).to_owned(),
                remedy: self.remedy(controller, &missing),
            },
        }
    }

    /// Killing a whole group at once needs no controller, but a v2 tree on Linux 5.14 or later.
    fn kill_finding(&self) -> Finding {
        let subject = "kill a whole group".to_owned();
        const NEW_KERNEL: &str = "run Linux 5.14 or later with a v2 tree";
        let (detail, remedy) = match self.v2.as_ref().map(|tree| (has_kill(tree), tree.parent(ControllerSet::NONE))) {
            Some((true, Ok(_))) => {
                let detail = "cgroup.kill".to_owned();
                return Finding { subject, state: State::Ok, detail, cost: String::new(), remedy: String::new() };
            }
            Some((false, Ok(_))) => ("this kernel has no cgroup.kill".to_owned(), NEW_KERNEL.to_owned()),
            Some((_, Err(missing))) => (missing.to_string(), self.remedy(Controller::Freezer, &missing)),
            None => ("no v2 tree".to_owned(), NEW_KERNEL.to_owned()),
        };
        let cost = "processes are frozen where possible and killed one by one, until none is left".to_owned();
        Finding { subject, state: State::Weak, detail, cost, remedy }
    }

    fn remedy(&self, controller: Controller, missing: &Missing) -> String {
        match missing {
            Missing::NotMounted if self.kind() == Kind::None => MOUNT_V2.to_owned(),
            Missing::NotAvailable { .. } if self.v2.as_ref().is_some_and(|tree| root_has(tree, controller)) => delegate(),
            Missing::NotMounted | Missing::NotAvailable { .. } => match kernel_state(controller) {
                KernelState::Disabled => {
                    format!("boot with the kernel parameter cgroup_enable={0}, and without cgroup_disable={0}", controller.v1_name())
                }
                KernelState::Absent => format!("run a kernel built with the {controller} controller"),
                KernelState::Bound | KernelState::Free if matches!(missing, Missing::NotMounted) => format!(
                    "mkdir -p /sys/fs/cgroup/{0} && mount -t cgroup -o {0} none /sys/fs/cgroup/{0}, or boot with systemd.unified_cgroup_hierarchy=1",
                    controller.v1_name()
                ),
                KernelState::Bound => format!(
                    "the controller is bound to a v1 hierarchy that is not mounted here: mount it (mount -t cgroup -o {}), or boot with systemd.unified_cgroup_hierarchy=1",
                    controller.v1_name()
                ),
                KernelState::Free => delegate(),
            },
            Missing::NotWritable { .. } => delegate(),
            Missing::Populated { dir, .. } => format!(
                "run in a group of your own ({RUN_SCOPE}); in a container whose processes you may move: mkdir {0}/leaf && for p in $(cat {0}/cgroup.procs); do echo $p > {0}/leaf/cgroup.procs; done",
                dir.display()
            ),
            Missing::Threaded { .. } => format!("start from a group of type \"domain\": {RUN_SCOPE}"),
            Missing::ReadOnly { point } => format!(
                "mount -o remount,rw {}; for a container: docker run --cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw (podman run --security-opt unmask=/sys/fs/cgroup)",
                point.display()
            ),
            Missing::Hidden { .. } => {
                "mount the hierarchy again inside the cgroup namespace: mount -t cgroup2 none /sys/fs/cgroup".to_owned()
            }
            Missing::Deleted { .. } => "start again from a living group, e.g. a new login".to_owned(),
            Missing::Unreadable { path, .. } => format!("find out what hides it: findmnt -T {}", path.display()),
        }
    }
}

const MOUNT_V2: &str = "mount -t cgroup2 none /sys/fs/cgroup (in a container: run it with its cgroup file system mounted)";
const RUN_SCOPE: &str = "systemd-run --user --scope -p Delegate=yes -- enclos …; as root without --user";

fn delegate() -> String {
    format!(
        "{RUN_SCOPE}; for every login: systemctl edit user@.service with the lines [Service] and Delegate=cpu cpuset io memory pids; for a service: Delegate=yes in its unit"
    )
}

/// Whether a default run uses it.
fn matters(controller: Controller) -> bool {
    matches!(controller, Controller::Memory | Controller::Pids | Controller::CpuAcct)
}

fn cost(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "a limit on memory is refused (best effort: the address space of each single process); no memory peak",
        Controller::Pids => "a limit on processes is refused (best effort: RLIMIT_NPROC with a user id of its own); no count of tasks",
        Controller::Cpu => "no share or quota of CPU time; limits on CPU time do not need it",
        Controller::CpuAcct => "CPU time is taken from wait4 of the whole pid namespace, after the end",
        Controller::CpuSet => "CPUs are bound by sched_setaffinity, which a process may undo where its filter lets it",
        Controller::Freezer => "a sandbox cannot be frozen",
        Controller::Io => "no limit on block I/O; none is set by default",
    }
}

enum KernelState {
    /// The kernel is built without it.
    Absent,
    /// Switched off at boot.
    Disabled,
    /// Bound to a v1 hierarchy.
    Bound,
    /// Bound to none, or to the v2 tree.
    Free,
}

/// What `/proc/cgroups` says: name, hierarchy, groups, enabled. A kernel from 6.17 on may leave v2-only controllers out of it.
fn kernel_state(controller: Controller) -> KernelState {
    let text = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let line = text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.next() == Some(controller.v1_name()))
            .then(|| (fields.next().unwrap_or("0").to_owned(), fields.nth(1).unwrap_or("1").to_owned()))
    });
    match line {
        None => KernelState::Absent,
        Some((_, enabled)) if enabled == "0" => KernelState::Disabled,
        Some((hierarchy, _)) if hierarchy != "0" => KernelState::Bound,
        Some(_) => KernelState::Free,
    }
}

/// Whether the topmost v2 group we see has the controller to give.
fn root_has(tree: &Tree, controller: Controller) -> bool {
    std::fs::read(tree.point.join("cgroup.controllers")).is_ok_and(|list| ControllerSet::from_v2(&list).has(controller))
}

fn counts_swap_v1(parent: &std::path::Path) -> bool {
    parent.join("memory.memsw.limit_in_bytes").exists()
}

/// Whether groups of this tree have `cgroup.kill`: seen in our own group, or (the root has none) told by the kernel's release.
fn has_kill(tree: &Tree) -> bool {
    tree.own().is_ok_and(|own| own.join("cgroup.kill").exists()) || {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(5), Some(14))
    }
}
