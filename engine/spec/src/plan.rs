//! A plan: everything the launcher will do, in order, as plain data.
//!
//! The planner in `enclos-sandbox` makes one from a [`Policy`](crate::Policy) and the host's facts; the bubblewrap front makes one straight
//! from its command line. `--explain` prints it. The child between clone and exec walks [`Plan::ops`] in order, and only that:
//! there is one mount engine.
//!
//! Paths called `dst` are absolute inside the new root and are resolved *in* it (`openat2(2)` with `RESOLVE_IN_ROOT`): no link found on the
//! way can lead out. Missing parent directories are made, mode 0755. Paths called `src` are the host's.

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything the launcher will do for one sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which namespaces are new.
    pub namespaces: Namespaces,
    /// Who the command is.
    pub identity: Identity,
    /// Operations on the new root, in order. The first root is an empty tmpfs.
    pub ops: Vec<Op>,
    /// Name in the new UTS namespace.
    pub hostname: Option<String>,
    /// Bring `lo` up in the new network namespace.
    pub loopback: bool,
    /// Which capabilities the command has. `None` leaves the sets as they are (bubblewrap run by root).
    pub capabilities: Option<Capabilities>,
    /// Lock securebits so that uid 0 inside gains nothing (`capabilities(7)`, SECBIT_*).
    pub lock_securebits: bool,
    /// Filters, in the order they are installed, after every other step.
    pub seccomp: Vec<FilterSource>,
    /// Second wall. `None`: not asked for.
    pub landlock: Option<Landlock>,
    /// `setrlimit(2)` pairs.
    pub rlimits: Vec<Rlimit>,
    /// CPUs the tree may use (`sched_setaffinity(2)`); empty: all.
    pub cpus: Vec<usize>,
    /// `setsid(2)` before the command, so that no terminal of the caller is its controlling one.
    pub new_session: bool,
    /// Kill the sandbox when the thread that made it dies (`PR_SET_PDEATHSIG`). Without it the sandbox dies when its control socket closes.
    pub die_with_parent: bool,
    /// Whether a process of ours stands between the launcher and the command.
    pub init: Init,
    /// Init outlives the launcher's interest: it stays until no process is left, and the launcher's end does not end it (bubblewrap without
    /// `--die-with-parent`).
    pub linger: bool,
    /// Which of the launcher's descriptors the command inherits beside its standard streams.
    pub descriptors: Descriptors,
    /// Namespaces joined instead of made (`setns(2)`).
    pub join: Join,
    /// Read one byte from this descriptor, after set-up and before the command runs.
    pub block_fd: Option<RawFd>,
    /// Do not write the id maps: somebody else does, and then writes one byte to this descriptor.
    pub userns_block_fd: Option<RawFd>,
    /// Kept open by init for as long as it lives, closed in the command.
    pub sync_fd: Option<RawFd>,
    /// Files inside on which init holds a shared lock (`F_SETLK`, `F_RDLCK`) for as long as it lives.
    pub lock_files: Vec<PathBuf>,
    /// `prctl(PR_SET_DUMPABLE, 0)` for init, and its command line and environment wiped, so that nothing of the host is in `/proc/1`.
    pub hide_init: bool,
}

/// Capability sets of the command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Effective, permitted and inheritable: numbers of `capabilities(7)`, in the sandbox's user namespace.
    pub keep: Vec<u8>,
    /// Raise them in the ambient set, so that they survive execution by a user other than 0.
    pub ambient: bool,
    /// Drop everything else from the bounding set.
    pub bound: bool,
}

/// Whether a process of ours stands between the launcher and the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Ours is the first process (pid 1 in a new pid namespace): it reaps orphans and reports. The command is never pid 1.
    #[default]
    Reaper,
    /// The cloned process becomes the command (bubblewrap's `--as-pid-1`, or bubblewrap without a new pid namespace).
    None,
}

/// Which of the launcher's descriptors the command inherits beside its standard streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Descriptors {
    /// None.
    #[default]
    CloseAll,
    /// Every one that is not close-on-exec, except these (bubblewrap).
    KeepAllBut(Vec<RawFd>),
}

/// Namespaces joined instead of made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// A user namespace, before everything else.
    pub user: Option<RawFd>,
    /// A user namespace, after set-up.
    pub user_after: Option<RawFd>,
    /// A pid namespace, before everything else; a new one ([`Namespaces::pid`]) is made below it.
    pub pid: Option<RawFd>,
}

