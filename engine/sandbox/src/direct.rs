//! A plan carried out as it is: for fronts that bring a plan of their own (bubblewrap's command line). Limits, clocks and a report only where they are asked for
//! ([`Bounds`]).

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use enclos_cgroup::Group;
use enclos_spec::plan::{Init, Plan};
use enclos_spec::{Bound, Policy, Report};
use enclos_sys::wait::{How, Wait, wait_pidfd};

use crate::error::{Error, Failure, Result, Stage};
use crate::exec_request::{Words, request};
use crate::init::Given;
use crate::init::message::{Reply, flag};
use crate::launch::guardian::{Guardian, make_group};
use crate::launch::{self, Launch, failure_of};
use crate::meter::{CpuClock, Evidence};
use crate::plan::{By, Hold, Planned, Resolved, Wants, asked_rlimits, resolve};
use crate::probe::Facts;
use crate::watch::{self, Watch, next_reply, now};

const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();

/// What to execute.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Name to look up in `PATH` (of `environment`), or path.
    pub program: OsString,
    /// `argv[0]`; `None`: the program's name.
    pub argv0: Option<OsString>,
    /// The other arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment. Without `PWD` in it the directory entered is added as `PWD`.
    pub environment: Vec<(OsString, OsString)>,
    /// Directories to start in, in order of preference.
    pub directories: Vec<PathBuf>,
}

/// Limits over a plan, and what a report about it needs.
#[derive(Debug)]
pub struct Bounds {
    facts: Facts,
    limits: Resolved,
    weakened: Vec<String>,
}

impl Bounds {
    /// Puts the limits of `policy` over `plan`; nothing else of the policy counts, and a limit it does not name is none. `measure`: read every meter that can be read.
    ///
    /// # Errors
    /// A limit that makes no sense, or that nobody can hold: on this host, or over this plan. One that is watched needs a pid namespace, which can be ended as a whole,
    /// and an init in it.
    pub fn over(plan: &mut Plan, policy: &Policy, measure: bool) -> Result<Bounds> {
        let facts = Facts::probe()?;
        let policy = Policy {
            disk: Some(Bound::Unlimited),
            inodes: Some(Bound::Unlimited),
            processes: Some(policy.processes.unwrap_or(Bound::Unlimited)),
            ..policy.clone()
        };
        let whole = plan.namespaces.pid && plan.init == Init::Reaper;
        let mut weakened = Vec::new();
        // What goes on after the end would keep a group of its own alive.
        let limits = resolve(&policy, &facts, Wants { measure: measure && whole, ..Wants::default() }, &mut weakened)?;
        let watched = [
            ("wall", limits.wall.is_some()),
            ("idle", limits.idle.is_some()),
            ("cpu", limits.cpu.is_some()),
            ("memory", limits.memory.is_some()),
            ("processes", limits.processes.is_some()),
        ];
        if let Some((field, _)) = watched.into_iter().find(|(_, asked)| *asked && !whole) {
            let missing = "a pid namespace and an init in it, without which what the limit ends is not the whole of the sandbox".to_owned();
            return Err(Error::Unenforceable { field, missing });
        }
        // The kernel holds no such limit for user 0 of the host, in whatever namespace, and counts all of anybody else's processes outside of one.
        let counted = plan.namespaces.user && plan.identity.uid_map.iter().all(|range| range.outside != 0);
        if matches!(limits.processes, Some(Hold { by: By::Rlimit, .. })) && !counted {
            let missing =
                "a control group that counts processes; RLIMIT_NPROC needs a user namespace, and holds nothing for root".to_owned();
            return Err(Error::Unenforceable { field: "processes", missing });
        }
        plan.rlimits.extend(asked_rlimits(&policy, &facts, &limits, None));
        plan.cpus = policy.cpus.map(|list| list.0).unwrap_or_default();
        Ok(Bounds { facts, limits, weakened })
    }

