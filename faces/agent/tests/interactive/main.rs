//! Commands and terminals to talk to, over gRPC and a WebSocket: real clients, real sandboxes.

#![forbid(unsafe_code)]

mod attach;
mod audit;
mod fuzz;
mod held_up;
mod run;
mod served;
mod socket;
#[path = "../core/world.rs"]
#[allow(dead_code, reason = "the tests of the core use all of it")]
mod world;
