//! The launcher process, for the examples.
#![forbid(unsafe_code)]
fn main() {
    let socket = enclos_sys::fd::adopt(0).expect("socket");
    if let Err(error) = enclos_sandbox::launcher::serve(&socket) {
        eprintln!("{error}");
    }
}
