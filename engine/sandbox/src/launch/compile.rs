//! From a plan to the child's program: every path prepared, every tree that the launcher may open opened.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use enclos_spec::plan::{Access, Content, Op, Plan, ProcCover, ScratchPlace, Source, Upper};
use enclos_sys::Errno;
use enclos_sys::clone::Stack;
use enclos_sys::mount::{Attributes, set_attributes, set_id_map};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::idmap::IdMap;
use crate::child::place::Place;
use crate::child::program::{Action, ActionKind, Filling, LayerNames, ScratchAt, ScratchSize, Tree};
use crate::error::{Failure, Result, Stage};

/// What of `/proc` shows more than a program needs and is not closed to a nobody by its permission bits alone, with what design names; files that are not there are skipped.
const PROC_SECRETS: [&str; 12] = [
    "kallsyms",
    "kcore",
    "keys",
    "key-users",
    "sched_debug",
    "timer_list",
    "config.gz",
    "modules",
    "latency_stats",
    "scsi",
    "acpi",
    "asound",
];

/// Whether `open_tree(2)` clones what is not attached anywhere (Linux 6.15).
fn clones_detached_trees() -> bool {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_bytes().split(|b| !b.is_ascii_digit()).map(|n| std::str::from_utf8(n).ok()?.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
    (major, minor) >= (6, 15)
}

/// Turns operations into actions.
pub struct Compiler<'a> {
    plan: &'a Plan,
    /// Open host trees here, with the launcher's rights, because the child will be nobody on the host.
    open_here: bool,
    id_map: Option<IdMap>,
    layers: usize,
    places: usize,
    /// See [`ScratchSize::attach`].
    attach: bool,
    /// Bounds of the private tmpfs, if one is needed.
    pub scratch: Option<ScratchSize>,
}

impl<'a> Compiler<'a> {
    /// For one plan.
    pub fn new(plan: &'a Plan, open_here: bool) -> Self {
        let attach = !clones_detached_trees() || plan.ops.iter().any(|op| matches!(op, Op::Overlay { .. } | Op::Workspace { .. }));
        Compiler { attach, plan, open_here, id_map: None, layers: 0, places: 0, scratch: None }
    }

    /// All operations, in order.
    pub fn actions(&mut self) -> Result<Vec<Action>> {
        let plan = self.plan;
        let mut actions = Vec::with_capacity(plan.ops.len() + 4);
        for (index, op) in plan.ops.iter().enumerate() {
            self.one(index, op, &mut actions).map_err(|(stage, errno)| Failure {
                stage,
                errno,
                op: Some(index),
                subject: Some(subject(op, stage)),
            })?;
        }
        Ok(actions)
    }

    fn one(&mut self, index: usize, op: &Op, out: &mut Vec<Action>) -> Result<(), (Stage, Errno)> {
        let mut push = |kind| out.push(Action { op: index as u32, kind });
        match op {
            Op::Bind { src, dst, access, optional, idmap } => {
                let attributes = attributes(*access);
                match self.tree(src, attributes, *idmap) {
                    Ok(tree) => push(ActionKind::Bind { tree, place: place(dst, 0o755)?, attributes, optional: *optional }),
                    Err((Stage::Source, Errno::NOENT)) if *optional => {}
                    Err(error) => return Err(error),
                }
            }
            Op::Overlay { lower, upper, dst } => push(self.overlay(lower, upper, dst)?),
            Op::Workspace { dst } => {
                self.need_scratch();
                push(ActionKind::Workspace { place: place(dst, 0o755)?, stack: Stack::new().map_err(|e| (Stage::Operation, e))? });
            }
            Op::Tmpfs { dst, size, inodes, mode, parent_mode } => {
                let place = place(dst, *parent_mode)?;
                push(ActionKind::Tmpfs { size: size.map(number), inodes: inodes.map(number), mode: octal(*mode), place });
            }
            Op::Scratch { size, inodes, places } => {
                self.places += 1;
                self.scratch = Some(ScratchSize { attach: self.attach, bytes: size.map(number), inodes: inodes.map(number) });
                push(ActionKind::Scratch { places: self.scratch_places(places)? });
            }
            Op::Proc { dst, cover } => push(proc(dst, *cover)?),
            Op::Dev { dst, own_file_system, terminals, console } => {
                for kind in self.dev(dst, *own_file_system, *terminals, console.as_ref())? {
                    push(kind);
                }
            }
            Op::Mqueue { dst } => push(ActionKind::Mqueue { place: place(dst, 0o755)? }),
            Op::Dir { dst, mode, parent_mode } => push(ActionKind::Dir { place: place(dst, *parent_mode)?, mode: *mode }),
            Op::File { dst, content, mode, parent_mode } => {
                push(ActionKind::File { place: place(dst, *parent_mode)?, filling: filling(content), mode: *mode });
            }
            Op::BindData { dst, content, mode, parent_mode, read_only } => {
                self.need_scratch();
                push(ActionKind::BindData {
                    place: place(dst, *parent_mode)?,
                    filling: filling(content),
                    mode: *mode,
                    read_only: *read_only,
                });
            }
            Op::Symlink { target, dst } => push(ActionKind::Symlink { target: text(target.as_os_str())?, place: place(dst, 0o755)? }),
            Op::Chmod { dst, mode } => push(ActionKind::Chmod { place: place(dst, 0o755)?, mode: *mode }),
            Op::RemountReadOnly { dst } => push(ActionKind::RemountReadOnly { place: place(dst, 0o755)? }),
            Op::Hide { dst } => push(ActionKind::Hide { place: place(dst, 0o755)? }),
        }
        Ok(())
    }

