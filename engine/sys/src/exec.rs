//! A command ready to be executed without a further allocation, and `execve(2)`.

use std::ffi::CString;
use std::os::fd::AsRawFd;

use linux_raw_sys::general::__NR_execve;

use crate::Errno;
use crate::pages::Pages;
use crate::raw::syscall;

/// Argument or environment strings with the pointer array `execve(2)` wants.
#[derive(Debug)]
pub struct Strings {
    /// Owns what `pointers` points to; never changed after construction.
    _owned: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers lead to heap memory owned by the same value, never written after construction.
unsafe impl Send for Strings {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Strings {}

impl Strings {
    /// Takes the strings.
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Strings { _owned: strings, pointers }
    }
}

/// A block of zero-terminated strings, as a message carries it, with room for the pointer array: filled by the sandbox's init, which
/// must not allocate.
#[derive(Debug)]
pub struct StringBlock {
    /// [`SLOTS`] pointers.
    pointers: Pages,
    /// Where the environment's pointers begin; 0: nothing is laid out.
    environment: usize,
    /// Slots in use, both nulls included.
    used: usize,
}

// SAFETY: the pointers are only read by `execute`, which takes the block they lead into by reference.
unsafe impl Send for StringBlock {}

/// Most arguments and variables one message may carry.
pub const MAX_STRINGS: usize = 8192;

/// Pointers of a block: to the strings, and room for nulls and a shell's own argument.
const SLOTS: usize = MAX_STRINGS + 4;

impl StringBlock {
    /// Room for [`MAX_STRINGS`] pointers and the nulls; it costs nothing until it is used.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn with_room() -> Result<Self, Errno> {
        Ok(StringBlock { pointers: Pages::zeroed(SLOTS * size_of::<*const libc::c_char>())?, environment: 0, used: 0 })
    }

    fn slots(&self) -> &[*const libc::c_char] {
        // SAFETY: the pages are that long and aligned to more than a pointer; any bits, zeros at first, are a raw pointer.
        unsafe { std::slice::from_raw_parts(self.pointers.as_ptr().cast(), SLOTS) }
    }

    fn slots_mut(&mut self) -> &mut [*const libc::c_char] {
        // SAFETY: as in `slots`; the borrow of `self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.pointers.as_mut_ptr().cast(), SLOTS) }
    }

    /// Lays out the pointers: the first `arguments` strings of `block` are arguments; of the next `variables` strings the first `alternatives`
    /// exclude each other and only the one numbered `chosen` counts; the rest are the environment. Child-safe.
    ///
    /// # Errors
    /// `E2BIG` for too many strings, `EINVAL` when `block` holds fewer strings than told.
    pub fn lay_out(&mut self, block: &[u8], arguments: usize, variables: usize, alternatives: usize, chosen: usize) -> Result<(), Errno> {
        if arguments.saturating_add(variables) > MAX_STRINGS {
            return Err(Errno::TOOBIG);
        }
        let mut rest = block;
        let mut slot = 0;
        let pointers = self.slots_mut();
        for index in 0..arguments + variables {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(Errno::INVAL)?;
            if index == arguments {
                pointers[slot] = std::ptr::null();
                slot += 1;
            }
            let variable = index.wrapping_sub(arguments);
            if index < arguments || variable >= alternatives || variable == chosen {
                pointers[slot] = rest.as_ptr().cast();
                slot += 1;
            }
            rest = &rest[end + 1..];
        }
        if variables == 0 {
            pointers[slot] = std::ptr::null();
            slot += 1;
        }
        pointers[slot] = std::ptr::null();
        self.environment = arguments + 1;
        self.used = slot + 1;
        Ok(())
    }

