//! The agent face: sandboxes that live, hold a workspace, run commands and shells, and whose changes are looked at, kept or thrown away.
//!
//! - [`api`]: the seam between the face and its transports.
//! - [`image`]: root file systems that an operator registered.

#![forbid(unsafe_code)]

pub mod api;
pub mod image;