    fn need_scratch(&mut self) {
        if self.scratch.is_none() {
            self.scratch = Some(ScratchSize { attach: self.attach, bytes: None, inodes: None });
        }
    }

    fn tree(&mut self, source: &Source, attributes: Attributes, idmap: bool) -> Result<Tree, (Stage, Errno)> {
        match source {
            // An empty path would mean the directory it is looked up from: the host's root.
            Source::Path(path) | Source::Exact(path) if path.as_os_str().is_empty() => Err((Stage::Source, Errno::NOENT)),
            Source::Path(path) | Source::Exact(path) if self.open_here => {
                let exact = matches!(source, Source::Exact(_));
                self.open(path, exact, attributes, idmap).map(Tree::Detached)
            }
            Source::Path(path) => Ok(Tree::Path(text(path.as_os_str())?)),
            Source::Exact(path) => Ok(Tree::Exact(text(path.as_os_str())?)),
            Source::Fd(fd) => Ok(Tree::Descriptor(*fd)),
        }
    }

    /// A complete detached clone of a host tree.
    fn open(&mut self, path: &Path, exact: bool, attributes: Attributes, idmap: bool) -> Result<OwnedFd, (Stage, Errno)> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let found = if exact {
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
                .and_then(|fd| open_tree(&fd, c"", flags | OpenTreeFlags::AT_EMPTY_PATH))
        } else {
            open_tree(CWD, path, flags)
        };
        let tree = found.map_err(|e| (Stage::Source, e))?;
        set_attributes(&tree, attributes, true).map_err(|e| (Stage::Operation, e))?;
        if idmap {
            let owner = rustix::fs::fstat(&tree).map_err(|e| (Stage::Source, e))?;
            let identity = &self.plan.identity;
            if self.id_map.as_ref().is_none_or(|map| !map.presents(owner.st_uid, owner.st_gid)) {
                let map = IdMap::make(identity, owner.st_uid, owner.st_gid).map_err(|e| (Stage::MapIds, e))?;
                self.id_map = Some(map);
            }
            if let Some(map) = &self.id_map {
                set_id_map(&tree, map.namespace()).map_err(|e| (Stage::MapIds, e))?;
            }
        }
        Ok(tree)
    }

    fn scratch_places(&self, places: &[ScratchPlace]) -> Result<Vec<ScratchAt>, (Stage, Errno)> {
        let identity = &self.plan.identity;
        let owner = identity.uid.zip(identity.gid);
        places
            .iter()
            .enumerate()
            .map(|(index, at)| {
                Ok(ScratchAt {
                    name: text(OsStr::new(&format!("p{}-{index}", self.places)))?,
                    mode: at.mode,
                    owner: if at.owned { owner } else { None },
                    place: place(&at.dst, 0o755)?,
                })
            })
            .collect()
    }

    fn overlay(&mut self, lower: &[Source], upper: &Upper, dst: &Path) -> Result<ActionKind, (Stage, Errno)> {
        self.layers += 1;
        let index = self.layers;
        if !matches!(upper, Upper::None) {
            self.need_scratch();
        }
        // By path where a front asks for paths; else as trees, so that the mount table inside shows no path of the host.
        if self.plan.namespaces.user && (self.open_here || lower.iter().any(|source| matches!(source, Source::Exact(_)))) {
            return self.overlay_of_trees(lower, upper, dst, index);
        }
        let path = |source: &Source| match source {
            Source::Path(path) | Source::Exact(path) => Ok(escape(path)),
            Source::Fd(fd) => Ok(format!("/proc/self/fd/{fd}").into_bytes()),
        };
        let mut options = b"lowerdir=".to_vec();
        options.extend(lower.iter().map(path).collect::<Result<Vec<_>, (Stage, Errno)>>()?.join(&b':'));
        let mut discard = None;
        match upper {
            Upper::None => {}
            Upper::Discard => {
                options.extend(b",upperdir=upper,workdir=work");
                discard = Some(text(OsStr::new(&format!("o{index}")))?);
            }
            Upper::Keep { upper, work } => {
                options.extend([b",upperdir=", &path(upper)?[..], b",workdir=", &path(work)?[..]].concat());
            }
        }
        if self.plan.namespaces.user {
            options.extend(b",userxattr");
        }
        let options = CString::new(options).map_err(|_| (Stage::Source, Errno::INVAL))?;
        Ok(ActionKind::OverlayPaths { options, discard, place: place(dst, 0o755)? })
    }

    /// The child could not reach the layers by path: attach them on the private tmpfs and name them there.
    fn overlay_of_trees(&mut self, lower: &[Source], upper: &Upper, dst: &Path, index: usize) -> Result<ActionKind, (Stage, Errno)> {
        self.need_scratch();
        let read_only = attributes(Access::ReadOnly);
        // With ids of its own the command is nobody on the host: layers are shown as its own.
        let own = self.plan.identity.setup.is_some();
        let lower: Vec<Tree> = lower.iter().map(|source| self.tree(source, read_only, own)).collect::<Result<_, _>>()?;
        let name = |text: String| CString::new(text).map_err(|_| (Stage::Source, Errno::INVAL));
        let names: Vec<CString> = (0..lower.len()).map(|layer| name(format!("l{index}-{layer}"))).collect::<Result<_, _>>()?;
        let joined = names.iter().map(|n| n.to_string_lossy().into_owned()).collect::<Vec<_>>().join(":");
        let (keep, discard, upper, work) = match upper {
            Upper::None => (None, false, String::new(), String::new()),
            Upper::Discard => (None, true, format!("u{index}"), format!("w{index}")),
            Upper::Keep { upper, work } => {
                // Both must lie under one mount: bind their common parent.
                let (Source::Exact(upper), Source::Exact(work)) = (upper, work) else { return Err((Stage::Source, Errno::INVAL)) };
                let (Some(parent), Some(upper_name), Some(work_name)) = (upper.parent(), upper.file_name(), work.file_name()) else {
                    return Err((Stage::Source, Errno::INVAL));
                };
                if work.parent() != Some(parent) {
                    return Err((Stage::Source, Errno::XDEV));
                }
                let tree = self.tree(&Source::Exact(parent.to_owned()), attributes(Access::ReadWrite), own)?;
                let inside = |n: &OsStr| format!("k{index}/{}", n.to_string_lossy());
                (Some(tree), false, inside(upper_name), inside(work_name))
            }
        };
        let names =
            LayerNames { lower: names, keep: name(format!("k{index}"))?, lowerdir: name(joined)?, upper: name(upper)?, work: name(work)? };
        let owner = self.plan.identity.uid.zip(self.plan.identity.gid).filter(|_| own);
        Ok(ActionKind::OverlayTrees { lower, keep, discard, owner, names, place: place(dst, 0o755)? })
    }

    fn dev(
        &mut self,
        dst: &Path,
        own_file_system: bool,
        terminals: bool,
        console: Option<&Source>,
    ) -> Result<Vec<ActionKind>, (Stage, Errno)> {
        let mut out = Vec::new();
        if own_file_system {
            out.push(ActionKind::Tmpfs { size: None, inodes: None, mode: octal(0o755), place: place(dst, 0o755)? });
        } else {
            out.push(ActionKind::Dir { place: place(dst, 0o755)?, mode: 0o755 });
        }
        let devices = attributes(Access::Devices);
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            let tree = self.tree(&Source::Path(Path::new("/dev").join(name)), devices, false)?;
            out.push(ActionKind::Bind { tree, place: place(&dst.join(name), 0o755)?, attributes: devices, optional: false });
        }
        let mut link = |name: &str, target: &str| -> Result<(), (Stage, Errno)> {
            out.push(ActionKind::Symlink { target: text(OsStr::new(target))?, place: place(&dst.join(name), 0o755)? });
            Ok(())
        };
        link("stdin", "/proc/self/fd/0")?;
        link("stdout", "/proc/self/fd/1")?;
        link("stderr", "/proc/self/fd/2")?;
        link("fd", "/proc/self/fd")?;
        link("core", "/proc/kcore")?;
        if terminals {
            link("ptmx", "pts/ptmx")?;
        }
        let directory = |name: &str| Ok(ActionKind::Dir { place: place(&dst.join(name), 0o755)?, mode: 0o755 });
        out.push(directory("shm")?);
        out.push(directory("pts")?);
        if terminals {
            out.push(ActionKind::Devpts { place: place(&dst.join("pts"), 0o755)? });
        }
        if let Some(console) = console {
            let tree = self.tree(console, devices, false)?;
            out.push(ActionKind::Bind { tree, place: place(&dst.join("console"), 0o755)?, attributes: devices, optional: false });
        }
        Ok(out)
    }
}

