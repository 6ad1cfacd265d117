//! Commits that stay: what a living workspace gives to its codebase, again and again.

use std::collections::{BTreeMap, BTreeSet};

use enclos_vfs::{Committed, Conflicts, HeldBack, Level, Preset, Rule, Rules, VfsError};
use proptest::prelude::*;

use crate::world::{Mode, World, path};

fn full(mode: Mode, files: &[(&str, &str)]) -> World {
    World::new(mode, files, &Preset::FullAccess.rules())
}

#[test]
fn a_workspace_publishes_again_and_again_and_stays_as_it_is() {
    for mode in Mode::all() {
        let world = full(mode, &[("f", "1"), ("g", "1"), ("d/x", "x"), ("d/y", "y")]);
        let before = world.vfs.workspace(&world.workspace).unwrap();
        assert_eq!(world.run("echo 2 > f; echo new > new; rm -r d; mkdir d; echo z > d/z"), "");
        assert_eq!(world.contents(&world.published()), ["/d/", "/d/z = z\n", "/f = 2\n", "/g = 1", "/new = new\n"], "{mode:?}");
        let after = world.vfs.workspace(&world.workspace).unwrap();
        assert_eq!((after.version, after.generation), (before.version, before.generation));
        assert_eq!(world.diff(), Vec::<String>::new(), "all of it is published");
        assert!(matches!(world.publish(HeldBack::Refuse, Conflicts::Refuse), Committed::Nothing { .. }));
        // Back to what the version had, gone again, renamed.
        assert_eq!(world.run("printf 1 > f; rm new; mv d e; ls -A"), "e\nf\ng\n");
        assert_eq!(world.diff(), ["D /d", "A /e", "A /e/z", "M /f", "D /new"], "{mode:?}");
        assert_eq!(world.contents(&world.published()), ["/e/", "/e/z = z\n", "/f = 1", "/g = 1"], "{mode:?}");
        assert_eq!(world.run("mkdir d; printf x > d/x; printf y > d/y; rm -r e"), "");
        assert_eq!(world.contents(&world.published()), ["/d/", "/d/x = x", "/d/y = y", "/f = 1", "/g = 1"], "{mode:?}");
        world.run("chmod 700 f; chmod 700 d");
        assert_eq!(world.diff(), ["M /d", "M /f"], "{mode:?}");
        assert_eq!(world.vfs.download(&world.published(), &path("f")).unwrap().1, 0o700);
        assert_eq!(world.diff(), Vec::<String>::new());
    }
}

#[test]
fn w28_others_go_on_meanwhile() {
    let world = full(Mode::all()[0], &[("mine", "1"), ("theirs", "1"), ("both", "1"), ("d/x", "1")]);
    world.run("printf 2 > mine");
    world.change(&[("theirs", "2"), ("d/z", "theirs")]);
    world.published();
    world.change(&[("both", "theirs"), ("mine", "3")]);
    world.run("printf ours > both; printf y > d/y; rm d/x");
    let head = world.head();
    let Committed::Conflicts(conflicts) = world.publish(HeldBack::Refuse, Conflicts::Refuse) else { panic!("a conflict") };
    assert_eq!(conflicts.iter().map(|c| c.path.to_string()).collect::<Vec<_>>(), ["/both"]);
    assert_eq!(world.head(), head);
    let Committed::Made { version, changes, conflicts, .. } = world.publish(HeldBack::Refuse, Conflicts::Skip) else { panic!("made") };
    assert_eq!((changes.len(), conflicts.len()), (2, 1));
    assert_eq!(world.contents(&version), ["/both = theirs", "/d/", "/d/y = y", "/d/z = theirs", "/mine = 3", "/theirs = 2"]);
    // What was left out is a change still, and is named again.
    assert_eq!(world.diff(), ["M /both"]);
    match world.publish(HeldBack::Refuse, Conflicts::Skip) {
        Committed::Nothing { conflicts, .. } => assert_eq!(conflicts.len(), 1),
        other => panic!("{other:?}"),
    }
    assert!(world.vfs.settle(&world.workspace, &world.view()).unwrap().is_none(), "it would lose that");
    // Both agree: no version is made for it.
    world.run("printf theirs > both");
    let head = world.head();
    assert_eq!(world.published(), head);
    let settled = world.vfs.settle(&world.workspace, &world.view()).unwrap().unwrap();
    assert_eq!((settled.version, settled.generation, settled.published), (head.number, 1, None));
    assert_eq!(world.run("cat both mine d/z; ls d"), "theirs3theirsy\nz\n", "it sees what others did");
    assert_eq!(world.diff(), Vec::<String>::new());
}

