//! The interface `sandbox.v1` over real connections, in front of an agent in memory whose commands do what they say: messages, words, codes,
//! streams, keys, and clients that go away. What real sandboxes do is tested where there are some.

#![forbid(unsafe_code)]

#[path = "../native/asking.rs"]
mod asking;
mod calls;
mod fake;
mod files;
mod fuzz;
mod keys;
mod published;
mod rest;
mod serving;
mod streams;
mod tls;
mod world;
