//! The tests on arguments.

use super::graph::{Graph, Id, Node, Operator};
use crate::data;
use crate::policy::{Condition, Rule, Test};

/// Lowers a rule that looks at arguments.
pub(super) fn lower(rule: &Rule, graph: &mut Graph) -> Id {
    let mut checks = Checks(Vec::new());
    // From the last case to the first, and within a case from its last condition to its first: where to go on is always known already.
    let entry = rule.cases.iter().rev().fold(Target::Answer(rule.otherwise.encode()), |next_case, case| {
        case.when.iter().rev().fold(Target::Answer(case.action.encode()), |yes, condition| checks.condition(condition, yes, next_case))
    });
    let mut lowering = Lowering { checks: &checks.0, cold: Vec::new(), warm: Vec::new() };
    lowering.lower(graph);
    lowering.entry(entry, None, graph)
}

/// Where a check goes on.
#[derive(Clone, Copy)]
enum Target {
    Check(usize),
    Answer(u32),
}

/// A test on one 32-bit word.
#[derive(Clone, Copy)]
struct Check {
    word: u32,
    mask: u32,
    operator: Operator,
    k: u32,
    yes: Target,
    no: Target,
}

struct Checks(Vec<Check>);

impl Checks {
    fn push(&mut self, check: Check) -> Target {
        self.0.push(check);
        Target::Check(self.0.len() - 1)
    }

    fn condition(&mut self, &Condition { argument, test }: &Condition, yes: Target, no: Target) -> Target {
        match test {
            Test::Equal { mask, value } => self.equal(argument, mask, value, yes, no),
            Test::NotEqual { mask, value } => self.equal(argument, mask, value, no, yes),
            Test::Greater(bound) => self.greater(argument, bound, yes, no),
            // Below a number: not equal to it and not above it.
            Test::Less(0) => no,
            Test::Less(bound) => self.greater(argument, bound - 1, no, yes),
        }
    }

    fn equal(&mut self, argument: u8, mask: u64, value: u64, yes: Target, no: Target) -> Target {
        let low = self.half_equal(data::low(argument), mask as u32, value as u32, yes, no);
        self.half_equal(data::high(argument), (mask >> 32) as u32, (value >> 32) as u32, low, no)
    }

    fn half_equal(&mut self, word: u32, mask: u32, value: u32, yes: Target, no: Target) -> Target {
        match (mask, value) {
            (0, _) => yes,
            // One instruction instead of two, and the word stays loaded.
            (_, 0) if mask != u32::MAX => self.push(Check { word, mask: u32::MAX, operator: Operator::AnyBit, k: mask, yes: no, no: yes }),
            _ => self.push(Check { word, mask, operator: Operator::Equal, k: value, yes, no }),
        }
    }

    fn greater(&mut self, argument: u8, bound: u64, yes: Target, no: Target) -> Target {
        let (high, low) = ((bound >> 32) as u32, bound as u32);
        let whole = |word, operator, k, yes, no| Check { word, mask: u32::MAX, operator, k, yes, no };
        let on_low = self.push(whole(data::low(argument), Operator::Greater, low, yes, no));
        let on_equal = self.push(whole(data::high(argument), Operator::Equal, high, on_low, no));
        self.push(whole(data::high(argument), Operator::Greater, high, yes, on_equal))
    }
}

/// Turns checks into nodes, from the last to the first: a check's targets come before it in the list.
///
/// Each has two entries: `cold` loads its word, `warm` is for those who come with it loaded.
struct Lowering<'a> {
    checks: &'a [Check],
    cold: Vec<Id>,
    warm: Vec<Id>,
}

impl Lowering<'_> {
    fn lower(&mut self, graph: &mut Graph) {
        for check in self.checks {
            let masked = check.mask != u32::MAX;
            let held = (!masked).then_some(check.word);
            let (yes, no) = (self.entry(check.yes, held, graph), self.entry(check.no, held, graph));
            let mut warm = graph.branch(check.operator, check.k, yes, no);
            if masked && yes != no {
                warm = graph.add(Node::Mask { bits: check.mask, next: warm });
            }
            self.warm.push(warm);
            self.cold.push(graph.add(Node::Load { word: check.word, next: warm }));
        }
    }

    fn entry(&self, target: Target, held: Option<u32>, graph: &mut Graph) -> Id {
        match target {
            Target::Answer(answer) => graph.add(Node::Answer(answer)),
            Target::Check(at) if held == Some(self.checks[at].word) => self.warm[at],
            Target::Check(at) => self.cold[at],
        }
    }
}
