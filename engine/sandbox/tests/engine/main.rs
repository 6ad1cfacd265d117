//! The engine through its library interface. Runs as root and as an ordinary user.
#![forbid(unsafe_code)]

mod commands;
mod cpus;
mod files;
mod groups;
mod hosts;
mod kept;
mod living;
mod trees;
mod warm;
mod workspaces;
