//! A plan carried out as it is: for fronts that bring a plan of their own (bubblewrap's command line). No policy, no clocks, no report unless asked.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use enclos_cgroup::Group;
use enclos_spec::plan::{Init, Plan};
use enclos_sys::wait::{How, Wait, wait_pidfd};

use crate::error::{Error, Failure, Result, Stage};
use crate::exec_request::{Words, request};
use crate::init::Given;
use crate::init::message::{Reply, flag};
use crate::launch::{self, Launch, failure_of};
use crate::watch::{next_reply, now};

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

/// A sandbox that was made and waits for [`Started::release`].
#[derive(Debug)]
pub struct Started<'a> {
    plan: &'a Plan,
    inner: launch::Started,
    began: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit status, or minus the signal.
    pub status: i32,
    /// From the start to the end.
    pub wall: Duration,
}

/// Makes the sandbox's process. The command's streams are this process's own.
///
/// # Errors
/// The failed step, with the operation and the path.
pub fn start<'a>(plan: &'a Plan, exec: &Exec, group: Option<&Group>) -> Result<Started<'a>> {
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
    let launch = Launch { group, first: Some((&request, Given { streams, ..Given::default() })), hold: true, lease: None };
    // A caller that ignores it (nohup, a shell's trap) would never learn how the command ended.
    enclos_sys::signal::set_default(rustix::process::Signal::CHILD.as_raw());
    let inner = launch::start(plan, &launch)?;
    Ok(Started { plan, inner, began: now() })
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

    /// Waits until the command has ended. A lingering init may live on.
    ///
    /// # Errors
    /// When the sandbox's init was lost.
    pub fn wait(&self) -> Result<Ended> {
        let status = if self.plan.init == Init::None { self.wait_process()? } else { self.wait_init()? };
        Ok(Ended { status, wall: now().saturating_sub(self.began) })
    }

    fn wait_process(&self) -> Result<i32> {
        let changed = wait_pidfd(&self.inner.pidfd, Wait::Ended).map_err(|e| Failure::new(Stage::Control, e))?;
        match changed.map(|c| c.how) {
            Some(How::Exited(status)) => Ok(status),
            Some(How::Signaled(signal)) => Ok(-signal),
            other => Err(Error::InitLost(format!("{other:?}"))),
        }
    }

    fn wait_init(&self) -> Result<i32> {
        loop {
            match next_reply(&self.inner.control) {
                Ok(Reply::Ended { status, .. }) => {
                    if !self.plan.linger {
                        let _ = wait_pidfd(&self.inner.pidfd, Wait::Ended);
                    }
                    return Ok(status);
                }
                Ok(Reply::Stopped { .. } | Reply::Continued { .. } | Reply::Ready) => {}
                // A step of init's own after the command began: a lock file, for one.
                Ok(Reply::Failed { stage, op, errno }) => return Err(failure_of(self.plan, stage, op, errno).into()),
                Ok(other) => return Err(Error::InitLost(format!("{other:?}"))),
                // Init was killed: what it had was killed with it.
                Err(_) => return self.wait_process(),
            }
        }
    }
}
