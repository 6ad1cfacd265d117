//! The checks the kernel makes before it takes a program: `bpf_check_classic` and `seccomp_check_filter`, in words of our own.
//!
//! A program that passes ends: jumps go forward only, and the last instruction returns.

use crate::data;
use crate::error::FilterError;
use crate::program::{Instruction, MAX_INSTRUCTIONS, op};

/// Words of scratch memory (`BPF_MEMWORDS`).
const SCRATCH_WORDS: u32 = 16;

/// Checks a whole program.
///
/// # Errors
/// The first thing the kernel would refuse.
pub fn check(program: &[Instruction]) -> Result<(), FilterError> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(FilterError::Length { instructions: program.len() });
    }
    for (at, instruction) in program.iter().enumerate() {
        check_one(at, instruction, program.len() - at - 1)?;
    }
    match program[program.len() - 1].code {
        RET_K | RET_A => check_scratch(program),
        _ => Err(FilterError::End { instructions: program.len() }),
    }
}

const RET_K: u16 = op::RET | op::K;
const RET_A: u16 = op::RET | op::A;

/// Checks one instruction that has `after` more behind it.
fn check_one(at: usize, &Instruction { code, jt, jf, k }: &Instruction, after: usize) -> Result<(), FilterError> {
    let constant = |right: bool, wanted| if right { Ok(()) } else { Err(FilterError::Constant { at, code, k, wanted }) };
    match (code & 7, code & !7) {
        (op::LD, op::ABS) => constant(k < data::SIZE && k.is_multiple_of(4), "it must be a multiple of 4 below 64"),
        (op::LD | op::LDX, op::IMM | op::LEN) | (op::RET, op::K | op::A) | (op::MISC, op::TAX | op::TXA) => Ok(()),
        (op::LD | op::LDX, op::MEM) | (op::ST | op::STX, 0) => constant(k < SCRATCH_WORDS, "it must be below 16"),
        (op::ALU, rest) => check_arithmetic(at, code, rest, k),
        (op::JMP, op::JA) => {
            if (k as usize) < after {
                Ok(())
            } else {
                Err(FilterError::Jump { at })
            }
        }
        (op::JMP, rest) if matches!(rest & !op::X, op::JEQ | op::JGT | op::JGE | op::JSET) => {
            if usize::from(jt.max(jf)) < after {
                Ok(())
            } else {
                Err(FilterError::Jump { at })
            }
        }
        _ => Err(FilterError::Operation { at, code }),
    }
}

fn check_arithmetic(at: usize, code: u16, rest: u16, k: u32) -> Result<(), FilterError> {
    let constant = |right: bool, wanted| if right { Ok(()) } else { Err(FilterError::Constant { at, code, k, wanted }) };
    match (rest & !op::X, rest & op::X) {
        (op::DIV, op::K) => constant(k != 0, "nothing can be divided by 0"),
        (op::LSH | op::RSH, op::K) => constant(k < 32, "a word has 32 bits"),
        (op::ADD | op::SUB | op::MUL | op::DIV | op::AND | op::OR | op::XOR | op::LSH | op::RSH, _) | (op::NEG, op::K) => Ok(()),
        _ => Err(FilterError::Operation { at, code }),
    }
}

/// Scratch words must be written before they are read on every way through the program, or they would show the kernel's stack.
fn check_scratch(program: &[Instruction]) -> Result<(), FilterError> {
    // For each instruction, the words written on every jump to it.
    let mut written_before = vec![u16::MAX; program.len()];
    let mut written = 0_u16;
    for (at, &Instruction { code, jt, jf, k }) in program.iter().enumerate() {
        written &= written_before[at];
        match (code & 7, code & !7) {
            (op::ST | op::STX, _) => written |= 1 << k,
            (op::LD | op::LDX, op::MEM) if written & 1 << k == 0 => return Err(FilterError::Scratch { at, word: k }),
            (op::JMP, op::JA) => {
                written_before[at + 1 + k as usize] &= written;
                written = u16::MAX;
            }
            (op::JMP, _) => {
                written_before[at + 1 + usize::from(jt)] &= written;
                written_before[at + 1 + usize::from(jf)] &= written;
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}