/// Which namespaces are new for the sandbox; the mount namespace always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `CLONE_NEWUSER`.
    pub user: bool,
    /// `CLONE_NEWPID`.
    pub pid: bool,
    /// `CLONE_NEWNET`.
    pub net: bool,
    /// `CLONE_NEWIPC`.
    pub ipc: bool,
    /// `CLONE_NEWUTS`.
    pub uts: bool,
    /// `CLONE_NEWCGROUP`.
    pub cgroup: bool,
    /// Bound, in the new user namespace, what the kernel counts for the user behind it on the host: inotify instances; and refuse further user namespaces
    /// (`/proc/sys/user`, namespaces(7)).
    pub bound_counts: bool,
    /// After set-up, refuse further user namespaces by `user.max_user_namespaces` (bubblewrap's `--disable-userns`).
    pub disable_nested_user: bool,
    /// After set-up, fail unless making a further user namespace fails (bubblewrap's `--assert-userns-disabled`).
    pub assert_nested_user_disabled: bool,
}

/// Who the command is, inside and on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id inside; `None` leaves the caller's.
    pub uid: Option<u32>,
    /// Group id inside; `None` leaves the caller's.
    pub gid: Option<u32>,
    /// `user_namespaces(7)` uid_map lines; empty without a new user namespace.
    pub uid_map: Vec<IdRange>,
    /// gid_map lines.
    pub gid_map: Vec<IdRange>,
    /// Who writes the maps.
    pub mapper: Mapper,
    /// Ids the set-up itself runs under; `None`: [`Identity::uid`] and [`Identity::gid`]. A range map sets up as its own root, so that the command does not own
    /// the skeleton it runs in.
    pub setup: Option<(u32, u32)>,
    /// After set-up, go into one more user namespace with these one-id maps: (uid inside, gid inside).
    pub nested: Option<(u32, u32)>,
    /// Drop supplementary groups where that is allowed.
    pub clear_groups: bool,
}

/// One line of an id map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside (in the launcher's user namespace).
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who writes the id maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapper {
    /// The launcher, into `/proc/PID/uid_map`; with `setgroups` denied when it is not root.
    #[default]
    Launcher,
    /// The new process itself, into `/proc/self/uid_map`: one id, that of the launcher. Works also where the procfs is of another pid namespace and shows the new
    /// process under another number than the launcher knows (a sandbox in a sandbox).
    Own,
    /// The setuid programs `newuidmap` and `newgidmap` (shadow-utils).
    Shadow,
}

/// Where something of the host is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A path on the host, resolved by the child before the root changes, with the launcher's rights.
    Path(PathBuf),
    /// A path on the host on which no symbolic link may lie: whoever may write a directory on the way could have planted it.
    Exact(PathBuf),
    /// A descriptor the caller holds; inherited by the child.
    Fd(RawFd),
}

/// What a file is filled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// All that can be read from a descriptor the caller holds.
    Fd(RawFd),
}

/// How a bound tree may be used. `nosuid` is always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read-only, no devices.
    ReadOnly,
    /// Writable, no devices.
    ReadWrite,
    /// Writable, device nodes work.
    Devices,
}

