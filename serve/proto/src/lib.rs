//! Protocols on gRPC: messages and services made from `proto/`, and what every server of them has.
//!
//! - [`sandbox_v1`]: the interface that clients of AgentFense speak. The names and numbers of `proto/sandbox/v1` are facts of that interface;
//!   nothing else is taken from there.
//! - [`agent_v1`]: our own calls beside it, for what it has none for.
//! - [`json`]: how its messages are written as JSON (the JSON mapping of protobuf, every field written).
//! - [`server`]: reflection, health, for a server of `enclos_host`.
//!
//! A face takes [`tonic`] and [`prost`] from here.

#![forbid(unsafe_code)]

pub mod json;
pub mod server;

pub use prost;
pub use prost_types;
pub use tonic;
pub use tonic_health::pb as health;
pub use tonic_reflection::pb::v1 as reflection;

/// The interface `sandbox.v1`.
#[allow(missing_docs, reason = "generated: modules of oneofs and the like have no words of their own")]
pub mod sandbox_v1 {
    tonic::include_proto!("sandbox.v1");

    /// Descriptors of its files and of those they use.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sandbox_v1.bin"));
}

/// The interface `enclos.agent.v1`.
#[allow(missing_docs, reason = "generated: modules of oneofs and the like have no words of their own")]
pub mod agent_v1 {
    tonic::include_proto!("enclos.agent.v1");

    /// Descriptors of its files and of those they use.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/enclos_agent_v1.bin"));
}
