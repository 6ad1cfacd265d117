//! Writing the graph out.
//!
//! Classic BPF jumps forward only, and a test skips at most 255 instructions. So the program is written from its end: whatever a node goes on
//! to has its place already. What lies too far away gets a stepping stone near by: a second copy where one instruction is enough, else a plain jump.

use std::collections::HashMap;

use super::graph::{Graph, Id, Node, Operator};
use crate::program::{Instruction, op};

/// The farthest a test can skip.
const REACH: usize = u8::MAX as usize;

/// Writes everything reachable from `root`.
pub(super) fn emit(graph: &Graph, root: Id) -> Vec<Instruction> {
    let mut writer = Writer { graph, backwards: Vec::new(), place: HashMap::new() };
    writer.write_all(root);
    writer.bring_to_front(root);
    writer.backwards.reverse();
    writer.backwards
}

struct Writer<'a> {
    graph: &'a Graph,
    /// The program, last instruction first.
    backwards: Vec<Instruction>,
    /// Where in `backwards` a node, or the nearest stepping stone to it, stands.
    place: HashMap<Id, usize>,
}

impl Writer<'_> {
    /// Depth first with a list instead of recursion: a long chain of tests must not exhaust the stack.
    fn write_all(&mut self, root: Id) {
        let mut waiting = vec![root];
        while let Some(&id) = waiting.last() {
            let before = waiting.len();
            if !self.place.contains_key(&id) {
                let targets = match self.graph.node(id) {
                    Node::Answer(_) => [None, None],
                    Node::Load { next, .. } | Node::Mask { next, .. } => [Some(next), None],
                    Node::Branch { yes, no, .. } => [Some(yes), Some(no)],
                };
                waiting.extend(targets.into_iter().flatten().filter(|target| !self.place.contains_key(target)));
            }
            if waiting.len() == before {
                waiting.pop();
                if !self.place.contains_key(&id) {
                    self.write(id);
                }
            }
        }
    }

    /// Writes a node whose targets are all written.
    fn write(&mut self, id: Id) {
        match self.graph.node(id) {
            Node::Answer(answer) => self.push(id, Instruction::new(op::RET | op::K, 0, 0, answer)),
            Node::Load { word, next } => {
                self.bring_to_front(next);
                self.push(id, Instruction::new(op::LD | op::ABS, 0, 0, word));
            }
            Node::Mask { bits, next } => {
                self.bring_to_front(next);
                self.push(id, Instruction::new(op::ALU | op::AND | op::K, 0, 0, bits));
            }
            Node::Branch { operator, k, yes, no } => {
                // A stepping stone for one pushes the other one farther away, at most once each.
                while self.distance(yes) > REACH || self.distance(no) > REACH {
                    self.stepping_stone(if self.distance(yes) > REACH { yes } else { no });
                }
                self.push_branch(id, operator, k, [yes, no]);
            }
        }
    }

    fn push_branch(&mut self, id: Id, operator: Operator, k: u32, targets: [Id; 2]) {
        let [jt, jf] = targets.map(|target| self.distance(target) as u8);
        self.push(id, Instruction::new(op::JMP | code(operator) | op::K, jt, jf, k));
    }

    fn push(&mut self, id: Id, instruction: Instruction) {
        self.place.insert(id, self.backwards.len());
        self.backwards.push(instruction);
    }

    /// Instructions an instruction written now would have to skip to get to a node.
    fn distance(&self, id: Id) -> usize {
        self.backwards.len() - 1 - self.place[&id]
    }

    /// Makes what is written now go on to the node without a jump.
    fn bring_to_front(&mut self, id: Id) {
        if self.distance(id) > 0 {
            self.stepping_stone(id);
        }
    }

    /// Writes what stands for a node that is written already.
    fn stepping_stone(&mut self, id: Id) {
        match self.graph.node(id) {
            Node::Answer(answer) => self.push(id, Instruction::new(op::RET | op::K, 0, 0, answer)),
            Node::Branch { operator, k, yes, no } if self.distance(yes).max(self.distance(no)) <= REACH => {
                self.push_branch(id, operator, k, [yes, no]);
            }
            _ => self.push(id, Instruction::new(op::JMP | op::JA, 0, 0, self.distance(id) as u32)),
        }
    }
}

const fn code(operator: Operator) -> u16 {
    match operator {
        Operator::Equal => op::JEQ,
        Operator::Greater => op::JGT,
        Operator::AtLeast => op::JGE,
        Operator::AnyBit => op::JSET,
    }
}
