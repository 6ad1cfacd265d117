//! What a run used, and the report that says so.

mod tree;

use std::time::Duration;

use enclos_cgroup::{Controller, Group, Reading, Usage};
use enclos_spec::plan::{Access, FilterSource, Init, Op, Plan, Resource};
use enclos_spec::report::SCHEMA;
use enclos_spec::{Figure, Layer, LayerState, LimitReport, Report, Verdict};
use rustix::process::Pid;

use crate::plan::{By, Planned};
use crate::watch::{Cause, Ended};

/// The clock of a whole tree's CPU time.
#[derive(Debug)]
pub struct CpuClock<'a> {
    group: Option<&'a Group>,
    /// Only looked at where no group counts.
    init: Option<Pid>,
    /// What the tree had used when the command started.
    base: Duration,
    highest: Duration,
}

impl<'a> CpuClock<'a> {
    /// For the tree below `init`, in `group` where there is one that counts; `watched`: a limit needs it while the command runs.
    #[must_use]
    pub fn new(watched: bool, group: Option<&'a Group>, init: impl FnOnce() -> Option<Pid>) -> Self {
        if !watched {
            return CpuClock { group: None, init: None, base: Duration::ZERO, highest: Duration::ZERO };
        }
        let group = group.filter(|g| g.cpu_usec().is_ok());
        let init = if group.is_some() { None } else { init() };
        CpuClock { group, init, base: Duration::ZERO, highest: Duration::ZERO }
    }

    /// Counts from now on.
    #[must_use]
    pub fn starting_now(mut self) -> Self {
        self.base = self.total();
        self
    }

    fn total(&self) -> Duration {
        let read = self.group.and_then(|group| group.cpu_usec().ok());
        read.map_or_else(|| self.init.map_or(Duration::ZERO, tree::cpu_time), Duration::from_micros)
    }

    /// Used so far. Never goes back.
    pub fn now(&mut self) -> Duration {
        self.highest = self.highest.max(self.total().saturating_sub(self.base));
        self.highest
    }
}

/// Everything known at the end of a run.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What was planned.
    pub planned: &'a Planned,
    /// How it ended.
    pub ended: &'a Ended,
    /// What the control group counted.
    pub usage: Option<Usage>,
    /// Bytes on stdout and stderr that passed through us.
    pub output: [Option<u64>; 2],
    /// The control group, for the names of its files.
    pub group: Option<&'a Group>,
    /// ABI of Landlock on this kernel.
    pub landlock_abi: u32,
}

