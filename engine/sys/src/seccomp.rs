//! Installing a filter: `seccomp(2)`.

use linux_raw_sys::general::__NR_seccomp;

use crate::Errno;
use crate::raw::syscall;

const SECCOMP_SET_MODE_FILTER: usize = 1;

/// Installs a classic BPF program (8 bytes an instruction, host byte order) for this thread and all it makes. `no_new_privs` must be set, or
/// the caller have `CAP_SYS_ADMIN` in its user namespace. Child-safe.
///
/// # Errors
/// `EINVAL` for a program the kernel refuses or one whose length is no multiple of 8; else what seccomp(2) says.
pub fn install(program: &[u8]) -> Result<(), Errno> {
    if !program.len().is_multiple_of(8) {
        return Err(Errno::INVAL);
    }
    let length = u16::try_from(program.len() / 8).map_err(|_| Errno::INVAL)?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies `length` instructions of 8 bytes from `program`, which holds exactly so many; `copy_from_user` asks for no
    // alignment; nothing is written.
    unsafe { syscall(__NR_seccomp, [SECCOMP_SET_MODE_FILTER, 0, &raw const header as usize, 0, 0, 0]) }.map(drop)
}
