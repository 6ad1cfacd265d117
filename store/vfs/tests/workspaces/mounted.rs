//! What the kernel answers in a mounted workspace.

use enclos_vfs::{HeldBack, Kind, Level, Preset, Rule};
use proptest::prelude::*;

use crate::world::{Mode, World};

/// Rules and files of the dossier's prototype (7.2).
fn prototype(mode: Mode) -> World {
    let rules = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("/docs/**", Level::Write),
        Rule::glob("/docs/keep.txt", Level::Read).kind(Kind::File),
        Rule::glob("/view/**", Level::View),
        Rule::glob("/secrets/**", Level::None),
        Rule::glob("**/.env", Level::None),
        Rule::glob("/docs/hid", Level::None).kind(Kind::File),
    ];
    let files = [
        ("README", "readme"),
        ("docs/a.txt", "a"),
        ("docs/keep.txt", "keep"),
        ("docs/hid", "hidden"),
        ("docs/sub/x", "x"),
        ("docs/sub/deep/y", "y"),
        ("view/v.txt", "twelve bytes"),
        ("secrets/key", "secret"),
        ("app/.env", "secret"),
        ("app/main", "main"),
        ("link -> docs/a.txt", ""),
    ];
    World::new(mode, &files, &rules)
}

#[test]
fn four_levels_with_the_right_errors() {
    for mode in Mode::two_owners() {
        let world = prototype(mode);
        let out = world.run(
            "ls -A; echo; ls -A docs app view; cat secrets/key; cat docs/hid; cat app/.env; cat view/v.txt; stat -c %s:%a view/v.txt
             cat README link; echo
             echo x > README; echo x > new; echo x >> docs/keep.txt; rm docs/keep.txt; mv docs/keep.txt docs/other
             echo n > docs/new; mv docs/new docs/keep.txt; rm docs/new
             echo b >> docs/a.txt && mkdir docs/made && echo m > docs/made/m && mv docs/made docs/moved && rm -r docs/moved && mkdir docs/moved && ls -A docs/moved; cat docs/a.txt",
        );
        let expected = "README\napp\ndocs\nlink\nview\n\napp:\nmain\n\ndocs:\na.txt\nkeep.txt\nsub\n\nview:\nv.txt\n\
            cat: secrets/key: No such file or directory\ncat: docs/hid: No such file or directory\ncat: app/.env: No such file or directory\n\
            cat: view/v.txt: Permission denied\n12:0\nreadmea\n\
            sh: 2: cannot create README: Permission denied\nsh: 2: cannot create new: Permission denied\nsh: 2: cannot create docs/keep.txt: Permission denied\n\
            rm: cannot remove 'docs/keep.txt': Operation not permitted\n\
            mv: cannot move 'docs/keep.txt' to 'docs/other': Operation not permitted\n\
            mv: cannot move 'docs/new' to 'docs/keep.txt': Operation not permitted\nab\n";
        assert_eq!(normal(&out), normal(expected), "{mode:?}");
        assert_eq!(world.diff(), ["M /docs/a.txt", "A /docs/moved"], "{mode:?}");
    }
}

/// The shell's own line numbers say nothing.
fn normal(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if let Some((_, rest)) = line.split_once(": cannot create") { format!("sh: cannot create{rest}") } else { line.to_owned() }
    });
    lines.filter(|line| !line.starts_with("rm: remove write-protected")).collect::<Vec<_>>().join("\n")
}

#[test]
fn with_one_owner_names_are_hidden_and_commits_still_judge() {
    let world = prototype(Mode::OneOwner);
    let out = world
        .run("ls -A; cat secrets/key; cat docs/hid; cat view/v.txt; echo x > README; echo b > docs/b; chmod 644 README; echo x > README");
    assert!(out.starts_with("README\napp\ndocs\nlink\nview\n"), "{out}");
    assert!(
        out.contains("secrets/key: No such file") && out.contains("docs/hid: No such file") && out.contains("v.txt: Permission denied"),
        "{out}"
    );
    assert!(out.contains("cannot create README: Permission denied"), "{out}");
    // Bits alone do not stop an owner: the rules do, when it comes to the commit.
    assert_eq!(world.diff(), ["M /README !", "A /docs/b"]);
}

