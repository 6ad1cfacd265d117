//! Filters of the caller's own: no file panics, and what is accepted ends.
#![no_main]

use enclos_seccomp::{Program, SeccompData, interpret};

libfuzzer_sys::fuzz_target!(|input: (&[u8], u32, [u64; 6])| {
    let (bytes, nr, args) = input;
    if let Ok(program) = Program::from_bytes(bytes) {
        let _ = interpret(&program, &SeccompData { nr: nr as _, arch: 0xc000_003e, instruction_pointer: 0, args });
    }
});
