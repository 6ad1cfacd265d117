//! What commands write into a workspace is bounded in sum while they write it: one that runs away is stopped, and nobody else is.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use enclos_agent::api::{Agent, AgentError, Cancel, Exec, ExecResult, FileRange, NewSandbox, NoWatcher, Resources, SessionStatus, Verdict};

use crate::world::{World, caller};

/// The bound of these tests.
const BOUND: u64 = 24 << 20;
/// What may be there beyond it: what is written until somebody has looked, on a slow machine and beside other tests.
const SLACK: u64 = 1 << 30;
const LONG: Duration = Duration::from_secs(60);

fn limited(world: &World) -> String {
    let resources = Resources { workspace_bytes: Some(BOUND), ..Resources::default() };
    world.start(&NewSandbox { resources, ..NewSandbox::default() })
}

/// Blocks of everything below, in bytes.
fn on_disk(at: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(at) else { return 0 };
    let of_entry = |entry: std::fs::DirEntry| {
        let Ok(stat) = entry.metadata() else { return 0 };
        stat.blocks() * 512 + if stat.is_dir() { on_disk(&entry.path()) } else { 0 }
    };
    entries.flatten().map(of_entry).sum()
}

fn workspaces(world: &World) -> u64 {
    on_disk(&world.directory.path().join("agent/store/workspaces"))
}

#[track_caller]
fn stopped(result: &ExecResult, limit: &str) {
    assert_eq!(result.verdict, Verdict::DiskLimit, "{result:?}");
    let hit = result.evidence.as_ref().unwrap();
    assert!(hit.limit == limit && hit.measured > hit.allowed && !hit.source.is_empty(), "{hit:?}");
}

/// A runaway of many files, each below the bound; ends by itself only after far more than the bound.
const MANY: &str = "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); head -c 1000000 /dev/zero > f$i || exit 1; done";

#[test]
fn a_command_that_fills_its_workspace_is_stopped() {
    let world = World::new();
    let id = limited(&world);
    let started = Instant::now();
    let exec = Exec { command: format!("(sleep 100; echo late > late) & {MANY}"), timeout_ms: Some(120_000), ..Exec::default() };
    let result = world.exec(&id, &exec);
    stopped(&result, "workspace");
    assert_eq!(result.evidence.unwrap().allowed, BOUND);
    assert!(started.elapsed() < LONG);
    let there = workspaces(&world);
    assert!(there > BOUND && there < BOUND + SLACK, "{there}");
    // What it left behind is gone too, and the sandbox lives.
    assert_eq!(world.says(&id, "ps -eo args | grep -c '[s]leep 100' || true"), "0\n");
    // Nothing more comes in until something is deleted.
    let write = |text: &[u8]| world.agent.write_file(&world.caller, &id, "new", None, &mut &*text);
    assert!(matches!(write(b"x").unwrap_err(), AgentError::Quota { limit: BOUND, .. }));
    world.says(&id, "rm f*");
    assert_eq!(write(b"x").unwrap(), 1);
    assert_eq!(world.says(&id, "head -c 1000000 /dev/zero > f1; echo went on"), "went on\n");
}

#[test]
fn what_is_below_the_bound_is_not_touched() {
    let world = World::new();
    let id = limited(&world);
    let other = limited(&world);
    // It comes near the bound again and again, beside one that goes beyond it.
    let below = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); rm -f f*; head -c 20000000 /dev/zero > f$((i % 2)); done; echo whole";
    let (near, over) = std::thread::scope(|scope| {
        let near = scope.spawn(|| world.sh(&id, below));
        let over = scope.spawn(|| world.exec(&other, &Exec { command: MANY.to_owned(), timeout_ms: Some(120_000), ..Exec::default() }));
        (near.join().unwrap(), over.join().unwrap())
    });
    assert_eq!((near.stdout.as_slice(), near.exit_code, near.verdict, near.evidence), (&b"whole\n"[..], 0, Verdict::Ended, None));
    stopped(&over, "workspace");
}