fn proc(dst: &Path, cover: ProcCover) -> Result<ActionKind, (Stage, Errno)> {
    let below = |names: &[&str]| names.iter().map(|name| place(&dst.join(name), 0o755)).collect::<Result<Vec<_>, _>>();
    let (hide, read_only, only_writable) = match cover {
        ProcCover::Secrets => (below(&PROC_SECRETS)?, below(&["sys", "sysrq-trigger"])?, false),
        ProcCover::Writable => (Vec::new(), below(&["sys", "sysrq-trigger", "irq", "bus"])?, true),
    };
    Ok(ActionKind::Proc { place: place(dst, 0o755)?, hide, read_only, only_writable })
}

fn attributes(access: Access) -> Attributes {
    match access {
        Access::ReadOnly => Attributes::READ_ONLY.and(Attributes::NO_SUID).and(Attributes::NO_DEVICES),
        Access::ReadWrite => Attributes::NO_SUID.and(Attributes::NO_DEVICES),
        Access::Devices => Attributes::NO_SUID,
    }
}

fn place(path: &Path, parent_mode: u32) -> Result<Place, (Stage, Errno)> {
    Place::new(path, parent_mode).map_err(|e| (Stage::Place, e))
}

fn text(value: &OsStr) -> Result<CString, (Stage, Errno)> {
    CString::new(value.as_bytes()).map_err(|_| (Stage::Source, Errno::INVAL))
}