#[test]
fn a_directory_that_others_use_is_not_removed_with_theirs() {
    let world = full(Mode::all()[0], &[("d/x", "1"), ("f", "1")]);
    world.run("echo more > d/y");
    world.published();
    world.change(&[("d/theirs", "t")]);
    world.run("rm -r d; mkdir f2; echo 3 > f2/in");
    let Committed::Made { version, conflicts, .. } = world.publish(HeldBack::Drop, Conflicts::Skip) else { panic!("made") };
    assert_eq!(conflicts.iter().map(|c| c.path.to_string()).collect::<Vec<_>>(), ["/d"]);
    assert_eq!(world.contents(&version), ["/d/", "/d/theirs = t", "/d/x = 1", "/d/y = more\n", "/f = 1", "/f2/", "/f2/in = 3\n"]);
    // Somebody puts a file where the workspace makes a directory: nothing of that goes in.
    world.change(&[("g", "file")]);
    world.run("mkdir g; echo in > g/in; echo 4 > f");
    let Committed::Made { version, conflicts, .. } = world.publish(HeldBack::Drop, Conflicts::Skip) else { panic!("made") };
    assert_eq!(conflicts.iter().map(|c| c.path.to_string()).collect::<Vec<_>>(), ["/d", "/g"]);
    assert!(world.contents(&version).contains(&"/g = file".to_owned()) && world.contents(&version).contains(&"/f = 4\n".to_owned()));
    assert_eq!(world.diff(), ["D /d", "A /g", "A /g/in"]);
}

#[test]
fn what_is_held_back_is_named_every_time() {
    let rules = [Rule::glob("**/*", Level::Write), Rule::glob("**/.env*", Level::None).priority(1)];
    let world = World::new(Mode::all()[0], &[("f", "1"), (".env", "s")], &rules);
    world.run("echo 2 > f; echo own > .env; mkfifo p");
    let Committed::Denied(denied) = world.publish(HeldBack::Refuse, Conflicts::Refuse) else { panic!("refused") };
    assert_eq!(denied.len(), 2);
    for round in 0..2 {
        let held = match world.publish(HeldBack::Drop, Conflicts::Refuse) {
            Committed::Made { version, held_back, .. } if round == 0 => {
                assert_eq!(world.contents(&version), ["/.env = s", "/f = 2\n"]);
                held_back
            }
            Committed::Nothing { held_back, .. } if round == 1 => held_back,
            other => panic!("{other:?}"),
        };
        assert_eq!(held.iter().map(|c| c.path.to_string()).collect::<Vec<_>>(), ["/.env", "/p"]);
        assert_eq!(world.diff(), ["M /.env !", "A /p !"]);
    }
    // A FIFO in place of what was published takes nothing away.
    world.run("rm f; mkfifo f");
    assert_eq!(world.diff(), ["M /.env !", "M /f !", "A /p !"]);
    assert!(matches!(world.publish(HeldBack::Drop, Conflicts::Refuse), Committed::Nothing { .. }));
    assert_eq!(world.contents(&world.head()), ["/.env = s", "/f = 2\n"]);
}

