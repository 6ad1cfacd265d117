//! An interpreter of classic BPF: what the kernel would answer, for tests and for people who ask.

use crate::data::{self, SeccompData};
use crate::program::{Instruction, Program, op};

/// What a program answered, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// `SECCOMP_RET_*` and data; [`Action::decode`](crate::Action::decode) reads it.
    pub answer: u32,
    /// Instructions carried out.
    pub steps: usize,
}

/// The program's answer to a system call.
#[must_use]
pub fn interpret(program: &Program, data: &SeccompData) -> u32 {
    run(program, data).answer
}

/// The program's answer to a system call, and how many instructions it took.
#[must_use]
pub fn run(program: &Program, data: &SeccompData) -> Run {
    let mut machine = Machine { a: 0, x: 0, scratch: [0; 16], data };
    let (mut at, mut steps) = (0, 0);
    // A checked program cannot run past its end; 0 is what the kernel answers for a program that fails.
    while let Some(instruction) = program.instructions().get(at) {
        steps += 1;
        match machine.step(*instruction) {
            Step::Skip(skip) => at += 1 + skip as usize,
            Step::Return(answer) => return Run { answer, steps },
        }
    }
    Run { answer: 0, steps }
}

struct Machine<'a> {
    a: u32,
    x: u32,
    scratch: [u32; 16],
    data: &'a SeccompData,
}

enum Step {
    Skip(u32),
    Return(u32),
}

impl Machine<'_> {
    fn step(&mut self, Instruction { code, jt, jf, k }: Instruction) -> Step {
        let (class, rest) = (code & 7, code & !7);
        let operand = if code & op::X == 0 { k } else { self.x };
        match class {
            op::LD => self.a = self.load(rest, k),
            op::LDX => self.x = self.load(rest, k),
            op::ST => self.scratch[k as usize] = self.a,
            op::STX => self.scratch[k as usize] = self.x,
            op::ALU => match arithmetic(rest & !op::X, self.a, operand) {
                Some(result) => self.a = result,
                None => return Step::Return(0),
            },
            op::JMP if rest == op::JA => return Step::Skip(k),
            op::JMP => return Step::Skip(u32::from(if test(rest & !op::X, self.a, operand) { jt } else { jf })),
            op::RET => return Step::Return(if rest == op::A { self.a } else { k }),
            _ if rest == op::TAX => self.x = self.a,
            _ => self.a = self.x,
        }
        Step::Skip(0)
    }

    fn load(&self, mode: u16, k: u32) -> u32 {
        match mode {
            op::ABS => self.data.word(k).unwrap_or(0),
            op::MEM => self.scratch[k as usize],
            op::LEN => data::SIZE,
            _ => k,
        }
    }
}

/// `None`: division by a zero in X, which ends the program with the answer 0.
fn arithmetic(operation: u16, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV => a.checked_div(b)?,
        op::AND => a & b,
        op::OR => a | b,
        op::XOR => a ^ b,
        // The machine's shift looks at five bits of a count in X; one in K is below 32.
        op::LSH => a.wrapping_shl(b),
        op::RSH => a.wrapping_shr(b),
        _ => a.wrapping_neg(),
    })
}

fn test(operation: u16, a: u32, b: u32) -> bool {
    match operation {
        op::JEQ => a == b,
        op::JGT => a > b,
        op::JGE => a >= b,
        _ => a & b != 0,
    }
}
