//! What can go wrong, with the step, the error number and the path kept as data.

use std::fmt;
use std::path::PathBuf;

use enclos_spec::PolicyError;
use enclos_sys::Errno;

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// The step that failed. The child reports a step as its number; the text completes "cannot …".
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Stage { $($(#[$doc])* $name,)+ }
        impl Stage {
            const EVERY: &[Stage] = &[$(Stage::$name),+];
            /// What was attempted; completes "cannot …".
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Stage::$name => $text,)+ }
            }
        }
    };
}

stages! {
    /// `clone3(2)`.
    Clone = "make the sandbox's process",
    /// Id maps.
    MapIds = "map user and group ids",
    /// `setns(2)`.
    JoinUser = "join the user namespace",
    /// `setns(2)`.
    JoinUserAfter = "join the second user namespace",
    /// `setns(2)`.
    JoinPid = "join the pid namespace",
    /// `cgroup.procs` of v2, `tasks` of v1.
    JoinCgroup = "enter the control group",
    /// `setresuid(2)` and friends during set-up.
    BecomeSetup = "take the sandbox's ids",
    /// `sethostname(2)`.
    Hostname = "set the host name",
    /// `SIOCSIFFLAGS`.
    Loopback = "bring the loopback interface up",
    /// Mount propagation.
    Private = "separate the mounts from the host's",
    /// The first tmpfs.
    NewRoot = "mount the new root",
    /// An operation: its source.
    Source = "find the source",
    /// An operation: its place.
    Place = "make the place",
    /// An operation: the act itself.
    Operation = "carry out the operation",
    /// `pivot_root(2)`.
    Pivot = "change the root",
    /// umount2(2).
    DetachOldRoot = "detach the old root",
    /// `prctl(2)`.
    Process = "set process attributes",
    /// Sets, bounding set, securebits.
    Capabilities = "drop capabilities",
    /// `setresuid(2)` and friends.
    BecomeUser = "become the command's user",
    /// A second user namespace.
    Nested = "make the nested user namespace",
    /// `user.max_user_namespaces`.
    DisableNested = "refuse further user namespaces",
    /// `--assert-userns-disabled`.
    AssertNested = "confirm that further user namespaces are refused",
    /// Landlock.
    Landlock = "put the Landlock rules in force",
    /// seccomp.
    Seccomp = "install the system call filter",
    /// `setrlimit(2)`.
    Rlimit = "set a resource limit",
    /// `sched_setaffinity(2)`.
    Cpus = "choose the CPUs",
    /// `--lock-file`: opening.
    LockOpen = "open the lock file",
    /// `--lock-file`: locking.
    LockTake = "lock the lock file",
    /// Files brought along with a command.
    WriteFiles = "write the command's files",
    /// `--block-fd`.
    Block = "wait on the block descriptor",
    /// The command's own process.
    Fork = "make the command's process",
    /// pseudo-terminal.
    Terminal = "make the private terminal",
    /// `setsid(2)`.
    Session = "make a new session",
    /// dup2.
    Streams = "connect the standard streams",
    /// A full disk, a limit on the size of files.
    Output = "write what the command wrote",
    /// `chdir(2)`.
    Workdir = "enter the working directory",
    /// `execve(2)`.
    Execute = "execute the command",
    /// Talking to init.
    Control = "talk to the sandbox's init",
    /// Making a control group.
    Cgroup = "make the control group",
    /// Anything of the launcher's own.
    Prepare = "prepare the sandbox",
}

impl Stage {
    /// The stage with this number; [`Stage::Control`] for a number no stage has.
    #[must_use]
    pub fn from_number(number: u8) -> Stage {
        Self::EVERY.get(usize::from(number)).copied().unwrap_or(Stage::Control)
    }
}

/// A failure of Enclos, not of the command.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A policy that makes no sense.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A policy this host cannot enforce.
    #[error("{field}: this host cannot enforce it: {missing}")]
    Unenforceable {
        /// The policy's key.
        field: &'static str,
        /// What is missing, by name, and what to do about it.
        missing: String,
    },
    /// A limit whose controller failed.
    #[error(transparent)]
    Cgroup(#[from] enclos_cgroup::CgroupError),
    /// A filter that is none.
    #[error("seccomp: {path:?}: {message}", path = .path)]
    Filter {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A step that failed.
    #[error("{0}")]
    Step(Failure),
    /// The sandbox's init ended without a report.
    #[error("the sandbox's init ended unexpectedly ({0})")]
    InitLost(String),
}

/// A step that failed: where, why, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub stage: Stage,
    /// The kernel's answer.
    pub errno: Errno,
    /// Index in [`enclos_spec::plan::Plan::ops`], for the steps of an operation.
    pub op: Option<usize>,
    /// The path or name it was about.
    pub subject: Option<String>,
}

impl Failure {
    pub(crate) fn new(stage: Stage, errno: Errno) -> Self {
        Failure { stage, errno, op: None, subject: None }
    }
    pub(crate) fn about(stage: Stage, errno: Errno, subject: impl Into<String>) -> Self {
        Failure { stage, errno, op: None, subject: Some(subject.into()) }
    }
    /// The errno's text, e.g. `No such file or directory`.
    #[must_use]
    pub fn reason(&self) -> String {
        let text = std::io::Error::from(self.errno).to_string();
        text.split(" (os error").next().unwrap_or(&text).to_owned()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        match (self.stage, &self.subject) {
            (Stage::Execute, Some(command)) if self.errno == Errno::NOENT => write!(f, "{command}: command not found in the sandbox"),
            (Stage::Execute, Some(command)) => write!(f, "{command}: cannot be executed: {reason}"),
            (Stage::Source, Some(subject)) if self.errno == Errno::LOOP => {
                write!(f, "{subject}: a symbolic link lies on this path, which somebody may have planted; name the path it leads to")
            }
            (stage, Some(subject)) => write!(f, "cannot {} ({subject}): {reason}", stage.text()),
            (stage, None) => write!(f, "cannot {}: {reason}", stage.text()),
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        SandboxError::Step(failure)
    }
}

impl SandboxError {
    /// The exit code of `enclos run` for this error; see [`enclos_spec::exit`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            SandboxError::Step(Failure { stage: Stage::Execute, errno: Errno::NOENT, .. }) => enclos_spec::exit::NOT_FOUND,
            SandboxError::Step(Failure { stage: Stage::Execute, .. }) => enclos_spec::exit::NOT_EXECUTABLE,
            _ => enclos_spec::exit::FAILURE,
        }
    }

    /// The failed step, where it is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            SandboxError::Step(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The crate's own short name for it; outside it is `enclos_sandbox::Error`.
pub use SandboxError as Error;

/// Shorthand for results of this crate.
pub type Result<T, E = SandboxError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_the_wire() {
        for stage in Stage::EVERY {
            assert_eq!(Stage::from_number(*stage as u8), *stage);
        }
        assert_eq!(Stage::from_number(255), Stage::Control);
    }

    #[test]
    fn a_missing_command_is_127_and_says_so() {
        let error = Error::from(Failure::about(Stage::Execute, Errno::NOENT, "pyhton3"));
        assert_eq!(error.exit_code(), 127);
        assert_eq!(error.to_string(), "pyhton3: command not found in the sandbox");
        assert_eq!(Error::from(Failure::about(Stage::Execute, Errno::ACCESS, "x")).exit_code(), 126);
        assert_eq!(Error::from(Failure::new(Stage::Clone, Errno::AGAIN)).exit_code(), 125);
    }
}
