//! The Linux system calls Enclos makes and no maintained crate wraps: the only crate that contains `unsafe`.
//!
//! What `rustix` wraps is called through `rustix`, here and everywhere else: its Linux backend makes raw calls, owns descriptors and never
//! touches `errno`. This crate adds the rest: `clone3(2)`, a child that shares memory until it executes, `mount_setattr(2)`, Landlock,
//! seccomp, `waitid(2)` with resource usage, `close_range(2)`, signal masks and locks on byte ranges.
//!
//! # Safety
//!
//! Two kinds of code run here. *Parent-side* code is ordinary Rust. *Child-side* code runs between clone and exec, possibly in the only
//! thread of a copy of a multi-threaded process, or while it shares its memory with that process. It must not allocate, lock, log or drop
//! anything that frees. Every function here that is meant for the child says so ("child-safe") and makes system calls only, through
//! [`raw`], which never touches `errno` or any other thread-local state. [`child::enter`] lets a test's allocator notice a violation.

pub mod capability;
pub mod child;
pub mod clone;
pub mod entry;
pub mod exec;
pub mod fd;
pub mod guard;
pub mod ids;
pub mod landlock;
pub mod lock;
pub mod mount;
pub mod net;
pub mod pages;
mod raw;
pub mod seccomp;
pub mod signal;
pub mod terminal;
pub mod wait;

pub use rustix::io::Errno;
