//! The face behind its seam, with real sandboxes.

mod commands;
mod files;
mod lifecycle;
mod restart;
mod sessions;
mod sharing;
mod versions;
mod world;
