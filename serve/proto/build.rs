//! Makes the messages and services from `proto/`, without protoc, and a set of descriptors for reflection.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use prost::Message;

/// File names as clients' own descriptors have them.
const FILES: [&str; 3] = ["common.proto", "sandbox.proto", "codebase.proto"];

/// Messages that are written as JSON.
const WRITTEN: [&str; 13] = [
    "Codebase",
    "Empty",
    "ExecResult",
    "FileInfo",
    "ListCodebasesResponse",
    "ListFilesResponse",
    "ListSandboxesResponse",
    "ListSessionsResponse",
    "PermissionRule",
    "ResourceLimits",
    "Sandbox",
    "Session",
    "UploadResult",
];

/// Their fields whose JSON is not that of their Rust type, and what writes them (`src/json.rs`).
const FIELDS: [(&str, &str); 22] = [
    ("Codebase.size", "int64"),
    ("Codebase.created_at", "timestamp"),
    ("Codebase.updated_at", "timestamp"),
    ("ExecResult.duration", "duration"),
    ("FileInfo.size", "int64"),
    ("FileInfo.modified_at", "timestamp"),
    ("PermissionRule.type", "pattern_type"),
    ("PermissionRule.permission", "permission"),
    ("ResourceLimits.memory_bytes", "int64"),
    ("ResourceLimits.cpu_quota", "int64"),
    ("ResourceLimits.cpu_shares", "int64"),
    ("ResourceLimits.pids_limit", "int64"),
    ("Sandbox.status", "sandbox_status"),
    ("Sandbox.created_at", "timestamp"),
    ("Sandbox.started_at", "timestamp"),
    ("Sandbox.stopped_at", "timestamp"),
    ("Sandbox.expires_at", "timestamp"),
    ("Sandbox.runtime", "runtime_type"),
    ("Session.status", "session_status"),
    ("Session.created_at", "timestamp"),
    ("Session.closed_at", "timestamp"),
    ("UploadResult.size", "int64"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = "proto/sandbox/v1";
    println!("cargo::rerun-if-changed={root}");
    let files = protox::compile(FILES, [root])?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("sandbox_v1.bin"), files.encode_to_vec())?;
    let mut builder = tonic_prost_build::configure().btree_map(".").bytes(".").build_client(true).build_server(true);
    for name in WRITTEN {
        let path = format!(".sandbox.v1.{name}");
        builder = builder.type_attribute(&path, "#[derive(serde::Serialize)]\n#[serde(rename_all = \"camelCase\")]");
    }
    for (field, writer) in FIELDS {
        builder = builder.field_attribute(format!(".sandbox.v1.{field}"), format!("#[serde(serialize_with = \"crate::json::{writer}\")]"));
    }
    builder.compile_fds(files)?;
    interactive(Path::new(&out))
}

/// Our own calls beside them.
fn interactive(out: &Path) -> Result<(), Box<dyn Error>> {
    let root = "proto";
    println!("cargo::rerun-if-changed={root}/enclos");
    let files = protox::compile(["enclos/agent/v1/interactive.proto"], [root])?;
    fs::write(out.join("enclos_agent_v1.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().btree_map(".").bytes(".").build_client(true).build_server(true).compile_fds(files)?;
    Ok(())
}