#[test]
fn holes_take_no_space_until_they_are_filled() {
    let world = World::new();
    let id = limited(&world);
    let mib = BOUND >> 20;
    let sparse = format!("for i in 1 2 3 4 5 6 7 8; do truncate -s {mib}M sparse$i; done; sleep 0.5; sync; echo whole");
    let result = world.sh(&id, &sparse);
    assert_eq!((result.stdout.as_slice(), result.verdict), (&b"whole\n"[..], Verdict::Ended));
    let fill =
        format!("for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=sparse$i bs=1M count={mib} conv=notrunc 2>&1 || exit 1; sleep 0.2; done");
    stopped(&world.sh(&id, &fill), "workspace");
    // A file that has many names counts once.
    world.says(
        &id,
        "rm sparse*; head -c 10000000 /dev/zero > a; for i in 1 2 3 4 5 6; do ln a b$i; done; sleep 0.5; echo more > c; sleep 0.5",
    );
}

#[test]
fn empty_files_and_directories_are_bounded() {
    let world = World::with("[agent.limits]\nworkspace-files = 2000");
    let id = limited(&world);
    let files = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); : > f$i || exit 1; done";
    stopped(&world.exec(&id, &Exec { command: files.to_owned(), timeout_ms: Some(120_000), ..Exec::default() }), "workspace-files");
    world.agent.rollback(&world.caller, &id, None, enclos_agent::api::Endings::Allow).unwrap();
    assert_eq!(world.says(&id, "ls | wc -l; mkdir e; echo on"), "0\non\n");
    // So deep that nobody follows.
    let deep = "i=0; while [ $i -lt 1500 ]; do i=$((i+1)); mkdir d && cd -P d || exit 1; done; i=0; while [ $i -lt 300 ]; do i=$((i+1)); : > x$i; done; sleep 20";
    stopped(&world.sh(&id, deep), "workspace-levels");
}

#[test]
fn a_session_that_fills_its_workspace_is_stopped_and_its_shell_lives() {
    let world = World::new();
    let id = limited(&world);
    let idle = world.session(&id, "");
    let busy = world.session(&id, "");
    world.in_session(&idle, "kept=idle; (sleep 200 &)", LONG);
    world.in_session(&busy, "kept=busy", LONG);
    stopped(&world.in_session(&busy, MANY, LONG), "workspace");
    world.agent.remove_file(&world.caller, &id, "f1", false).unwrap();
    for (session, kept) in [(&busy, "busy\n"), (&idle, "idle\n")] {
        assert_eq!(String::from_utf8_lossy(&world.in_session(session, "echo $kept", LONG).stdout), kept);
    }
    assert_eq!(world.says(&id, "ps -eo args | grep -c '[s]leep 200' || true; rm -f f*"), "0\n");
    // The shell itself writes, in a loop of its own.
    let own = "big=$(head -c 60000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo $big >> own; [ $((i % 100)) -eq 0 ] && : > g$i; done";
    let own = own.replace("own;", "own$((i / 300));");
    stopped(&world.in_session(&busy, &own, LONG), "workspace");
    assert!(workspaces(&world) < BOUND + SLACK);
    world.says(&id, "rm -f own* g*");
    assert_eq!(world.in_session(&idle, "echo $kept", LONG).stdout, b"idle\n");
    assert_eq!(world.agent.session(&world.caller, &idle).unwrap().status, SessionStatus::Active);
}

/// Files without a name: written through a descriptor, or a mapping.
const NAMELESS: &str = "import os,time,mmap
held=[]
for i in range(200):
    f=open('gone','w+b'); os.unlink('gone')
    WRITE
    held.append(f)
    time.sleep(0.02)
";

