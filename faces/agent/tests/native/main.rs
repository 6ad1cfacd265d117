//! The native interface over real HTTP, in front of an agent that keeps everything in memory and runs what its commands say. What real
//! sandboxes do is tested where there are some.

#![forbid(unsafe_code)]

mod asking;
mod changes;
mod codebases;
mod commands;
mod documents;
mod fake;
mod files;
mod fuzz;
mod guide;
mod requests;
mod talk;
mod terminal;
mod tls;
mod world;
