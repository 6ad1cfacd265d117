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
