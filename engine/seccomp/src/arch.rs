//! The architectures, and names and numbers of system calls on each.

use crate::table::Syscall;

/// Bit 30 of a system call number marks the x32 ABI on x86_64 (`__X32_SYSCALL_BIT`); no native call has it.
pub const X32_BIT: u32 = 0x4000_0000;

/// An architecture whose system calls this crate knows. Both are little-endian and 64 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// AMD64.
    X86_64,
    /// ARM64.
    Aarch64,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// The one this program was compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The one this program was compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;

    /// The value of `seccomp_data.arch` (`AUDIT_ARCH_*` in `linux/audit.h`).
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    /// The name rustc has for it in `target_arch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// The number of a system call, where this architecture has it.
    #[must_use]
    pub fn number(self, syscall: Syscall) -> Option<u32> {
        self.numbers()[syscall as usize].map(u32::from)
    }

    /// The system call behind a number.
    #[must_use]
    pub fn syscall(self, number: u32) -> Option<Syscall> {
        let at = self.numbers().iter().position(|n| n.map(u32::from) == Some(number))?;
        Some(Syscall::ALL[at])
    }

    const fn numbers(self) -> &'static [Option<u16>] {
        match self {
            Arch::X86_64 => Syscall::X86_64,
            Arch::Aarch64 => Syscall::AARCH64,
        }
    }
}

impl Syscall {
    /// The kernel's name, e.g. `openat`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Syscall::NAMES[self as usize]
    }

    /// The system call of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Syscall> {
        let at = Syscall::NAMES.iter().position(|n| *n == name)?;
        Some(Syscall::ALL[at])
    }
}

/// The name of a system call number of this machine's architecture.
#[must_use]
pub fn syscall_name(number: u32) -> Option<&'static str> {
    Arch::NATIVE.syscall(number).map(Syscall::name)
}

/// The number of a system call on this machine's architecture.
#[must_use]
pub fn syscall_number(name: &str) -> Option<u32> {
    Arch::NATIVE.number(Syscall::from_name(name)?)
}