#[test]
fn other_rules_undo_nothing_that_was_published() {
    let mut world = full(Mode::all()[0], &[("a", "1"), ("b", "1"), ("c", "1"), ("d/x", "1"), ("e/f", "1")]);
    world.run("echo 2 > a; rm b; echo new > n; rm -r d; rm -r e; echo file > e");
    let before = world.contents(&world.published());
    let closed = ["a", "b", "n", "d", "d/**", "e", "e/**"];
    for level in [Level::Read, Level::View, Level::None] {
        let rules: Vec<_> = closed.iter().map(|p| Rule::glob(p, level).priority(1)).chain([Rule::glob("**/*", Level::Write)]).collect();
        world.rules = Rules::new(&rules).unwrap();
        assert!(matches!(world.publish(HeldBack::Drop, Conflicts::Refuse), Committed::Nothing { .. }), "{level}");
        assert_eq!(world.contents(&world.head()), before, "{level}");
    }
    world.run("echo 5 > c");
    let Committed::Made { version, changes, .. } = world.publish(HeldBack::Drop, Conflicts::Refuse) else { panic!("made") };
    assert_eq!((changes.len(), world.contents(&version).contains(&"/c = 5\n".to_owned())), (1, true));
}

#[test]
fn rollback_restore_fork_and_collection_after_publishing() {
    let world = full(Mode::all()[0], &[("f", "1")]);
    let marks = world.mode.marks();
    world.run("echo 2 > f; echo n > n");
    world.published();
    world.change(&[("f", "theirs"), ("o", "o")]);
    let snapshot = world.vfs.snapshot(&world.workspace, marks, 0).unwrap();
    let fork = world.vfs.fork(&world.workspace, marks, 0).unwrap();
    assert_eq!(world.vfs.diff(&fork.id, &world.view()).unwrap(), []);
    world.run("rm n; echo m > m");
    world.published();
    world.vfs.prune(&world.codebase, 1).unwrap();
    world.vfs.collect().unwrap();
    // What both agreed on last is in no version, and is kept all the same.
    assert_eq!(world.diff(), Vec::<String>::new());
    world.run("echo 3 > m");
    world.published();
    assert_eq!(world.contents(&world.head()), ["/f = theirs", "/m = 3\n", "/o = o"]);
    world.vfs.rollback(&world.workspace, None).unwrap();
    assert_eq!((world.diff(), world.run("cat f; ls")), (Vec::new(), "1f\n".into()));
    world.vfs.restore(&world.workspace, &snapshot.id, marks).unwrap();
    assert_eq!((world.diff(), world.run("cat f n")), (Vec::new(), "2\nn\n".into()));
    assert!(
        matches!(world.publish(HeldBack::Refuse, Conflicts::Refuse), Committed::Nothing { .. }),
        "restoring undoes nothing in the codebase"
    );
    let head = world.contents(&world.head());
    world.vfs.delete_snapshot(&snapshot.id).unwrap();
    world.vfs.delete_workspace(&world.workspace).unwrap().remove().unwrap();
    world.vfs.delete_workspace(&fork.id).unwrap().remove().unwrap();
    world.vfs.prune(&world.codebase, 1).unwrap();
    world.vfs.collect().unwrap();
    assert_eq!(world.contents(&world.head()), head);
}

#[test]
fn a_commit_after_publishing_steps() {
    let world = full(Mode::all()[0], &[("f", "1")]);
    world.run("echo 2 > f; echo n > n");
    world.published();
    world.run("rm n; echo m > m");
    assert_eq!(world.contents(&world.made()), ["/f = 2\n", "/m = m\n"]);
    let stands = world.vfs.workspace(&world.workspace).unwrap();
    assert_eq!((stands.version, stands.published), (world.head().number, None));
    assert_eq!(world.run("ls"), "f\nm\n");
}

