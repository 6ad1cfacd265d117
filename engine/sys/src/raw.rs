//! A system call as the kernel sees it: six registers in, one out. Unlike `libc::syscall` it leaves `errno` alone, which a child that
//! shares its parent's memory must not write.

use crate::Errno;

/// Turns the kernel's answer into a result: values from -4095 to -1 are error numbers.
fn result(value: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&value) { Err(Errno::from_raw_os_error((-value) as i32)) } else { Ok(value as usize) }
}

/// Makes one system call.
///
/// # Safety
/// The caller vouches for what the kernel does with these arguments: every pointer among them must be valid for as long as, and in the
/// way that, the named call uses it, and the call must not end or duplicate control flow in a way Rust code around it does not expect.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn syscall(number: u32, args: [usize; 6]) -> Result<usize, Errno> {
    let value: isize;
    // SAFETY: the instruction enters the kernel by the x86_64 convention (syscall(2), "Architecture calling conventions"): number in
    // rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are overwritten and named so. What the kernel then does is the caller's
    // to vouch for. Memory may be written, hence no `nomem`.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as usize as isize => value,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result(value)
}

/// Makes one system call; see the x86_64 version.
///
/// # Safety
/// As for x86_64.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn syscall(number: u32, args: [usize; 6]) -> Result<usize, Errno> {
    let value: isize;
    // SAFETY: the arm64 convention (syscall(2)): number in x8, arguments in x0 to x5, answer in x0; nothing else is overwritten. What
    // the kernel then does is the caller's to vouch for.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") args[0] as isize => value,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    result(value)
}
