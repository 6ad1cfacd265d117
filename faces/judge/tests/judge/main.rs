//! The judge of this machine through its interface, in real sandboxes.
#![forbid(unsafe_code)]

mod checkers;
mod cli;
mod compiling;
mod edges;
mod first;
mod interactors;
mod languages;
mod observers;
mod refusals;
mod support;
mod tests;
