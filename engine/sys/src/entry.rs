//! The entry of a program that is started very often: `main` as the C library calls it, without what the standard library does before its own.
//!
//! That is a guard page for the main thread's stack, found by reading `/proc/self/maps`, and a signal handler that names a stack overflow: some twenty system calls for a
//! better last word of a program that has overflowed its stack. What it does for the program's safety is done here too.

use std::os::fd::{IntoRawFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use crate::{Errno, fd, signal};

/// Before anything else in a program: its three standard descriptors are open (on `/dev/null` where the caller left one out, so that no file of ours takes its number and is
/// written to), and a write to a pipe that nobody reads is an error instead of a death.
///
/// # Errors
/// When `/dev/null` cannot be opened for one that is closed: nothing may go on then.
pub fn begin() -> Result<(), Errno> {
    for number in 0..=2 {
        if fd::borrow(number).is_err() {
            occupy(number)?;
        }
    }
    signal::ignore(Signal::PIPE.as_raw());
    Ok(())
}

/// The lowest free number is given out, and all below are taken.
fn occupy(number: RawFd) -> Result<(), Errno> {
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR, Mode::empty())?.into_raw_fd();
    if null == number { Ok(()) } else { Err(Errno::BADF) }
}

/// Makes `$main`, a `fn() -> u8`, the program's entry. The crate says `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// The C library's.
        // SAFETY: the one symbol of that name in the program; its signature is C's, without the arguments, which the standard library keeps from its own start-up.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> std::ffi::c_int {
            match $crate::entry::begin() {
                Ok(()) => std::ffi::c_int::from($main()),
                Err(_) => std::process::abort(),
            }
        }
    };
}
