//! Codebases, and what becomes of changes.

use enclos_agent::api::{
    Agent, AgentError, Commit, Committed, Endings, Level, NewSandbox, PageRequest, Preset, Rule, SandboxStatus, SessionStatus,
};

use crate::world::{World, all};

#[test]
fn codebases_hold_versions_of_files() {
    let world = World::new();
    let id = world.codebase(&[("a.txt", "one"), ("dir/b.txt", "two")]);
    let uploaded = world.upload(&id, "a.txt", "three");
    assert_eq!((uploaded.version, uploaded.path.as_str(), uploaded.size), (3, "a.txt", 5));
    // `printf three | md5sum`, `sha256sum`.
    assert_eq!(uploaded.md5, "35d6d33467aae9a2e3dccb4b6b027878");
    assert_eq!(uploaded.sha256, "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f");
    let codebase = world.agent.codebase(&world.caller, &id).unwrap();
    assert_eq!(
        (codebase.name.as_str(), codebase.owner_id.as_str(), codebase.size, codebase.file_count, codebase.version),
        ("demo", "user", 8, 2, 3)
    );
    assert_eq!(world.download(&id, "a.txt").as_deref(), Some("three"));
    let mut old = String::new();
    std::io::Read::read_to_string(&mut world.agent.download(&world.caller, &id, Some(1), "a.txt").unwrap().from, &mut old).unwrap();
    assert_eq!(old, "one");
    let list = |path: &str, recursive| {
        let found = world.agent.files(&world.caller, &id, None, path, recursive, &PageRequest::default()).unwrap();
        found.items.into_iter().map(|entry| (entry.path, entry.is_dir, entry.size)).collect::<Vec<_>>()
    };
    assert_eq!(list("", false), [("a.txt".to_owned(), false, 5), ("dir".to_owned(), true, 3)]);
    assert_eq!(list("/", true).len(), 3);
    assert_eq!(list("dir", false), [("dir/b.txt".to_owned(), false, 3)]);
    assert_eq!(world.agent.versions(&world.caller, &id, &PageRequest::default()).unwrap().items.len(), 4);
    world.agent.remove_files(&world.caller, &id, &["dir".to_owned(), "dir/b.txt".to_owned()]).unwrap();
    assert_eq!(list("", true), [("a.txt".to_owned(), false, 5)]);
    let told = world.agent.remove_files(&world.caller, &id, &["none".to_owned()]).unwrap_err();
    assert_eq!(told, AgentError::not_found("file", "none"));
    for path in ["../x", "/", "a/../../b", ""] {
        let told = world.agent.upload(&world.caller, &id, path, None, None, &mut &b"x"[..]);
        assert!(matches!(told, Err(AgentError::Invalid { .. })), "{path}: {told:?}");
    }
    let told = world.agent.upload(&world.caller, &id, "x", None, Some(5), &mut &b"x"[..]).unwrap_err();
    assert!(told.to_string().starts_with("total_size: "), "{told}");
    world.agent.delete_codebase(&world.caller, &id).unwrap();
    assert!(matches!(world.agent.codebase(&world.caller, &id), Err(AgentError::NotFound { .. })));
}

#[test]
fn changes_are_shown_and_committed_while_it_lives() {
    let world = World::new();
    let codebase = world.codebase(&[("keep", "k"), ("change", "c"), ("remove", "r")]);
    let id = world.started(&codebase, &all());
    let session = world.session(&id, "");
    let run = |command: &str| world.in_session(&session, command, std::time::Duration::from_secs(10));
    run("state=kept; echo new > new; echo more >> change; rm remove; mkdir d; chmod +x new");
    let shown = |id: &str| {
        let changes = world.agent.diff(&world.caller, id).unwrap();
        changes.into_iter().map(|change| format!("{} {} {}", change.kind, change.what, change.path)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&id), ["modified file change", "added directory d", "added file new", "deleted file remove"]);
    let commit = Commit { author: "bob".to_owned(), ..Commit::default() };
    let Committed::Made { version, changes, dropped } = world.agent.commit(&world.caller, &id, &commit).unwrap() else { panic!() };
    assert_eq!((version, changes.len(), dropped.len()), (4, 4, 0));
    assert_eq!(world.agent.commit(&world.caller, &id, &commit).unwrap(), Committed::Nothing);
    assert_eq!(shown(&id), [""; 0]);
    assert_eq!(world.agent.versions(&world.caller, &codebase, &PageRequest::default()).unwrap().items[4].author, "bob");
    assert_eq!((world.download(&codebase, "new").as_deref(), world.download(&codebase, "remove")), (Some("new\n"), None));
    // The session went on, and what it does now is a change again.
    assert_eq!(run("echo $state; rm new").stdout, b"kept\n");
    assert_eq!(shown(&id), ["deleted file new"]);
    world.agent.stop(&world.caller, &id).unwrap();
    let Committed::Made { version, .. } = world.agent.commit(&world.caller, &id, &Commit::default()).unwrap() else { panic!() };
    assert_eq!((version, world.download(&codebase, "new")), (5, None));
    // W-43: it is in use.
    let told = world.agent.delete_codebase(&world.caller, &codebase).unwrap_err();
    assert!(matches!(&told, AgentError::Precondition(why) if why.contains("in use")), "{told}");
    world.agent.destroy(&world.caller, &id).unwrap();
    world.agent.delete_codebase(&world.caller, &codebase).unwrap();
}

