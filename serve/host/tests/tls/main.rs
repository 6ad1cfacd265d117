//! TLS as clients meet it: who is let in, as whom, and what a client can hold up.

#![forbid(unsafe_code)]

mod files;
mod known;
mod refused;
mod replaced;
mod revoked;
mod slow;
mod world;