impl Evidence<'_> {
    /// The report.
    #[must_use]
    pub fn report(&self) -> Report {
        let verdict = self.verdict();
        let status = self.ended.status;
        Report {
            schema: SCHEMA,
            verdict,
            exit_code: status.filter(|s| *s >= 0),
            signal: status.filter(|s| *s < 0).map(|s| -s).or(if status.is_none() { Some(9) } else { None }),
            evidence: self.evidence(verdict),
            figures: self.figures(),
            limits: self.limits(verdict),
            layers: layers(&self.planned.plan, &self.planned.identity, self.landlock_abi),
            weakened: self.weakened(),
        }
    }

    fn oom_kills(&self) -> u64 {
        self.usage.as_ref().and_then(|u| u.oom_kills).map_or(0, |r| r.value)
    }

    fn cpu_us(&self) -> Option<u64> {
        self.usage.as_ref().and_then(|u| u.cpu).map(|r| r.value).or(self.ended.cpu_us)
    }

    fn verdict(&self) -> Verdict {
        if self.oom_kills() > 0 {
            return Verdict::OutOfMemory;
        }
        match self.ended.cause {
            Some(Cause::Cpu) => return Verdict::TimedOut,
            Some(Cause::Wall | Cause::Idle) => return Verdict::Idleness,
            Some(Cause::Output(_)) => return Verdict::OutputLimit,
            None => {}
        }
        // A run that ended by itself a moment before the watch looked is judged by what it used.
        if self.planned.limits.cpu.is_some_and(|limit| self.cpu_us().is_some_and(|us| us > limit.as_micros() as u64)) {
            return Verdict::TimedOut;
        }
        let failed = self.ended.status != Some(0);
        match self.ended.status {
            Some(0) => Verdict::Ok,
            Some(status) if status == -SIGSYS => Verdict::Security,
            _ if failed && (self.ended.disk.full || self.ended.disk.inodes_full) => Verdict::DiskLimit,
            Some(status) if status == -SIGXCPU && self.planned.limits.cpu.is_some() => Verdict::TimedOut,
            Some(status) if status == -SIGXFSZ => Verdict::DiskLimit,
            Some(status) if status < 0 => Verdict::Signaled,
            _ => Verdict::RuntimeError,
        }
    }

    fn evidence(&self, verdict: Verdict) -> Option<String> {
        let limits = &self.planned.limits;
        let ms = |span: Duration| format!("{:.3} s", span.as_secs_f64());
        let cpu = Duration::from_micros(self.cpu_us().unwrap_or(0));
        match verdict {
            Verdict::OutOfMemory => {
                let source = self.usage.as_ref().and_then(|u| u.oom_kills).map_or("", |r| r.source);
                Some(format!("{} processes killed by the kernel at the memory limit ({source})", self.oom_kills()))
            }
            Verdict::TimedOut => limits.cpu.map(|limit| format!("cpu time {} of {} allowed", ms(cpu), ms(limit))),
            Verdict::Idleness if self.ended.cause == Some(Cause::Idle) => {
                limits.idle.map(|limit| format!("no output and no cpu time for {}", ms(limit)))
            }
            Verdict::Idleness => limits.wall.map(|limit| format!("wall clock {} of {} allowed", ms(self.ended.wall), ms(limit))),
            Verdict::OutputLimit => limits.output.into_iter().chain(limits.file_size).min().map(|cap| {
                let stream = if self.ended.cause == Some(Cause::Output(2)) { "stderr" } else { "stdout" };
                format!("more than {cap} bytes on {stream}")
            }),
            Verdict::DiskLimit if self.ended.status == Some(-SIGXFSZ) => {
                limits.file_size.map(|size| format!("a file grew past {size} bytes"))
            }
            Verdict::DiskLimit => {
                Some(format!("no space left: {} bytes, {} inodes in use (statfs)", self.ended.disk.bytes, self.ended.disk.inodes))
            }
            Verdict::Security => Some("killed by the system call filter (SIGSYS)".to_owned()),
            Verdict::Ok | Verdict::RuntimeError | Verdict::Signaled | Verdict::InternalError => None,
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let mut out = Vec::new();
        let mut push = |name: &str, value: u64, unit: &str, source: &str| {
            out.push(Figure { name: name.into(), value, unit: unit.into(), source: source.into() });
        };
        push("wall", self.ended.wall.as_micros() as u64, "us", "CLOCK_MONOTONIC");
        match self.usage.as_ref().and_then(|u| u.cpu) {
            Some(cpu) => push("cpu", cpu.value, "us", cpu.source),
            None if self.planned.plan.namespaces.pid => {
                push("cpu", self.ended.cpu_us.unwrap_or(0), "us", "wait4 of the whole pid namespace");
            }
            None => push("cpu", self.ended.cpu_us.unwrap_or(0), "us", "wait4 of the command and of what it waited for"),
        }
        if let Some(usage) = &self.usage {
            let named = [
                ("cpu-user", usage.cpu_user, "us"),
                ("cpu-system", usage.cpu_system, "us"),
                ("memory-peak", usage.memory_peak, "bytes"),
                ("oom-kills", usage.oom_kills, "count"),
                // Init is in the group, and none of the command's.
                ("processes-peak", usage.pids_peak.map(|r| Reading { value: r.value.saturating_sub(1), ..r }), "count"),
                ("processes-refused", usage.pids_limit_hits, "count"),
            ];
            for (name, reading, unit) in named {
                if let Some(reading) = reading {
                    push(name, reading.value, unit, reading.source);
                }
            }
        }
        if self.ended.max_resident > 0 {
            push("resident-peak", self.ended.max_resident, "bytes", "wait4 ru_maxrss, largest single process");
        }
        if self.planned.plan.ops.iter().any(|op| matches!(op, Op::Scratch { .. })) {
            push("disk", self.ended.disk.bytes, "bytes", "statfs of the private tmpfs");
            push("inodes", self.ended.disk.inodes, "count", "statfs of the private tmpfs");
        }
        for (name, bytes) in [("stdout", self.output[0]), ("stderr", self.output[1])] {
            if let Some(bytes) = bytes {
                push(name, bytes, "bytes", "bytes seen");
            }
        }
        if let Some(pressure) = self.group.and_then(|group| group.pressure().ok()) {
            for (name, stall) in [("pressure-cpu", pressure.cpu), ("pressure-memory", pressure.memory), ("pressure-io", pressure.io)] {
                if let Some(stall) = stall {
                    push(name, stall.some, "us", "cgroup v2 pressure stall, some");
                }
            }
        }
        out
    }

    fn limits(&self, verdict: Verdict) -> Vec<LimitReport> {
        let limits = &self.planned.limits;
        let mut out = Vec::new();
        let mut push = |name: &str, value: u64, unit: &str, enforcer: &str, meter: &str, hit: bool| {
            let (name, unit, enforcer, meter) = (name.into(), unit.into(), enforcer.into(), meter.into());
            out.push(LimitReport { name, value, unit, enforcer, meter, hit });
        };
        let us = |span: Duration| span.as_micros() as u64;
        let file = |controller| self.group.and_then(|g| g.enforcer(controller)).unwrap_or("cgroup");
        let source = |reading: Option<Reading>, other| reading.map_or(other, |r| r.source);
        let usage = self.usage.unwrap_or_default();
        let cause = self.ended.cause;
        if let Some(limit) = limits.wall {
            push("wall", us(limit), "us", "watch", "CLOCK_MONOTONIC", cause == Some(Cause::Wall));
        }
        if let Some(limit) = limits.idle {
            push("idle", us(limit), "us", "watch", "CLOCK_MONOTONIC", cause == Some(Cause::Idle));
        }
        if let Some(limit) = limits.cpu {
            let meter = source(usage.cpu, "processes' own clocks (/proc) and wait4");
            push("cpu", us(limit), "us", "watch, and RLIMIT_CPU as backstop", meter, verdict == Verdict::TimedOut);
        }
        if let Some(thousandths) = limits.cpu_quota {
            push("cpu-quota", thousandths, "thousandths of a CPU", file(Controller::Cpu), "none", false);
        }
        if let Some(shares) = limits.cpu_shares {
            push("cpu-shares", shares, "shares", file(Controller::Cpu), "none", false);
        }
        if let Some(hold) = limits.memory {
            let hit = verdict == Verdict::OutOfMemory;
            match hold.by {
                By::Cgroup => push("memory", hold.value, "bytes", file(Controller::Memory), source(usage.memory_peak, "none"), hit),
                By::Rlimit => push("memory", hold.value, "bytes", "RLIMIT_AS", "none", hit),
            }
        }
        if let Some(hold) = limits.processes {
            let refused = usage.pids_limit_hits.is_some_and(|r| r.value > 0);
            match hold.by {
                By::Cgroup => push("processes", hold.value, "count", file(Controller::Pids), source(usage.pids_peak, "none"), refused),
                By::Rlimit => {
                    push("processes", hold.value, "count", "RLIMIT_NPROC of a private user", source(usage.pids_peak, "none"), false)
                }
            }
        }
        let ended_full = verdict == Verdict::DiskLimit;
        let (full, inodes_full) = (ended_full && self.ended.disk.full, ended_full && self.ended.disk.inodes_full);
        if let Some(value) = limits.disk {
            push("disk", value, "bytes", "tmpfs size", "statfs", full);
        }
        if let Some(value) = limits.inodes {
            push("inodes", value, "count", "tmpfs nr_inodes", "statfs", inodes_full);
        }
        if let Some(value) = limits.output {
            push("output", value, "bytes", "watch", "bytes seen", verdict == Verdict::OutputLimit);
        }
        for rlimit in &self.planned.plan.rlimits {
            match rlimit.resource {
                Resource::OpenFiles => push("open-files", rlimit.value, "count", "RLIMIT_NOFILE", "none", false),
                Resource::Stack => push("stack", rlimit.value, "bytes", "RLIMIT_STACK", "none", false),
                _ => {}
            }
        }
        if let Some(value) = limits.file_size {
            push("file-size", value, "bytes", "RLIMIT_FSIZE", "none", self.ended.status == Some(-SIGXFSZ));
        }
        out
    }

    fn weakened(&self) -> Vec<String> {
        let mut out = self.planned.weakened.clone();
        if let Some(group) = self.group {
            out.extend(group.weaker().iter().cloned());
            out.extend(group.unmetered().iter().map(|(controller, why)| format!("{controller} is not measured: {why}")));
        }
        out
    }
}

