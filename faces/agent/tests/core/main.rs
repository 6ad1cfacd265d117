//! The face behind its seam, with real sandboxes.

mod alone;
mod commands;
mod files;
mod growth;
mod lifecycle;
mod once;
mod permissions;
mod restart;
mod sessions;
mod sharing;
mod tools;
mod versions;
mod world;