#[test]
fn archives_go_in_and_come_out() {
    let world = World::new();
    let (from, to) = (world.codebase(&[("a", "a"), ("d/run", "#!/bin/sh")]), world.codebase(&[("old", "old")]));
    let mut archive = Vec::new();
    std::io::Read::read_to_end(&mut world.agent.download_archive(&world.caller, &from, None).unwrap(), &mut archive).unwrap();
    let version = world.agent.upload_archive(&world.caller, &to, false, &mut &archive[..]).unwrap();
    assert_eq!((version.number, version.file_count), (2, 3));
    let version = world.agent.upload_archive(&world.caller, &to, true, &mut &archive[..]).unwrap();
    assert_eq!((version.number, version.file_count), (3, 2));
    let of = |id: &str| world.agent.versions(&world.caller, id, &PageRequest::default()).unwrap().items.pop().unwrap().tree;
    assert_eq!(of(&from), of(&to));
    let told = world.agent.upload_archive(&world.caller, &to, true, &mut &b"no archive"[..]);
    assert!(matches!(told, Err(AgentError::Invalid { .. })), "{told:?}");
    // Nobody reads to the end: nothing waits for that.
    drop(world.agent.download_archive(&world.caller, &from, None).unwrap());
}

#[test]
fn w28_two_sandboxes_do_not_overwrite_each_other() {
    let world = World::new();
    let codebase = world.codebase(&[("a", "a"), ("b", "b")]);
    let (one, two) = (world.started(&codebase, &all()), world.started(&codebase, &all()));
    world.says(&one, "echo one > a; echo one > only-one");
    world.says(&two, "echo two > a; echo two > b");
    let commit = |id: &str| world.agent.commit(&world.caller, id, &Commit::default()).unwrap();
    assert!(matches!(commit(&one), Committed::Made { .. }));
    let Committed::Conflicts(conflicts) = commit(&two) else { panic!() };
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].path.as_str(), conflicts[0].why.contains("became file in the codebase")), ("a", true), "{conflicts:?}");
    assert_eq!((world.download(&codebase, "a").as_deref(), world.download(&codebase, "b").as_deref()), (Some("one\n"), Some("b")));
    world.says(&two, "printf a > a");
    assert!(matches!(commit(&two), Committed::Made { .. }));
    assert_eq!((world.download(&codebase, "a").as_deref(), world.download(&codebase, "b").as_deref()), (Some("one\n"), Some("two\n")));
}

#[test]
fn what_the_rules_forbid_is_held_back() {
    let world = World::new();
    let codebase = world.codebase(&[("docs/a", "a"), ("docs/hid", "h")]);
    let rules = [Rule::glob("**/*", Level::Read), Rule::glob("docs/**", Level::Write), Rule::glob("docs/hid", Level::None)];
    let id = world.started(&codebase, &rules);
    world.says(&id, "echo own > docs/hid; echo good > docs/new");
    let changes = world.agent.diff(&world.caller, &id).unwrap();
    let denied: Vec<_> = changes.iter().map(|change| (change.path.as_str(), change.denied.is_some())).collect();
    assert_eq!(denied, [("docs/hid", true), ("docs/new", false)]);
    let Committed::Denied(held) = world.agent.commit(&world.caller, &id, &Commit::default()).unwrap() else { panic!() };
    assert_eq!(held.len(), 1);
    let drop = Commit { drop_denied: true, ..Commit::default() };
    let Committed::Made { dropped, .. } = world.agent.commit(&world.caller, &id, &drop).unwrap() else { panic!() };
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        (world.download(&codebase, "docs/hid").as_deref(), world.download(&codebase, "docs/new").as_deref()),
        (Some("h"), Some("good\n"))
    );
}

