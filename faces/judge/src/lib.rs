//! The judge: compiles and runs anyone's program, exactly and fast.
//!
//! [`api`] is the seam: what a transport asks for and what it gets. It is blocking and knows no runtime and no protocol.

#![forbid(unsafe_code)]

pub mod api;
pub mod camisole;
pub mod language;
pub mod work;
