//! Content-addressed storage in a directory of our own.
//!
//! A *blob* is bytes, named by their SHA-256, the digest that the Remote Execution API uses too. A *tree* is a directory: sorted entries, each a
//! file, a directory or a symbolic link with its permission bits; encoded in one way only, it is a blob itself, and its digest names everything
//! below it.
//!
//! ```text
//! DIR/lock            held by the one process that has the store open
//! DIR/staging/N       what is being written; emptied when the store is opened
//! DIR/objects/ab/cd…  one file for each blob, mode 0400, complete or not there
//! ```
//!
//! - Writing goes through a [`Session`]. Bytes are staged beside the objects, in constant memory; [`Session::settle`] makes them durable
//!   (`fdatasync(2)`, or one `syncfs(2)` for many) and only then renames them into place. A process or machine that dies at any moment leaves a
//!   store without them or with all of their bytes.
//! - What a session wrote or [adopted](Session::adopt) cannot be collected until the session ends: first record the root, then end the session.
//! - [`Store::collect`] removes what no root reaches. It needs no pause: sessions go on writing.
//! - [`import`](Session::import) reads a directory that somebody hostile may have written, below a descriptor and through no link;
//!   [`export`](Store::export) writes a tree into an empty directory.
//!
//! Everything here blocks; nothing here knows a network or a runtime.

#![forbid(unsafe_code)]

pub mod beneath;
mod collect;
mod digest;
mod error;
mod export;
mod import;
mod pins;
mod session;
mod store;
mod tree;

pub use collect::Collected;
pub use digest::{Digest, DigestError, Hasher};
pub use error::{CasError, Quantity};
pub use export::Attributes;
pub use import::{Found, Import, Special};
pub use session::Session;
pub use store::{Blob, Check, Quota, Store, Usage};
pub use tree::{Entry, MODE_BITS, NameError, Tree, TreeError, check_name};
