//! A codebase, a workspace on it, and overlays mounted where nobody else sees them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use enclos_cas::{Entry, Quota};
use enclos_vfs::{
    Bounds, By, Change, Committed, Conflicts, Edit, HeldBack, Limits, Marks, Ownership, PageRequest, Rule, Rules, TreePath, Version, Vfs,
    View,
};

pub const BY: By<'static> = By { author: "tester", now: 1_000 };

/// How a workspace is mounted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// By root, marks in `trusted.overlay.`; the command is user 1000.
    Root,
    /// By root with `userxattr`; the command is user 1000.
    RootUserMarks,
    /// As the engine does it for root: layers with an id map, mounted in a user namespace with a range of ids; the command is its user 1000.
    Shifted,
    /// In a user namespace with one id; the command is the owner of everything, without capabilities.
    OneOwner,
}

impl Mode {
    /// Those this process can try.
    pub fn all() -> Vec<Mode> {
        if rustix::process::geteuid().is_root() {
            vec![Mode::Root, Mode::RootUserMarks, Mode::Shifted, Mode::OneOwner]
        } else {
            vec![Mode::OneOwner]
        }
    }

    /// Those in which the owner of a file tells what may be done with it.
    pub fn two_owners() -> Vec<Mode> {
        Mode::all().into_iter().filter(|mode| *mode != Mode::OneOwner).collect()
    }

    pub fn ownership(self) -> Ownership {
        if self == Mode::OneOwner { Ownership::One } else { Ownership::USUAL }
    }

    /// The host's id of the sandbox's root.
    pub fn first(self) -> u32 {
        if self == Mode::Shifted { 200_000 } else { 0 }
    }

    pub fn marks(self) -> Marks {
        if self == Mode::Root { Marks::Trusted } else { Marks::User }
    }
}

pub struct World {
    pub directory: tempfile::TempDir,
    pub vfs: Vfs,
    pub codebase: String,
    pub workspace: String,
    pub rules: Rules,
    pub mode: Mode,
}

pub fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

impl World {
    /// A codebase with these files (`name -> target` makes a link), and a workspace on it.
    pub fn new(mode: Mode, files: &[(&str, &str)], rules: &[Rule]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let vfs = Vfs::open(directory.path().join("vfs"), Quota::default(), Limits::default()).unwrap();
        let codebase = vfs.create_codebase("demo", "alice", 0).unwrap().id;
        let world = World { directory, vfs, codebase, workspace: String::new(), rules: Rules::new(rules).unwrap(), mode };
        world.change(files);
        let workspace = world.vfs.create_workspace(&world.codebase, None, 0).unwrap().id;
        World { workspace, ..world }
    }

    /// Puts files past every workspace.
    pub fn change(&self, files: &[(&str, &str)]) -> Version {
        let mut session = self.vfs.store().session();
        let mut edits = BTreeMap::new();
        for (name, content) in files {
            let edit = match name.split_once(" -> ") {
                Some((name, target)) => (path(name), Edit::Put(Entry::Link { target: target.into() })),
                None if name.ends_with('/') => (path(name), Edit::Directory { mode: 0o755 }),
                None => {
                    let digest = session.put_bytes(content.as_bytes()).unwrap();
                    (path(name), Edit::Put(Entry::File { digest, size: content.len() as u64, mode: 0o644 }))
                }
            };
            edits.insert(edit.0, edit.1);
        }
        self.vfs.change(&mut session, &self.codebase, &edits, BY).unwrap()
    }

