//! The child's program: a plan with every string, descriptor and table made ready, so that between clone and exec nothing is allocated.

use std::ffi::CString;
use std::os::fd::{OwnedFd, RawFd};

use enclos_sys::child::StartupMemory;
use enclos_sys::clone::Stack;
use enclos_sys::mount::Attributes;
use rustix::fs::CWD;

use super::place::Place;

/// Where a tree to bind comes from.
#[derive(Debug)]
pub enum Tree {
    /// Cloned by the launcher, with the launcher's rights.
    Detached(OwnedFd),
    /// Found by the child, with its own rights.
    Path(CString),
    /// The same, and no symbolic link may lie on the way.
    Exact(CString),
    /// Behind a descriptor: found by the path it has, and compared.
    Descriptor(RawFd),
}

/// What a file is filled with.
#[derive(Debug)]
pub enum Filling {
    /// These bytes.
    Bytes(Vec<u8>),
    /// All that a descriptor gives.
    Descriptor(RawFd),
}

/// One prepared operation, with the index it has in the plan.
#[derive(Debug)]
pub struct Action {
    /// Index in the plan.
    pub op: u32,
    /// What.
    pub kind: ActionKind,
}

/// What one operation does.
#[derive(Debug)]
pub enum ActionKind {
    /// See [`enclos_spec::plan::Op::Bind`].
    Bind { tree: Tree, place: Place, attributes: Attributes, optional: bool },
    /// An overlay of trees, attached beside each other on the scratch; `keep`: a tree with directories `upper` and `work`; `owner`: ids inside to whom a
    /// discarded layer's root belongs, as the lower root is shown to.
    OverlayTrees { lower: Vec<Tree>, keep: Option<Tree>, discard: bool, owner: Option<(u32, u32)>, names: LayerNames, place: Place },
    /// An overlay named by paths, as `mount(8)` takes it.
    OverlayPaths { options: CString, discard: Option<CString>, place: Place },
    /// See [`enclos_spec::plan::Op::Workspace`]. The stack is that of the process which takes the layers' own mounts away again.
    Workspace { place: Place, stack: Stack },
    /// See [`enclos_spec::plan::Op::Tmpfs`].
    Tmpfs { size: Option<CString>, inodes: Option<CString>, mode: CString, place: Place },
    /// See [`enclos_spec::plan::Op::Scratch`].
    Scratch { places: Vec<ScratchAt> },
    /// See [`enclos_spec::plan::Op::Proc`].
    Proc { place: Place, hide: Vec<Place>, read_only: Vec<Place>, only_writable: bool },
    /// A private `devpts`.
    Devpts { place: Place },
    /// See [`enclos_spec::plan::Op::Mqueue`].
    Mqueue { place: Place },
    /// See [`enclos_spec::plan::Op::Dir`].
    Dir { place: Place, mode: u32 },
    /// See [`enclos_spec::plan::Op::File`].
    File { place: Place, filling: Filling, mode: u32 },
    /// See [`enclos_spec::plan::Op::BindData`].
    BindData { place: Place, filling: Filling, mode: u32, read_only: bool },
    /// See [`enclos_spec::plan::Op::Symlink`].
    Symlink { target: CString, place: Place },
    /// See [`enclos_spec::plan::Op::Chmod`].
    Chmod { place: Place, mode: u32 },
    /// See [`enclos_spec::plan::Op::RemountReadOnly`].
    RemountReadOnly { place: Place },
    /// See [`enclos_spec::plan::Op::Hide`].
    Hide { place: Place },
}

/// Bounds of the private tmpfs.
#[derive(Debug)]
pub struct ScratchSize {
    /// It must be attached somewhere to be bound from: on kernels before 6.15, and for the layers of overlays. A detached one costs no unmount.
    pub attach: bool,
    /// `size=`
    pub bytes: Option<CString>,
    /// `nr_inodes=`
    pub inodes: Option<CString>,
}

/// A directory of the scratch and where it appears.
#[derive(Debug)]
pub struct ScratchAt {
    /// Its name on the scratch.
    pub name: CString,
    /// Permission bits.
    pub mode: u32,
    /// Owner: ids inside.
    pub owner: Option<(u32, u32)>,
    /// Where.
    pub place: Place,
}

/// Names of an overlay's layers on the scratch.
#[derive(Debug)]
pub struct LayerNames {
    /// `l0`, `l1`, …
    pub lower: Vec<CString>,
    /// `k`
    pub keep: CString,
    /// All lower names joined by colons.
    pub lowerdir: CString,
    /// Upper directory.
    pub upper: CString,
    /// Work directory.
    pub work: CString,
}

