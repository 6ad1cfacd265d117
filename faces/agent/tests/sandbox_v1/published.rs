//! The published client (`agentfense` on PyPI) against this server, unchanged: over TCP and over a socket in the file system.

use std::path::Path;
use std::process::{Command, Output};

use super::world::World;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox_v1/published.py");

/// Runs Python with the client, which `cargo xtask test --lane judge` installs; `None`: there is none.
fn python(arguments: &[&str]) -> Option<Output> {
    let program = Path::new(&std::env::var_os("ENCLOS_AGENTFENSE")?).join("bin/python3");
    Some(Command::new(program).args(arguments).output().expect("Python"))
}

#[test]
fn it_does_all_it_can() {
    if python(&["-c", "import agentfense"]).is_none() {
        println!(
            "SKIP: it_does_all_it_can: ENCLOS_AGENTFENSE names no Python environment with agentfense; cargo xtask test --lane judge makes one"
        );
        return;
    }
    let world = World::new();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    world.listen_on(&socket);
    for (name, endpoint) in [("tcp", world.grpc.clone()), ("unix", format!("unix:{}", socket.display()))] {
        let files = place.path().join(name);
        std::fs::create_dir(&files).unwrap();
        let output = python(&[SCRIPT, &endpoint, files.to_str().unwrap()]).unwrap();
        let told = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && told.0.trim() == "well", "{name}: {}\n{}", told.0, told.1);
    }
}
