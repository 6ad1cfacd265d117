//! An allocator for tests: the system's, but it ends a child that allocates between clone and exec.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::child::{exit, is_between_clone_and_exec};

/// Forwards to the system's allocator; in a child that must not allocate (see the head of this crate) it ends the process with [`CAUGHT`].
/// Make it a test binary's `#[global_allocator]`.
#[derive(Debug)]
pub struct GuardedAllocator;

/// Exit status of a child that was caught.
pub const CAUGHT: i32 = 99;

fn check() {
    if is_between_clone_and_exec() {
        exit(CAUGHT);
    }
}

// SAFETY: every call is forwarded to the system's allocator with what the caller promised, or does not come back.
unsafe impl GlobalAlloc for GuardedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promise is the system allocator's own.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller's promise is the system allocator's own.
        unsafe { System.dealloc(pointer, layout) }
    }
}
