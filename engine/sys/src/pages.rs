//! Memory straight from the kernel: zero, and costing nothing until touched. A heap would recycle what it has, and then has to clear it.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::Errno;

/// Anonymous private pages, zeroed, owned.
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the pages belong to this value alone, like a boxed slice.
unsafe impl Send for Pages {}
// SAFETY: shared access only reads.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `length` bytes (at least one).
    ///
    /// # Errors
    /// What mmap(2) says; `EINVAL` for a length of 0.
    pub fn zeroed(length: usize) -> Result<Pages, Errno> {
        // SAFETY: a fresh private mapping at an address of the kernel's choosing overlaps nothing.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        Ok(Pages { base: NonNull::new(base.cast()).ok_or(Errno::NOMEM)?, length })
    }
}

impl Deref for Pages {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes were mapped readable and zeroed at `base`, and stay so until drop.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and mapped writable; `&mut self` makes the access the only one.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `zeroed` mapped; no borrow outlives the value.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Gives memory that the heap holds but nobody uses back to the kernel (`malloc_trim(3)`), where the C library can: a process cloned afterwards does not get it.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number; touches only what the allocator holds as free, under its own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zero_and_writable() {
        let mut pages = Pages::zeroed(10_000).unwrap();
        assert!(pages.iter().all(|b| *b == 0));
        pages[9_999] = 7;
        assert_eq!(pages.last(), Some(&7));
        assert!(Pages::zeroed(0).is_err());
    }
}
