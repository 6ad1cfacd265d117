//! A program before it has addresses: a graph without cycles, in which equal parts are one.

use std::collections::HashMap;

/// A node, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(usize);

/// How a branch compares the accumulator with its constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Equal,
    Greater,
    AtLeast,
    AnyBit,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// Return.
    Answer(u32),
    /// Load the 32-bit word at this offset of `struct seccomp_data`.
    Load { word: u32, next: Id },
    /// Keep only these bits of the accumulator.
    Mask { bits: u32, next: Id },
    /// Compare the accumulator.
    Branch { operator: Operator, k: u32, yes: Id, no: Id },
}

#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id>,
}

impl Graph {
    /// The node, made if there is no equal one.
    pub(super) fn add(&mut self, node: Node) -> Id {
        *self.ids.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            Id(self.nodes.len() - 1)
        })
    }

    /// A branch, or its target where both ways lead to the same.
    pub(super) fn branch(&mut self, operator: Operator, k: u32, yes: Id, no: Id) -> Id {
        if yes == no { yes } else { self.add(Node::Branch { operator, k, yes, no }) }
    }

    pub(super) fn node(&self, id: Id) -> Node {
        self.nodes[id.0]
    }
}
