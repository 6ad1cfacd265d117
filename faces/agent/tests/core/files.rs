//! Files of a running sandbox, from outside.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, AgentError, Cancel, EntryKind, FileRange, Level, Rule, WatchEvent};

use crate::world::{World, all};

#[test]
fn files_are_read_written_listed_and_removed_as_a_command_would() {
    let world = World::new();
    let codebase = world.codebase(&[("open/a.txt", "abc"), ("closed/b.txt", "b"), ("hidden/c", "c"), ("shown/d", "four")]);
    let rules = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("open/**", Level::Write),
        Rule::glob("hidden/**", Level::None),
        Rule::glob("shown/**", Level::View),
    ];
    let id = world.started(&codebase, &rules);
    let (agent, who) = (&world.agent, &world.caller);
    let read = |path: &str| agent.read_file(who, &id, path, FileRange::default());
    assert_eq!(read("open/a.txt").unwrap().bytes, b"abc");
    assert_eq!(read("/workspace/closed/b.txt").unwrap().bytes, b"b");
    let part = agent.read_file(who, &id, "open/a.txt", FileRange { offset: 1, length: Some(1) }).unwrap();
    assert_eq!((part.bytes.as_slice(), part.size, part.mode), (&b"b"[..], 3, 0o644));
    assert_eq!(read("hidden/c").unwrap_err(), AgentError::not_found("file", "/hidden/c"));
    assert!(matches!(read("shown/d").unwrap_err(), AgentError::Denied { .. }));
    assert!(matches!(read("open").unwrap_err(), AgentError::Precondition(_)));
    assert!(matches!(read("../x").unwrap_err(), AgentError::Invalid { .. }));

    let write = |path: &str, text: &str, mode| agent.write_file(who, &id, path, mode, &mut text.as_bytes());
    assert_eq!(write("open/a.txt", "changed", None).unwrap(), 7);
    assert_eq!(write("open/new/deep/script", "#!/bin/sh\necho run\n", Some(0o755)).unwrap(), 19);
    assert_eq!(
        world.says(&id, "cat open/a.txt; open/new/deep/script; stat -c '%U %a' open/new open/new/deep/script"),
        "changedrun\nenclos 755\nenclos 755\n"
    );
    for path in ["closed/b.txt", "closed/new", "new", "shown/d"] {
        assert!(matches!(write(path, "x", None).unwrap_err(), AgentError::Denied { .. }), "{path}");
    }
    assert!(matches!(write("open/a.txt", "x", Some(0o4755)).unwrap_err(), AgentError::Invalid { .. }));

    let names =
        |path: &str| agent.list_files(who, &id, path).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect::<Vec<_>>();
    assert_eq!(
        names("/"),
        [("closed", EntryKind::Directory), ("open", EntryKind::Directory), ("shown", EntryKind::Directory)].map(|(n, k)| (n.to_owned(), k))
    );
    world.says(&id, "ln -s /etc/passwd open/link; mkfifo open/fifo");
    let listed = agent.list_files(who, &id, "open").unwrap();
    let link = listed.iter().find(|entry| entry.name == "link").unwrap();
    assert_eq!((link.kind, link.link.as_deref()), (EntryKind::Link, Some("/etc/passwd")));
    assert!(listed.iter().any(|entry| entry.name == "fifo" && entry.kind == EntryKind::Other));
    assert_eq!(agent.list_files(who, &id, "hidden").unwrap_err(), AgentError::not_found("file", "/hidden"));

    assert!(matches!(agent.remove_file(who, &id, "open/new", false).unwrap_err(), AgentError::Precondition(_)));
    agent.remove_file(who, &id, "open/new", true).unwrap();
    agent.remove_file(who, &id, "open/link", false).unwrap();
    assert!(matches!(agent.remove_file(who, &id, "closed/b.txt", false).unwrap_err(), AgentError::Denied { .. }));
    assert_eq!(world.says(&id, "ls open"), "a.txt\nfifo\n");
}

