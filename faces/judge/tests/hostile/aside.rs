//! After a judge has ended, nothing of any of its jobs is on the host: no process, cgroup, mount, key, segment or file.

use std::process::Command;

use enclos_testkit::HostState;

use crate::case::launcher_program;

#[test]
fn nothing_is_left_of_hostile_jobs_when_their_judge_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let mark = format!("judge-aside-{}-end", std::process::id());
    let programs = [
        ("bomb.c", include_str!("programs/fork_bomb.c")),
        ("daemon.c", include_str!("programs/daemon.c")),
        ("leave.py", include_str!("programs/leave.py")),
        ("memory.c", include_str!("programs/memory_bomb.c")),
        ("deep.py", include_str!("programs/deep.py")),
        ("calls.c", include_str!("programs/calls.c")),
    ];
    let before = HostState::take(&mark);
    for (name, source) in programs {
        let path = directory.path().join(name);
        std::fs::write(&path, source).unwrap();
        let mut command = Command::new(launcher_program());
        command
            .args(["judge", "run"])
            .arg(&path)
            .args(["--cpu", "1s", "--memory", "64M", "--processes", "20", "--json"])
            .env("JUDGE_ASIDE", &mark);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text} {}", String::from_utf8_lossy(&output.stderr)));
        assert!(answer["verdict"].is_string() && answer["verdict"] != "INTERNAL_ERROR", "{name}: {text}");
    }
    if let Err(left) = before.settled(&mark) {
        panic!("left behind: {left:#?}");
    }
}