fn number(value: u64) -> CString {
    CString::new(value.to_string()).unwrap_or_default()
}

fn octal(mode: u32) -> CString {
    CString::new(format!("{mode:04o}")).unwrap_or_default()
}

fn filling(content: &Content) -> Filling {
    match content {
        Content::Bytes(bytes) => Filling::Bytes(bytes.clone()),
        Content::Fd(fd) => Filling::Descriptor(*fd),
    }
}

/// An overlay option's path: backslash, colon and comma escaped (Documentation/filesystems/overlayfs.rst).
fn escape(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b':' | b',') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// What an operation is about, for a message: its source when that was not found, else its place.
pub fn subject(op: &Op, stage: Stage) -> String {
    let source = |source: &Source| match source {
        Source::Path(path) | Source::Exact(path) => path.display().to_string(),
        Source::Fd(fd) => format!("descriptor {fd}"),
    };
    let (src, dst): (Option<String>, PathBuf) = match op {
        Op::Bind { src, dst, .. } => (Some(source(src)), dst.clone()),
        Op::Overlay { lower, dst, .. } => (lower.first().map(source), dst.clone()),
        Op::Scratch { places, .. } => (None, places.first().map(|p| p.dst.clone()).unwrap_or_default()),
        Op::Workspace { dst }
        | Op::Tmpfs { dst, .. }
        | Op::Proc { dst, .. }
        | Op::Dev { dst, .. }
        | Op::Mqueue { dst }
        | Op::Dir { dst, .. }
        | Op::File { dst, .. }
        | Op::BindData { dst, .. }
        | Op::Symlink { dst, .. }
        | Op::Chmod { dst, .. }
        | Op::RemountReadOnly { dst }
        | Op::Hide { dst } => (None, dst.clone()),
    };
    match (stage, src) {
        (Stage::Source | Stage::MapIds, Some(src)) => src,
        _ => dst.display().to_string(),
    }
}

/// Whether descriptors named by a plan are open.
pub fn check_descriptors(plan: &Plan) -> Result<()> {
    let join = plan.join;
    let named = [plan.block_fd, plan.userns_block_fd, plan.sync_fd, join.user, join.user_after, join.pid];
    for fd in named.into_iter().flatten() {
        enclos_sys::fd::borrow(fd).map_err(|e| Failure::about(Stage::Prepare, e, format!("descriptor {fd}")))?;
    }
    Ok(())
}
