//! The escape suite: one named test for each attempt, and a table at the end. See the crate for what an attempt is.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(enclos_tests_escape::warm::FLAG) {
        return enclos_tests_escape::warm::caller(arguments);
    }
    enclos_tests_escape::runner::main()
}
