//! Programs: classic BPF as the kernel takes it.

use std::borrow::Cow;

use crate::error::FilterError;

/// The most instructions the kernel takes in one program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Operation codes of classic BPF (`linux/filter.h`): a class, joined with what the class needs.
pub(crate) mod op {
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;

    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;

    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const XOR: u16 = 0xa0;

    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;

    pub const K: u16 = 0x00;
    pub const X: u16 = 0x08;
    pub const A: u16 = 0x10;

    pub const TAX: u16 = 0x00;
    pub const TXA: u16 = 0x80;
}

/// One instruction; laid out as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Constant.
    pub k: u32,
}

impl Instruction {
    /// Joins the four fields.
    #[must_use]
    pub const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Instruction { code, jt, jf, k }
    }

    /// The eight bytes, in this machine's order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    /// Reads eight bytes, in this machine's order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
        Instruction { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }
}

/// A program the kernel will take: every one has passed [the kernel's own checks](crate::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Cow<'static, [Instruction]>,
}

impl Program {
    /// Takes instructions, after the kernel's own checks.
    ///
    /// # Errors
    /// The first instruction the kernel would refuse.
    pub fn from_instructions(instructions: Vec<Instruction>) -> Result<Self, FilterError> {
        crate::check::check(&instructions)?;
        Ok(Program { instructions: Cow::Owned(instructions) })
    }

    /// Reads a program as `seccomp_export_bpf(3)` writes it: 8 bytes an instruction, in this machine's byte order.
    ///
    /// # Errors
    /// A length that is no program's, or the first instruction the kernel would refuse.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FilterError> {
        let (whole, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(FilterError::Bytes { bytes: bytes.len() });
        }
        if whole.len() > MAX_INSTRUCTIONS {
            return Err(FilterError::Length { instructions: whole.len() });
        }
        Program::from_instructions(whole.iter().copied().map(Instruction::from_bytes).collect())
    }

    /// A program made when this crate was compiled; checked by a test.
    pub(crate) const fn ready_made(instructions: &'static [Instruction]) -> Self {
        Program { instructions: Cow::Borrowed(instructions) }
    }

    /// The instructions: what `struct sock_fprog` points to.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The bytes `seccomp_export_bpf(3)` would write.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.instructions.iter().flat_map(|instruction| instruction.to_bytes()).collect()
    }
}
