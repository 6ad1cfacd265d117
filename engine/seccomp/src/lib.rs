//! A seccomp compiler, and the system calls a program confined by Enclos may make.
//!
//! Pure data: nothing here makes a system call. `engine/sys` installs [`Program::instructions`] with `seccomp(2)`.
//!
//! - [`Policy`] says which call gets which answer; [`compile`] makes a [`Program`] of it; [`interpret`] runs one, for tests.
//! - [`default_policy`] is what payloads live under. [`setup_policy`] also allows what builds a sandbox; [`narrow_policy`] takes exactly that
//!   away again, and is so small that a child can install it on its way to `execve(2)`.
//! - [`ready_made`] gives the programs of those three, made when this crate was compiled: no work at run time.
//! - [`Program::from_bytes`] takes a filter of the caller's own, after the kernel's own checks.

#![forbid(unsafe_code)]

mod action;
mod arch;
mod check;
mod compile;
mod data;
mod error;
mod interpret;
mod policies;
mod policy;
mod program;
mod ready_made;
mod table;

pub use action::{Action, MAX_ERRNO, errno, strictest};
pub use arch::{Arch, X32_BIT, syscall_name, syscall_number};
pub use check::check;
pub use compile::compile;
pub use data::SeccompData;
pub use error::FilterError;
pub use interpret::{Run, interpret, run};
pub use policies::{Options, default_policy, default_policy_for, narrow_policy, narrow_policy_for, setup_policy, setup_policy_for};
pub use policy::{Case, Condition, Described, Policy, Rule, Test};
pub use program::{Instruction, MAX_INSTRUCTIONS, Program};
pub use ready_made::{Stage, ready_made};
pub use table::Syscall;