#[test]
fn rollback_snapshot_restore_and_fork() {
    let world = World::new();
    let codebase = world.codebase(&[("f", "0")]);
    let id = world.started(&codebase, &all());
    let (agent, who) = (&world.agent, &world.caller);
    world.says(&id, "echo 1 > f");
    let snapshot = agent.snapshot(who, &id).unwrap();
    assert_eq!((snapshot.sandbox_id.as_str(), snapshot.version), (&*id, 1));
    let forked = agent.fork(who, &id).unwrap();
    assert!(forked.status == SandboxStatus::Stopped && forked.id != id && forked.codebase_id == codebase);
    world.says(&id, "echo 2 > f; echo note > /tmp/note");
    let session = world.session(&id, "");
    assert!(matches!(agent.rollback(who, &id, None, Endings::Refuse), Err(AgentError::Precondition(_))));
    agent.rollback(who, &id, None, Endings::Allow).unwrap();
    assert_eq!(world.says(&id, "cat f; ls /tmp"), "0");
    assert_eq!(agent.session(who, &session).unwrap().status, SessionStatus::Closed);
    agent.restore(who, &id, &snapshot.id, Endings::Refuse).unwrap();
    assert_eq!(world.says(&id, "cat f"), "1\n");
    agent.start(who, &forked.id).unwrap();
    assert_eq!(world.says(&forked.id, "cat f; echo 3 > f; cat f"), "1\n3\n");
    assert_eq!(world.says(&id, "cat f"), "1\n");
    assert_eq!(agent.snapshots(who, &id, &PageRequest::default()).unwrap().items, std::slice::from_ref(&snapshot));
    let bob = crate::world::caller("bob");
    assert_eq!(agent.delete_snapshot(&bob, &snapshot.id).unwrap_err(), AgentError::not_found("snapshot", snapshot.id.clone()));
    agent.delete_snapshot(who, &snapshot.id).unwrap();
    assert!(matches!(agent.restore(who, &id, &snapshot.id, Endings::Allow), Err(AgentError::NotFound { .. })));
    world.upload(&codebase, "f", "newest");
    agent.rollback(who, &id, Some(2), Endings::Refuse).unwrap();
    assert_eq!((world.says(&id, "cat f").as_str(), agent.sandbox(who, &id).unwrap().version), ("newest", 2));
    assert!(matches!(agent.rollback(who, &id, Some(99), Endings::Allow), Err(AgentError::NotFound { .. })));
}

#[test]
fn an_empty_workspace_is_nobodys() {
    let world = World::new();
    let id = world.empty();
    world.says(&id, "echo x > x");
    assert_eq!(world.agent.sandbox(&world.caller, &id).unwrap().codebase_id, "");
    assert_eq!(world.agent.diff(&world.caller, &id).unwrap().len(), 1);
    assert!(matches!(world.agent.commit(&world.caller, &id, &Commit::default()), Err(AgentError::Precondition(_))));
    assert_eq!(world.agent.codebases(&world.caller, None, &PageRequest::default()).unwrap().items, []);
    let operator = enclos_agent::api::Caller { operator: true, ..world.caller.clone() };
    assert_eq!(world.agent.codebases(&operator, None, &PageRequest::default()).unwrap().items, []);
}

#[test]
fn w13_the_preset_for_agents_hides_secrets() {
    let world = World::new();
    let files = [
        (".env", "s"),
        ("app/.env.local", "s"),
        ("secrets/key", "s"),
        ("app/secrets/key", "s"),
        (".git/config", "s"),
        ("src/main.py", "m"),
    ];
    let codebase = world.codebase(&files);
    let new = NewSandbox { codebase_id: Some(codebase), rules: Preset::AgentSafe.rules(), ..NewSandbox::default() };
    let id = world.start(&new);
    assert_eq!(world.says(&id, "find . -type f; cat src/main.py"), "./src/main.py\nm");
    assert_ne!(world.sh(&id, "cat .env secrets/key .git/config").exit_code, 0);
}
