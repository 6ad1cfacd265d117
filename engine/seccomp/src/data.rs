//! What a filter sees of a system call.

/// `struct seccomp_data` of `seccomp(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompData {
    /// The system call's number, as 32 unsigned bits.
    pub nr: u32,
    /// The ABI it was made through (`AUDIT_ARCH_*`).
    pub arch: u32,
    /// Where the caller was.
    pub instruction_pointer: u64,
    /// The arguments, all 64 bits of each register.
    pub args: [u64; 6],
}

/// Bytes in `struct seccomp_data`.
pub(crate) const SIZE: u32 = 64;
/// Offset of the number.
pub(crate) const NR: u32 = 0;
/// Offset of the ABI.
pub(crate) const ARCH: u32 = 4;

/// Offset of the low half of an argument (both architectures are little-endian).
pub(crate) const fn low(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

/// Offset of the high half of an argument.
pub(crate) const fn high(argument: u8) -> u32 {
    low(argument) + 4
}

impl SeccompData {
    /// The 32-bit word at a byte offset; `None` past the end or off a word boundary, where the kernel refuses the program.
    #[must_use]
    pub const fn word(&self, offset: u32) -> Option<u32> {
        if offset >= SIZE || !offset.is_multiple_of(4) {
            return None;
        }
        let wide = match offset / 8 {
            0 => self.nr as u64 | (self.arch as u64) << 32,
            1 => self.instruction_pointer,
            at => self.args[at as usize - 2],
        };
        Some(if offset.is_multiple_of(8) { wide as u32 } else { (wide >> 32) as u32 })
    }
}
