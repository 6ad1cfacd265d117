//! What an overlay is made of: a version checked out, a mask above it, and a workspace's own upper.
//!
//! ```text
//! upper      the workspace's own; everything the command changes      workspaces/ID/GENERATION/upper
//! mask       whiteouts, placeholders, and what has the other owner;   masks/TREE-RULES-OWNERS/{reading,writing}
//!            left out where there is nothing of the kind
//! checkout   all files of the version, all with one owner             checkouts/TREE-OWNERS-{reading,writing}
//! ```
//!
//! The checkout is whatever most of the tree is: root's to read (`reading`), or the command's to write (`writing`). The mask then holds the rest:
//! a whiteout (character device 0:0) where nothing is to be seen, a sparse file of mode 0000 where only name and size are, a copy with the other
//! owner where the level is the other one, and every directory whose owner or bits are not the checkout's. Both are made once for each tree
//! and list of rules, verified and renamed into place; sandboxes share them, read-only. They are not synced, which would cost more than making them:
//! layers made before the machine was started last are made again ([`Vfs::open`] drops them).
//!
//! The kernel then answers `ENOENT` for what is hidden, `EACCES` where the level does not suffice, and `EPERM` to who would remove or rename a
//! protected entry out of a sticky directory. A file that the command makes under a hidden name is its own, and is held back by the commit.

pub(crate) mod look;
pub(crate) mod survey;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use enclos_cas::{Attributes, Digest, Entry, beneath};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Uid, chownat, ftruncate, mkdirat, mknodat, openat, renameat_with, symlinkat,
};
use rustix::io::Errno;

use crate::edit::DIRECTORY_MODE;
use crate::error::During;
use crate::{Level, Rules, TreePath, Vfs, VfsError};
use look::Shape;
use survey::{Node, survey};

pub use look::Ownership;

/// Layers below a workspace's upper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Directories, topmost first (the order of `lowerdir=`).
    pub lower: Vec<PathBuf>,
    /// What the merged top looks like: the upper must look so too, for it decides.
    pub top: Attributes,
}

/// Where a command may write: what a second wall (Landlock) is told. With one owner it is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writable {
    /// Directories of which everything may be changed.
    pub whole: Vec<TreePath>,
    /// Single files.
    pub files: Vec<TreePath>,
    /// Directories in which things can be made, and which hold something protected too. Landlock's rights reach everything below, so there it cannot
    /// tell both apart.
    pub open: Vec<TreePath>,
    /// The first thing that is shown and protected in one of those.
    pub exposed: Option<TreePath>,
}

impl Writable {
    fn add(&mut self, node: &Node, path: TreePath) {
        match &node.entry {
            Some(Entry::File { .. }) if node.whole() => self.files.push(path),
            Some(Entry::File { .. } | Entry::Link { .. }) => {}
            _ if node.shape == Shape::Whole => self.whole.push(path),
            _ => {
                for child in &node.below {
                    self.add(child, path.join(&child.name));
                }
                if node.shape == Shape::Open {
                    self.exposed = self.exposed.take().or_else(|| exposed(node, &path));
                    self.open.push(path);
                }
            }
        }
    }
}

/// What is shown below a directory and is not all to be changed.
fn exposed(node: &Node, path: &TreePath) -> Option<TreePath> {
    let of_child = |child: &Node| {
        let path = path.join(&child.name);
        match &child.entry {
            _ if !child.shown => None,
            Some(Entry::File { .. } | Entry::Link { .. }) => (child.level != Level::Write).then_some(path),
            Some(Entry::Directory { .. }) if child.shape == Shape::Closed => Some(path),
            _ => exposed(child, &path),
        }
    };
    node.below.iter().find_map(of_child)
}

/// Which level a checkout has all over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Reading,
    Writing,
}

impl Flavour {
    fn word(self) -> &'static str {
        match self {
            Flavour::Reading => "reading",
            Flavour::Writing => "writing",
        }
    }

    fn level(self) -> Level {
        match self {
            Flavour::Reading => Level::Read,
            Flavour::Writing => Level::Write,
        }
    }

    fn shape(self) -> Shape {
        match self {
            Flavour::Reading => Shape::Closed,
            Flavour::Writing => Shape::Whole,
        }
    }

    /// What most of the tree is: what costs the fewest copies.
    fn of(node: &Node) -> Flavour {
        fn cost(node: &Node, level: Level) -> u64 {
            let own = match &node.entry {
                Some(Entry::File { size, .. }) if node.level == level => size + 4096,
                Some(Entry::Link { .. }) if node.level == level => 4096,
                _ => 0,
            };
            node.below.iter().fold(own, |sum, child| sum.saturating_add(cost(child, level)))
        }
        if cost(node, Level::Write) > cost(node, Level::Read) || node.shape == Shape::Whole { Flavour::Writing } else { Flavour::Reading }
    }
}

