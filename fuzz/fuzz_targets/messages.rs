//! The decoder of what travels between a caller and a sandbox's init: no datagram panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enclos_sandbox::decode_any_message(bytes));
