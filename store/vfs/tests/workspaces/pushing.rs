//! Files of the codebase that are written into living workspaces.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use enclos_cas::{Check, Entry};
use enclos_vfs::files::acting_as;
use enclos_vfs::{Committed, Conflicts, HeldBack, Level, Rule, VfsError};

use crate::world::{Mode, World, path};

fn push(world: &World, living: &crate::world::Living, at: &str) -> Result<bool, VfsError> {
    let at = path(at);
    let entry = enclos_vfs::edit::find(world.vfs.store(), &world.head().tree, &at).unwrap().unwrap();
    let first = world.mode.first();
    let top = living.top.as_fd();
    let host = world.mode.ownership().on_host(first);
    let pushed = acting_as(first, first, true, || world.vfs.push(top, &at, &entry, &world.rules, host))?;
    if pushed {
        world.vfs.pushed(&world.workspace, &BTreeMap::from([(at, entry)])).unwrap();
    }
    Ok(pushed)
}

#[test]
fn an_upload_reaches_a_living_workspace_as_its_level_says() {
    for mode in Mode::all() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: an_upload_reaches_a_living_workspace_as_its_level_says: not root");
            return;
        }
        let rules = [
            Rule::glob("**/*", Level::Write),
            Rule::glob("read/**", Level::Read).priority(1),
            Rule::glob("view/**", Level::View).priority(1),
            Rule::glob("none/**", Level::None).priority(1),
        ];
        let files = [("f", "1"), ("read/f", "1"), ("view/f", "1"), ("none/f", "1"), ("d/f", "1"), ("l -> f", "")];
        let world = World::new(mode, &files, &rules);
        let changed = |at: &str| world.vfs.changed_in(&world.workspace, &path(at), mode.marks()).unwrap();
        let mut living = world.living();
        assert_eq!(living.ask("cat f read/f; stat -c %s view/f; echo mine > d/own"), "111\n");
        world.change(&[
            ("f", "second"),
            ("read/f", "second"),
            ("read/n", "new"),
            ("view/f", "second"),
            ("none/f", "second"),
            ("d/f", "second"),
        ]);
        world.change(&[("new/deep/f", "n"), ("read/new/f", "n"), ("m -> d", "")]);
        for at in ["f", "read/f", "read/n", "view/f", "d/f", "new/deep/f", "read/new/f", "m"] {
            assert!(!changed(at), "{mode:?} {at}");
            assert!(push(&world, &living, at).unwrap(), "{mode:?} {at}");
        }
        assert!(!push(&world, &living, "none/f").unwrap());
        let seen = living.ask("cat f read/f read/n d/f new/deep/f m/f; echo; stat -c %s view/f; cat none/f view/f; ls none; echo x >> f && echo x > d/f && echo written; ls -A . d");
        assert!(seen.starts_with("secondsecondnewsecondnsecond\n6\n"), "{mode:?}: {seen}");
        assert!(
            seen.contains("none/f: No such file") && seen.contains("view/f: Permission denied") && seen.contains("written\n"),
            "{mode:?}: {seen}"
        );
        assert_eq!(living.ask("echo y > new/deep/g && rm -r new/deep/g && echo in"), "in\n", "{mode:?}");
        assert!(!seen.contains("pushing"), "no name of ours is left: {seen}");
        if mode != Mode::OneOwner {
            let refused = living.ask("echo x > read/f; rm read/n; chmod 777 read/f view/f; echo x > read/new/g; cat read/f");
            assert!(refused.ends_with("second") && refused.matches("denied").count() >= 3 && !refused.contains("written"), "{refused}");
        }
        // What was pushed is no change; what the command made of it is.
        assert!(changed("f") && changed("d/f") && changed("d/own") && !changed("read/f"), "{mode:?}");
        drop(living);
        let expected = ["M /d/f", "A /d/own", "M /f"];
        // With one owner a placeholder looks like any file that its owner emptied.
        let own: Vec<_> = world.diff().into_iter().filter(|line| mode != Mode::OneOwner || !line.starts_with("M /view")).collect();
        assert_eq!(own, expected, "{mode:?}");
        let Committed::Made { version, conflicts, .. } = world.publish(HeldBack::Drop, Conflicts::Refuse) else { panic!("{mode:?}") };
        assert_eq!(conflicts, []);
        let text = world.contents(&version).join("; ");
        for line in ["/d/f = x\n", "/d/own = mine\n", "/f = secondx\n", "/none/f = second", "/read/f = second", "/view/f = second"] {
            assert!(text.contains(line), "{mode:?}: {line} in {text}");
        }
    }
}

#[test]
fn w16_a_push_goes_through_no_link_and_over_no_directory() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: w16_a_push_goes_through_no_link_and_over_no_directory: not root");
        return;
    }
    let world = World::new(Mode::Shifted, &[("d/f", "1"), ("g", "1"), ("h", "1")], &[Rule::glob("**/*", Level::Write)]);
    let mut living = world.living();
    living.ask("rm -r d; ln -s /etc d; rm g; mkdir g; rm h; ln -s /etc/passwd h");
    world.change(&[("d/f", "2"), ("g", "2"), ("h", "2")]);
    for at in ["d/f", "g"] {
        let error = push(&world, &living, at).unwrap_err();
        assert!(matches!(error, VfsError::WrongKind { .. }), "{at}: {error}");
    }
    assert!(!std::path::Path::new("/etc/f").exists());
    // Asked for all the same, the link itself gives way.
    assert!(world.vfs.changed_in(&world.workspace, &path("h"), world.mode.marks()).unwrap());
    assert!(push(&world, &living, "h").unwrap());
    assert_eq!(living.ask("cat h; readlink d"), "2/etc\n");
    let mut stored = Vec::new();
    let Some(Entry::File { digest, .. }) = enclos_vfs::edit::find(world.vfs.store(), &world.head().tree, &path("h")).unwrap() else {
        panic!("a file")
    };
    std::io::Read::read_to_end(&mut world.vfs.store().blob(&digest, Check::Verify).unwrap(), &mut stored).unwrap();
    assert_eq!(stored, b"2");
}