#[test]
fn w15_w18_w19_w20_w22_nothing_outside_the_writable_directory_changes() {
    for mode in Mode::two_owners() {
        let world = prototype(mode);
        let out = world.run(
            "ln -s ../README docs/link; ln -s /etc/passwd docs/out; touch docs/.wh.keep.txt docs/.wh..wh..opq
             rmdir docs && echo gone; rm -rf docs/sub && echo rm; mv docs elsewhere && echo moved; mv secrets x; rmdir secrets
             chown 1000 README && echo owned; chmod 777 README && echo bits; touch README && echo touched; ln README docs/hard && echo linked
             setfattr -n trusted.overlay.opaque -v y docs 2>/dev/null && echo mark; mknod docs/white c 0 0 && echo white; mknod docs/null c 1 3 && echo null
             cat docs/keep.txt",
        );
        for word in ["gone\n", "moved\n", "owned", "bits", "touched", "linked", "mark", "white\n", "null\n"] {
            assert!(!out.lines().any(|line| line == word.trim_end()), "{mode:?}: {word} in {out}");
        }
        assert!(out.ends_with("keep") && out.lines().any(|line| line == "rm"), "{out}");
        let diff = world.diff();
        assert_eq!(diff, ["A /docs/.wh..wh..opq", "A /docs/.wh.keep.txt", "A /docs/link", "A /docs/out", "D /docs/sub"], "{mode:?}");
        let before = world.contents(&world.head());
        let after = world.contents(&world.made());
        let outside = |list: &[String]| list.iter().filter(|line| !line.starts_with("/docs")).cloned().collect::<Vec<_>>();
        assert_eq!(outside(&before), outside(&after));
        assert!(after.contains(&"/docs/hid = hidden".to_owned()) && after.contains(&"/docs/keep.txt = keep".to_owned()), "{after:?}");
    }
}

#[test]
fn w21_the_way_to_an_allowed_file_can_be_passed() {
    for mode in Mode::all() {
        let rules = [Rule::glob("/a/b/c.txt", Level::Read).kind(Kind::File)];
        let world = World::new(mode, &[("a/b/c.txt", "c"), ("a/b/d", "d"), ("a/e", "e"), ("f", "f")], &rules);
        assert_eq!(
            world.run("find . | sort; cat a/b/c.txt; cat f"),
            ".\n./a\n./a/b\n./a/b/c.txt\nccat: f: No such file or directory\n",
            "{mode:?}"
        );
    }
}

#[test]
fn w26_w27_directories_go_and_come_as_on_any_file_system() {
    for mode in Mode::all() {
        let files = [("d/one", "1"), ("d/sub/two", "2"), ("e/three", "3"), ("e/four", "4"), ("keep", "k")];
        let world = World::new(mode, &files, &Preset::FullAccess.rules());
        let out = world.run(
            "rm -rf d && ls -d d; mkdir d && ls -A d; echo new > d/new
             echo changed > e/three; mv e moved && ls -A moved; mv moved/four moved/five; ls -A; cat moved/three moved/five",
        );
        assert_eq!(out, "ls: cannot access 'd': No such file or directory\nfour\nthree\nd\nkeep\nmoved\nchanged\n4", "{mode:?}");
        let expected = ["A /d/new", "D /d/one", "D /d/sub", "D /e", "A /moved", "A /moved/five", "A /moved/three"];
        assert_eq!(world.diff(), expected, "{mode:?}");
        let version = world.made();
        assert_eq!(
            world.contents(&version),
            ["/d/", "/d/new = new\n", "/keep = k", "/moved/", "/moved/five = 4", "/moved/three = changed\n"]
        );
        // The workspace goes on from there.
        assert_eq!(world.run("cat d/new; ls -A"), "new\nd\nkeep\nmoved\n", "{mode:?}");
        assert_eq!(world.diff(), Vec::<String>::new());
    }
}

#[test]
fn w25_tools_work_in_a_writable_workspace() {
    for mode in Mode::all() {
        let world = World::new(mode, &[("f", "f"), ("d/g", "g")], &Preset::Development.rules());
        let out = world.run(
            "set -e; mkfifo p; rm p; ln f hard; cmp f hard; tar cf t.tar f d; mkdir x; tar xf t.tar -C x; cp -a d d2; diff -r d x/d; chmod 700 d2
             touch -d 2001-01-01 f; sync f; python3 -c \"
import sqlite3, mmap, os
c = sqlite3.connect('db'); print(c.execute('pragma journal_mode=wal').fetchone()[0]); c.execute('create table t(a)'); c.execute('insert into t values (1)'); c.commit(); c.close()
f = open('f', 'r+b'); m = mmap.mmap(f.fileno(), 1); m[0:1] = b'F'; m.flush(); os.fsync(f.fileno())
\"; cat f; echo; rm -rf x t.tar db hard; ls",
        );
        assert_eq!(out, "wal\nF\nd\nd2\nf\n", "{mode:?}");
        assert_eq!(world.diff(), ["A /d2", "A /d2/g", "M /f"], "{mode:?}");
    }
}

#[test]
fn the_dossiers_one_difference_is_held_back() {
    for mode in Mode::two_owners() {
        let world = prototype(mode);
        assert_eq!(world.run("echo own > docs/hid; cat docs/hid; rm docs/hid; mkdir docs/hid; echo own > docs/hid/f"), "own\n");
        assert_eq!(world.diff(), ["M /docs/hid !", "A /docs/hid/f !"]);
        assert!(matches!(world.commit(HeldBack::Drop), enclos_vfs::Committed::Nothing { .. }));
        assert!(world.contents(&world.head()).contains(&"/docs/hid = hidden".to_owned()));
    }
}

