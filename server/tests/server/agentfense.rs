//! AgentFense's client from PyPI, as it is, against this server.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::world::World;

/// Python with `agentfense`, which `cargo xtask test --lane judge` installs; `None` with a line that says so.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("ENCLOS_AGENTFENSE").map(|venv| Path::new(&venv).join("bin/python3"));
    if python.is_none() {
        println!("SKIP: {test}: ENCLOS_AGENTFENSE names no Python environment with agentfense; cargo xtask test --lane judge makes one");
    }
    python
}

/// The project of the README's examples, with what an agent must not see.
fn project(at: &Path) {
    for (path, content) in [
        ("main.py", "print('hello from main')\n"),
        ("lib/tool.py", "x = 1\n"),
        (".env", "SECRET=1\n"),
        ("secrets/key", "SECRET\n"),
        ("app/secrets/deep", "SECRET\n"),
        (".git/config", "SECRET\n"),
        ("server.pem", "SECRET\n"),
    ] {
        let path = at.join("my-project").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// A root file system that stands for an image: the system's programs, and a file that only it has.
fn image(at: &Path) -> PathBuf {
    let root = at.join("image");
    for directory in ["bin", "etc", "proc", "dev", "tmp", "home", "var/tmp", "workspace"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "pwd", "ls", "echo"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    std::fs::write(root.join("etc/os-release-of-the-image"), "image\n").unwrap();
    root
}

#[test]
fn the_examples_of_its_readme_work_unchanged() {
    let Some(python) = python("agentfense::the_examples_of_its_readme_work_unchanged") else { return };
    let directory = tempfile::tempdir().unwrap();
    project(directory.path());
    let socket = directory.path().join("grpc.sock");
    let config = directory.path().join("enclos.toml");
    let root = image(directory.path());
    std::fs::write(
        &config,
        format!("[agent]\nview-only = \"agent-safe\"\n[[agent.images]]\nname = \"python:3.11-slim\"\nroot = \"{}\"\n", root.display()),
    )
    .unwrap();
    let grpc = format!("agent.grpc=unix:{}", socket.display());
    let world = World::with(&["--config", config.to_str().unwrap(), "--set", &grpc]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agentfense/readme.py");
    let output = Command::new(python).arg(script).arg(format!("unix:{}", socket.display())).arg(directory.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.lines().count() == 10, "{stdout}{stderr}{}", world.log());
}
