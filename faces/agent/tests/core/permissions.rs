//! What rules mean to commands (W-01 to W-07, W-14 to W-22).

use enclos_agent::api::{Agent, Commit, Committed, Kind, Level, NewSandbox, Rule};

use crate::world::{World, all, caller, is_root, launcher};

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
    let world = World::new();
    let (_, id) = prototype(&world);
    assert_eq!(
        world.says(&id, "ls -A . docs app view"),
        ".:\nREADME\napp\ndocs\nview\n\napp:\nmain\n\ndocs:\na.txt\nkeep.txt\nsub\n\nview:\nv.txt\n"
    );
    let everywhere = [
        ("cat secrets/key", "No such file or directory"),
        ("cat docs/hid", "No such file or directory"),
        ("cat app/.env", "No such file or directory"),
        ("cat view/v.txt", "Permission denied"),
        ("echo x > README", "Permission denied"),
        ("echo x > new", "Permission denied"),
        ("echo x >> docs/keep.txt", "Permission denied"),
        ("mv docs elsewhere", "Permission denied"),
        ("chmod 666 README; echo x > README", "Permission denied"),
        ("chmod 777 .; echo x > new", "Permission denied"),
        ("rm -f README", "Permission denied"),
        ("rm -rf view", "Permission denied"),
        ("ln README docs/README && echo x > docs/README", "README"),
    ];
    // With one id for everything the kernel cannot tell these apart (`what_one_id_cannot_hold_is_refused`).
    let with_two_ids = [
        ("rm -f docs/keep.txt", "Operation not permitted"),
        ("mv docs/keep.txt docs/other", "Operation not permitted"),
        ("chown 1000 README", "Operation not permitted"),
        ("chmod 777 README", "Operation not permitted"),
    ];
    for (command, told) in everywhere.into_iter().chain(with_two_ids.into_iter().filter(|_| is_root())) {
        let result = world.sh(&id, command);
        assert!(result.exit_code != 0 && String::from_utf8_lossy(&result.stderr).contains(told), "{command}: {result:?}");
    }
    assert_eq!(
        world.says(&id, "stat -c '%s %a' view/v.txt; echo b >> docs/a.txt; cat docs/a.txt; rm -r docs/sub; mkdir docs/sub; ls -A docs/sub"),
        "12 0\na\nb\n"
    );
}

#[test]
fn what_one_id_cannot_hold_is_refused() {
    if is_root() {
        println!("SKIP: what_one_id_cannot_hold_is_refused: root has an id for what is protected");
        return;
    }
    // Nothing is weakened: the walls come first, and limits that need control groups after them.
    let directory = tempfile::tempdir().unwrap();
    let mut settings = World::settings(directory.path(), "");
    settings.best_effort = false;
    let agent = enclos_agent::LocalAgent::open(settings, launcher(), None).unwrap();
    let world = World { agent, caller: caller("alice"), directory };
    let codebase = world.codebase(&[("docs/a", "a"), ("docs/keep.txt", "keep"), ("docs/.env", "s")]);
    let try_to = |rules: &[Rule]| {
        let new = NewSandbox { codebase_id: Some(codebase.clone()), rules: rules.to_vec(), ..NewSandbox::default() };
        let id = world.agent.create_sandbox(&world.caller, &new).unwrap().id;
        world.agent.start(&world.caller, &id).map(|_| ()).map_err(|error| error.to_string())
    };
    let open = [Rule::glob("**/*", Level::Write), Rule::glob("**/.env", Level::None)];
    let kept = Rule::glob("/docs/keep.txt", Level::Read).kind(Kind::File);
    let refused = try_to(&[open.to_vec(), vec![kept]].concat()).unwrap_err();
    assert!(refused.starts_with("permissions: /docs/keep.txt is shown and protected in a directory that may be written"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
    // What is only hidden cannot be reached, and is held without a second id.
    for rules in [&open[..], &[Rule::glob("**/*", Level::Read)]] {
        if let Err(other) = try_to(rules) {
            assert!(!other.starts_with("permissions"), "{other}");
        }
    }
}

#[test]
fn w15_w17_w18_w19_nothing_outside_the_writable_directory_changes() {
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