#[test]
fn whether_one_path_was_changed_is_told_without_a_walk() {
    for mode in Mode::all() {
        let world = full(mode, &[("f", "1"), ("g", "1"), ("d/x", "1"), ("d/y", "1"), ("e/x", "1"), ("same", "1"), ("h", "1")]);
        let changed = |p: &str| world.vfs.changed_in(&world.workspace, &path(p), mode.marks()).unwrap();
        assert!(!changed("f") && !changed("nowhere"));
        world.run("echo 2 > f; rm g; rm -r d; mkdir d; echo n > d/n; rm -r e; echo file > e; touch same; echo m > m; ln -s f l; mkfifo p; mkdir new; chmod 0 m");
        let all = ["f", "g", "d/x", "d/y", "d/n", "d/z", "e/x", "e", "same", "h", "m", "l", "p", "new/q", "f/x", "nowhere/a"];
        let own: Vec<_> = all.into_iter().filter(|p| changed(p)).collect();
        assert_eq!(own, ["f", "g", "d/x", "d/y", "d/n", "e/x", "e", "m", "l", "p", "f/x"], "{mode:?}");
        world.run("rm p; chmod 600 m");
        world.published();
        assert!(!all.into_iter().any(|p| !["l", "e/x", "f/x"].contains(&p) && changed(p)), "{mode:?}: what is published is agreed on");
        world.run("echo 3 > f");
        assert!(changed("f"));
    }
}

#[test]
fn metadata_of_version_1_are_read() {
    let world = full(Mode::all()[0], &[("f", "1")]);
    world.run("echo 2 > f");
    let World { vfs, directory, workspace, rules, mode, codebase } = world;
    let root = vfs.root().to_owned();
    drop(vfs);
    let records = rusqlite::Connection::open(root.join("vfs.sqlite")).unwrap();
    let older = "ALTER TABLE workspace DROP COLUMN published; ALTER TABLE snapshot DROP COLUMN published; PRAGMA user_version = 1";
    records.execute_batch(older).unwrap();
    let open = || enclos_vfs::Vfs::open(&root, enclos_cas::Quota::default(), enclos_vfs::Limits::default());
    let world = World { vfs: open().unwrap(), directory, workspace, rules, mode, codebase };
    assert_eq!(world.diff(), ["M /f"]);
    world.published();
    records.execute_batch("PRAGMA user_version = 3").unwrap();
    let World { vfs, .. } = world;
    drop(vfs);
    assert!(matches!(open(), Err(VfsError::Invalid { field: "metadata version", .. })));
}