const SIGSYS: i32 = rustix::process::Signal::SYS.as_raw();
const SIGXCPU: i32 = rustix::process::Signal::XCPU.as_raw();
const SIGXFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();

/// Every layer of isolation and whether it is in force.
#[must_use]
pub fn layers(plan: &Plan, identity: &str, landlock_abi: u32) -> Vec<Layer> {
    let new = plan.namespaces;
    let mut out = Vec::new();
    let mut push = |name: &str, state: LayerState, detail: &str| out.push(Layer { name: name.into(), state, detail: detail.into() });
    let on = |yes: bool| if yes { LayerState::Active } else { LayerState::Off };
    push("user namespace", on(new.user || plan.join.user.is_some()), identity);
    let devices = plan.ops.iter().any(|op| matches!(op, Op::Bind { access: Access::Devices, .. }));
    let root = "a root of its own (pivot_root), nosuid, nodev";
    push("mount namespace", LayerState::Active, if devices { "a root of its own (pivot_root), nosuid; device files work" } else { root });
    push(
        "pid namespace",
        on(new.pid || plan.join.pid.is_some()),
        match (new.pid, plan.init) {
            (false, _) if plan.join.pid.is_some() => "that of others",
            (false, _) => "the command sees the host's processes",
            (true, Init::None) => "the command is pid 1",
            (true, Init::Reaper) if plan.hide_init => "the command is pid 2, under an init that cannot be traced",
            (true, Init::Reaper) => "the command is pid 2",
        },
    );
    push(
        "network namespace",
        on(new.net),
        if !new.net {
            "the host's network"
        } else if plan.loopback {
            "loopback only"
        } else {
            "no interface is up"
        },
    );
    push("ipc namespace", on(new.ipc), "");
    push("uts namespace", on(new.uts), plan.hostname.as_deref().unwrap_or(""));
    push("cgroup namespace", on(new.cgroup), "");
    let none_left = plan.capabilities.as_ref().is_some_and(|c| c.keep.is_empty() && c.bound);
    push("capabilities", on(none_left), if none_left { "all sets and the bounding set empty, securebits locked" } else { "some are left" });
    push("no new privileges", LayerState::Active, "set-user-id programs gain nothing");
    match plan.seccomp.first() {
        Some(FilterSource::Default) => push("seccomp", LayerState::Active, "built-in allowlist"),
        Some(FilterSource::Log) => push("seccomp", LayerState::Weakened, "log: what is not on the allowlist is let through and logged"),
        Some(FilterSource::Program(_)) => push("seccomp", LayerState::Active, "the caller's program"),
        None => push("seccomp", LayerState::Off, ""),
    }
    match (&plan.landlock, landlock_abi) {
        (None, 0) => push("landlock", LayerState::Missing, "this kernel has none"),
        (None, _) => push("landlock", LayerState::Off, ""),
        (Some(_), abi) => {
            let (state, words) = match abi {
                6.. => (LayerState::Active, "file system, tcp, abstract sockets, signals"),
                4..6 => (LayerState::Weakened, "file system, tcp; no scopes before ABI 6"),
                _ => (LayerState::Weakened, "file system; no tcp before ABI 4"),
            };
            push("landlock", state, &format!("ABI {abi}: {words}"));
        }
    }
    out
}
