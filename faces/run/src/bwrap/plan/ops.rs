//! Operations on the file system, one to one, with bubblewrap's defaults.

use std::path::{Path, PathBuf};

use enclos_spec::plan::{Access, Content, Op, ProcCover, Source, Upper as PlanUpper};

use super::{Caller, inside};
use crate::bwrap::command_line::{CommandLine, FileOp, From, Kind, Upper};

/// Bits of a parent directory made on the way to something for which no permissions can be given.
const CLOSED_PARENT: u32 = 0o700;

/// Which operation of the command line an operation of the plan comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`CommandLine::ops`].
    pub op: usize,
    /// This only makes the parents.
    pub parents: bool,
}

pub(super) fn translate(line: &CommandLine, caller: &Caller) -> (Vec<Op>, Vec<Origin>) {
    let mut ops = Vec::with_capacity(line.ops.len());
    let mut origins = Vec::with_capacity(line.ops.len());
    for (index, op) in line.ops.iter().enumerate() {
        if skipped(op, caller) {
            continue;
        }
        if op.kind == Kind::Proc && !fresh_proc(line) {
            shared_proc(op, index, caller, &mut ops, &mut origins);
            continue;
        }
        if let Some(parent) = parent_to_close(op) {
            ops.push(Op::Dir { dst: parent, mode: CLOSED_PARENT, parent_mode: CLOSED_PARENT });
            origins.push(Origin { op: index, parents: true });
        }
        ops.push(one(op, caller));
        origins.push(Origin { op: index, parents: false });
    }
    (ops, origins)
}

/// A new procfs shows a pid namespace, so one is mounted where that is new or joined.
fn fresh_proc(line: &CommandLine) -> bool {
    line.unshare.pid || line.pidns.is_some()
}

/// Without a pid namespace of its own the sandbox shows the host's procfs, as bubblewrap does: nobody but root may mount one, and it would show the same.
/// What root could change the host with is read-only.
fn shared_proc(op: &FileOp, index: usize, caller: &Caller, ops: &mut Vec<Op>, origins: &mut Vec<Origin>) {
    let dst = inside(&op.dest);
    let bind = |name: &str, access, optional| Op::Bind {
        src: Source::Path(Path::new("/proc").join(name)),
        dst: if name.is_empty() { dst.clone() } else { dst.join(name) },
        access,
        optional,
        idmap: false,
    };
    let covered: &[&str] = if caller.uid == 0 { &["sysrq-trigger", "irq", "bus"] } else { &[] };
    if let Some(parent) = parent_to_close(op) {
        ops.push(Op::Dir { dst: parent, mode: CLOSED_PARENT, parent_mode: CLOSED_PARENT });
        origins.push(Origin { op: index, parents: true });
    }
    let all = std::iter::once(bind("", Access::ReadWrite, false)).chain(covered.iter().map(|name| bind(name, Access::ReadOnly, true)));
    for one in all {
        ops.push(one);
        origins.push(Origin { op: index, parents: false });
    }
}

/// A `-try` bind whose source does not exist leaves nothing behind, not even parents.
fn skipped(op: &FileOp, caller: &Caller) -> bool {
    match &op.kind {
        Kind::Bind { from: From::Path(path), optional: true, .. } => caller.missing.contains(path),
        _ => false,
    }
}

/// bubblewrap makes missing parents with mode 0700 for everything that takes no `--perms`. Its manual says 0755; tools have seen 0700 for years, and
/// it is the closed side.
fn parent_to_close(op: &FileOp) -> Option<PathBuf> {
    match op.kind {
        Kind::Bind { .. } | Kind::Overlay { .. } | Kind::Proc | Kind::Dev | Kind::Mqueue | Kind::Symlink { .. } => {
            inside(&op.dest).parent().filter(|parent| *parent != Path::new("/")).map(Path::to_owned)
        }
        _ => None,
    }
}

/// Parents of something with permissions: 0755 less what the permissions close to everyone in the group, or to all others.
fn parent_mode(perms: u32) -> u32 {
    let mut mode = 0o755;
    for class in [0o070, 0o007] {
        if perms & class == 0 {
            mode &= !class;
        }
    }
    mode
}

fn one(op: &FileOp, caller: &Caller) -> Op {
    let dst = inside(&op.dest);
    match &op.kind {
        Kind::Bind { from, read_only, devices, optional } => Op::Bind {
            src: source(from, caller),
            dst,
            access: match (read_only, devices) {
                (true, _) => Access::ReadOnly,
                (false, true) => Access::Devices,
                (false, false) => Access::ReadWrite,
            },
            optional: *optional,
            idmap: false,
        },
        Kind::Overlay { sources, upper } => Op::Overlay {
            // The command line begins at the bottom, the plan at the top.
            lower: sources.iter().rev().map(|path| Source::Path(outside(path, caller))).collect(),
            upper: match upper {
                Upper::None => PlanUpper::None,
                Upper::Discard => PlanUpper::Discard,
                Upper::Keep { upper, work } => {
                    PlanUpper::Keep { upper: Source::Path(outside(upper, caller)), work: Source::Path(outside(work, caller)) }
                }
            },
            dst,
        },
        Kind::RemountReadOnly => Op::RemountReadOnly { dst },
        Kind::Proc => Op::Proc { dst, cover: ProcCover::Writable },
        Kind::Dev => Op::Dev {
            dst,
            own_file_system: true,
            terminals: true,
            console: caller.terminal.as_ref().map(|terminal| Source::Path(terminal.clone())),
        },
        Kind::Tmpfs { size, perms } => {
            let mode = perms.unwrap_or(0o755);
            Op::Tmpfs { dst, size: *size, inodes: None, mode, parent_mode: parent_mode(mode) }
        }
        Kind::Mqueue => Op::Mqueue { dst },
        Kind::Dir { perms } => {
            let perms = perms.unwrap_or(0o755);
            // mkdir(2) takes no set-id bits.
            Op::Dir { dst, mode: perms & 0o1777, parent_mode: parent_mode(perms) }
        }
        Kind::File { fd, perms } => {
            let mode = perms.unwrap_or(0o666);
            Op::File { dst, content: Content::Fd(*fd), mode, parent_mode: parent_mode(mode) }
        }
        Kind::BindData { fd, perms, read_only } => {
            let mode = perms.unwrap_or(0o600);
            Op::BindData { dst, content: Content::Fd(*fd), mode, parent_mode: parent_mode(mode), read_only: *read_only }
        }
        Kind::Symlink { target } => Op::Symlink { target: target.clone(), dst },
        Kind::Chmod { mode } => Op::Chmod { dst, mode: *mode },
    }
}

fn source(from: &From, caller: &Caller) -> Source {
    match from {
        From::Path(path) => Source::Path(outside(path, caller)),
        From::Fd(fd) => Source::Fd(*fd),
    }
}

/// A path of the host: relative ones count from the caller's directory; an empty one stays empty, so that it is not found.
fn outside(path: &Path, caller: &Caller) -> PathBuf {
    match &caller.directory {
        Some(directory) if !path.as_os_str().is_empty() => directory.join(path),
        _ => path.to_owned(),
    }
}
