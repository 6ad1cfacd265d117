//! The judge: compiles and runs anyone's program, exactly and fast.
//!
//! [`api`] is the seam: what a transport asks for and what it gets. It is blocking and knows no runtime and no protocol.

#![forbid(unsafe_code)]

pub mod api;
mod cache;
pub mod camisole;
mod checker;
pub mod cli;
mod compile;
mod interactor;
mod job;
pub mod language;
pub mod native;
mod program;
mod run;
mod sandboxes;
pub mod settings;
mod system;
mod toolchain;
mod verdict;
pub mod work;

pub use cache::CacheFigures;
pub use job::{LocalJudge, Settings};
