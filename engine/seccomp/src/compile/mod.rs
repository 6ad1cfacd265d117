//! From a policy to a program.
//!
//! 1. The cases of each rule become a small graph of tests on 32-bit words ([`leaf`]); equal graphs are one.
//! 2. Neighbouring numbers with the same graph become one range, and a search tree over the ranges is laid on top ([`tree`]).
//! 3. The graph is written out backwards, so that every jump's distance is known when the jump is written ([`emit`]).
//!
//! Why a tree over ranges: when a filter is installed, the kernel runs it once for every system call number to learn which ones it always
//! allows, and then compiles it to machine code. Both costs are paid at each installation, so few instructions and short ways count; afterwards
//! the always-allowed calls do not run the filter at all.

mod emit;
mod graph;
mod leaf;
mod tree;

use crate::arch::{Arch, X32_BIT};
use crate::data;
use crate::error::FilterError;
use crate::policy::{Policy, Rule};
use crate::program::{MAX_INSTRUCTIONS, Program};
use graph::{Graph, Id, Node, Operator};
use tree::Range;

/// Compiles a policy. The program's answer is [`Policy::decide`]'s for every call.
///
/// # Errors
/// What in the policy has no meaning, or that it needs more than 4096 instructions.
pub fn compile(policy: &Policy) -> Result<Program, FilterError> {
    policy.check()?;
    // Each condition costs an instruction at least, so a policy that cannot fit is refused before any work grows with it.
    let conditions: usize = policy.rules.values().flat_map(|rule| &rule.cases).map(|case| case.when.len()).sum();
    if conditions > MAX_INSTRUCTIONS {
        return Err(FilterError::Length { instructions: conditions });
    }
    let mut graph = Graph::default();
    let ranges = ranges(policy, &mut graph);
    let by_number = tree::build(&ranges, &mut graph);
    let mut root = by_number;
    if ranges.len() > 1 {
        root = graph.add(Node::Load { word: data::NR, next: root });
    }
    if let Some(foreign) = policy.foreign {
        let foreign = graph.add(Node::Answer(foreign.encode()));
        let native = graph.branch(Operator::Equal, policy.arch.audit(), root, foreign);
        root = graph.add(Node::Load { word: data::ARCH, next: native });
    }
    let instructions = emit::emit(&graph, root);
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(FilterError::Length { instructions: instructions.len() });
    }
    Program::from_instructions(instructions)
}

/// Every number from 0 to the last, in order, each range with its leaf; neighbours differ.
fn ranges(policy: &Policy, graph: &mut Graph) -> Vec<Range> {
    let mut ranges = Ranges { list: Vec::new(), next: 0 };
    let default = graph.add(Node::Answer(policy.default.encode()));
    for (&number, rule) in &policy.rules {
        ranges.up_to(number, default);
        let leaf = leaf_of(rule, graph);
        ranges.push(number, leaf, if rule.unconditional().is_some() { 1 } else { tree::WEIGHT_OF_A_CALL });
    }
    if let (Arch::X86_64, Some(x32)) = (policy.arch, policy.x32) {
        ranges.up_to(X32_BIT, default);
        let x32 = graph.add(Node::Answer(x32.encode()));
        ranges.push(u32::MAX, x32, 0);
    } else {
        ranges.push(u32::MAX, default, 0);
    }
    ranges.list
}

fn leaf_of(rule: &Rule, graph: &mut Graph) -> Id {
    match rule.unconditional() {
        Some(action) => graph.add(Node::Answer(action.encode())),
        None => leaf::lower(rule, graph),
    }
}

struct Ranges {
    list: Vec<Range>,
    /// The first number that has no range yet.
    next: u64,
}

impl Ranges {
    /// Fills the gap below `number`.
    fn up_to(&mut self, number: u32, leaf: Id) {
        if u64::from(number) > self.next {
            self.push(number - 1, leaf, 0);
        }
    }

    fn push(&mut self, last: u32, leaf: Id, extra: u64) {
        let first = self.next;
        if first > u64::from(last) {
            return;
        }
        self.next = u64::from(last) + 1;
        let weight = tree::weight(first as u32, last) + extra;
        match self.list.last_mut() {
            Some(range) if range.leaf == leaf => {
                range.last = last;
                range.weight += weight;
            }
            _ => self.list.push(Range { first: first as u32, last, leaf, weight }),
        }
    }
}
