//! `enclos agent …` against a server.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::world::{PROGRAM, World};

struct Words<'a> {
    world: &'a World,
}

impl Words<'_> {
    fn with(&self, input: &[u8], words: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("agent").args(words).env("ENCLOS_SERVER", format!("http://{}", self.world.address));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What it prints; its exit status is this one.
    fn says(&self, status: i32, words: &[&str]) -> String {
        let output = self.with(b"", words);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{words:?}: {stdout}{stderr}{}", self.world.log());
        format!("{stdout}{stderr}")
    }

    fn sandbox(&self, directory: &Path, preset: &str) -> String {
        self.says(0, &["create", directory.to_str().unwrap(), "--preset", preset, "--start"]);
        let listed: serde_json::Value = serde_json::from_str(&self.says(0, &["ls", "--json"])).unwrap();
        let text = listed.to_string();
        let at = text.find("\"sb_").unwrap() + 1;
        text[at..at + 19].to_owned()
    }
}

#[test]
fn a_project_goes_in_is_worked_on_and_comes_out() {
    let world = World::new();
    if world.log().contains("the agent face is off") {
        println!("SKIP: agent_words::a_project_goes_in_is_worked_on_and_comes_out: {}", world.log());
        return;
    }
    let words = Words { world: &world };
    let place = tempfile::tempdir().unwrap();
    let project = place.path().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("a.txt"), "hi\n").unwrap();
    let id = words.sandbox(&project, "full-access");
    assert_eq!(words.says(3, &["exec", &id, "--", "sh", "-c", "echo more >> a.txt; cat a.txt; exit 3"]), "hi\nmore\n");
    assert_eq!(words.with(b"piped", &["exec", &id, "--", "cat"]).stdout, b"piped");
    assert!(words.says(0, &["diff", &id]).contains("modified  a.txt"));
    assert!(words.says(0, &["explain", &id, "a.txt"]).starts_with("/a.txt: write, by glob"));
    assert!(words.says(0, &["commit", &id]).starts_with("version 2\n"));
    assert_eq!(words.says(0, &["cat", &format!("{id}:/a.txt")]), "hi\nmore\n");
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    std::fs::write(&from, "copied").unwrap();
    words.says(0, &["cp", from.to_str().unwrap(), &format!("{id}:/in/file")]);
    words.says(0, &["cp", &format!("{id}:/in/file"), to.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "copied");
    assert!(words.says(0, &["snapshot", &id]).contains("sn_"));
    assert!(words.says(0, &["fork", &id]).contains("stopped"));
    words.says(0, &["rollback", &id]);
    assert_eq!(words.says(0, &["exec", &id, "--", "ls"]), "a.txt\n");
    words.says(0, &["rules", &id, "--preset", "read-only"]);
    assert!(words.says(2, &["exec", &id, "--", "sh", "-c", "echo x > y"]).contains("Permission denied"));
    words.says(0, &["stop", &id]);
    words.says(0, &["start", &id]);
    assert!(words.says(0, &["show", &id]).contains("running"));
    words.says(0, &["rm", &id]);
    assert_eq!(words.says(0, &["run", "--preset", "read-only", project.to_str().unwrap(), "--", "cat", "a.txt"]), "hi\n");
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let world = World::new();
    let words = Words { world: &world };
    for (given, told) in [
        (&["exec", "sb_0000000000000000", "--", "true"][..], "sandbox \"sb_0000000000000000\" is not known"),
        (&["create", "/nonexistent"], "/nonexistent: No such file or directory"),
        (&["bogus"], "\"bogus\" is not a command"),
        (&["ls", "--server", "http://127.0.0.1:1"], "127.0.0.1:1"),
    ] {
        let line = words.says(125, given);
        assert!(line.starts_with("enclos agent: ") && line.contains(told) && line.lines().count() == 1, "{line}");
    }
}