/// Everything a child does, in the order it does it; see [`super::run`].
#[derive(Debug)]
pub struct Program {
    /// Control socket, the child's end.
    pub control: OwnedFd,
    /// The launcher, watched while waiting for its release: other children may hold copies of its end of the control socket, so that its closing alone
    /// would not be noticed. `None`: the launcher's death kills this process anyway.
    pub launcher: Option<OwnedFd>,
    /// `tasks` of v1 hierarchies, `cgroup.procs` of v2.
    pub cgroups: Vec<OwnedFd>,
    /// Make the cgroup namespace after entering them.
    pub cgroup_namespace: bool,
    /// Whether to wait for a release before anything that needs the id maps.
    pub wait_release: bool,
    /// Id maps that the process writes itself (uid, gid), after its release.
    pub own_maps: Option<(Vec<u8>, Vec<u8>)>,
    /// Kill signal when the launching thread dies.
    pub die_with_parent: bool,
    /// Ids during set-up.
    pub setup_ids: Option<(u32, u32)>,
    /// Drop supplementary groups.
    pub clear_groups: bool,
    /// Host name.
    pub hostname: Option<Vec<u8>>,
    /// Loopback up.
    pub loopback: bool,
    /// Operations on the new root.
    pub actions: Vec<Action>,
    /// Bounds of the private tmpfs, where one is needed.
    pub scratch: Option<ScratchSize>,
    /// Build the root, or (a sandbox of a template) go on in the one that is there.
    pub build_root: bool,
    /// The process has a user namespace of its own.
    pub in_user_namespace: bool,
    /// The process is the first of a pid namespace of its own.
    pub own_pid_namespace: bool,
    /// Kernel memory of this program's command line.
    pub startup: Option<StartupMemory>,
    /// Not dumpable, name changed.
    pub hide_init: bool,
    /// How the process confines itself.
    pub confine: Confine,
    /// The command.
    pub start: Start,
}

/// The last steps before the command.
#[derive(Debug)]
pub struct Confine {
    /// Ids of the command.
    pub ids: Option<(u32, u32)>,
    /// Capability masks.
    pub capabilities: Option<CapabilityMask>,
    /// Securebits locked.
    pub lock_securebits: bool,
    /// Landlock rules.
    pub landlock: Option<Ruleset>,
    /// Programs installed in init, inherited by every command.
    pub filters: Vec<Vec<u8>>,
    /// Bounds in `/proc/sys/user`.
    pub bound_counts: bool,
    /// `user.max_user_namespaces = 1` before the nested namespace.
    pub disable_nested: bool,
    /// Check that no further user namespace can be made.
    pub assert_nested: bool,
    /// One more user namespace, with these one-line maps (uid, gid).
    pub nested: Option<(Vec<u8>, Vec<u8>)>,
    /// Join this user namespace.
    pub join_user_after: Option<RawFd>,
}

impl Confine {
    /// Whether steps need the host's procfs.
    pub fn nests(&self) -> bool {
        self.bound_counts || self.disable_nested || self.assert_nested || self.nested.is_some()
    }
}

/// Capability sets as bit masks.
#[derive(Clone, Copy, Debug)]
pub struct CapabilityMask {
    /// What stays.
    pub keep: u64,
    /// Ambient too.
    pub ambient: bool,
    /// Bounding set too.
    pub bound: bool,
}

/// Landlock rules: places and what is given back there.
#[derive(Debug)]
pub struct Ruleset {
    /// What is taken away.
    pub handled: enclos_sys::landlock::Handled,
    /// ABI of this kernel.
    pub abi: u32,
    /// Trees that may be written.
    pub write: Vec<Place>,
    /// Trees that may be written unless a link lies on the way.
    pub exact: Vec<Place>,
}

/// How commands are run.
#[derive(Debug)]
pub struct Start {
    /// Our init stays, or the process becomes the command.
    pub init: bool,
    /// Init outlives the caller's interest.
    pub linger: bool,
    /// New session for each command.
    pub new_session: bool,
    /// `setrlimit(2)` pairs.
    pub rlimits: Vec<(rustix::process::Resource, u64)>,
    /// CPU set.
    pub cpus: Option<rustix::thread::CpuSet>,
    /// Filters installed in each command only (the caller's own programs).
    pub filters: Vec<Vec<u8>>,
    /// Descriptor policy of each command: runs of numbers to close, first and last; `None`: close all.
    pub keep_all_but: Option<Vec<(RawFd, RawFd)>>,
    /// Read one byte before the command.
    pub block_fd: Option<RawFd>,
    /// Kept open by init.
    pub sync_fd: Option<RawFd>,
    /// Kept open by init: the lease of its ids.
    pub lease: Option<RawFd>,
    /// Locked by init.
    pub lock_files: Vec<CString>,
    /// File mode creation mask of commands.
    pub umask: u32,
    /// The signal mask a command gets.
    pub mask: enclos_sys::signal::SignalSet,
    /// The first command: its request, and its streams' descriptors; `None`: wait for requests.
    pub first: Option<First>,
    /// Clone the first command's process ahead of its request.
    pub park: Option<Park>,
    /// Stack for command processes.
    pub stack: Stack,
}

/// The process that is made ahead of the first command's request.
#[derive(Debug)]
pub struct Park {
    /// Where the request comes from.
    pub socket: OwnedFd,
    /// Its own stack: others may be started while it waits.
    pub stack: Stack,
}

/// The first command.
#[derive(Debug)]
pub struct First {
    /// Encoded request.
    pub request: Vec<u8>,
    /// Its descriptors.
    pub given: crate::init::Given,
}

/// The directory descriptor that means "relative to the current directory".
pub const HERE: rustix::fd::BorrowedFd<'static> = CWD;
