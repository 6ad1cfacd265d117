//! The cases, by topic.

use enclos_tests_compat::runner::Topic;

mod capabilities;
mod env;
mod errors;
mod extras;
mod fds;
mod files;
mod holes;
mod identity;
mod life;
mod mounts;
mod namespaces;
mod order;
mod overlay;
mod programs;
mod seccomp;

pub const TOPICS: &[Topic] = &[
    ("capabilities", capabilities::CASES),
    ("env", env::CASES),
    ("errors", errors::CASES),
    ("extras", extras::CASES),
    ("fds", fds::CASES),
    ("files", files::CASES),
    ("holes", holes::CASES),
    ("identity", identity::CASES),
    ("life", life::CASES),
    ("mounts", mounts::CASES),
    ("namespaces", namespaces::CASES),
    ("order", order::CASES),
    ("overlay", overlay::CASES),
    ("programs", programs::CASES),
    ("seccomp", seccomp::CASES),
];