    /// Executes the script `path` by `/bin/sh`, with what was laid out from `block` as its arguments but the first, as `execvp(3)` does on `ENOEXEC`. Comes back only with
    /// an error. Child-safe.
    ///
    /// # Errors
    /// What execve(2) says; `E2BIG` without room for one more argument.
    pub fn execute_by_shell(&mut self, path: &std::ffi::CStr, block: &[u8]) -> Errno {
        if !self.leads_into(block) || self.used >= SLOTS {
            return Errno::TOOBIG;
        }
        // argv[0] gives its place to the shell, and the script's path comes after it: everything behind moves by one.
        let (used, environment) = (self.used, self.environment);
        let pointers = self.slots_mut();
        pointers.copy_within(1..used, 2);
        pointers[0] = c"/bin/sh".as_ptr();
        pointers[1] = path.as_ptr();
        let environment = &raw const pointers[environment + 1];
        // SAFETY: every pointer leads into `block` (checked above), to the static string or to `path`, all zero-terminated and borrowed for the
        // whole call; both arrays ended with a null before the move and do after it.
        unsafe { execve(c"/bin/sh", pointers.as_ptr(), environment) }
    }

    /// Whether something is laid out and every pointer leads into `block`.
    fn leads_into(&self, block: &[u8]) -> bool {
        let inside = |pointer: &*const libc::c_char| pointer.is_null() || block.as_ptr_range().contains(&pointer.cast());
        self.environment != 0 && self.slots()[..self.used].iter().all(inside)
    }

    /// Executes `path` with what was laid out from `block`, which must be the same. Comes back only with an error. Child-safe.
    ///
    /// # Errors
    /// What execve(2) says.
    pub fn execute(&self, path: &std::ffi::CStr, block: &[u8]) -> Errno {
        if !self.leads_into(block) {
            return Errno::FAULT;
        }
        let pointers = self.slots();
        let environment = &raw const pointers[self.environment];
        // SAFETY: `lay_out` ended both arrays with a null. Every pointer leads into `block`, checked above, which is borrowed for the whole
        // call; `lay_out` found a zero byte after each start, and a block without one behind a pointer would end in the zero that
        // every later string ends with; should the bytes have changed since, the kernel reads at most to the next zero or faults with
        // EFAULT, which it answers instead of disturbing this process.
        unsafe { execve(path, pointers.as_ptr(), environment) }
    }
}

/// Executes `path`. Comes back only with an error. Child-safe.
pub fn execute(path: &std::ffi::CStr, arguments: &Strings, environment: &Strings) -> Errno {
    // SAFETY: `Strings` keeps its strings alive and its arrays null-terminated.
    unsafe { execve(path, arguments.pointers.as_ptr(), environment.pointers.as_ptr()) }
}

/// Executes the file behind a descriptor (`execveat(2)` with `AT_EMPTY_PATH`). Comes back only with an error. Child-safe.
pub fn execute_fd(file: impl std::os::fd::AsFd, arguments: &Strings, environment: &Strings) -> Errno {
    let empty = c"";
    // SAFETY: `Strings` keeps its strings alive and its arrays null-terminated; the path is a static empty string.
    let answer = unsafe {
        syscall(
            linux_raw_sys::general::__NR_execveat,
            [
                file.as_fd().as_raw_fd() as usize,
                empty.as_ptr() as usize,
                arguments.pointers.as_ptr() as usize,
                environment.pointers.as_ptr() as usize,
                libc::AT_EMPTY_PATH as usize,
                0,
            ],
        )
    };
    answer.err().unwrap_or(Errno::INVAL)
}

/// # Safety
/// Both arrays end with a null pointer and every pointer before it leads to a zero-terminated string.
unsafe fn execve(path: &std::ffi::CStr, arguments: *const *const libc::c_char, environment: *const *const libc::c_char) -> Errno {
    // SAFETY: as the caller vouches; on success nothing of this program is left to be disturbed.
    let answer = unsafe { syscall(__NR_execve, [path.as_ptr() as usize, arguments as usize, environment as usize, 0, 0, 0]) };
    answer.err().unwrap_or(Errno::INVAL)
}
