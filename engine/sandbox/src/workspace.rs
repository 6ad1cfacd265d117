//! What a workspace is made of, and how its layers get to the sandbox.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use enclos_spec::PolicyError;
use enclos_spec::plan::Plan;
use enclos_sys::Errno;
use enclos_sys::mount::{Attributes, set_attributes, set_attributes_and_id_map};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::child::workspace::{BY_DESCRIPTOR, BY_PATH, KEEP, LOWER, MAX_LAYERS, MESSAGE, NONE, WORKSPACE};
use crate::error::{Error, Failure, Result, Stage};

/// Directories of the host that a living sandbox sees as one, merged by an overlay: it reads the lower ones, and what it writes goes to the upper one.
///
/// As root every layer is shown with the ids it has on disk: what belongs to 0 there belongs to 0 inside, 1000 to 1000, whatever range of ids the sandbox has on
/// the host. As an ordinary user, whose own id stands behind the command, layers belong to whom they belong.
///
/// Paths are absolute, and no symbolic link may lie on them. Nobody else may change a layer while it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Where inside; see [`Workspace::AT`].
    pub at: PathBuf,
    /// Read-only layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// Where writes go. Its owner and permission bits are those of the merged top.
    pub upper: PathBuf,
    /// An empty directory beside it, for the kernel's own use.
    pub work: PathBuf,
    /// Where in it the second wall (Landlock) lets the command write: paths inside, or relative to the workspace. One on which a symbolic link lies gives nothing.
    /// `None`: everywhere.
    pub writable: Option<Vec<PathBuf>>,
    /// Whether what is written outlives a power failure. `false` spares the end of the sandbox the wait until the file system below is on the disk; the upper directory is
    /// then good for this one mount (overlayfs, "volatile").
    pub lasting: bool,
}

impl Workspace {
    /// Where a workspace is, unless it says otherwise.
    pub const AT: &str = "/workspace";

    /// One at the usual place, all of which may be written as owners and permission bits say.
    #[must_use]
    pub fn new(lower: Vec<PathBuf>, upper: impl Into<PathBuf>, work: impl Into<PathBuf>) -> Self {
        Workspace { at: Self::AT.into(), lower, upper: upper.into(), work: work.into(), writable: None, lasting: true }
    }

    /// Narrows the second wall of a plan to what may be written.
    pub(crate) fn narrow(&self, plan: &mut Plan) -> Result<()> {
        let Some(writable) = &self.writable else { return Ok(()) };
        let Some(landlock) = &mut plan.landlock else {
            let missing = "only Landlock can tell which paths of a workspace may be written; it is off, or this kernel has none".to_owned();
            return Err(Error::Unenforceable { field: "workspace", missing });
        };
        landlock.write.retain(|path| *path != self.at);
        // What is relative lies below the workspace; what is absolute must.
        for path in writable {
            let inside = self.at.join(path);
            let climbs = inside.components().any(|part| part == std::path::Component::ParentDir);
            if climbs || !inside.starts_with(&self.at) {
                return Err(refused(path, "write a path below the workspace"));
            }
            landlock.exact.push(inside);
        }
        Ok(())
    }

    /// The message for a set-up that finds the layers by their paths.
    pub(crate) fn by_path(&self) -> Result<Vec<u8>> {
        let mut message = self.head(BY_PATH)?;
        for path in std::iter::once(self.keep()?).chain(self.lower.iter().map(PathBuf::as_path)) {
            message.extend(text(path)?.as_bytes_with_nul());
        }
        if message.len() > MESSAGE {
            return Err(refused(&self.upper, "its paths are too long together"));
        }
        Ok(message)
    }

    /// The message for a set-up that cannot see the host, and the trees that go with it. `ids`: the user namespace in which each id of theirs stays the number it is.
    pub(crate) fn by_descriptor(&self, ids: Option<BorrowedFd<'_>>) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
        let message = self.head(BY_DESCRIPTOR)?;
        let writable = Attributes::NO_SUID.and(Attributes::NO_DEVICES);
        let mut trees = Vec::with_capacity(self.lower.len() + 1);
        trees.push(tree(self.keep()?, writable, ids)?);
        for path in &self.lower {
            trees.push(tree(path, writable.and(Attributes::READ_ONLY), ids)?);
        }
        Ok((message, trees))
    }

