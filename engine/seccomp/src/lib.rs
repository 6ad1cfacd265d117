//! A seccomp compiler, and the system calls a program confined by Enclos may make.
//!
//! Pure data: nothing here makes a system call. `engine/sys` installs [`Program::instructions`] with `seccomp(2)`.
//!
//! - [`Policy`] says which call gets which answer; [`compile`] makes a [`Program`] of it; [`interpret`] runs one, for tests.
//! - [`Program::from_bytes`] takes a filter of the caller's own, after the kernel's own checks.

#![forbid(unsafe_code)]

mod action;
mod arch;
mod check;
mod compile;
mod data;
mod error;
mod interpret;
mod policy;
mod program;
mod table;

pub use action::{Action, MAX_ERRNO, errno, strictest};
pub use arch::{Arch, X32_BIT, syscall_name, syscall_number};
pub use check::check;
pub use compile::compile;
pub use data::SeccompData;
pub use error::FilterError;
pub use interpret::{Run, interpret, run};
pub use policy::{Case, Condition, Described, Policy, Rule, Test};
pub use program::{Instruction, MAX_INSTRUCTIONS, Program};
pub use table::Syscall;
