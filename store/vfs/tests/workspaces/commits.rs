//! What becomes of changes: versions, conflicts, copies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use enclos_vfs::{Committed, HeldBack, Level, PageRequest, Preset, Rule, VfsError};

use crate::world::{BY, Mode, World, make_opaque, white_out};

fn full(files: &[(&str, &str)]) -> World {
    World::new(Mode::all()[0], files, &Preset::FullAccess.rules())
}

/// Writes into the upper as the command would have done through the mount.
fn write(world: &World, name: &str, content: &str) {
    let path = world.upper().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn bits_are_kept_and_touching_is_no_change() {
    let world = full(&[("run", "x"), ("same", "s"), ("d/f", "f")]);
    write(&world, "run", "x");
    fs::set_permissions(world.upper().join("run"), fs::Permissions::from_mode(0o4755)).unwrap();
    write(&world, "same", "s");
    fs::set_permissions(world.upper().join("same"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(world.upper().join("d")).unwrap();
    assert_eq!(world.diff(), ["M /run"]);
    let version = world.made();
    assert_eq!(world.vfs.download(&version, &crate::world::path("run")).unwrap().1, 0o755);
    assert!(matches!(world.commit(HeldBack::Refuse), Committed::Nothing { .. }));
}

#[test]
fn w28_a_commit_on_a_head_that_moved() {
    let files = [("mine", "1"), ("theirs", "1"), ("both", "1"), ("same", "1"), ("gone/f", "1"), ("d/x", "1")];
    let world = full(&files);
    write(&world, "mine", "2");
    write(&world, "d/y", "mine");
    world.change(&[("theirs", "2"), ("d/z", "theirs")]);
    let version = world.made();
    let text = world.contents(&version).join("; ");
    assert!(text.contains("/mine = 2") && text.contains("/theirs = 2") && text.contains("/d/y = mine; /d/z = theirs"), "{text}");

    write(&world, "both", "ours");
    write(&world, "same", "agreed");
    white_out(&world.upper().join("gone"));
    world.change(&[("both", "theirs"), ("same", "agreed"), ("gone/g", "more")]);
    let head = world.head();
    match world.commit(HeldBack::Refuse) {
        Committed::Conflicts(conflicts) => {
            let paths: Vec<_> = conflicts.iter().map(|c| c.path.to_string()).collect();
            assert_eq!(paths, ["/both", "/gone"]);
            assert!(conflicts[0].base.is_some() && conflicts[0].theirs != conflicts[0].ours);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.head(), head, "nothing was made");
    assert_eq!(world.diff(), ["M /both", "D /gone", "M /same"], "and nothing was lost");
}

#[test]
fn a_directory_that_somebody_removed_conflicts() {
    let world = full(&[("d/x", "1"), ("e", "1")]);
    write(&world, "d/y", "2");
    let mut session = world.vfs.store().session();
    let edits = [(crate::world::path("d"), enclos_vfs::Edit::Remove)].into();
    world.vfs.change(&mut session, &world.codebase, &edits, BY).unwrap();
    assert!(matches!(world.commit(HeldBack::Refuse), Committed::Conflicts(c) if c[0].path == crate::world::path("d/y")));
}

#[test]
fn files_become_directories_and_back() {
    let world = full(&[("a", "file"), ("b/x", "1"), ("b/y", "2"), ("c/z", "3")]);
    fs::create_dir_all(world.upper().join("a")).unwrap();
    make_opaque(&world.upper().join("a"), world.mode.marks());
    write(&world, "a/in", "in");
    write(&world, "b", "file");
    fs::create_dir(world.upper().join("c")).unwrap();
    make_opaque(&world.upper().join("c"), world.mode.marks());
    write(&world, "c/w", "4");
    assert_eq!(world.diff(), ["M /a", "A /a/in", "M /b", "A /c/w", "D /c/z"]);
    assert_eq!(world.contents(&world.made()), ["/a/", "/a/in = in", "/b = file", "/c/", "/c/w = 4"]);
}

#[test]
fn held_back_changes_stop_a_commit_or_are_dropped_by_name() {
    let rules =
        [Rule::glob("**/*", Level::Write), Rule::glob("**/.env*", Level::None).priority(1), Rule::glob("lock", Level::Read).priority(1)];
    let world = World::new(Mode::all()[0], &[("f", "1"), ("lock", "1")], &rules);
    write(&world, "f", "2");
    write(&world, ".env.d/x", "own");
    write(&world, "lock", "2");
    let denied = match world.commit(HeldBack::Refuse) {
        Committed::Denied(denied) => denied,
        other => panic!("{other:?}"),
    };
    assert_eq!(denied.iter().map(|c| c.path.to_string()).collect::<Vec<_>>(), ["/.env.d", "/.env.d/x", "/lock"]);
    assert!(denied[2].to_string().contains("the rules forbid it: /lock: read, by glob \"lock\" read"), "{}", denied[2]);
    match world.commit(HeldBack::Drop) {
        Committed::Made { version, changes, held_back, .. } => {
            assert_eq!((changes.len(), held_back.len()), (1, 3));
            assert_eq!(world.contents(&version), ["/f = 2", "/lock = 1"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rollback_snapshot_restore_and_fork() {
    let world = full(&[("f", "1"), ("g", "1"), ("d/h", "1")]);
    let marks = world.mode.marks();
    write(&world, "f", "2");
    fs::hard_link(world.upper().join("f"), world.upper().join("also")).unwrap();
    white_out(&world.upper().join("g"));
    fs::create_dir(world.upper().join("d")).unwrap();
    make_opaque(&world.upper().join("d"), marks);
    let before = world.diff();
    assert_eq!(before, ["A /also", "D /d/h", "M /f", "D /g"]);
    let snapshot = world.vfs.snapshot(&world.workspace, marks, 7).unwrap();
    let fork = world.vfs.fork(&world.workspace, marks, 8).unwrap();
    let fork_changes: Vec<_> = world.vfs.diff(&fork.id, &world.view()).unwrap().iter().map(crate::world::shown).collect();
    assert_eq!(fork_changes, before);
    let layers = world.vfs.layers(&fork.id, &world.rules, world.mode.ownership()).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(layers.upper.join("f")).unwrap().nlink(), 2, "two names of one file stay that");
    fs::write(layers.upper.join("f"), "fork").unwrap();
    assert_eq!(fs::read(world.upper().join("f")).unwrap(), b"2", "neither changes the other");

    let rolled = world.vfs.rollback(&world.workspace, None).unwrap();
    assert_eq!((world.diff(), rolled.generation), (Vec::new(), 1));
    assert_eq!(world.vfs.restore(&world.workspace, &snapshot.id, marks).unwrap().generation, 2);
    assert_eq!(world.diff(), before);
    world.made();
    world.vfs.rollback(&world.workspace, Some(0)).unwrap();
    assert_eq!(world.vfs.workspace(&world.workspace).unwrap().version, 0);
    assert_eq!(world.vfs.snapshots(Some(&world.workspace), &PageRequest::default()).unwrap().items, std::slice::from_ref(&snapshot));
    world.vfs.delete_snapshot(&snapshot.id).unwrap();
    assert!(matches!(world.vfs.restore(&world.workspace, &snapshot.id, marks), Err(VfsError::Unknown { .. })));
    world.vfs.delete_workspace(&fork.id).unwrap().remove().unwrap();
    assert_eq!(world.vfs.workspaces(None, &PageRequest::default()).unwrap().items.len(), 1);
}

#[test]
fn w43_a_codebase_in_use_stays() {
    let world = full(&[("f", "1")]);
    let error = world.vfs.delete_codebase(&world.codebase).unwrap_err();
    assert!(matches!(error, VfsError::InUse { .. }) && error.to_string().contains(&world.workspace), "{error}");
    let snapshot = world.vfs.snapshot(&world.workspace, world.mode.marks(), 0).unwrap();
    world.vfs.delete_workspace(&world.workspace).unwrap().remove().unwrap();
    assert!(matches!(world.vfs.delete_codebase(&world.codebase), Err(VfsError::InUse { .. })));
    world.vfs.delete_snapshot(&snapshot.id).unwrap();
    world.vfs.delete_codebase(&world.codebase).unwrap();
}

#[test]
fn cached_layers_are_shared_and_dropped_when_nobody_stands_on_them() {
    let world = World::new(Mode::all()[0], &[("f", "1"), (".env", "s")], &Preset::AgentSafe.rules());
    let ownership = world.mode.ownership();
    let first = world.vfs.layers(&world.workspace, &world.rules, ownership).unwrap();
    let other = world.vfs.create_workspace(&world.codebase, None, 0).unwrap();
    let second = world.vfs.layers(&other.id, &world.rules, ownership).unwrap();
    assert_eq!((first.lower == second.lower, first.upper == second.upper), (true, false));
    assert_eq!(world.vfs.drop_unused_layers().unwrap(), 0);
    world.vfs.delete_workspace(&other.id).unwrap().remove().unwrap();
    world.vfs.delete_workspace(&world.workspace).unwrap().remove().unwrap();
    assert_eq!(world.vfs.drop_unused_layers().unwrap(), 2);
    assert!(first.lower.iter().all(|l| !l.exists()));
}

#[test]
fn the_next_version_is_checked_out_at_the_cost_of_what_changed() {
    use std::os::unix::fs::MetadataExt;
    let world = full(&[("d/same", "s"), ("d/other", "o"), ("d/gone", "g"), ("twin", "s")]);
    let inode = |world: &World, name: &str| {
        let layers = world.vfs.layers(&world.workspace, &world.rules, world.mode.ownership()).unwrap();
        fs::metadata(layers.lower.last().unwrap().join(name))
            .map(|m| (m.ino(), fs::read_to_string(layers.lower.last().unwrap().join(name)).unwrap()))
    };
    let before = ["d/same", "d/other", "twin"].map(|name| inode(&world, name).unwrap());
    assert_ne!(before[0].0, before[2].0, "two files of one tree are two files");
    write(&world, "d/other", "changed");
    write(&world, "d/new", "n");
    white_out(&world.upper().join("d/gone"));
    world.made();
    assert_eq!([inode(&world, "d/same").unwrap(), inode(&world, "twin").unwrap()], [before[0].clone(), before[2].clone()]);
    let other = inode(&world, "d/other").unwrap();
    assert!(other.0 != before[1].0 && other.1 == "changed", "{other:?}");
    assert!(inode(&world, "d/gone").is_err() && inode(&world, "d/new").unwrap().1 == "n");
    assert_eq!(world.run("cat d/same d/other d/new twin; echo x >> d/same; cat d/same"), "schangednssx\n");
    assert_eq!(inode(&world, "d/same").unwrap().1, "s", "no workspace writes into a layer");
}

#[test]
fn where_a_command_may_write_is_told_to_the_second_wall() {
    let rules = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("src/**", Level::Write),
        Rule::glob("src/a/lock", Level::View),
        Rule::glob("conf", Level::Write),
        Rule::glob("/out/**", Level::Write),
    ];
    let world = World::new(Mode::all()[0], &[("src/a/lock", "l"), ("src/a/x", "x"), ("src/b/y", "y"), ("conf", "c"), ("r", "r")], &rules);
    let writable = world.vfs.writable(&world.head().tree, &world.rules).unwrap();
    let text = |paths: &[enclos_vfs::TreePath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(
        (text(&writable.whole), text(&writable.files), text(&writable.open)),
        ("/src/b /out".into(), "/conf /src/a/x".into(), "/src/a /src".into())
    );
    let all = enclos_vfs::Rules::new(&Preset::FullAccess.rules()).unwrap();
    assert_eq!(text(&world.vfs.writable(&world.head().tree, &all).unwrap().whole), "/");
}

#[test]
fn layers_of_an_earlier_start_of_the_machine_are_made_again() {
    let world = full(&[("f", "1")]);
    let file = world.vfs.layers(&world.workspace, &world.rules, world.mode.ownership()).unwrap().lower.last().unwrap().join("f");
    write(&world, "g", "kept");
    let World { vfs, directory, workspace, rules, mode, .. } = world;
    let root = vfs.root().to_owned();
    drop(vfs);
    let open = || enclos_vfs::Vfs::open(&root, enclos_cas::Quota::default(), enclos_vfs::Limits::default()).unwrap();
    drop(open());
    assert!(file.exists(), "the same start: they hold");
    fs::write(root.join("boot"), "another").unwrap();
    let vfs = open();
    assert!(!file.exists());
    let again = vfs.layers(&workspace, &rules, mode.ownership()).unwrap();
    assert_eq!((fs::read_to_string(file).unwrap(), fs::read_to_string(again.upper.join("g")).unwrap()), ("1".into(), "kept".into()));
    drop(directory);
}
