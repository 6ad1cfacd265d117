//! Random policies, and calls that come close to what they look for.

use enclos_seccomp::{Action, Arch, Case, Condition, Policy, Rule, SeccompData, Test};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Numbers at which comparisons of 64 bits in two halves go wrong, if they do.
fn number() -> impl Strategy<Value = u64> {
    const NEAR: [u64; 12] =
        [0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 0xffff_ffff_0000_0000, u64::MAX - 1, u64::MAX];
    prop_oneof![4 => select(&NEAR[..]), 1 => any::<u64>(), 1 => (0..64_u32).prop_map(|bit| 1 << bit)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Allow),
        2 => select(&[1, 22, 38][..]).prop_map(Action::Errno),
        1 => select(&[Action::Log, Action::Notify, Action::Trap, Action::KillProcess][..]),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let test = prop_oneof![
        (number(), number()).prop_map(|(mask, value)| Test::Equal { mask, value: value & mask }),
        (number(), number()).prop_map(|(mask, value)| Test::NotEqual { mask, value: value & mask }),
        number().prop_map(|value| Test::Equal { mask: u64::MAX, value }),
        number().prop_map(Test::Less),
        number().prop_map(Test::Greater),
    ];
    (0..6_u8, test).prop_map(|(argument, test)| Condition { argument, test })
}

fn rule() -> impl Strategy<Value = Rule> {
    let case = (vec(condition(), 0..4), action()).prop_map(|(when, action)| Case { when, action });
    let cases = prop_oneof![2 => Just(Vec::new()), 1 => vec(case, 0..5)];
    (cases, action()).prop_map(|(cases, otherwise)| Rule { cases, otherwise, why: "a test" })
}

/// A policy of a few rules, or of many.
pub fn policy() -> impl Strategy<Value = Policy> {
    let syscall = || prop_oneof![8 => 0..40_u32, 4 => 0..500_u32, 1 => 0..0x4000_0000_u32];
    let rules = prop_oneof![4 => btree_map(syscall(), rule(), 0..30), 1 => btree_map(syscall(), rule(), 0..260)];
    let abi = || prop_oneof![3 => Just(Some(Action::KillProcess)), 1 => Just(None), 1 => action().prop_map(Some)];
    (select(&Arch::ALL[..]), action(), abi(), abi(), rules).prop_map(|(arch, default, foreign, x32, rules)| {
        let mut policy = Policy::new(arch, default);
        (policy.foreign, policy.x32, policy.rules) = (foreign, x32, rules);
        policy
    })
}

/// What a call is made of, before it is aimed at a policy.
#[derive(Clone, Debug)]
pub struct Shot {
    rule: Index,
    beside: u32,
    arch: Option<u32>,
    high: bool,
    args: [u64; 6],
    /// Which of the rule's constants each argument takes, and what is added to it.
    aim: [Option<(Index, u64)>; 6],
}

pub fn shot() -> impl Strategy<Value = Shot> {
    let aim = prop::option::weighted(0.7, (any::<Index>(), select(&[0, 1, u64::MAX, 1 << 32, 1 << 63][..])));
    let arch = prop::option::weighted(0.1, select(&[0xc000_003e, 0xc000_00b7, 0x4000_0003, 0][..]));
    let args = prop::array::uniform6(number());
    (any::<Index>(), select(&[0, 0, 0, 1, u32::MAX][..]), arch, prop::bool::weighted(0.05), args, prop::array::uniform6(aim))
        .prop_map(|(rule, beside, arch, high, args, aim)| Shot { rule, beside, arch, high, args, aim })
}

impl Shot {
    /// A call to one of the policy's numbers or next to it, with arguments at or next to the rule's constants.
    pub fn at(&self, policy: &Policy) -> SeccompData {
        let mut data = SeccompData { arch: self.arch.unwrap_or(policy.arch.audit()), args: self.args, ..SeccompData::default() };
        if policy.rules.is_empty() {
            return data;
        }
        let (number, rule) = policy.rules.iter().nth(self.rule.index(policy.rules.len())).unwrap();
        data.nr = number.wrapping_add(self.beside) | u32::from(self.high) << 30;
        for (argument, aim) in self.aim.iter().enumerate() {
            let constants: Vec<u64> = constants(rule, argument as u8);
            if let Some((which, add)) = aim
                && !constants.is_empty()
            {
                data.args[argument] = constants[which.index(constants.len())].wrapping_add(*add);
            }
        }
        data
    }
}

fn constants(rule: &Rule, argument: u8) -> Vec<u64> {
    let of = |condition: &Condition| match condition.test {
        Test::Equal { mask, value } | Test::NotEqual { mask, value } => vec![value, value | !mask, mask],
        Test::Less(bound) | Test::Greater(bound) => vec![bound],
    };
    rule.cases.iter().flat_map(|case| &case.when).filter(|c| c.argument == argument).flat_map(of).collect()
}
