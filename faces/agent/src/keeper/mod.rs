//! What outlives the server: a process that holds the descriptors by which sandboxes and sessions live.
//!
//! ```text
//!   server ══ put, drop ══► keeper          killed, ended or upgraded: nothing in the sandboxes notices
//!                              │
//!   next server ◄════ all ═════┘            no server for the span it was told: it lets go, and everything ends
//! ```
//!
//! The keeper (`enclos-server keep`) is started by the first server that needs one, in a session of its own, and ends by itself when it has nothing to
//! hold and no server. It listens in the state directory, which is its user's alone, and talks to processes of that user only. It looks at nothing of what
//! it holds. Each message is one datagram: a word, a name, and descriptors; a record travels in a memory file, which is the first of them.

mod client;
mod server;
mod wire;

pub use client::{Item, Keeper};
pub use server::serve;