#[test]
fn deleted_files_that_somebody_holds_count() {
    let world = World::new();
    for (way, root) in [
        ("f.write(b'x'*4000000); f.flush()", false),
        ("f.truncate(4000000); m=mmap.mmap(f.fileno(),0); m[:]=b'x'*4000000; f.close(); f=m", true),
    ] {
        if root && !rustix::process::geteuid().is_root() {
            // Only root sees what is mapped.
            continue;
        }
        let id = limited(&world);
        let program = NAMELESS.replace("WRITE", way);
        let exec =
            Exec { argv: ["/usr/bin/python3", "-c", &program].map(str::to_owned).to_vec(), timeout_ms: Some(60_000), ..Exec::default() };
        stopped(&world.exec(&id, &exec), "workspace");
        // With its processes it has gone.
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(world.says(&id, "rm -f gone; ls -A; echo on > file; cat file"), "on\n");
    }
}

#[test]
fn who_only_goes_on_writing_gets_no_more_commands() {
    let world = World::new();
    let id = limited(&world);
    let exec = |command: &str| {
        let exec = Exec { command: command.to_owned(), timeout_ms: Some(60_000), ..Exec::default() };
        world.agent.exec(&world.caller, &id, &exec, &Cancel::new(), &NoWatcher)
    };
    let mut strokes = 0;
    let refused = loop {
        match exec(&MANY.replace("f$i", &format!("f{strokes}-$i"))) {
            Ok(result) => stopped(&result, "workspace"),
            Err(error) => break error,
        }
        strokes += 1;
        assert!(strokes < 10);
    };
    assert!(matches!(&refused, AgentError::Quota { limit: BOUND, .. }) && !refused.to_string().contains('\n'), "{refused}");
    assert!(strokes == 3 && workspaces(&world) < BOUND + SLACK, "{strokes}");
    let restarted = world.agent.stop(&world.caller, &id).and_then(|_| world.agent.start(&world.caller, &id));
    assert!(restarted.is_ok() && exec("true").is_err(), "starting it anew changes nothing");
    // What is there can be read, and removed.
    assert_eq!(world.agent.read_file(&world.caller, &id, "f0-1", FileRange { offset: 0, length: Some(2) }).unwrap().bytes, [0, 0]);
    for entry in world.agent.list_files(&world.caller, &id, "/").unwrap() {
        world.agent.remove_file(&world.caller, &id, &entry.name, true).unwrap();
    }
    assert_eq!(exec("echo on").unwrap().stdout, b"on\n");
}

#[test]
fn directories_that_cannot_be_entered_hide_nothing() {
    let world = World::new();
    let id = limited(&world);
    let hide = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); mkdir d$i; head -c 4000000 /dev/zero > d$i/f || exit 1; chmod 0 d$i; done";
    stopped(&world.exec(&id, &Exec { command: hide.to_owned(), timeout_ms: Some(120_000), ..Exec::default() }), "workspace");
    assert_eq!(world.says(&id, "stat -c %a d1; chmod 700 d*; rm -r d*"), "0\n");
}

#[test]
fn a_bound_holds_after_a_restart() {
    let mut world = World::new();
    let id = limited(&world);
    world.says(&id, "head -c 20000000 /dev/zero > before");
    world.agent.stop(&world.caller, &id).unwrap();
    world.agent.leave();
    let directory = std::mem::replace(&mut world.directory, tempfile::tempdir().unwrap());
    let old = std::mem::replace(&mut world.agent, World::open(world.directory.path(), ""));
    drop(old);
    let next = World { agent: World::open(directory.path(), ""), caller: caller("alice"), directory };
    next.agent.start(&next.caller, &id).unwrap();
    stopped(
        &next.exec(
            &id,
            &Exec {
                command: "for i in 1 2 3 4 5 6 7 8 9; do head -c 2000000 /dev/zero > f$i || exit 1; sleep 0.2; done".to_owned(),
                ..Exec::default()
            },
        ),
        "workspace",
    );
}
