//! What can be wrong with a policy or a program; one line each.

use crate::program::MAX_INSTRUCTIONS;

/// A policy that cannot be compiled, or bytes that are no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// An error number the kernel would cut.
    #[error("seccomp policy: errno {errno} is above 4095, the largest the kernel passes on")]
    Errno {
        /// The number.
        errno: u16,
    },
    /// A rule for an x32 number, which is answered before the rules.
    #[error("seccomp policy: system call {number} has the x32 bit, which the policy's x32 answer covers: leave the rule out")]
    Number {
        /// The number.
        number: u32,
    },
    /// An argument that does not exist.
    #[error("seccomp policy: system call {number} has no argument {argument}: they are 0 to 5")]
    Argument {
        /// The system call.
        number: u32,
        /// The argument.
        argument: u8,
    },
    /// A comparison that can never, or always, hold.
    #[error("seccomp policy: system call {number}: value {value:#x} has bits outside its mask {mask:#x}")]
    Mask {
        /// The system call.
        number: u32,
        /// Bits looked at.
        mask: u64,
        /// What they are compared with.
        value: u64,
    },
    /// A program longer than the kernel takes.
    #[error("seccomp program: {instructions} instructions, the kernel takes 1 to {MAX_INSTRUCTIONS}")]
    Length {
        /// How many there are.
        instructions: usize,
    },
    /// Bytes that are not whole instructions.
    #[error("seccomp program: {bytes} bytes, an instruction has 8: is this a file written by seccomp_export_bpf(3)?")]
    Bytes {
        /// How many there are.
        bytes: usize,
    },
    /// An operation that classic BPF does not have, or that seccomp(2) does not allow.
    #[error("seccomp program: instruction {at}: operation {code:#06x} is not allowed in a system call filter")]
    Operation {
        /// Which instruction, from 0.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A constant the operation cannot take.
    #[error("seccomp program: instruction {at}: operation {code:#06x} cannot take {k:#x}: {wanted}")]
    Constant {
        /// Which instruction, from 0.
        at: usize,
        /// Its code.
        code: u16,
        /// The constant.
        k: u32,
        /// What would be right.
        wanted: &'static str,
    },
    /// A jump that leaves the program.
    #[error("seccomp program: instruction {at} jumps past the end")]
    Jump {
        /// Which instruction, from 0.
        at: usize,
    },
    /// A program whose last instruction is not a return.
    #[error("seccomp program: the last of {instructions} instructions is not a return")]
    End {
        /// How many there are.
        instructions: usize,
    },
    /// A scratch word that is read before anything was stored in it.
    #[error("seccomp program: instruction {at} reads scratch word {word} before it is written on every way there")]
    Scratch {
        /// Which instruction, from 0.
        at: usize,
        /// Which word, 0 to 15.
        word: u32,
    },
}
