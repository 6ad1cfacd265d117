//! The judge of this machine through its interface, in real sandboxes.
#![forbid(unsafe_code)]

mod first;
mod languages;
mod support;
