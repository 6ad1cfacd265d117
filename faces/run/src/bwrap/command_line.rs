//! What a command line asks for: pure data, in the order it was given.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Everything one command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The command and its arguments; empty only when none was given.
    pub command: Vec<OsString>,
    /// `--argv0`: the command's name for itself.
    pub argv0: Option<OsString>,
    /// Namespaces made.
    pub unshare: Unshare,
    /// `--userns`: this user namespace instead of a new one.
    pub userns: Option<RawFd>,
    /// `--userns2`: into this user namespace after set-up.
    pub userns2: Option<RawFd>,
    /// `--pidns`: this pid namespace, as parent where `--unshare-pid` was given too.
    pub pidns: Option<RawFd>,
    /// `--disable-userns`.
    pub disable_userns: bool,
    /// `--assert-userns-disabled`.
    pub assert_userns_disabled: bool,
    /// `--uid`.
    pub uid: Option<u32>,
    /// `--gid`.
    pub gid: Option<u32>,
    /// `--hostname`.
    pub hostname: Option<OsString>,
    /// `--chdir`.
    pub chdir: Option<PathBuf>,
    /// `--clearenv`, `--setenv`, `--unsetenv`, in order.
    pub environment: Vec<Change>,
    /// `--lock-file`, in order.
    pub lock_files: Vec<PathBuf>,
    /// `--sync-fd`.
    pub sync_fd: Option<RawFd>,
    /// Operations on the file system, in order.
    pub ops: Vec<FileOp>,
    /// `--seccomp`.
    pub seccomp: Option<RawFd>,
    /// `--add-seccomp-fd`, in order.
    pub add_seccomp: Vec<RawFd>,
    /// `--block-fd`.
    pub block_fd: Option<RawFd>,
    /// `--userns-block-fd`.
    pub userns_block_fd: Option<RawFd>,
    /// `--info-fd`.
    pub info_fd: Option<RawFd>,
    /// `--json-status-fd`.
    pub json_status_fd: Option<RawFd>,
    /// `--new-session`.
    pub new_session: bool,
    /// `--die-with-parent`.
    pub die_with_parent: bool,
    /// `--as-pid-1`.
    pub as_pid_1: bool,
    /// `--cap-add` and `--cap-drop`, in order.
    pub capabilities: Vec<CapabilityChange>,
    /// `--args`: descriptors that were read to their end.
    pub argument_fds: Vec<RawFd>,
    /// `--enclos-report`: where our report goes.
    pub report: Option<PathBuf>,
    /// `--enclos-limits`: policy key and value, in order.
    pub limits: Vec<(String, String)>,
}

/// Namespaces to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unshare {
    /// `--unshare-user`.
    pub user: bool,
    /// `--unshare-user-try`.
    pub user_try: bool,
    /// `--unshare-ipc`.
    pub ipc: bool,
    /// `--unshare-pid`.
    pub pid: bool,
    /// `--unshare-net`, unless a later `--share-net` took it back.
    pub net: bool,
    /// `--unshare-uts`.
    pub uts: bool,
    /// `--unshare-cgroup`.
    pub cgroup: bool,
    /// `--unshare-cgroup-try`.
    pub cgroup_try: bool,
}

/// A change of the command's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Forget everything.
    Clear,
    /// Set a variable.
    Set(OsString, OsString),
    /// Forget a variable.
    Unset(OsString),
}

/// A change of the set of capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityChange {
    /// Add one.
    Add(u8),
    /// Add all.
    AddAll,
    /// Drop one.
    Drop(u8),
    /// Drop all.
    DropAll,
}

/// One operation on the file system, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOp {
    /// The option that asked for it, for messages.
    pub flag: &'static str,
    /// What.
    pub kind: Kind,
    /// Where, as written; relative paths count from the new root.
    pub dest: PathBuf,
}

impl FileOp {
    /// The paths of the host it needs.
    pub fn sources(&self) -> impl Iterator<Item = &PathBuf> {
        let (one, many, kept): (Option<&PathBuf>, &[PathBuf], [Option<&PathBuf>; 2]) = match &self.kind {
            Kind::Bind { from: From::Path(path), .. } => (Some(path), &[], [None, None]),
            Kind::Overlay { sources, upper: Upper::Keep { upper, work } } => (None, sources, [Some(upper), Some(work)]),
            Kind::Overlay { sources, .. } => (None, sources, [None, None]),
            _ => (None, &[], [None, None]),
        };
        one.into_iter().chain(many).chain(kept.into_iter().flatten())
    }

    /// Needs a path that is empty, which no path of the host is. `-try` binds skip that as they skip any that is missing.
    #[must_use]
    pub fn has_empty_source(&self) -> bool {
        let optional = matches!(self.kind, Kind::Bind { optional: true, .. });
        !optional && self.sources().any(|path| path.as_os_str().is_empty())
    }
}

/// What a file operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--bind`, `--ro-bind`, `--dev-bind` and their `-try` and `-fd` forms.
    Bind {
        /// What is bound.
        from: From,
        /// Read-only, everywhere below too.
        read_only: bool,
        /// Device files work.
        devices: bool,
        /// A missing source is no error.
        optional: bool,
    },
    /// `--overlay`, `--tmp-overlay`, `--ro-overlay`.
    Overlay {
        /// `--overlay-src`, in the order given: the first lies at the bottom.
        sources: Vec<PathBuf>,
        /// Where writes go.
        upper: Upper,
    },
    /// `--remount-ro`.
    RemountReadOnly,
    /// `--proc`.
    Proc,
    /// `--dev`.
    Dev,
    /// `--tmpfs`.
    Tmpfs {
        /// `--size`, bytes.
        size: Option<u64>,
        /// `--perms`.
        perms: Option<u32>,
    },
    /// `--mqueue`.
    Mqueue,
    /// `--dir`.
    Dir {
        /// `--perms`.
        perms: Option<u32>,
    },
    /// `--file`.
    File {
        /// What it holds.
        fd: RawFd,
        /// `--perms`.
        perms: Option<u32>,
    },
    /// `--bind-data` and `--ro-bind-data`.
    BindData {
        /// What it holds.
        fd: RawFd,
        /// `--perms`.
        perms: Option<u32>,
        /// Bound read-only.
        read_only: bool,
    },
    /// `--symlink`.
    Symlink {
        /// The link's text.
        target: PathBuf,
    },
    /// `--chmod`.
    Chmod {
        /// Permission bits.
        mode: u32,
    },
}

/// What is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A path of the host.
    Path(PathBuf),
    /// An open descriptor.
    Fd(RawFd),
}

/// Where an overlay's writes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Nowhere.
    None,
    /// To memory, until the sandbox ends.
    Discard,
    /// To these directories of the host.
    Keep {
        /// RWSRC.
        upper: PathBuf,
        /// WORKDIR.
        work: PathBuf,
    },
}
