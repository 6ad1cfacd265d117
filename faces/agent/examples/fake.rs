//! The native interface in front of the fake agent of the tests, for tools that try a server: prints its address and serves until its input
//! ends.
//!
//! ```console
//! $ cargo run -p enclos-agent --example fake
//! ```

#![forbid(unsafe_code)]

#[path = "../tests/native/fake.rs"]
mod fake;
#[allow(dead_code)] // The tests use all of it.
#[path = "../tests/native/world.rs"]
mod world;

fn main() {
    let world = world::World::new();
    println!("http://{}/v1/agent/openapi.json", world.address);
    // An error is an end, too.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