impl Vfs {
    /// The layers that show a tree through rules; made if they are not there yet. `near`: a tree that may be checked out already, and from which
    /// this one does not differ much; files they share are not written again.
    ///
    /// # Errors
    /// The store's, or the kernel's with the path.
    pub fn lower(
        &self,
        tree: &Digest,
        near: impl FnOnce() -> Option<Digest>,
        rules: &Rules,
        ownership: Ownership,
    ) -> Result<Lower, VfsError> {
        let masks = self.root().join("masks").join(format!("{tree}-{}-{}", rules.digest(), ownership.tag()));
        let flavour = [Flavour::Reading, Flavour::Writing].into_iter().find(|f| masks.join(f.word()).is_dir());
        let flavour = match flavour {
            Some(flavour) => flavour,
            None => {
                let entry = self.store().tree(tree)?.as_entry(*tree, DIRECTORY_MODE);
                let top = survey(self.store(), rules, &TreePath::top(), Some(entry), &rules.promised())?;
                let flavour = Flavour::of(&top);
                self.build(&masks, flavour.word(), &mut |layer| {
                    Mask { vfs: self, flavour, ownership }.write(&top, layer, Path::new(""))?;
                    look::directory(top.shape, DIRECTORY_MODE, ownership).apply(layer).during("finishing", "the mask")
                })?;
                flavour
            }
        };
        let checkout = self.root().join("checkouts").join(format!("{tree}-{}", ownership.tag()));
        if !checkout.join(flavour.word()).is_dir() {
            let place = |tree: &Digest| self.root().join("checkouts").join(format!("{tree}-{}", ownership.tag())).join(flavour.word());
            let beside = near().and_then(|near| open(&place(&near)).ok().map(|directory| (near, directory)));
            self.build(&checkout, flavour.word(), &mut |layer| {
                self.store().export_near(tree, layer, beside.as_ref().map(|(near, directory)| (near, directory)), &mut |_, entry| {
                    match entry {
                        Entry::Directory { mode, .. } => look::directory(flavour.shape(), *mode, ownership),
                        _ => look::file(flavour.level(), entry, ownership),
                    }
                })?;
                look::directory(flavour.shape(), DIRECTORY_MODE, ownership).apply(layer).during("finishing", "the checkout")
            })?;
        }
        let mask = masks.join(flavour.word());
        let opened = open(&mask).during("opening", &mask)?;
        let stat = rustix::fs::fstat(&opened).during("reading", &mask)?;
        let owner = matches!(ownership, Ownership::Two { .. }).then_some((stat.st_uid, stat.st_gid));
        let top = Attributes { mode: stat.st_mode & 0o7777, owner, time: None };
        let mut lower = vec![checkout.join(flavour.word())];
        // One that hides and changes nothing need not be mounted by everybody: the upper says what the top is like.
        if !beneath::is_empty(&opened).during("reading", &mask)? {
            lower.insert(0, mask);
        }
        Ok(Lower { lower, top })
    }

    /// Drops all cached layers if they may be torn: when the machine was started since they were made, or when that cannot be told.
    pub(crate) fn drop_torn_layers(&self) -> Result<(), VfsError> {
        let mark = self.root().join("boot");
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if !boot.is_empty() && std::fs::read(&mark).is_ok_and(|made| made == boot) {
            return Ok(());
        }
        for folder in ["masks", "checkouts"] {
            let place = self.root().join(folder);
            crate::workspace::files::remove(&place)?;
            crate::workspace::make(&place)?;
        }
        // Written last: whoever dies before begins again.
        std::fs::write(&mark, boot).during("writing", &mark)
    }

