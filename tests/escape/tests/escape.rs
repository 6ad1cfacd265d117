//! The escape suite: one named test for each attempt, and a table at the end. See the crate for what an attempt is.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for (word, caller) in enclos_tests_escape::warm::CALLERS {
        if arguments.first().is_some_and(|first| first == word) {
            return caller(arguments[1..].to_vec());
        }
    }
    enclos_tests_escape::runner::main()
}
