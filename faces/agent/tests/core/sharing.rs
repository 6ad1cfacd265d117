//! A shared sandbox and its codebase are one place.

use enclos_agent::api::{Agent, Level, NewSandbox, Rule};

use crate::world::{World, all, is_root};

fn shared(world: &World, codebase: &str, rules: &[Rule]) -> String {
    world.start(&NewSandbox { codebase_id: Some(codebase.to_owned()), rules: rules.to_vec(), shared: true, ..NewSandbox::default() })
}

#[test]
fn what_commands_change_is_found_in_the_codebase() {
    let world = World::new();
    let codebase = world.codebase(&[("f", "old"), ("gone", "x")]);
    let id = shared(&world, &codebase, &all());
    world.says(&id, "echo new > f; rm gone; echo made > made");
    assert_eq!(world.download(&codebase, "f").as_deref(), Some("new\n"));
    assert_eq!((world.download(&codebase, "gone"), world.download(&codebase, "made").as_deref()), (None, Some("made\n")));
    let version = world.agent.codebase(&world.caller, &codebase).unwrap().version;
    // Nothing ran since: nothing is made.
    assert_eq!(world.agent.codebase(&world.caller, &codebase).unwrap().version, version);
    world.says(&id, "echo last > last");
    world.agent.stop(&world.caller, &id).unwrap();
    assert_eq!(world.download(&codebase, "last").as_deref(), Some("last\n"));
    world.agent.start(&world.caller, &id).unwrap();
    world.says(&id, "echo destroyed > destroyed");
    world.agent.destroy(&world.caller, &id).unwrap();
    assert_eq!(world.download(&codebase, "destroyed").as_deref(), Some("destroyed\n"));
    // One that is not shared keeps what it changed.
    let own = world.started(&codebase, &all());
    world.says(&own, "echo own > f");
    assert_eq!(world.download(&codebase, "f").as_deref(), Some("new\n"));
}

#[test]
fn w28_uploaded_files_appear_and_never_over_the_sandboxs_own() {
    let world = World::new();
    let codebase = world.codebase(&[("open/a", "a"), ("open/b", "b"), ("closed/c", "c")]);
    let rules = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("open/**", Level::Write),
        Rule::glob("hidden/**", Level::None),
        Rule::glob("shown/**", Level::View),
    ];
    let id = shared(&world, &codebase, &rules);
    world.says(&id, "echo mine > open/b");
    for (path, text) in [
        ("open/a", "newer"),
        ("open/b", "theirs"),
        ("closed/c", "newer"),
        ("closed/d", "new"),
        ("hidden/x", "x"),
        ("shown/y", "four"),
        ("new/deep/z", "z"),
    ] {
        world.upload(&codebase, path, text);
    }
    assert_eq!(
        world.says(
            &id,
            "cat open/a open/b closed/c closed/d new/deep/z; stat -c '%U %a %s' open/a closed/c shown/y; ls hidden 2>&1 || true"
        ),
        "newermine\nnewernewz".to_owned()
            + "enclos 644 5\n"
            + if is_root() { "root 644 5\nroot 0 4\n" } else { "enclos 444 5\nenclos 0 4\n" }
            + "ls: cannot access 'hidden': No such file or directory\n"
    );
    world.says(&id, "echo more >> open/a; ! echo x 2>/dev/null > closed/c; ! cat shown/y 2>/dev/null");
    // Its own file differs from the codebase's: the codebase's stays.
    assert_eq!(world.download(&codebase, "open/b").as_deref(), Some("theirs"));
    assert_eq!(world.download(&codebase, "open/a").as_deref(), Some("newermore\n"));
    assert_eq!(world.download(&codebase, "closed/c").as_deref(), Some("newer"));
    assert_eq!(world.says(&id, "cat open/b"), "mine\n");
}

#[test]
fn w29_commands_do_not_wait_for_what_was_changed() {
    let world = World::new();
    let codebase = world.codebase(&[]);
    let id = shared(&world, &codebase, &all());
    let median = |world: &World| {
        let mut times: Vec<u64> = (0..21).map(|_| world.sh(&id, "true").wall_us).collect();
        times.sort_unstable();
        times[10]
    };
    let before = median(&world);
    world.says(&id, "head -c 100000000 /dev/urandom > big; for i in $(seq 500); do echo $i > f$i; done");
    let after = median(&world);
    assert!(after < before * 3 + 5_000, "{before} µs before, {after} µs after");
}
