//! The launcher process, for the tests of this crate.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;

fn main() -> std::io::Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    enclos_sandbox::launcher::serve(&socket).map_err(std::io::Error::other)
}
