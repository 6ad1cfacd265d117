//! A server that dies in the middle.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use enclos_cas::Quota;
use enclos_vfs::{Bounds, By, Committed, Conflicts, HeldBack, Limits, Marks, Ownership, PageRequest, Preset, Rules, Vfs, View};

#[test]
fn w29_w41_a_killed_commit_leaves_the_old_version_or_the_new() {
    killed("killed::w29_w41_a_killed_commit_leaves_the_old_version_or_the_new", false);
}

#[test]
fn w29_w41_killed_while_publishing_leaves_the_old_version_or_the_new() {
    killed("killed::w29_w41_killed_while_publishing_leaves_the_old_version_or_the_new", true);
}

/// Changes a workspace and commits or publishes it until it is killed, and names each version it was told is made. The test is that child too.
fn killed(name: &str, stays: bool) {
    const TOLD: &str = "ENCLOS_VFS_COMMIT_INTO";
    const FILES: u64 = 12;
    let rules = Rules::new(&Preset::FullAccess.rules()).unwrap();
    let view = View { rules: &rules, ownership: Ownership::One, marks: Marks::User, bounds: Bounds::default() };
    let open = |path: &std::path::Path| Vfs::open(path, Quota::default(), Limits::default()).unwrap();
    if let Some(root) = std::env::var_os(TOLD) {
        let vfs = open(root.as_ref());
        let workspace = vfs.workspaces(None, &PageRequest::default()).unwrap().items.remove(0);
        for round in vfs.version(&workspace.codebase, None).unwrap().number.. {
            let upper = vfs.layers(&workspace.id, &rules, Ownership::One).unwrap().upper;
            for n in 0..FILES {
                std::fs::write(upper.join(format!("f{n}")), format!("{round}")).unwrap();
            }
            vfs.snapshot(&workspace.id, Marks::User, 0).unwrap();
            let by = By { author: "child", now: 0 };
            let made = match stays {
                true => vfs.publish(&workspace.id, &view, HeldBack::Refuse, Conflicts::Refuse, by).unwrap(),
                false => vfs.commit(&workspace.id, &view, HeldBack::Refuse, by).unwrap(),
            };
            let Committed::Made { version, .. } = made else { panic!("{made:?}") };
            println!("\nmade {}", version.number);
            std::io::stdout().flush().unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("vfs");
    let (codebase, workspace) = {
        let vfs = open(&root);
        let codebase = vfs.create_codebase("demo", "alice", 0).unwrap().id;
        let workspace = vfs.create_workspace(&codebase, None, 0).unwrap().id;
        (codebase, workspace)
    };
    for round in 0..5u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(TOLD, &root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = 0;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while told == 0 {
            let line = lines.next().unwrap().unwrap();
            told = line.strip_prefix("made ").map_or(0, |text| text.parse().unwrap());
        }
        std::thread::sleep(std::time::Duration::from_millis(11 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let vfs = open(&root);
        let head = vfs.version(&codebase, None).unwrap();
        assert!(head.number >= told, "what was told is there");
        for number in 1..=head.number {
            let version = vfs.version(&codebase, Some(number)).unwrap();
            let files = vfs.files(&version, &enclos_vfs::TreePath::top(), true, &PageRequest::default()).unwrap().items;
            let contents: std::collections::BTreeSet<_> = files.iter().map(|f| format!("{:?}", f.entry)).collect();
            assert_eq!((files.len() as u64, contents.len()), (FILES, 1), "version {number} is of one piece");
        }
        let stands = vfs.workspace(&workspace).unwrap();
        if stays {
            assert_eq!((stands.version, stands.generation), (0, 0));
            assert_eq!(stands.published, Some(head.tree), "what is agreed on goes with the version");
        } else {
            assert_eq!((stands.version, stands.generation), (head.number, head.number), "the workspace stepped with its version");
        }
        vfs.diff(&workspace, &view).unwrap();
        assert_eq!(std::fs::read_dir(root.join("building")).unwrap().count(), 0);
        let snapshots = vfs.snapshots(None, &PageRequest { size: 1000, token: String::new() }).unwrap().items.len();
        assert_eq!(std::fs::read_dir(root.join("snapshots")).unwrap().count(), snapshots);
        assert!(std::fs::read_dir(root.join("workspaces").join(&workspace)).unwrap().count() <= 1, "old uppers are gone");
        vfs.collect().unwrap();
        vfs.store().tree(&head.tree).unwrap();
    }
}