/// What a list of contents says, by path.
fn by_path(lines: &[String]) -> BTreeMap<String, String> {
    let split = |line: &String| match line.split_once(" = ") {
        Some((path, text)) => (path.to_owned(), text.to_owned()),
        None => (line.trim_end_matches('/').to_owned(), "a directory".to_owned()),
    };
    lines.iter().map(split).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Run(&'static str),
    Theirs(&'static str, &'static str),
    TheyRemove(&'static str),
    Publish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let run = prop_oneof![
        Just("printf 1 > a"),
        Just("printf 2 > a"),
        Just("rm -rf a"),
        Just("mkdir -p a; printf 3 > a/x"),
        Just("[ -d d ] && mv d e"),
        Just("[ -d e ] && mv e d"),
        Just("rm -rf d"),
        Just("rm -rf d; mkdir d; printf 4 > d/x"),
        Just("printf 5 > d/y"),
        Just("rm -f d/x"),
        Just("mv a d/a"),
        Just("mkdir -p d/s/t; printf 6 > d/s/t/u"),
        Just("rm -rf d/s; printf 7 > d/s"),
    ];
    let step = prop_oneof![
        4 => run.prop_map(Step::Run),
        1 => (prop_oneof![Just("a"), Just("d/y"), Just("d/z"), Just("e/w"), Just("b")], prop_oneof![Just("8"), Just("2")]).prop_map(|(p, t)| Step::Theirs(p, t)),
        1 => prop_oneof![Just("a"), Just("d/x"), Just("d"), Just("b")].prop_map(Step::TheyRemove),
        3 => Just(Step::Publish),
    ];
    proptest::collection::vec(step, 4..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Each path of the codebase becomes what a merge by hand would make it, or is named as a conflict and left; nothing is lost in silence.
    #[test]
    fn publishing_is_a_three_way_merge_of_every_path(steps in steps(), skip in any::<bool>()) {
        let world = full(Mode::all()[0], &[("a", "0"), ("d/x", "0"), ("d/s/old", "0"), ("b", "0")]);
        let mut agreed = by_path(&world.contents(&world.head()));
        for step in steps.into_iter().chain([Step::Publish]) {
            match step {
                Step::Run(script) => drop(world.run(&format!("{{ {script}; }} > /dev/null 2>&1"))),
                Step::Theirs(at, text) => {
                    // Where a file is in the way of a directory, the others do not get through either.
                    let mut session = world.vfs.store().session();
                    let digest = session.put_bytes(text.as_bytes()).unwrap();
                    let entry = enclos_cas::Entry::File { digest, size: text.len() as u64, mode: 0o644 };
                    let _ = world.vfs.change(&mut session, &world.codebase, &[(path(at), enclos_vfs::Edit::Put(entry))].into(), crate::world::BY);
                }
                Step::TheyRemove(at) => {
                    let mut session = world.vfs.store().session();
                    let _ = world.vfs.change(&mut session, &world.codebase, &[(path(at), enclos_vfs::Edit::Remove)].into(), crate::world::BY);
                }
                Step::Publish => {
                    let theirs = by_path(&world.contents(&world.head()));
                    let shown = world.run("find . -mindepth 1 | while read -r p; do if [ -d \"$p\" ]; then echo \"${p#.}/\"; else echo \"${p#.} = $(cat \"$p\")\"; fi; done");
                    let ours = by_path(&shown.lines().map(str::to_owned).collect::<Vec<_>>());
                    let policy = if skip { Conflicts::Skip } else { Conflicts::Refuse };
                    let outcome = world.publish(HeldBack::Refuse, policy);
                    let after = by_path(&world.contents(&world.head()));
                    let conflicts = match &outcome {
                        Committed::Made { conflicts, .. } | Committed::Nothing { conflicts, .. } => conflicts.clone(),
                        Committed::Conflicts(conflicts) => {
                            prop_assert_eq!(&after, &theirs);
                            conflicts.clone()
                        }
                        Committed::Denied(denied) => panic!("{denied:?}"),
                    };
                    let named = |p: &str| conflicts.iter().any(|c| path(p).is_within(&c.path));
                    for conflict in &conflicts {
                        let below = |p: &&String| path(p).is_within(&conflict.path) || conflict.path.is_within(&path(p));
                        let all: BTreeSet<&String> = agreed.keys().chain(theirs.keys()).filter(below).collect();
                        prop_assert!(all.iter().any(|p| agreed.get(*p) != theirs.get(*p)), "nobody else changed {}", conflict.path);
                    }
                    if !matches!(outcome, Committed::Conflicts(_)) {
                        let all: BTreeSet<String> = agreed.keys().chain(theirs.keys()).chain(ours.keys()).chain(after.keys()).cloned().collect();
                        for p in &all {
                            let (p0, w, h, now) = (agreed.get(p), ours.get(p), theirs.get(p), after.get(p));
                            let expected = if named(p) || w == p0 { h } else { w };
                            prop_assert!(named(p) || w == p0 || h == p0 || h == w, "a conflict at {} is not named", p);
                            prop_assert_eq!(now, expected, "{} was {:?}, ours {:?}, theirs {:?}", p, p0, w, h);
                            if !named(p) {
                                match w {
                                    Some(text) => drop(agreed.insert(p.clone(), text.clone())),
                                    None => drop(agreed.remove(p)),
                                }
                            }
                        }
                    }
                    let left: Vec<String> = world.changes().iter().map(|c| c.path.to_string()).collect();
                    prop_assert!(left.iter().all(|p| named(p) || matches!(outcome, Committed::Conflicts(_))), "{:?} is left, {:?}", left, outcome);
                }
            }
        }
    }
}