    /// What a report is made from.
    fn planned(&self, plan: &Plan) -> Planned {
        let ids = plan.identity.uid_map.first().map(|range| format!("uid {} inside is uid {} outside", range.inside, range.outside));
        Planned {
            plan: plan.clone(),
            limits: self.limits.clone(),
            environment: Vec::new(),
            directories: Vec::new(),
            weakened: self.weakened.clone(),
            identity: ids.unwrap_or_default(),
            lease: None,
        }
    }
}

/// A sandbox that was made; [`Started::release`] lets it go on.
#[derive(Debug)]
pub struct Started<'a> {
    plan: &'a Plan,
    bounds: Option<Bounds>,
    inner: launch::Started,
    group: Option<Group>,
    /// After the group: it ends last.
    guardian: Option<Guardian>,
    began: Duration,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit status, or minus the signal.
    pub status: i32,
    /// The report, where there are [`Bounds`].
    pub report: Option<Report>,
}

/// Makes the sandbox's process. The command's streams are this process's own. `hold`: it does nothing before [`Started::release`], so that whoever watches can be told of it first.
///
/// # Errors
/// The failed step, with the operation and the path.
pub fn start<'a>(plan: &'a Plan, exec: &Exec, bounds: Option<Bounds>, hold: bool) -> Result<Started<'a>> {
    let (mut group, mut guardian) = (None, None);
    if let Some(bounds) = &bounds
        && let Some(limits) = &bounds.limits.group
    {
        let made = make_group(&bounds.facts.cgroups, limits, true)?;
        (group, guardian) = (Some(made.0), made.1);
    }
    let mut words = Words::new(&exec.program);
    words.arguments.extend(exec.arguments.iter().cloned());
    let mut request = request(&words, &exec.environment, &exec.directories)?;
    if let Some(name) = &exec.argv0 {
        let name = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str());
        request.arguments[0] =
            std::ffi::CString::new(name).map_err(|_| Failure::about(Stage::Prepare, enclos_sys::Errno::INVAL, "a zero byte in argv0"))?;
    }
    request.flags |= flag::LAST | flag::ANNOUNCE | flag::SHELL;
    let streams = [0, 1, 2].map(|number: RawFd| enclos_sys::fd::borrow(number).is_ok().then_some(number));
    let given = Given { streams, ..Given::default() };
    let launch = Launch { group: group.as_ref(), first: Some((&request, given)), hold, lease: None };
    // A caller that ignores it (nohup, a shell's trap) would never learn how the command ended.
    enclos_sys::signal::set_default(rustix::process::Signal::CHILD.as_raw());
    let inner = launch::start(plan, &launch)?;
    Ok(Started { plan, bounds, inner, group, guardian, began: now() })
}

