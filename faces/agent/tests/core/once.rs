//! Sandboxes of one call: what one leaves, no other sees.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, Cancel, Exec, NewSandbox, NoWatcher};

use crate::world::{World, caller, is_root};

fn run(world: &World, command: &str) -> String {
    let exec = Exec { command: command.to_owned(), ..Exec::default() };
    let result = world.agent.run(&world.caller, &NewSandbox::default(), &exec, &Cancel::new(), &NoWatcher).unwrap();
    let text = String::from_utf8_lossy(&result.stdout).into_owned() + &String::from_utf8_lossy(&result.stderr);
    assert_eq!(result.exit_code, 0, "{command}: {text}");
    text
}

/// Directories for the next call, as soon as nothing of an earlier one is mounted.
fn places(world: &World) -> BTreeSet<u64> {
    let passing = world.directory.path().join("agent/store/passing");
    let upper =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::metadata(entry.ok()?.path().join("upper")).ok().map(|found| found.ino());
    std::fs::read_dir(passing).unwrap().filter_map(upper).collect()
}

/// Waits until that is so.
fn until(world: &World, what: impl Fn(&BTreeSet<u64>) -> bool) {
    let started = Instant::now();
    while !what(&places(world)) {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", places(world));
        std::thread::sleep(Duration::from_millis(10));
    }
    // What is there has also been dealt with.
    std::thread::sleep(Duration::from_millis(100));
}

/// All that a command can tell of a workspace of its own but what it is called and when it was made.
const LOOK: &str = "cd /workspace; ls -A; stat -c '%a %u %g %h %s %b %F' .; getfattr -dm- . 2>/dev/null; stat -f -c %i . ; find . | wc -l; \
     [ $(($(date +%s) - $(stat -c %Y .))) -lt 100 ] && [ $(($(date +%s) - $(stat -c %Z .))) -lt 100 ] && [ $(($(date +%s) - $(stat -c %X .))) -lt 100 ] && echo young";

#[test]
fn what_one_call_leaves_no_other_sees() {
    let touches = [
        ":",
        "echo secret > /workspace/note; mkdir -p /workspace/a/b/c; ln -s x /workspace/link",
        "echo secret > /workspace/note; rm /workspace/note",
        "chmod 700 /workspace",
        "chmod 700 /workspace; chmod 755 /workspace",
        "touch -d '2001-01-01' /workspace",
        "python3 -c 'import os; os.setxattr(\"/workspace\", \"user.note\", b\"secret\")'",
        "python3 -c 'import os; os.setxattr(\"/workspace\", \"user.note\", b\"secret\"); os.removexattr(\"/workspace\", \"user.note\")'",
        "python3 -c 'import fcntl, os; fcntl.flock(os.open(\"/workspace\", os.O_RDONLY), fcntl.LOCK_EX)'",
        "sleep 1000 > /workspace/held 2>&1 & cd /workspace; exec 9<.; sleep 1000 2>/dev/null &",
    ];
    let world = World::new();
    let first = run(&world, LOOK);
    assert!(first.ends_with("young\n"), "{first}");
    for touch in touches {
        run(&world, touch);
        assert_eq!(run(&world, LOOK), first, "after {touch}");
        assert_eq!(run(&world, "flock -n /workspace echo free"), "free\n", "after {touch}");
    }
}

#[test]
fn a_workspace_that_was_left_alone_serves_the_next_call_of_the_same_caller() {
    if !is_root() {
        println!(
            "SKIP: a_workspace_that_was_left_alone_serves_the_next_call_of_the_same_caller: for a user the kernel's own directories are closed"
        );
        return;
    }
    let mut world = World::new();
    run(&world, "true");
    until(&world, |places| places.len() == 1);
    let first = places(&world);
    for _ in 0..3 {
        run(&world, "ls /workspace");
        until(&world, |places| places.len() == 1);
        assert_eq!(places(&world), first);
    }
    // Another's is another.
    world.caller = caller("bob");
    run(&world, "true");
    until(&world, |places| places.len() == 2);
    assert!(places(&world).is_superset(&first));
    // One that was written to is gone.
    world.caller = caller("alice");
    run(&world, "echo secret > /workspace/note; rm /workspace/note");
    until(&world, |places| places.len() == 1);
    assert!(places(&world).is_disjoint(&first));
    // What is held by nobody who lives is no reason to keep a place waiting for ever.
    let cycle = "python3 -c '
import socket, array, os
a, b = socket.socketpair()
d = os.open(\"/workspace\", os.O_RDONLY)
for end, other in ((a, b), (b, a)):
    end.sendmsg([b\"x\"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array(\"i\", [d, other.fileno()]))])
'";
    run(&world, cycle);
    run(&world, "true");
    until(&world, |places| (1..=3).contains(&places.len()));
}
