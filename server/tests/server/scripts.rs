//! Clients that were written for camisole, and the examples of the guide.

use std::process::Command;

use super::world::World;

#[test]
fn a_client_written_for_camisole_sees_no_difference() {
    let world = World::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/camisole_client.py");
    let output = Command::new("python3").arg(script).env("CAMISOLE_URL", format!("http://{}", world.address)).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout == "all as it was\n", "{stdout}{stderr}{}", world.log());
}

#[test]
fn one_program_is_judged_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let (source, expect) = (directory.path().join("program.py"), directory.path().join("expect"));
    std::fs::write(&source, "print(6 * 7)").unwrap();
    for (wanted, code) in [("42\n", 0), ("43\n", 1)] {
        std::fs::write(&expect, wanted).unwrap();
        let mut command = Command::new(super::world::PROGRAM);
        command.args(["judge", "run"]).arg(&source).arg("--expect").arg(&expect);
        if !rustix::process::geteuid().is_root() {
            command.arg("--best-effort");
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The commands of a guide's console blocks, each with what it prints; a here-document and a quoted newline belong to their command.
fn examples(guide: &str) -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = Vec::new();
    for block in guide.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let mut open = false;
        for line in block.lines() {
            match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => {
                    examples.push((command.to_owned(), String::new()));
                    open = command.ends_with("<<'JOB'") || command.matches('\'').count() % 2 == 1;
                }
                (None, Some((command, _))) if open => {
                    *command += &format!("\n{line}");
                    open = !(line == "JOB" || line.ends_with('\''));
                }
                (None, Some((_, printed))) => *printed += &format!("{line}\n"),
                (None, None) => panic!("{line:?} belongs to no command"),
            }
        }
    }
    examples
}

/// Whether a text is as a pattern, in which `…` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return text == pattern };
    let (middle, last) = rest.rsplit_once('…').unwrap_or(("", rest));
    let Some(mut text) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else { return false };
    middle.split('…').all(|part| match text.find(part) {
        Some(at) => {
            text = &text[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn the_examples_of_the_guide_work() {
    examples_work(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/judge.md")), 10);
}

#[test]
fn the_examples_of_the_interface_work() {
    examples_work(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/judge-api.md")), 9);
}

#[test]
fn the_examples_of_checkers_work() {
    examples_work(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/judge-checker.md")), 4);
}

/// Carries out the console blocks of a guide that has at least so many commands.
fn examples_work(guide: &str, least: usize) {
    let examples = examples(guide);
    assert!(examples.len() >= least, "{examples:?}");
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    for (command, wanted) in examples {
        if command == "enclos serve" {
            assert_eq!(wanted, "listening on http://127.0.0.1:42920\n");
            continue;
        }
        let here = command.replace("127.0.0.1:42920", &world.address);
        let output = Command::new("sh").args(["-c", &here]).current_dir(&directory).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        // What curl prints need not end in a line's end.
        let is_right = is_like(printed.trim_end(), wanted.trim_end());
        assert!(is_right, "{command}\nwanted: {wanted}\nprinted: {printed}{}{}", String::from_utf8_lossy(&output.stderr), world.log());
    }
}

#[test]
fn the_configurations_of_the_guides_are_right() {
    let papers = tempfile::tempdir().unwrap();
    let authorities = enclos_testkit::certificates::Authorities::new(papers.path());
    std::fs::write(papers.path().join("revoked.pem"), authorities.clients.revoking(&[])).unwrap();
    for guide in [
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/judge-deploy.md")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/agent-operate.md")),
    ] {
        let config = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
        let file = papers.path().join("server.toml");
        std::fs::write(&file, config.replace("/etc/enclos/", &format!("{}/", papers.path().display()))).unwrap();
        let output = Command::new(super::world::PROGRAM).args(["serve", "--check-config", "--config"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
