//! The mount engine: carries out a plan's operations on the new root. There is no other.
//!
//! Runs in the child, before the root changes (or, for a template's fresh part, after). Child-safe throughout: every string was made ready by
//! the launcher, descriptors are the only thing dropped here.
//!
//! Detached mounts (`fsopen(2)`, `open_tree(2)`, `move_mount(2)`) are made complete, attributes included, before they are attached, so that nothing
//! is ever visible in a weaker state than asked.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use enclos_sys::Errno;
use enclos_sys::mount::{Attributes, make_private, set_attributes};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, StatxFlags, Uid, chownat, fchmod, fstat, mkdirat, openat, openat2, readlinkat_raw,
    statx, symlinkat, unlinkat,
};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use super::HIDDEN;
use super::nearby::Nearby;
use super::place::{IN_ROOT, Make, Place};
use super::program::{Action, ActionKind, Filling, HERE, LayerNames, ScratchAt, ScratchSize, Tree};
use crate::error::Stage;

/// A failed step: stage, operation, error number.
pub type Fault = (Stage, Option<u32>, Errno);

/// The root under construction.
#[derive(Debug)]
pub struct Root {
    /// Where the process's root still is; absolute paths of the host lead from there.
    old: OwnedFd,
    /// The new root.
    pub(super) new: OwnedFd,
    /// The private tmpfs, attached out of the command's sight.
    pub(super) scratch: Option<OwnedFd>,
    /// Where the last place lay.
    nearby: Nearby,
    /// A template has built it already, with every place that its sandboxes need.
    pub(super) built: bool,
    pub(super) in_user_namespace: bool,
    /// The merged workspace.
    pub(super) workspace: Option<OwnedFd>,
}

const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const ATTACH: MoveMountFlags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH.union(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH);

/// More than ever lie over a new root: the old one, the private tmpfs, the first root, and a tree for every bind over `/`.
const STACKED: usize = 64;
/// Of the private tmpfs: an empty directory, for places that show nothing.
const NOTHING: &CStr = c"nothing";

/// Which mount a descriptor is of (`statx(2)`, STATX_MNT_ID, Linux 5.8).
fn mount_id(fd: &OwnedFd) -> Result<u64, Errno> {
    let stat = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 { Err(Errno::NOSYS) } else { Ok(stat.stx_mnt_id) }
}

fn attach(tree: &OwnedFd, at: impl AsFd) -> Result<(), Errno> {
    move_mount(tree, c"", at, c"", ATTACH)
}

/// Attaches a tree over a name in a directory; no link is followed.
fn over_name(tree: &OwnedFd, directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    move_mount(tree, c"", directory, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn clone_tree(at: impl AsFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(at, path, flags)
}

/// A file system to be configured. Its source is its own name, as for `mount -t tmpfs tmpfs`: without one `df` and `findmnt` would show "none".
fn configure(name: &CStr) -> Result<OwnedFd, Errno> {
    let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"source", name)?;
    Ok(context)
}

/// A complete, detached tmpfs.
fn tmpfs(size: Option<&CStr>, inodes: Option<&CStr>, mode: &CStr) -> Result<OwnedFd, Errno> {
    let context = configure(c"tmpfs")?;
    if let Some(size) = size {
        fsconfig_set_string(&context, c"size", size)?;
    }
    if let Some(inodes) = inodes {
        fsconfig_set_string(&context, c"nr_inodes", inodes)?;
    }
    fsconfig_set_string(&context, c"mode", mode)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE)
}

