//! What rules mean to commands (W-01 to W-07, W-14 to W-22).

use enclos_agent::api::{Agent, Commit, Committed, Kind, Level, Rule};

use crate::world::{World, all, skipped};

/// Rules and files of the dossier's prototype.
fn prototype(world: &World) -> (String, String) {
    let codebase = world.codebase(&[
        ("README", "readme\n"),
        ("docs/a.txt", "a\n"),
        ("docs/keep.txt", "keep\n"),
        ("docs/hid", "hidden\n"),
        ("docs/sub/x", "x\n"),
        ("view/v.txt", "twelve bytes"),
        ("secrets/key", "secret\n"),
        ("app/.env", "secret\n"),
        ("app/main", "main\n"),
    ]);
    let rules = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("/docs/**", Level::Write),
        Rule::glob("/docs/keep.txt", Level::Read).kind(Kind::File),
        Rule::glob("/view/**", Level::View),
        Rule::glob("/secrets/**", Level::None),
        Rule::glob("**/.env", Level::None),
        Rule::glob("/docs/hid", Level::None).kind(Kind::File),
    ];
    let id = world.started(&codebase, &rules);
    (codebase, id)
}

#[test]
fn four_levels_with_the_right_errors() {
    if skipped("four_levels_with_the_right_errors") {
        return;
    }
    let world = World::new();
    let (_, id) = prototype(&world);
    assert_eq!(
        world.says(&id, "ls -A . docs app view"),
        ".:\nREADME\napp\ndocs\nview\n\napp:\nmain\n\ndocs:\na.txt\nkeep.txt\nsub\n\nview:\nv.txt\n"
    );
    for (command, told) in [
        ("cat secrets/key", "No such file or directory"),
        ("cat docs/hid", "No such file or directory"),
        ("cat app/.env", "No such file or directory"),
        ("cat view/v.txt", "Permission denied"),
        ("echo x > README", "Permission denied"),
        ("echo x > new", "Permission denied"),
        ("echo x >> docs/keep.txt", "Permission denied"),
        ("rm -f docs/keep.txt", "Operation not permitted"),
        ("mv docs/keep.txt docs/other", "Operation not permitted"),
        ("chown 1000 README", "Operation not permitted"),
        ("chmod 777 README", "Operation not permitted"),
        ("mv docs elsewhere", "Permission denied"),
    ] {
        let result = world.sh(&id, command);
        assert!(result.exit_code != 0 && String::from_utf8_lossy(&result.stderr).contains(told), "{command}: {result:?}");
    }
    assert_eq!(
        world.says(&id, "stat -c '%s %a' view/v.txt; echo b >> docs/a.txt; cat docs/a.txt; rm -r docs/sub; mkdir docs/sub; ls -A docs/sub"),
        "12 0\na\nb\n"
    );
}

#[test]
fn w15_w17_w18_w19_nothing_outside_the_writable_directory_changes() {
    if skipped("w15_w17_w18_w19_nothing_outside_the_writable_directory_changes") {
        return;
    }
    let world = World::new();
    let (codebase, id) = prototype(&world);
    let host = world.directory.path().join("host");
    std::fs::write(&host, "HOST").unwrap();
    let script = format!(
        "ln -s ../README docs/link; ln -s {} docs/out; touch docs/.wh.keep.txt docs/.wh..wh..opq; rmdir docs; rmdir secrets; mv secrets x; ln README docs/hard
         setfattr -n user.overlay.opaque -v y docs; setfattr -n trusted.overlay.opaque -v y docs; mknod docs/white c 0 0; mknod docs/null c 1 3; echo evil > docs/out
         rm docs/out; ln -s {} docs/a.txt.new; mv docs/a.txt.new docs/a.txt",
        host.display(),
        host.display()
    );
    world.sh(&id, &script);
    let Committed::Made { .. } = world.agent.commit(&world.caller, &id, &Commit { drop_denied: true, ..Commit::default() }).unwrap() else {
        panic!()
    };
    for (path, text) in [
        ("README", "readme\n"),
        ("docs/keep.txt", "keep\n"),
        ("docs/hid", "hidden\n"),
        ("secrets/key", "secret\n"),
        ("app/.env", "secret\n"),
        ("view/v.txt", "twelve bytes"),
    ] {
        assert_eq!(world.download(&codebase, path).as_deref(), Some(text), "{path}");
    }
    // A link is kept as a link, and nobody follows it.
    assert_eq!(world.download(&codebase, "docs/a.txt"), None);
    assert_eq!(std::fs::read_to_string(&host).unwrap(), "HOST");
}

#[test]
fn w14_w21_order_says_nothing_and_ways_can_be_passed() {
    if skipped("w14_w21_order_says_nothing_and_ways_can_be_passed") {
        return;
    }
    let world = World::new();
    let codebase = world.codebase(&[("a/b/c.txt", "c"), ("a/b/d", "d"), ("x.env", "s"), ("f", "f")]);
    let one = [Rule::glob("**/*", Level::Read), Rule::glob("**/*.env", Level::None)];
    let other = [one[1].clone(), one[0].clone()];
    for rules in [one, other] {
        let id = world.started(&codebase, &rules);
        assert_eq!(world.says(&id, "ls"), "a\nf\n");
    }
    let id = world.started(&codebase, &[Rule::glob("/a/b/c.txt", Level::Read).kind(Kind::File)]);
    assert_eq!(world.says(&id, "find . | sort; cat a/b/c.txt"), ".\n./a\n./a/b\n./a/b/c.txt\nc");
    let none = world.started(&codebase, &[]);
    assert_eq!(world.says(&none, "ls -A"), "");
}

#[test]
fn w01_w02_w03_w04_w06_commands_have_no_rights() {
    if skipped("w01_w02_w03_w04_w06_commands_have_no_rights") {
        return;
    }
    let world = World::new();
    let codebase = world.codebase(&[("f", "f")]);
    let id = world.started(&codebase, &all());
    let status = world.says(&id, "grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'");
    assert_eq!(status, "CapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n");
    let script = "mount -o remount,rw /usr && echo remount; mount -t proc proc /tmp && echo proc; mknod /tmp/b b 8 0 && echo mknod; unshare -Ur true && echo userns
        echo x > /proc/sys/kernel/core_pattern && echo pattern; echo h > /proc/sysrq-trigger && echo sysrq; cat /proc/kcore > /dev/null && echo kcore; dmesg > /dev/null && echo dmesg; touch /usr/x && echo usr";
    assert_eq!(String::from_utf8_lossy(&world.sh(&id, script).stdout), "");
    // No path of the host tells where anything lies.
    let place = world.directory.path().file_name().unwrap().to_string_lossy().into_owned();
    let found = world.sh(
        &id,
        &format!("cat /proc/1/cmdline /proc/self/mountinfo /proc/self/mounts /proc/self/cgroup 2>/dev/null | grep -c {place} || true"),
    );
    assert_eq!(String::from_utf8_lossy(&found.stdout), "0\n", "{}", world.says(&id, "cat /proc/self/mountinfo"));
}