    /// What every message begins with: the names that the layers get on the private tmpfs.
    fn head(&self, kind: u8) -> Result<Vec<u8>> {
        if self.lower.is_empty() || self.lower.len() > MAX_LAYERS {
            let top = self.lower.first().unwrap_or(&self.upper);
            return Err(refused(top, &format!("give 1 to {MAX_LAYERS} lower layers")));
        }
        for path in self.lower.iter().chain([&self.upper, &self.work]) {
            if !path.is_absolute() {
                return Err(refused(path, "write an absolute path"));
            }
        }
        let mut message = vec![WORKSPACE, kind, u8::from(!self.lasting), self.lower.len() as u8];
        message.extend(LOWER[..self.lower.len()].iter().map(|name| name.to_bytes()).collect::<Vec<_>>().join(&b':'));
        message.push(0);
        for path in [&self.upper, &self.work] {
            let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            if name.is_empty() || name.iter().any(|byte| matches!(byte, b'\\' | b',' | b':' | 0)) {
                return Err(refused(path, "name a directory without \\ , : in its name"));
            }
            message.extend(KEEP.to_bytes());
            message.push(b'/');
            message.extend(name);
            message.push(0);
        }
        Ok(message)
    }

    /// The directory that holds both upper and work, which must lie under one mount.
    fn keep(&self) -> Result<&Path> {
        match self.upper.parent() {
            Some(parent) if self.work.parent() == Some(parent) && self.work != self.upper => Ok(parent),
            _ => Err(refused(&self.work, &format!("name another directory beside {}", self.upper.display()))),
        }
    }
}

/// The message that there is none.
pub(crate) const NO_WORKSPACE: [u8; 4] = [WORKSPACE, NONE, 0, 0];

fn refused(path: &Path, wanted: &str) -> Error {
    PolicyError::value("workspace", &path.display().to_string(), wanted).into()
}

fn text(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| refused(path, "write a path without zero bytes"))
}

/// A complete, detached mount of a directory alone, without what is mounted below it.
fn tree(path: &Path, attributes: Attributes, ids: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
    let failed = |stage: Stage| move |errno: Errno| Failure::about(stage, errno, path.display().to_string());
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found =
        openat2(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(failed(Stage::Source))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&found, c"", flags).map_err(failed(Stage::Source))?;
    match ids {
        Some(ids) => set_attributes_and_id_map(tree.as_fd(), attributes, ids).map_err(failed(Stage::MapIds))?,
        None => set_attributes(tree.as_fd(), attributes, false).map_err(failed(Stage::Operation))?,
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::workspace::Brought;

    fn workspace() -> Workspace {
        Workspace::new(vec!["/s/mask".into(), "/s/tree".into()], "/s/w/1/upper", "/s/w/1/work")
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let message = workspace().by_path().unwrap();
        let brought = Brought::decode(&message).unwrap().unwrap();
        assert_eq!((brought.layers, brought.lower, brought.upper, brought.work), (2, c"w0:w1", c"wk/upper", c"wk/work"));
        assert_eq!(brought.paths, b"/s/w/1\0/s/mask\0/s/tree\0");
        assert!(!brought.volatile);
        let passing = Workspace { lasting: false, ..workspace() }.by_path().unwrap();
        assert!(Brought::decode(&passing).unwrap().unwrap().volatile);
        assert_eq!(Brought::decode(&NO_WORKSPACE), Some(None));
    }

    #[test]
    fn what_cannot_be_an_overlay_is_refused_by_its_path() {
        let told = |workspace: Workspace| workspace.by_path().unwrap_err().to_string();
        assert!(told(Workspace { lower: Vec::new(), ..workspace() }).contains("lower layers"));
        assert!(told(Workspace { work: "/s/w/2/work".into(), ..workspace() }).contains("/s/w/2/work"));
        assert!(told(Workspace { upper: "upper".into(), ..workspace() }).contains("absolute"));
        assert!(told(Workspace { upper: "/s/w/1/a:b".into(), ..workspace() }).contains("a:b"));
    }

    #[test]
    fn the_second_wall_is_narrowed_to_paths_below() {
        let mut plan = Plan {
            landlock: Some(enclos_spec::plan::Landlock { write: vec!["/tmp".into(), "/workspace".into()], ..Default::default() }),
            ..Plan::default()
        };
        let narrowed = Workspace { writable: Some(vec!["src".into(), "/workspace/doc".into()]), ..workspace() };
        narrowed.narrow(&mut plan).unwrap();
        let landlock = plan.landlock.clone().unwrap();
        assert_eq!(landlock.write, [PathBuf::from("/tmp")]);
        assert_eq!(landlock.exact, [PathBuf::from("/workspace/src"), "/workspace/doc".into()]);
        for out in ["/etc", "../etc", "a/../../b"] {
            assert!(Workspace { writable: Some(vec![out.into()]), ..workspace() }.narrow(&mut plan).is_err(), "{out}");
        }
        plan.landlock = None;
        assert!(narrowed.narrow(&mut plan).unwrap_err().to_string().contains("Landlock"));
    }
}