/// A complete, detached file system without options.
fn simple(name: &CStr, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = configure(name)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

impl Root {
    /// Separates this mount namespace from the host's and mounts an empty tmpfs as the new root, over the old one. The private tmpfs, where one is
    /// needed, lies between the two: attached, as mounts must be to be bound from, and out of every path's reach.
    pub fn begin(scratch: Option<&ScratchSize>, in_user_namespace: bool) -> Result<Root, Fault> {
        let old =
            openat(HERE, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| (Stage::Private, None, e))?;
        make_private(&old).map_err(|e| (Stage::Private, None, e))?;
        let mount = || {
            let scratch = match scratch {
                None => None,
                Some(size) => {
                    let scratch = tmpfs(size.bytes.as_deref(), size.inodes.as_deref(), c"0700")?;
                    if size.attach {
                        attach(&scratch, &old)?;
                    }
                    Some(scratch)
                }
            };
            let new = tmpfs(None, None, c"0755")?;
            attach(&new, &old)?;
            Ok((scratch, new))
        };
        let (scratch, new) = mount().map_err(|e| (Stage::NewRoot, None, e))?;
        Ok(Root { old, new, scratch, nearby: Nearby::none(), built: false, in_user_namespace, workspace: None })
    }

    /// Goes on in a root that a template has built. The private tmpfs is attached on a directory that nobody but the set-up may enter.
    pub fn resume(scratch: Option<&ScratchSize>, in_user_namespace: bool) -> Result<Root, Fault> {
        let open = |path: &CStr| openat(HERE, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let mount = || {
            let new = open(c"/")?;
            let scratch = match scratch {
                None => None,
                Some(size) => {
                    let scratch = tmpfs(size.bytes.as_deref(), size.inodes.as_deref(), c"0000")?;
                    if size.attach {
                        attach(&scratch, &open(HIDDEN)?)?;
                    }
                    Some(scratch)
                }
            };
            Ok(Root { old: open(c"/")?, new, scratch, nearby: Nearby::none(), built: true, in_user_namespace, workspace: None })
        };
        mount().map_err(|e| (Stage::NewRoot, None, e))
    }

    /// The new root.
    pub fn new_root(&self) -> BorrowedFd<'_> {
        self.new.as_fd()
    }

    /// The workspace, for those outside who look into it.
    pub fn workspace(&self) -> Option<BorrowedFd<'_>> {
        self.workspace.as_ref().map(AsFd::as_fd)
    }

    /// Takes the private tmpfs out, for its meter.
    pub fn into_scratch(self) -> Option<OwnedFd> {
        self.scratch
    }

    /// Carries out operations, in order.
    ///
    /// `control`: where the layers of a workspace come from.
    pub fn carry_out(&mut self, actions: &[Action], control: &OwnedFd) -> Result<(), Fault> {
        for action in actions {
            self.one(&action.kind, control).map_err(|(stage, errno)| (stage, Some(action.op), errno))?;
        }
        Ok(())
    }

    /// `pivot_root(2)` onto itself: the old root ends up over the new one, and over it whatever was stacked on it (the private tmpfs, the first root where a tree
    /// was bound over it). All of it is detached, one after the other.
    ///
    /// What is stacked on a root is reached by `/..`, so that is what is asked: not which directory it is (a bind of the host's root is the same directory) but which
    /// mount.
    pub fn enter(&self) -> Result<(), Fault> {
        let pivot = || {
            rustix::process::fchdir(&self.new)?;
            rustix::process::pivot_root(c".", c".")
        };
        pivot().map_err(|e| (Stage::Pivot, None, e))?;
        let detach = || {
            let root = mount_id(&self.new)?;
            for _ in 0..STACKED {
                unmount(c".", UnmountFlags::DETACH)?;
                if mount_id(&openat(HERE, c"/..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)? == root {
                    return rustix::process::chdir(c"/");
                }
            }
            Err(Errno::BUSY)
        };
        detach().map_err(|e| (Stage::DetachOldRoot, None, e))
    }

    fn one(&mut self, action: &ActionKind, control: &OwnedFd) -> Result<(), (Stage, Errno)> {
        let operation = |e| (Stage::Operation, e);
        match action {
            ActionKind::Bind { tree, place, attributes, optional } => match self.bind(tree, place, *attributes) {
                Err((Stage::Source, Errno::NOENT)) if *optional => Ok(()),
                other => other,
            },
            ActionKind::OverlayTrees { lower, keep, discard, owner, names, place } => {
                self.overlay_trees(lower, keep.as_ref(), *discard, *owner, names, place)
            }
            ActionKind::OverlayPaths { options, discard, place } => {
                self.overlay_paths(options, discard.as_deref(), place).map_err(operation)
            }
            ActionKind::Workspace { place, stack } => self.bring_workspace(control, place, stack),
            ActionKind::Tmpfs { size, inodes, mode, place } => {
                let tree = tmpfs(size.as_deref(), inodes.as_deref(), mode).map_err(operation)?;
                if !place.is_root() {
                    return self.attach_in_place(&tree, place, Make::Directory(0o755));
                }
                let at = place.open(self.new.as_fd()).map_err(|e| (Stage::Place, e))?;
                self.attach_at(tree, &at, place).map_err(operation)
            }
            ActionKind::Scratch { places } => self.scratch_places(places),
            ActionKind::Proc { place, hide, read_only, only_writable } => self.proc(place, hide, read_only, *only_writable),
            ActionKind::Devpts { place } => self.devpts(place),
            ActionKind::Mqueue { place } => {
                let tree = simple(c"mqueue", MountAttrFlags::empty()).map_err(operation)?;
                self.attach_in_place(&tree, place, Make::Directory(0o755))
            }
            ActionKind::Dir { place, mode } => self.directory(place, *mode),
            ActionKind::File { place, filling, mode } => self.file(place, filling, *mode).map_err(operation),
            ActionKind::BindData { place, filling, mode, read_only } => self.bind_data(place, filling, *mode, *read_only),
            ActionKind::Symlink { target, place } => self.symlink(target, place).map_err(operation),
            ActionKind::Chmod { place, mode } => {
                let at = openat2(&self.new, &place.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty(), IN_ROOT)
                    .map_err(operation)?;
                fchmod(&at, Mode::from_raw_mode(*mode)).map_err(operation)
            }
            ActionKind::RemountReadOnly { place } => {
                let at = place.open(self.new.as_fd()).map_err(operation)?;
                set_attributes(&at, Attributes::READ_ONLY, false).map_err(operation)
            }
            ActionKind::Hide { place } => self.hide(place).map_err(operation),
        }
    }

    /// Attaches; a tree over `/` becomes the root that later operations build on.
    fn attach_at(&mut self, tree: OwnedFd, at: &OwnedFd, place: &Place) -> Result<(), Errno> {
        self.cover(&tree, at)?;
        if place.is_root() {
            self.new = tree;
        }
        Ok(())
    }

    /// Finds a tree that the launcher has not opened.
    fn tree(&self, tree: &Tree) -> Result<OwnedFd, Errno> {
        match tree {
            Tree::Detached(fd) => rustix::io::fcntl_dupfd_cloexec(fd, 3),
            Tree::Path(path) => clone_tree(&self.old, path),
            Tree::Exact(path) => self.exact_tree(path),
            Tree::Descriptor(number) => self.held_tree(*number),
        }
    }

    /// The descriptor's mount belongs to the launcher's namespace; its path leads to the same object in ours unless somebody swapped it meanwhile, which the
    /// comparison notices.
    #[inline(never)]
    fn held_tree(&self, number: i32) -> Result<OwnedFd, Errno> {
        let held = enclos_sys::fd::borrow(number)?;
        let mut text = [0u8; 32];
        let link = format_fd_path(&mut text, number);
        let mut path = [0u8; 4096];
        let found = readlinkat_raw(HERE, link, &mut path[..4095])?;
        path[found] = 0;
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::NAMETOOLONG)?;
        let tree = clone_tree(&self.old, path)?;
        let (a, b) = (fstat(held)?, fstat(&tree)?);
        if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) { Ok(tree) } else { Err(Errno::STALE) }
    }

    /// A tree of the host on whose path no symbolic link lies.
    pub(super) fn exact_tree(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&self.old, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        clone_tree(&found, c"")
    }

    fn bind(&mut self, tree: &Tree, place: &Place, attributes: Attributes) -> Result<(), (Stage, Errno)> {
        match tree {
            // Complete, and used once: attached as it is.
            Tree::Detached(fd) if !place.is_root() => self.attach_made(fd, place),
            tree => {
                let fd = self.tree(tree).map_err(|e| (Stage::Source, e))?;
                if !matches!(tree, Tree::Detached(_)) {
                    set_attributes(&fd, attributes, true).map_err(|e| (Stage::Operation, e))?;
                }
                self.attach_made(&fd, place)?;
                if place.is_root() {
                    self.new = fd;
                }
                Ok(())
            }
        }
    }

    /// Attaches a tree at a place made for its kind.
    fn attach_made(&mut self, tree: &OwnedFd, place: &Place) -> Result<(), (Stage, Errno)> {
        let is_directory = FileType::from_raw_mode(fstat(tree).map_err(|e| (Stage::Source, e))?.st_mode).is_dir();
        let make = if is_directory { Make::Directory(0o755) } else { Make::File(0o444) };
        self.attach_in_place(tree, place, make)
    }

    /// Attaches a tree at a place, which is made where nothing is.
    pub(super) fn attach_in_place(&mut self, tree: &OwnedFd, place: &Place, make: Make) -> Result<(), (Stage, Errno)> {
        // The fewest calls are tried first: what a template has built is there, else most places are new, and have neighbours.
        if self.built
            && let Ok(at) = place.open(self.new.as_fd())
        {
            return self.cover(tree, &at).map_err(|e| (Stage::Operation, e));
        }
        if self.nearby.attach(self.new.as_fd(), place, make, tree).is_ok() {
            return Ok(());
        }
        let at = place.open_or_make(self.new.as_fd(), make).map_err(|e| (Stage::Place, e))?;
        self.cover(tree, &at).map_err(|e| (Stage::Operation, e))
    }

    /// Attaches a tree over what is open at `at`, whatever lies there.
    fn cover(&mut self, tree: &OwnedFd, at: &OwnedFd) -> Result<(), Errno> {
        self.nearby.forget();
        attach(tree, at)
    }

    fn scratch_places(&mut self, places: &[ScratchAt]) -> Result<(), (Stage, Errno)> {
        let operation = |e| (Stage::Operation, e);
        for at in places {
            let scratch = self.scratch.as_ref().ok_or((Stage::Operation, Errno::INVAL))?;
            mkdirat(scratch, &at.name, Mode::from_raw_mode(at.mode)).map_err(operation)?;
            if let Some((uid, gid)) = at.owner {
                chownat(scratch, &at.name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(operation)?;
            }
            let tree = clone_tree(scratch, &at.name).map_err(operation)?;
            self.attach_in_place(&tree, &at.place, Make::Directory(0o755))?;
        }
        Ok(())
    }

    fn overlay_trees(
        &mut self,
        lower: &[Tree],
        keep: Option<&Tree>,
        discard: bool,
        owner: Option<(u32, u32)>,
        names: &LayerNames,
        place: &Place,
    ) -> Result<(), (Stage, Errno)> {
        let operation = |e| (Stage::Operation, e);
        let mut mode = Mode::from_raw_mode(0o755);
        for (index, (tree, name)) in lower.iter().zip(&names.lower).enumerate() {
            let tree = self.tree(tree).map_err(|e| (Stage::Source, e))?;
            if index == 0 {
                mode = Mode::from_raw_mode(fstat(&tree).map_err(|e| (Stage::Source, e))?.st_mode & 0o7777);
            }
            self.attach_layer(tree, name).map_err(operation)?;
        }
        if let Some(tree) = keep {
            let tree = self.tree(tree).map_err(|e| (Stage::Source, e))?;
            self.attach_layer(tree, &names.keep).map_err(operation)?;
        }
        let at = place.open_or_make(self.new.as_fd(), Make::Directory(0o755)).map_err(|e| (Stage::Place, e))?;
        let scratch = self.scratch.as_ref().ok_or((Stage::Operation, Errno::INVAL))?;
        if discard {
            // The merged root is as the upper one is.
            mkdirat(scratch, &names.upper, mode).map_err(operation)?;
            mkdirat(scratch, &names.work, Mode::from_raw_mode(0o755)).map_err(operation)?;
            if let Some((uid, gid)) = owner {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                chownat(scratch, &names.upper, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(operation)?;
            }
        }
        rustix::process::fchdir(scratch).map_err(operation)?;
        let above = (discard || keep.is_some()).then_some((names.upper.as_c_str(), names.work.as_c_str()));
        let tree = self.overlay(&names.lowerdir, above, false).map_err(operation)?;
        self.attach_at(tree, &at, place).map_err(operation)
    }

    /// A complete, detached overlay; the names are those of directories below the current one. `volatile`: unmounting it waits for no disk.
    pub(super) fn overlay(&self, lower: &CStr, above: Option<(&CStr, &CStr)>, volatile: bool) -> Result<OwnedFd, Errno> {
        let context = configure(c"overlay")?;
        fsconfig_set_string(&context, c"lowerdir", lower)?;
        if let Some((upper, work)) = above {
            fsconfig_set_string(&context, c"upperdir", upper)?;
            fsconfig_set_string(&context, c"workdir", work)?;
            // An identity of its own would be written to the upper directory (since Linux 6.6), and nobody asks for it. Kernels before 5.14 know no such option.
            let _ = fsconfig_set_string(&context, c"uuid", c"off");
        }
        if self.in_user_namespace {
            fsconfig_set_flag(&context, c"userxattr")?;
        }
        if volatile {
            fsconfig_set_flag(&context, c"volatile")?;
        }
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE)
    }

    pub(super) fn attach_layer(&self, tree: OwnedFd, name: &CStr) -> Result<(), Errno> {
        let scratch = self.scratch.as_ref().ok_or(Errno::INVAL)?;
        mkdirat(scratch, name, Mode::from_raw_mode(0o700))?;
        let at = openat(scratch, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        attach(&tree, &at)
    }

    fn overlay_paths(&mut self, options: &CStr, discard: Option<&CStr>, place: &Place) -> Result<(), Errno> {
        let at = place.open_or_make(self.new.as_fd(), Make::Directory(0o755))?;
        if let Some(name) = discard {
            // Relative `upper` and `work` in the options are directories below `name` on the scratch, which is the current directory.
            let scratch = self.scratch.as_ref().ok_or(Errno::INVAL)?;
            mkdirat(scratch, name, Mode::from_raw_mode(0o755))?;
            let own = openat(scratch, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            for directory in [c"upper", c"work"] {
                mkdirat(&own, directory, Mode::from_raw_mode(0o755))?;
            }
            rustix::process::fchdir(&own)?;
        }
        let mut text = [0u8; 32];
        let target = format_fd_path(&mut text, at.as_raw_fd());
        self.nearby.forget();
        // A layer may hold what a bind would not let through.
        let safe = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        rustix::mount::mount(c"overlay", target, c"overlay", safe, options)?;
        if place.is_root() {
            self.new = place.open(self.new.as_fd())?;
        }
        Ok(())
    }

    fn proc(&mut self, place: &Place, hide: &[Place], read_only: &[Place], only_writable: bool) -> Result<(), (Stage, Errno)> {
        let operation = |e| (Stage::Operation, e);
        let mount = || {
            let context = configure(c"proc")?;
            if !only_writable {
                // A process sees only those it may trace: not init, which is not dumpable (proc(5), "hidepid").
                fsconfig_set_string(&context, c"hidepid", c"2")?;
            }
            fsconfig_create(&context)?;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC)
        };
        let proc = mount().map_err(operation)?;
        self.attach_in_place(&proc, place, Make::Directory(0o755))?;
        self.blind(&proc, hide).map_err(operation)?;
        for place in read_only {
            let Some((_, name)) = place.last() else { continue };
            if only_writable && rustix::fs::accessat(&proc, name, rustix::fs::Access::WRITE_OK, AtFlags::empty()).is_err() {
                continue;
            }
            let tree = match clone_tree(&proc, name) {
                Err(Errno::NOENT | Errno::ACCESS) => continue,
                other => other.map_err(operation)?,
            };
            set_attributes(&tree, Attributes::READ_ONLY, false).map_err(operation)?;
            over_name(&tree, &proc, name).map_err(operation)?;
        }
        Ok(())
    }

    /// Covers files at the top of a procfs with the null device, so that reading gives nothing at all. What is not there needs no cover.
    fn blind(&mut self, proc: &OwnedFd, places: &[Place]) -> Result<(), Errno> {
        let mut last: Option<(OwnedFd, &CStr)> = None;
        let mut spare: Option<OwnedFd> = None;
        for place in places {
            let Some((_, name)) = place.last() else { continue };
            let next = match (spare.take(), &last) {
                (Some(spare), _) => spare,
                // A copy of a cover that is attached is read-only as that is.
                (None, Some((cover, _))) => clone_tree(cover, c"")?,
                (None, None) => self.null()?,
            };
            match over_name(&next, proc, name) {
                Ok(()) => last = Some((next, name)),
                Err(Errno::NOENT) => spare = Some(next),
                // No file: whatever it is, it is covered as such.
                Err(_) => {
                    spare = Some(next);
                    self.hide(place)?;
                }
            }
        }
        // Closed without having been attached, it would cost a grace period of the whole machine: it covers once more what is covered.
        match (spare, last) {
            (Some(spare), Some((_, name))) => over_name(&spare, proc, name),
            _ => Ok(()),
        }
    }

    /// The null device, read-only; the new root has one when its /dev was made before.
    fn null(&self) -> Result<OwnedFd, Errno> {
        let tree = match clone_tree(&self.new, c"dev/null") {
            Err(Errno::NOENT | Errno::NOTDIR) => clone_tree(&self.old, c"/dev/null")?,
            other => other?,
        };
        set_attributes(&tree, Attributes::READ_ONLY, false)?;
        Ok(tree)
    }

    /// An empty directory that nobody may enter: one of the private tmpfs, where there is one, for another tmpfs costs ten times as much.
    fn nothing(&self) -> Result<OwnedFd, Errno> {
        let Some(scratch) = &self.scratch else { return tmpfs(Some(c"4096"), Some(c"2"), c"0000") };
        match mkdirat(scratch, NOTHING, Mode::empty()) {
            Ok(()) | Err(Errno::EXIST) => clone_tree(scratch, NOTHING),
            Err(error) => Err(error),
        }
    }

    fn devpts(&mut self, place: &Place) -> Result<(), (Stage, Errno)> {
        let mount = || {
            let context = configure(c"devpts")?;
            fsconfig_set_string(&context, c"ptmxmode", c"0666")?;
            fsconfig_set_string(&context, c"mode", c"620")?;
            fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        let tree = mount().map_err(|e| (Stage::Operation, e))?;
        self.attach_in_place(&tree, place, Make::Directory(0o755))
    }

    fn directory(&mut self, place: &Place, mode: u32) -> Result<(), (Stage, Errno)> {
        if place.is_root() || self.nearby.is_within(place) || self.nearby.directory(self.new.as_fd(), place, mode).is_ok() {
            return Ok(());
        }
        let at = place.open_or_make(self.new.as_fd(), Make::Directory(mode)).map_err(|e| (Stage::Place, e))?;
        let is_directory = fstat(&at).is_ok_and(|s| FileType::from_raw_mode(s.st_mode).is_dir());
        if is_directory { Ok(()) } else { Err((Stage::Place, Errno::NOTDIR)) }
    }

    fn file(&mut self, place: &Place, filling: &Filling, mode: u32) -> Result<(), Errno> {
        if let Ok(file) = self.nearby.file(self.new.as_fd(), place, mode) {
            return fill(&file, filling);
        }
        let (parent, _) = place.open_parent(self.new.as_fd())?;
        drop(parent);
        // Somebody may have put a pipe there: nobody waits for a reader.
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat2(&self.new, &place.path, flags, Mode::from_raw_mode(mode), IN_ROOT)?;
        fill(&file, filling)
    }

    fn bind_data(&mut self, place: &Place, filling: &Filling, mode: u32, read_only: bool) -> Result<(), (Stage, Errno)> {
        let operation = |e| (Stage::Operation, e);
        let scratch = self.scratch.as_ref().ok_or((Stage::Operation, Errno::INVAL))?;
        let name = c"data";
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(scratch, name, flags, Mode::from_raw_mode(mode)).map_err(operation)?;
        fill(&file, filling).map_err(operation)?;
        let tree = clone_tree(scratch, name).map_err(operation)?;
        if read_only {
            set_attributes(&tree, Attributes::READ_ONLY, false).map_err(operation)?;
        }
        self.attach_in_place(&tree, place, Make::File(0o444))?;
        let scratch = self.scratch.as_ref().ok_or((Stage::Operation, Errno::INVAL))?;
        // The name goes after the tree has its place: what has no name cannot be attached.
        unlinkat(scratch, name, AtFlags::empty()).map_err(operation)
    }

    fn symlink(&mut self, target: &CStr, place: &Place) -> Result<(), Errno> {
        if self.nearby.symlink(self.new.as_fd(), place, target).is_ok() {
            return Ok(());
        }
        let (parent, name) = place.open_parent(self.new.as_fd())?;
        match symlinkat(target, &parent, name) {
            Err(Errno::EXIST) if leads_to(&parent, name, target) => Ok(()),
            other => other,
        }
    }

    /// Covers what is at `place`, if anything is.
    fn hide(&mut self, place: &Place) -> Result<(), Errno> {
        let at = match place.open(self.new.as_fd()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        if FileType::from_raw_mode(fstat(&at)?.st_mode).is_dir() {
            let tree = self.nothing()?;
            set_attributes(&tree, Attributes::READ_ONLY, false)?;
            self.cover(&tree, &at)
        } else {
            // So that reading gives nothing at all.
            self.cover(&self.null()?, &at)
        }
    }
}

/// Whether that link is there already.
#[inline(never)]
fn leads_to(parent: &OwnedFd, name: &CStr, target: &CStr) -> bool {
    let mut text = [0u8; 4096];
    readlinkat_raw(parent, name, &mut text[..]).is_ok_and(|found| text[..found] == *target.to_bytes())
}

/// `/proc/self/fd/N`, without allocating.
fn format_fd_path(buffer: &mut [u8; 32], number: i32) -> &CStr {
    let prefix = b"/proc/self/fd/";
    buffer[..prefix.len()].copy_from_slice(prefix);
    let mut digits = [0u8; 10];
    let mut count = 0;
    let mut rest = number.unsigned_abs();
    loop {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    for (index, digit) in digits[..count].iter().rev().enumerate() {
        buffer[prefix.len() + index] = *digit;
    }
    buffer[prefix.len() + count] = 0;
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

fn fill(file: &OwnedFd, filling: &Filling) -> Result<(), Errno> {
    match filling {
        Filling::Bytes(bytes) => write_all(file, bytes),
        Filling::Descriptor(number) => {
            let source = enclos_sys::fd::borrow(*number)?;
            // Most are small, and every page of stack is a fault of its own.
            if copy_through(&mut [0u8; 4096], source, file, true)? { Ok(()) } else { copy_much(source, file) }
        }
    }
}

/// Its own function, so that nobody else has its stack.
#[inline(never)]
fn copy_much(source: BorrowedFd<'_>, file: &OwnedFd) -> Result<(), Errno> {
    copy_through(&mut [0u8; 16 * 1024], source, file, false).map(drop)
}

/// Copies to the end, or, with `little`, until one buffer came full. Whether the end was reached.
fn copy_through(buffer: &mut [u8], source: BorrowedFd<'_>, file: &OwnedFd, little: bool) -> Result<bool, Errno> {
    loop {
        match rustix::io::read(source, &mut *buffer) {
            Ok(0) => return Ok(true),
            Ok(read) => {
                write_all(file, &buffer[..read])?;
                if little && read == buffer.len() {
                    return Ok(false);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