    /// Where a command may write in a tree under rules.
    ///
    /// # Errors
    /// The store's.
    pub fn writable(&self, tree: &Digest, rules: &Rules) -> Result<Writable, VfsError> {
        let entry = self.store().tree(tree)?.as_entry(*tree, DIRECTORY_MODE);
        let mut writable = Writable::default();
        writable.add(&survey(self.store(), rules, &TreePath::top(), Some(entry), &rules.promised())?, TreePath::top());
        Ok(writable)
    }

    /// Makes `place/name`, which is there complete or not at all.
    fn build(&self, place: &Path, name: &str, fill: &mut dyn FnMut(&OwnedFd) -> Result<(), VfsError>) -> Result<(), VfsError> {
        let building = self.building()?;
        let layer = building.join(name);
        mkdirat(CWD, &layer, Mode::RWXU).during("making", &layer)?;
        let opened = open(&layer).during("opening", &layer)?;
        let made = fill(&opened).and_then(|()| match renameat_with(CWD, &building, CWD, place, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST | Errno::NOTEMPTY) if place.join(name).is_dir() => Ok(()),
            // The same tree in the other flavour is there already.
            Err(Errno::EXIST | Errno::NOTEMPTY) => match move_directory(&opened, &layer, &place.join(name)) {
                Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
                Err(errno) => Err(errno).during("naming", place),
            },
            other => other.during("naming", place),
        });
        if building.exists() {
            crate::workspace::files::remove(&building)?;
        }
        made
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Moves a directory, also one that forbids its owner to write into it: a move rewrites its `..`. Whoever dies before it is closed again leaves a layer whose
/// top may be written, which the upper above it does not show.
fn move_directory(opened: &OwnedFd, from: &Path, to: &Path) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(opened)?.st_mode & 0o7777);
    let closed = !mode.contains(Mode::WUSR);
    if closed {
        rustix::fs::fchmod(opened, mode | Mode::RWXU)?;
    }
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?;
    if closed { rustix::fs::fchmod(opened, mode) } else { Ok(()) }
}

/// Writes a mask.
struct Mask<'a> {
    vfs: &'a Vfs,
    flavour: Flavour,
    ownership: Ownership,
}

impl Mask<'_> {
    /// Whether the checkout alone would show this wrongly.
    fn needs(&self, node: &Node) -> bool {
        match &node.entry {
            None => true,
            Some(_) if !node.shown => true,
            Some(Entry::Directory { .. }) => node.shape != self.flavour.shape() || node.below.iter().any(|child| self.needs(child)),
            Some(Entry::File { .. }) => node.level != self.flavour.level(),
            Some(Entry::Link { .. }) => (node.level == Level::Write) != (self.flavour == Flavour::Writing),
        }
    }

    fn write(&self, node: &Node, into: &OwnedFd, path: &Path) -> Result<(), VfsError> {
        for child in node.below.iter().filter(|child| self.needs(child)) {
            let below = path.join(&child.name);
            let name: &OsStr = &child.name;
            match &child.entry {
                Some(_) if !child.shown => {
                    // 0:0 is what overlay takes for a whiteout; since Linux 5.8 everybody may make one (mknod(2)).
                    mknodat(into, name, FileType::CharacterDevice, Mode::empty(), 0).during("hiding", &below)?;
                }
                None | Some(Entry::Directory { .. }) => {
                    mkdirat(into, name, Mode::RWXU).during("making", &below)?;
                    let inner = beneath::directory(into, name).during("opening", &below)?;
                    self.write(child, &inner, &below)?;
                    look::directory(child.shape, child.mode(), self.ownership).apply(&inner).during("finishing", &below)?;
                }
                Some(entry @ Entry::File { digest, size, .. }) => {
                    let attributes = look::file(child.level, entry, self.ownership);
                    if child.level == Level::View {
                        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                        let file = openat(into, name, flags, Mode::RUSR | Mode::WUSR).during("making", &below)?;
                        ftruncate(&file, *size).during("making", &below)?;
                        attributes.apply(&file).during("finishing", &below)?;
                    } else {
                        self.vfs.store().export_file(digest, into, Path::new(name), &below, &attributes)?;
                    }
                }
                Some(entry @ Entry::Link { target }) => {
                    symlinkat(target, into, name).during("making", &below)?;
                    if let Some((user, group)) = look::file(child.level, entry, self.ownership).owner {
                        chownat(into, name, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)
                            .during("finishing", &below)?;
                    }
                }
            }
        }
        Ok(())
    }
}
