//! The escape suite: one named test for each attempt, and a table at the end. See the crate for what an attempt is.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    enclos_tests_escape::runner::main()
}
