//! Talking to commands: the guide's examples, and `enclos agent exec -i` with signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::world::{PROGRAM, World};

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/agent-talk.md"));

/// A running sandbox; `None`, with a line that says so: this host holds none.
fn sandbox(world: &World, test: &str) -> Option<String> {
    if world.log().contains("the agent face is off") {
        println!("SKIP: {test}: {}", world.log());
        return None;
    }
    let json = [("content-type", "application/json")];
    let made: Value = world.request("POST", "/v1/agent/sandboxes", &json, b"{}").json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(world.request("POST", &format!("/v1/agent/sandboxes/{id}/start"), &[], b"").status, 200);
    Some(id)
}

/// It would outlive the server.
fn remove(world: &World, id: &str) {
    assert_eq!(world.request("DELETE", &format!("/v1/agent/sandboxes/{id}"), &[], b"").status, 204);
}

/// The blocks of a language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence[..]).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_the_talk_work() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("grpc.sock");
    let world = World::with(&["--set", &format!("agent.grpc=unix:{}", socket.display())]);
    let Some(id) = sandbox(&world, "agent_talk::the_examples_of_the_talk_work") else { return };
    let programs = place.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(PROGRAM, programs.join("enclos")).unwrap();
    std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/../serve/proto/proto"), place.path().join("proto")).unwrap();
    let [python] = blocks(GUIDE, "python")[..] else { panic!("one program") };
    std::fs::write(place.path().join("talk.py"), python).unwrap();
    let venv = std::env::var_os("ENCLOS_AGENTFENSE");
    let mut path = programs.into_os_string();
    if let Some(venv) = &venv {
        path.push(":");
        path.push(Path::new(venv).join("bin"));
    }
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut done = 0;
    for block in blocks(GUIDE, "console") {
        if block.contains("python3") && venv.is_none() {
            println!(
                "SKIP: agent_talk::the_examples_of_the_talk_work (Python): ENCLOS_AGENTFENSE names no Python environment with grpcio-tools; \
                 cargo xtask test --lane judge makes one"
            );
            continue;
        }
        let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        let printed: Vec<&str> = block.lines().filter(|line| !line.starts_with("$ ")).collect();
        let mut command = Command::new("sh");
        command.args(["-ec", &commands.join("\n")]).current_dir(place.path()).env("PATH", &path);
        command.env("ENCLOS_SERVER", format!("http://{}", world.address)).env("SANDBOX", &id);
        command.env("GRPC", format!("unix:{}", socket.display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // `script` types a zero byte at the end of its input.
        let _held = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}{stdout}{stderr}{}", world.log());
        assert_eq!(stdout.replace('\r', "").lines().collect::<Vec<_>>(), printed, "{block}{stderr}");
        done += 1;
    }
    assert_eq!(done, if venv.is_some() { 2 } else { 1 });
    remove(&world, &id);
}

#[test]
fn signals_and_input_pass_from_a_shell_to_a_command() {
    let world = World::new();
    let Some(id) = sandbox(&world, "agent_talk::signals_and_input_pass_from_a_shell_to_a_command") else { return };
    let exec = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "exec"]).args(words).env("ENCLOS_SERVER", format!("http://{}", world.address));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // The signal is the command's, and so is what it makes of it; input goes on.
    let script = "trap 'echo caught' TERM; echo ready; while ! read -r line; do :; done; echo \"$line\"; exit 7";
    let mut child = exec(&["-i", &id, "--", "bash", "-c", script]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let line = |stdout: &mut BufReader<_>| {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(&mut stdout), "ready\n");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(line(&mut stdout), "caught\n");
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    assert_eq!((line(&mut stdout), child.wait().unwrap().code()), ("typed\n".to_owned(), Some(7)));
    // One that it does not catch ends it.
    let mut child = exec(&["-i", &id, "--", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(line(&mut stdout), "ready\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // What cannot be is told in one line.
    for (words, told) in [
        (&["-it", &id, "--", "true"][..], "-t: standard input is no terminal"),
        (&["-i", "sb_0000000000000000", "--", "true"], "sandbox \"sb_0000000000000000\" is not known"),
        (&["-i", &id, "--workdir", "nowhere", "--", "true"], "workdir: /workspace/nowhere: "),
    ] {
        let mut child = exec(words);
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(125), "{text}");
        assert!(text.starts_with("enclos agent: ") && text.contains(told) && text.lines().count() == 1, "{text}");
    }
    // One that cannot be executed has a shell's exit code.
    assert_eq!(exec(&["-i", &id, "--", "no-such-program"]).wait().unwrap().code(), Some(127));
    remove(&world, &id);
}