    pub fn view(&self) -> View<'_> {
        View { rules: &self.rules, ownership: self.mode.ownership(), marks: self.mode.marks(), bounds: Bounds::default() }
    }

    /// The upper of the workspace as it is now; made if it is missing.
    pub fn upper(&self) -> PathBuf {
        self.vfs.layers(&self.workspace, &self.rules, self.mode.ownership()).unwrap().upper
    }

    /// Runs a shell script in the mounted workspace, as the command would; its output of both kinds.
    pub fn run(&self, script: &str) -> String {
        output(&mut self.command(script), self.mode)
    }

    /// The mounted workspace with a shell in it that stays.
    pub fn living(&self) -> Living {
        let script = "echo ready; while read -r line; do eval \"$line\"; echo; echo done; done";
        let mut child = self.command(script).stdin(Stdio::piped()).stdout(Stdio::piped()).env("LC_ALL", "C").spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        // With the user namespace made anew there is a process between.
        let mut pid = child.id();
        while let Some(below) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().split_whitespace().last() {
            pid = below.parse().unwrap();
        }
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let top = rustix::fs::open(format!("/proc/{pid}/cwd"), flags, rustix::fs::Mode::empty()).unwrap();
        Living { child, out, top }
    }

    fn command(&self, script: &str) -> Command {
        let layers = self.vfs.layers(&self.workspace, &self.rules, self.mode.ownership()).unwrap();
        let point = self.directory.path().join("mounted");
        let _ = std::fs::create_dir(&point);
        let lower: Vec<_> = layers.lower.iter().map(|l| l.display().to_string()).collect();
        if self.mode == Mode::Shifted {
            let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workspaces/shifted.py");
            let layer = layers.upper.parent().unwrap();
            let mut command = Command::new("python3");
            command.arg(program).arg(&point).arg(lower.join(":")).arg(layer);
            command.arg(format!("exec 2>&1; {script}"));
            return command;
        }
        let mut options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), layers.upper.display(), layers.work.display());
        options += if self.mode == Mode::Root { ",redirect_dir=off,metacopy=off" } else { ",userxattr" };
        let user = if self.mode == Mode::OneOwner { "" } else { "--reuid 1000 --regid 1000 --clear-groups" };
        let set_up = format!(
            "mount -t overlay overlay -o '{options}' '{0}' && cd '{0}' && exec setpriv {user} --no-new-privs --inh-caps=-all --bounding-set=-all sh -c \"$1\"",
            point.display()
        );
        let namespaces = if self.mode == Mode::OneOwner { "-Urm" } else { "-m" };
        // The paths to a temporary directory are root's own; the command reaches the mount by its current directory alone.
        let mut command = Command::new("unshare");
        command.args([namespaces, "sh", "-c", &set_up, "sh", &format!("exec 2>&1; {script}")]);
        command
    }

    /// Changes as text, one a line, without reasons.
    pub fn diff(&self) -> Vec<String> {
        self.changes().iter().map(shown).collect()
    }

    pub fn changes(&self) -> Vec<Change> {
        self.vfs.diff(&self.workspace, &self.view()).unwrap()
    }

    pub fn commit(&self, held_back: HeldBack) -> Committed {
        self.vfs.commit(&self.workspace, &self.view(), held_back, BY).unwrap()
    }

    pub fn publish(&self, held_back: HeldBack, conflicts: Conflicts) -> Committed {
        self.vfs.publish(&self.workspace, &self.view(), held_back, conflicts, BY).unwrap()
    }

    /// Publishes what must go through.
    pub fn published(&self) -> Version {
        match self.publish(HeldBack::Refuse, Conflicts::Refuse) {
            Committed::Made { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    /// Commits what must go through.
    pub fn made(&self) -> Version {
        match self.commit(HeldBack::Refuse) {
            Committed::Made { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    /// Every path of a version with what is there: text of a file, `-> target`, or nothing for a directory.
    pub fn contents(&self, version: &Version) -> Vec<String> {
        let page = PageRequest { size: 1000, token: String::new() };
        let listed = self.vfs.files(version, &TreePath::top(), true, &page).unwrap().items;
        let text = |entry: &Entry, path: &TreePath| match entry {
            Entry::File { .. } => {
                let mut text = String::new();
                self.vfs.download(version, path).unwrap().0.read_to_string(&mut text).unwrap();
                format!("{path} = {text}")
            }
            Entry::Link { target } => format!("{path} -> {}", target.display()),
            Entry::Directory { .. } => format!("{path}/"),
        };
        listed.iter().map(|l| text(&l.entry, &l.path)).collect()
    }

    pub fn head(&self) -> Version {
        self.vfs.version(&self.codebase, None).unwrap()
    }
}

/// A workspace that is mounted, and a shell in it; gone when dropped.
pub struct Living {
    child: std::process::Child,
    out: BufReader<std::process::ChildStdout>,
    pub top: std::os::fd::OwnedFd,
}

impl Living {
    /// Runs one line there; what it says.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut text = String::new();
        while !text.ends_with("\ndone\n") {
            assert_ne!(self.out.read_line(&mut text).unwrap(), 0, "{text}");
        }
        text.truncate(text.len() - "\ndone\n".len());
        text
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn output(command: &mut Command, mode: Mode) -> String {
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(output.stderr.is_empty(), "{mode:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `A /path`, with ` !` if it is held back.
pub fn shown(change: &Change) -> String {
    let text = Change { denied: None, ..change.clone() }.to_string();
    if change.denied.is_some() { format!("{text} !") } else { text }
}

/// A whiteout, as the overlay makes one.
pub fn white_out(at: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty(), 0).unwrap();
}

/// Marks a directory as the overlay does when it replaces one.
pub fn make_opaque(at: &Path, marks: Marks) {
    let name = if marks == Marks::User { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
    rustix::fs::setxattr(at, name, b"y", rustix::fs::XattrFlags::empty()).unwrap();
}