/// One operation on the new root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum Op {
    /// Bind a file or directory, with everything mounted below it.
    Bind {
        /// What.
        src: Source,
        /// Where.
        dst: PathBuf,
        /// How.
        access: Access,
        /// Skip silently when `src` does not exist.
        optional: bool,
        /// Present host user 0's files (root mode) as the command's own: an idmapped mount (`mount_setattr(2)`). Refused by name where the file system cannot.
        idmap: bool,
    },
    /// Mount an overlay.
    Overlay {
        /// Lower directories, topmost first (the order of `lowerdir=`).
        lower: Vec<Source>,
        /// Where writes go.
        upper: Upper,
        /// Where.
        dst: PathBuf,
    },
    /// The overlay of a workspace. Its layers are no part of the plan: each sandbox is brought its own once it has been made.
    Workspace {
        /// Where.
        dst: PathBuf,
    },
    /// A fresh tmpfs.
    Tmpfs {
        /// Where.
        dst: PathBuf,
        /// Bytes; `None`: the kernel's default, half of memory.
        size: Option<u64>,
        /// Inodes; `None`: the kernel's default.
        inodes: Option<u64>,
        /// Permission bits of its root.
        mode: u32,
        /// Permission bits of missing parents.
        parent_mode: u32,
    },
    /// One private tmpfs whose directories appear in several places, so that one bound holds for all of them. Discarded layers of overlays lie on it too.
    Scratch {
        /// Bytes.
        size: Option<u64>,
        /// Inodes.
        inodes: Option<u64>,
        /// Where, and with which permission bits.
        places: Vec<ScratchPlace>,
    },
    /// A fresh procfs of the sandbox's pid namespace.
    Proc {
        /// Where.
        dst: PathBuf,
        /// What of it is covered.
        cover: ProcCover,
    },
    /// A minimal `/dev`: null, zero, full, random, urandom, tty; links fd, stdin, stdout, stderr, core; a directory shm.
    Dev {
        /// Where.
        dst: PathBuf,
        /// On a tmpfs of its own (bubblewrap), instead of in the directory.
        own_file_system: bool,
        /// With a private `devpts` and `ptmx`.
        terminals: bool,
        /// This terminal as `console`.
        console: Option<Source>,
    },
    /// A fresh POSIX message queue file system.
    Mqueue {
        /// Where.
        dst: PathBuf,
    },
    /// A directory, made if missing.
    Dir {
        /// Where.
        dst: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Permission bits of missing parents.
        parent_mode: u32,
    },
    /// A file with this content, on whatever file system `dst` lies.
    File {
        /// Where.
        dst: PathBuf,
        /// What.
        content: Content,
        /// Permission bits.
        mode: u32,
        /// Permission bits of missing parents.
        parent_mode: u32,
    },
    /// A file with this content on a file system of its own, bound over `dst`.
    BindData {
        /// Where.
        dst: PathBuf,
        /// What.
        content: Content,
        /// Permission bits.
        mode: u32,
        /// Permission bits of missing parents.
        parent_mode: u32,
        /// Bound read-only.
        read_only: bool,
    },
    /// A symbolic link. An existing link with the same target is left alone.
    Symlink {
        /// The link's text.
        target: PathBuf,
        /// Where.
        dst: PathBuf,
    },
    /// Change permission bits.
    Chmod {
        /// Where.
        dst: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Make the mount at `dst` read-only; mounts below it stay as they are.
    RemountReadOnly {
        /// Where.
        dst: PathBuf,
    },
    /// Cover whatever is at `dst`: a directory by an empty read-only one, a file by an empty read-only one. Nothing there: nothing to do.
    Hide {
        /// Where.
        dst: PathBuf,
    },
}

/// A place on the one private tmpfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScratchPlace {
    /// Where.
    pub dst: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Owned by the command's user instead of the one who sets up.
    pub owned: bool,
}

/// What of a fresh procfs is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcCover {
    /// `kallsyms kcore keys modules timer_list config.gz …` show nothing, `sys` and `sysrq-trigger` are read-only, processes one may not trace are invisible.
    Secrets,
    /// Of `sys sysrq-trigger irq bus` each that is writable becomes read-only (bubblewrap).
    Writable,
}

/// Where an overlay's writes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upper {
    /// Nowhere: the overlay is read-only (needs two lower directories).
    None,
    /// The private tmpfs ([`Op::Scratch`]; an unbounded one is made if the plan has none), which dies with the sandbox.
    Discard,
    /// These directories of the host.
    Keep {
        /// `upperdir=`.
        upper: Source,
        /// `workdir=`, on the same file system.
        work: Source,
    },
}

/// Where a filter comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterSource {
    /// The built-in allowlist.
    Default,
    /// The built-in allowlist, answering with a line in the audit log instead of an error (`SECCOMP_RET_LOG`).
    Log,
    /// Compiled classic BPF, 8 bytes an instruction, as `seccomp_export_bpf(3)` writes.
    Program(Vec<u8>),
}

/// The second wall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landlock {
    /// Trees (paths inside) that may be written.
    pub write: Vec<PathBuf>,
    /// The same, but for those on whose path a link lies: where a command before could have put one.
    #[serde(default)]
    pub exact: Vec<PathBuf>,
    /// Refuse TCP bind and connect (ABI 4).
    pub deny_tcp: bool,
}

/// One `setrlimit(2)` pair; soft and hard alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which.
    pub resource: Resource,
    /// The value, in the resource's own unit.
    pub value: u64,
}

/// Resources of `setrlimit(2)` that Enclos sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of setrlimit(2)")]
pub enum Resource {
    Cpu,
    FileSize,
    Stack,
    Core,
    OpenFiles,
    AddressSpace,
    Processes,
    LockedMemory,
    MessageQueue,
    PendingSignals,
    RealTimePriority,
    Nice,
}
