//! Programs from outside: what is taken, and what is refused with which words.

use enclos_seccomp::{Instruction, Options, Program, SeccompData, Stage, check, ready_made, run};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const RET: Instruction = Instruction::new(0x06, 0, 0, 0x7fff_0000);

/// Every operation the kernel allows in a filter.
const ALLOWED: [u16; 41] = [
    0x20, 0x80, 0x81, 0x06, 0x16, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x54, 0x5c, 0x44, 0x4c, 0xa4, 0xac, 0x64, 0x6c, 0x74,
    0x7c, 0x84, 0x00, 0x01, 0x07, 0x87, 0x60, 0x61, 0x02, 0x03, 0x05, 0x15, 0x1d, 0x35, 0x3d, 0x25, 0x2d, 0x45, 0x4d,
];

/// Instructions that are mostly right.
fn instruction() -> impl Strategy<Value = Instruction> {
    let code = prop_oneof![60 => select(&ALLOWED[..]), 1 => any::<u16>()];
    let constant = prop_oneof![6 => 0..16_u32, 2 => (0..16_u32).prop_map(|word| word * 4), 1 => any::<u32>()];
    (code, prop_oneof![8 => 0..4_u8, 1 => any::<u8>()], 0..4_u8, constant).prop_map(|(code, jt, jf, k)| Instruction::new(code, jt, jf, k))
}

fn bytes(instructions: &[Instruction]) -> Vec<u8> {
    instructions.iter().flat_map(|i| i.to_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn no_bytes_panic_and_what_is_taken_ends(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(program) = Program::from_bytes(&bytes) {
            prop_assert!(run(&program, &SeccompData::default()).steps <= program.instructions().len());
        }
    }

    #[test]
    fn what_is_taken_ends(mut body in vec(instruction(), 0..12), nr: u32, args: [u64; 6]) {
        body.extend([RET; 5]);
        if let Ok(program) = Program::from_bytes(&bytes(&body)) {
            prop_assert_eq!(program.instructions(), &body[..]);
            let ran = run(&program, &SeccompData { nr, arch: 0, instruction_pointer: 7, args });
            prop_assert!((1..=body.len()).contains(&ran.steps));
        }
    }
}

#[test]
fn exactly_the_kernels_operations_are_taken() {
    for code in 0..=u16::MAX {
        // The scratch word is written first, so that a load from it is right; 1 is right for every other constant but an offset.
        let k = if code == 0x20 { 4 } else { 1 };
        let program = [Instruction::new(0x02, 0, 0, 1), Instruction::new(code, 0, 0, k), RET, RET];
        assert_eq!(check(&program).is_ok(), ALLOWED.contains(&code), "{code:#06x}");
    }
}

#[test]
fn a_program_that_is_none_is_refused_in_one_line() {
    let wrong = |instructions: &[Instruction]| Program::from_bytes(&bytes(instructions)).unwrap_err().to_string();
    let i = Instruction::new;
    let cases = [
        (wrong(&[]), "seccomp program: 0 instructions, the kernel takes 1 to 4096"),
        (wrong(&[RET; 4097]), "seccomp program: 4097 instructions, the kernel takes 1 to 4096"),
        (
            Program::from_bytes(b"#!/bin/sh").unwrap_err().to_string(),
            "seccomp program: 9 bytes, an instruction has 8: is this a file written by seccomp_export_bpf(3)?",
        ),
        (wrong(&[i(0x28, 0, 0, 0), RET]), "seccomp program: instruction 0: operation 0x0028 is not allowed in a system call filter"),
        (
            wrong(&[RET, i(0x20, 0, 0, 64), RET]),
            "seccomp program: instruction 1: operation 0x0020 cannot take 0x40: it must be a multiple of 4 below 64",
        ),
        (wrong(&[i(0x34, 0, 0, 0), RET]), "seccomp program: instruction 0: operation 0x0034 cannot take 0x0: nothing can be divided by 0"),
        (wrong(&[i(0x64, 0, 0, 32), RET]), "seccomp program: instruction 0: operation 0x0064 cannot take 0x20: a word has 32 bits"),
        (wrong(&[i(0x02, 0, 0, 16), RET]), "seccomp program: instruction 0: operation 0x0002 cannot take 0x10: it must be below 16"),
        (wrong(&[i(0x15, 0, 1, 0), RET]), "seccomp program: instruction 0 jumps past the end"),
        (wrong(&[i(0x05, 0, 0, u32::MAX), RET]), "seccomp program: instruction 0 jumps past the end"),
        (wrong(&[RET, i(0x00, 0, 0, 0)]), "seccomp program: the last of 2 instructions is not a return"),
        (
            wrong(&[i(0x15, 1, 0, 0), i(0x02, 0, 0, 3), i(0x60, 0, 0, 3), RET]),
            "seccomp program: instruction 2 reads scratch word 3 before it is written on every way there",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}

#[test]
fn scratch_words_written_on_every_way_may_be_read() {
    let i = Instruction::new;
    let (store, load) = (i(0x02, 0, 0, 3), i(0x60, 0, 0, 3));
    for program in [
        vec![store, i(0x05, 0, 0, 0), load, RET],
        vec![store, i(0x15, 1, 0, 0), RET, load, RET],
        vec![i(0x15, 2, 0, 0), store, i(0x05, 0, 0, 1), store, load, RET],
        vec![i(0x05, 0, 0, 0), store, load, RET],
    ] {
        assert_eq!(check(&program), Ok(()), "{program:?}");
    }
}

#[test]
fn the_longest_program_is_taken() {
    let program =
        Program::from_bytes(&bytes(&[Instruction::new(0x00, 0, 0, 1); 4095].into_iter().chain([RET]).collect::<Vec<_>>())).unwrap();
    assert_eq!(run(&program, &SeccompData::default()).steps, 4096);
}

#[test]
fn the_interpreter_computes_as_the_kernel_does() {
    let i = Instruction::new;
    let answer = |body: &[Instruction]| {
        let data = SeccompData { nr: 1, arch: 2, instruction_pointer: 3 << 32 | 4, args: [0x1111_2222_3333_4444, 0, 0, 0, 0, 9 << 32] };
        let mut body = body.to_vec();
        body.push(i(0x16, 0, 0, 0));
        run(&Program::from_instructions(body).unwrap(), &data).answer
    };
    let words: Vec<u32> = (0..16).map(|word| answer(&[i(0x20, 0, 0, word * 4)])).collect();
    assert_eq!(words, [1, 2, 4, 3, 0x3333_4444, 0x1111_2222, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(answer(&[i(0x80, 0, 0, 0)]), 64, "the length of the data");
    assert_eq!(answer(&[i(0x00, 0, 0, 7), i(0x3c, 0, 0, 0)]), 0, "division by a zero X ends the program");
    assert_eq!(answer(&[i(0x01, 0, 0, 33), i(0x00, 0, 0, 1), i(0x6c, 0, 0, 0)]), 2, "a shift looks at five bits of X");
    assert_eq!(answer(&[i(0x00, 0, 0, 1), i(0x84, 0, 0, 0)]), u32::MAX, "negation");
    assert_eq!(answer(&[i(0x00, 0, 0, 5), i(0x02, 0, 0, 9), i(0x61, 0, 0, 9), i(0x87, 0, 0, 0)]), 5, "scratch, X, A");
}

#[test]
fn our_own_programs_survive_the_file_format() {
    for options in Options::all() {
        for stage in [Stage::Default, Stage::Setup, Stage::Narrow] {
            let program = ready_made(stage, &options);
            assert_eq!(Program::from_bytes(&program.to_bytes()).unwrap(), program);
        }
    }
}
