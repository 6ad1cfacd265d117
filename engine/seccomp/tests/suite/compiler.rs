//! A compiled program says what its policy says.

use enclos_seccomp::{Action, Arch, Case, Condition, FilterError, Policy, Rule, SeccompData, Test, X32_BIT, compile, interpret};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generators::{policy, shot};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_program_answers_as_the_policy_does(policy in policy(), shots in vec(shot(), 50)) {
        let program = compile(&policy).unwrap();
        for shot in shots {
            let data = shot.at(&policy);
            prop_assert_eq!(interpret(&program, &data), policy.decide(&data).encode(), "{:?}", data);
        }
    }
}

/// A policy with this many rules on arguments that have nothing in common, so that nothing can be shared.
fn wide(arch: Arch, rules: u32, conditions: u8) -> Policy {
    let mut policy = Policy::new(arch, Action::Errno(38));
    for number in (0..rules).map(|n| n * 2) {
        let condition = |argument| Condition::equal(argument, (u64::from(number) << 32) | (u64::from(argument) + 1));
        let case = Case { when: (0..conditions).map(condition).collect(), action: Action::Errno(number as u16 % 4000 + 1) };
        policy.rules.insert(number, Rule { cases: vec![case], otherwise: Action::Allow, why: "a test" });
    }
    policy
}

#[test]
fn jumps_reach_over_long_programs() {
    for arch in Arch::ALL {
        // More ranges than the best tree is searched for, fewer, and few with long rules.
        for (rules, conditions) in [(300, 2), (60, 6), (40, 1), (150, 3)] {
            let policy = wide(arch, rules, conditions);
            let program = compile(&policy).unwrap();
            assert!(program.instructions().len() > 255 || rules == 40);
            for nr in 0..rules * 2 + 2 {
                let right = std::array::from_fn(|a| (u64::from(nr) << 32) | (a as u64 + 1));
                for args in [right, [0; 6], [u64::MAX; 6]] {
                    let data = SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args };
                    assert_eq!(interpret(&program, &data), policy.decide(&data).encode(), "{data:?}");
                }
            }
        }
    }
}

#[test]
fn a_long_chain_of_cases_is_one_chain_of_tests() {
    let cases = (0..2000).map(|value| Case { when: vec![Condition::low32(0, value * 3)], action: Action::Errno(value as u16) });
    let mut policy = Policy::new(Arch::X86_64, Action::Allow);
    policy.rules.insert(1, Rule { cases: cases.collect(), otherwise: Action::Allow, why: "a test" });
    let program = compile(&policy).unwrap();
    for value in 0..6010 {
        let data = SeccompData { nr: 1, arch: Arch::X86_64.audit(), instruction_pointer: 0, args: [value; 6] };
        assert_eq!(interpret(&program, &data), policy.decide(&data).encode());
    }
}

#[test]
fn a_policy_that_does_not_fit_is_refused() {
    assert!(matches!(compile(&wide(Arch::X86_64, 400, 6)), Err(FilterError::Length { instructions }) if instructions > 4096));
    // Found before any work that grows with it.
    let endless = Case { when: vec![Condition::equal(0, 1); 1_000_000], action: Action::Allow };
    let mut policy = Policy::new(Arch::X86_64, Action::Allow);
    policy.rules.insert(1, Rule { cases: vec![endless], otherwise: Action::Allow, why: "a test" });
    let error = compile(&policy).unwrap_err().to_string();
    assert_eq!(error, "seccomp program: 1000000 instructions, the kernel takes 1 to 4096");
}

#[test]
fn a_policy_without_meaning_is_refused() {
    let with = |number, condition| {
        let case = Case { when: vec![condition], action: Action::Allow };
        let mut policy = Policy::new(Arch::X86_64, Action::Allow);
        policy.rules.insert(number, Rule { cases: vec![case], otherwise: Action::Allow, why: "a test" });
        compile(&policy).unwrap_err().to_string()
    };
    assert_eq!(with(7, Condition::equal(6, 0)), "seccomp policy: system call 7 has no argument 6: they are 0 to 5");
    assert_eq!(
        with(7, Condition { argument: 0, test: Test::Equal { mask: 1, value: 3 } }),
        "seccomp policy: system call 7: value 0x3 has bits outside its mask 0x1"
    );
    assert_eq!(
        with(X32_BIT | 1, Condition::equal(0, 0)),
        "seccomp policy: system call 1073741825 has the x32 bit, which the policy's x32 answer covers: leave the rule out"
    );
    assert_eq!(
        compile(&Policy::new(Arch::X86_64, Action::Errno(4096))).unwrap_err().to_string(),
        "seccomp policy: errno 4096 is above 4095, the largest the kernel passes on"
    );
}

#[test]
fn one_answer_for_all_takes_no_test() {
    let mut policy = Policy::new(Arch::X86_64, Action::Allow);
    (policy.foreign, policy.x32) = (None, None);
    assert_eq!(compile(&policy).unwrap().instructions().len(), 1);
}

#[test]
fn neighbours_with_one_answer_make_one_range() {
    let mut policy = Policy::new(Arch::X86_64, Action::Errno(38));
    policy.rules.extend((0..=334).map(|number| (number, Rule::always(Action::Allow, "a test"))));
    // Load and compare the architecture, load and compare the number; x32 is answered as what has no rule; three answers.
    assert_eq!(compile(&policy).unwrap().instructions().len(), 7);
}
