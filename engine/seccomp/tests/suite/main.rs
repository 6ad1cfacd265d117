//! What the compiler, the checks and the built-in policies promise.

mod compiler;
mod generators;
mod numbers;
mod policies;
mod programs;
