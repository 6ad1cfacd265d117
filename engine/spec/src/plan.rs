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
    /// Capabilities that stay (numbers of `capabilities(7)`), in the sandbox's user namespace; everything else leaves every set and the bounding set.
    /// `None` leaves the sets as they are (bubblewrap run by root).
    pub capabilities: Option<Vec<u8>>,
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
    /// No init: the command itself is pid 1 (bubblewrap's `--as-pid-1`).
    pub as_pid_1: bool,
    /// `prctl(PR_SET_DUMPABLE, 0)` for init, and its command line and environment wiped, so that nothing of the host is in `/proc/1`.
    pub hide_init: bool,
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
    /// After set-up, refuse further user namespaces by `user.max_user_namespaces` (bubblewrap's `--disable-userns`).
    pub disable_nested_user: bool,
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
    /// The setuid programs `newuidmap` and `newgidmap` (shadow-utils).
    Shadow,
}

/// Where something of the host is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A path on the host, resolved by the child before the root changes, with the launcher's rights.
    Path(PathBuf),
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
        /// Owned by the command's user instead of uid 0 of the sandbox.
        owned: bool,
    },
    /// A fresh procfs of the sandbox's pid namespace.
    Proc {
        /// Where.
        dst: PathBuf,
        /// Cover what design section 3 lists (kallsyms, kcore, keys, …), make `/proc/sys` read-only, hide init.
        masked: bool,
    },
    /// A fresh minimal `/dev`: null, zero, full, random, urandom, tty; links fd, stdin, stdout, stderr, core, ptmx; shm, and a private devpts.
    Dev {
        /// Where.
        dst: PathBuf,
        /// Bytes `shm` may hold; `None`: the kernel's default.
        shm_size: Option<u64>,
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
    },
    /// A file with this content, on whatever file system `dst` lies.
    File {
        /// Where.
        dst: PathBuf,
        /// What.
        content: Content,
        /// Permission bits.
        mode: u32,
    },
    /// A file with this content on a file system of its own, bound over `dst`.
    BindData {
        /// Where.
        dst: PathBuf,
        /// What.
        content: Content,
        /// Permission bits.
        mode: u32,
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

/// Where an overlay's writes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upper {
    /// Nowhere: the overlay is read-only (needs two lower directories).
    None,
    /// A tmpfs that dies with the sandbox, with a bound on bytes and inodes.
    Discard {
        /// Bytes.
        size: Option<u64>,
        /// Inodes.
        inodes: Option<u64>,
    },
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
}