impl Started<'_> {
    /// Pid of the process made (init, or the command itself), in the caller's pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its pidfd.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.inner.pidfd.as_fd()
    }

    /// Writes the id maps and lets it go on.
    ///
    /// # Errors
    /// The failed step.
    pub fn release(&self) -> Result<()> {
        self.inner.release(self.plan)
    }

    /// Waits until the command runs: every step before has succeeded.
    ///
    /// # Errors
    /// The failed step.
    pub fn wait_executed(&self) -> Result<()> {
        match next_reply(&self.inner.control) {
            Ok(Reply::Started { .. }) => Ok(()),
            Ok(Reply::Failed { stage, op, errno }) => Err(failure_of(self.plan, stage, op, errno).into()),
            Ok(Reply::NotStarted { stage, errno, .. }) => Err(failure_of(self.plan, stage, u32::MAX, errno).into()),
            // Without an init the execution itself closes the socket.
            Err(_) if self.plan.init == Init::None => Ok(()),
            Ok(other) => Err(Error::InitLost(format!("{other:?}"))),
            Err(errno) => Err(Error::InitLost(errno.to_string())),
        }
    }

    /// Waits until the command has ended; holds the limits meanwhile. A lingering init may live on.
    ///
    /// # Errors
    /// When the sandbox's init was lost, or its control group cannot be removed.
    pub fn wait(mut self) -> Result<Ended> {
        let seen = match &self.bounds {
            Some(bounds) if self.plan.init == Init::Reaper => self.watch(bounds)?,
            _ if self.plan.init == Init::Reaper => self.wait_init()?,
            _ => self.wait_process()?,
        };
        // An init that was killed was killed by SIGKILL.
        let status = seen.status.unwrap_or(-SIGKILL);
        let report = self.bounds.as_ref().map(|bounds| {
            let group = self.group.as_ref();
            Evidence {
                planned: &bounds.planned(self.plan),
                ended: &seen,
                usage: group.and_then(|group| group.usage().ok()),
                output: [None, None],
                group,
                landlock_abi: bounds.facts.landlock_abi,
            }
            .report()
        });
        if let Some(mut group) = self.group.take() {
            group.remove()?;
        }
        self.guardian = None;
        Ok(Ended { status, report })
    }

    /// Until the end, with an eye on the clocks.
    fn watch(&self, bounds: &Bounds) -> Result<watch::Ended> {
        let (group, cpus) = (self.group.as_ref(), self.plan.cpus.len());
        let mut watch = Watch {
            plan: self.plan,
            limits: &bounds.limits,
            replies: self.inner.control.as_fd(),
            requests: self.inner.control.as_fd(),
            pidfd: self.inner.pidfd.as_fd(),
            id: launch::FIRST_ID,
            shared: None,
            last: true,
            clock: CpuClock::new(bounds.limits.cpu.is_some() || bounds.limits.idle.is_some(), group, || Some(self.inner.pid)),
            group,
            cpus: if cpus == 0 { bounds.facts.cpus } else { cpus },
            streams: Vec::new(),
            relay: None,
            handed: None,
            signals: None,
        };
        let mut seen = match watch.run() {
            // Killed by somebody else: what it had was killed with it.
            Err(Error::InitLost(_)) => return self.wait_process(),
            Err(error) => {
                launch::end(&self.inner.control, &self.inner.pidfd);
                return Err(error);
            }
            Ok(seen) => seen,
        };
        if !self.plan.linger {
            let reaped = watch::reap(&self.inner.pidfd);
            if seen.status.is_none() {
                seen.cpu_us = seen.cpu_us.max(reaped.map(|changed| changed.cpu_us));
            }
        }
        Ok(seen)
    }

    fn wait_process(&self) -> Result<watch::Ended> {
        let changed = wait_pidfd(&self.inner.pidfd, Wait::Ended).map_err(|e| Failure::new(Stage::Control, e))?;
        let status = match changed.map(|c| c.how) {
            Some(How::Exited(status)) => status,
            Some(How::Signaled(signal)) => -signal,
            other => return Err(Error::InitLost(format!("{other:?}"))),
        };
        let (cpu_us, max_resident) = changed.map_or((None, 0), |c| (Some(c.cpu_us), c.max_resident));
        Ok(watch::Ended { cpu_us, max_resident, ..self.seen(status) })
    }

    /// What is known without a meter.
    fn seen(&self, status: i32) -> watch::Ended {
        watch::Ended { status: Some(status), wall: now().saturating_sub(self.began), ..watch::Ended::default() }
    }

    fn wait_init(&self) -> Result<watch::Ended> {
        loop {
            match next_reply(&self.inner.control) {
                Ok(Reply::Ended { status, .. }) => {
                    // With a pid namespace it has waited for everybody else and ends by itself, as this program does; locks are held to its very end.
                    let alone = self.plan.namespaces.pid && self.plan.lock_files.is_empty();
                    if !self.plan.linger && !alone {
                        let _ = wait_pidfd(&self.inner.pidfd, Wait::Ended);
                    }
                    return Ok(self.seen(status));
                }
                Ok(Reply::Stopped { .. } | Reply::Continued { .. } | Reply::Ready { .. }) => {}
                // A step of init's own after the command began: a lock file, for one.
                Ok(Reply::Failed { stage, op, errno }) => return Err(failure_of(self.plan, stage, op, errno).into()),
                Ok(other) => return Err(Error::InitLost(format!("{other:?}"))),
                // Init was killed: what it had was killed with it.
                Err(_) => return self.wait_process(),
            }
        }
    }
}