#[test]
fn w16_no_link_and_no_fifo_leads_the_server_astray() {
    let world = World::new();
    let id = world.empty();
    let secret = world.directory.path().join("host-secret");
    std::fs::write(&secret, "HOST").unwrap();
    let target = secret.display();
    world.says(
        &id,
        &format!("ln -s {target} secret; ln -s / root; ln -s /proc/self/root magic; mkfifo fifo; mkdir d; ln -s ../../../../etc d/up"),
    );
    let started = Instant::now();
    for path in ["secret", "root/etc/passwd", "magic/etc/passwd", "fifo", "d/up/passwd"] {
        let read = world.agent.read_file(&world.caller, &id, path, FileRange::default());
        assert!(matches!(read, Err(AgentError::Precondition(_) | AgentError::Denied { .. })), "{path}: {read:?}");
        let wrote = world.agent.write_file(&world.caller, &id, path, None, &mut &b"evil"[..]);
        assert!(wrote.is_err(), "{path}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "HOST");
    // A link is removed itself.
    world.agent.remove_file(&world.caller, &id, "root", true).unwrap();
    assert_eq!(world.says(&id, "ls"), "d\nfifo\nmagic\nsecret\n");
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let world = World::new();
    let id = world.empty();
    /// Fails in the middle.
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the client is gone"));
            }
            let count = buffer.len().min(self.0);
            self.0 -= count;
            Ok(count)
        }
    }
    world.says(&id, "echo old > f");
    let told = world.agent.write_file(&world.caller, &id, "f", None, &mut Broken(1 << 20)).unwrap_err();
    assert!(matches!(told, AgentError::Invalid { .. }), "{told}");
    assert_eq!(world.says(&id, "cat f; ls -A"), "old\nf\n");
    let big = vec![7u8; 20 << 20];
    world.agent.write_file(&world.caller, &id, "f", None, &mut &big[..]).unwrap();
    assert_eq!(world.says(&id, "stat -c %s f; ls -A"), format!("{}\nf\n", 20 << 20));
    let limited = enclos_agent::api::Resources { workspace_bytes: Some(1 << 20), ..Default::default() };
    let small = world.start(&enclos_agent::api::NewSandbox { resources: limited, ..Default::default() });
    let told = world.agent.write_file(&world.caller, &small, "f", None, &mut &big[..]).unwrap_err();
    assert!(matches!(told, AgentError::Quota { limit: 1_048_576, .. }), "{told}");
}

#[test]
fn a_watcher_is_told_what_commands_change() {
    let world = World::new();
    let codebase = world.codebase(&[("a/one", "1"), ("b/two", "2")]);
    let id = world.started(&codebase, &all());
    let (cancel, heard) = (Cancel::new(), Mutex::new(Vec::<WatchEvent>::new()));
    let has = |path: &str, kind: &str| heard.lock().unwrap().iter().any(|event| event.path == path && event.kind == kind);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            world.agent.watch_files(&world.caller, &id, "/", &cancel, &mut |event| {
                heard.lock().unwrap().push(event);
                true
            })
        });
        let until = Instant::now() + Duration::from_secs(10);
        while !has("probe", "added") {
            assert!(Instant::now() < until, "{:?}", heard.lock().unwrap());
            world.says(&id, "rm -f probe; touch probe");
            std::thread::sleep(Duration::from_millis(50));
        }
        world.says(&id, "echo more >> a/one; rm b/two; mkdir -p c/d; echo new > c/d/three; mv c/d/three c/four");
        while !(has("a/one", "modified") && has("b/two", "deleted") && has("c", "added") && has("c/four", "added")) {
            assert!(Instant::now() < until, "{:?}", heard.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        world.says(&id, "sleep 0.2; echo later > c/d/five");
        while !has("c/d/five", "added") {
            assert!(Instant::now() < until, "{:?}", heard.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        cancel.cancel();
        watching.join().unwrap().unwrap();
    });
    let nothing = world.agent.watch_files(&world.caller, &id, "none", &Cancel::new(), &mut |_| true);
    assert_eq!(nothing.unwrap_err(), AgentError::not_found("file", "/none"));
}