#[test]
fn promised_directories_are_there_and_leave_nothing_behind() {
    for mode in Mode::all() {
        let world = World::new(mode, &[("main.py", "m"), (".env", "e")], &Preset::AgentSafe.rules());
        assert_eq!(world.run("ls -A; echo x > file"), "main.py\noutput\ntmp\nsh: 1: cannot create file: Permission denied\n", "{mode:?}");
        assert_eq!(world.diff(), Vec::<String>::new());
        assert_eq!(world.run("touch tmp; echo x > output/x; cat output/x"), "x\n");
        assert_eq!(world.diff(), ["A /output", "A /output/x"], "{mode:?}");
        assert_eq!(world.contents(&world.made()), ["/.env = e", "/main.py = m", "/output/", "/output/x = x\n"]);
    }
}

#[test]
fn w24_other_rules_above_the_same_changes() {
    let mut world = World::new(Mode::all()[0], &[("a", "a"), ("b", "b")], &Preset::FullAccess.rules());
    world.run("echo new > a");
    world.rules = enclos_vfs::Rules::new(&[Rule::glob("**/*", Level::Write), Rule::glob("b", Level::None)]).unwrap();
    assert_eq!(world.run("ls; cat a"), "a\nnew\n");
}

#[test]
fn w15_w19_w22_with_one_owner_nothing_outside_is_committed() {
    let world = prototype(Mode::OneOwner);
    // The command owns every file it sees, and tries what bits cannot stop.
    world.run(
        "chmod -R u+rwx . ; echo evil > README; rm -f docs/keep.txt; mv docs elsewhere; rm -rf app view; mkdir app; echo own > app/.env
         ln -sf /etc/passwd README; mkdir -p secrets docs; echo own > secrets/key; echo mine > docs/mine",
    );
    let before = world.contents(&world.head());
    let after = match world.commit(HeldBack::Drop) {
        enclos_vfs::Committed::Made { version, .. } => world.contents(&version),
        other => panic!("{other:?}"),
    };
    let protected = |list: &[String]| {
        list.iter()
            .filter(|l| !l.starts_with("/docs") || l.starts_with("/docs/keep.txt") || l.starts_with("/docs/hid"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(protected(&before), protected(&after));
    assert!(after.contains(&"/docs/mine = mine\n".to_owned()), "{after:?}");
}

fn lists() -> impl Strategy<Value = Vec<Rule>> {
    let level = prop_oneof![Just(Level::None), Just(Level::View), Just(Level::Read), Just(Level::Write)];
    let pattern = prop_oneof![
        Just("**/*"),
        Just("a/**"),
        Just("**/x"),
        Just("a/b/**"),
        Just("**/b/*"),
        Just("c"),
        Just("c/**"),
        Just("**/y"),
        Just("a/x"),
        Just("new/deep/**"),
        Just("**/l")
    ];
    proptest::collection::vec((pattern, level, 0..2i32).prop_map(|(p, level, priority)| Rule::glob(p, level).priority(priority)), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What the kernel shows and allows is what the rules say of each path.
    #[test]
    fn the_mount_agrees_with_the_rules(list in lists(), which in any::<prop::sample::Index>()) {
        let modes = Mode::all();
        let mode = modes[which.index(modes.len())];
        let files = ["x", "y", "a/x", "a/y", "a/b/x", "a/b/y", "c/x", "c/d/y"];
        let links = ["l", "a/l", "a/b/l"];
        let made: Vec<(String, &str)> = files.iter().map(|f| ((*f).to_owned(), "text")).chain(links.iter().map(|l| (format!("{l} -> nowhere"), ""))).collect();
        let world = World::new(mode, &made.iter().map(|(f, t)| (f.as_str(), *t)).collect::<Vec<_>>(), &list);
        let level = |p: &str| world.rules.level(&crate::world::path(p));
        let try_each: String = files.iter().map(|f| format!("[ -e {f} ] && echo shown {f}; [ \"$(cat {f} 2>&1)\" = text ] && echo read {f}; ( : >> {f} ) 2> /dev/null && [ -s {f} ] && echo write {f};"))
            .chain(links.iter().map(|l| format!("[ -h {l} ] && echo shown {l};"))).collect();
        let out = world.run(&format!("{try_each} find . | sort > /dev/null; echo end"));
        let lines: Vec<&str> = out.lines().filter(|l| !l.contains("cannot")).collect();
        for path in files.iter().chain(&links) {
            let has = |word: &str| lines.contains(&format!("{word} {path}").as_str());
            prop_assert_eq!(has("shown"), level(path) >= Level::View, "{:?} {} {}", mode, path, world.rules.explain(&crate::world::path(path)));
            if files.contains(path) {
                prop_assert_eq!(has("read"), level(path) >= Level::Read, "{:?} {} {}", mode, path, out);
                // What is hidden can be made anew where its directory allows it; that is the command's own.
                if level(path) > Level::None {
                    prop_assert_eq!(has("write"), level(path) == Level::Write, "{:?} {} {}", mode, path, out);
                }
            }
        }
        let held_back: Vec<_> = world.changes().iter().filter(|c| c.denied.is_none() && c.before.is_some()).map(|c| c.path.to_string()).collect();
        prop_assert_eq!(held_back, Vec::<String>::new(), "looking and opening is no change");
    }
}
