//! The search tree over ranges of system call numbers.

use super::graph::{Graph, Id, Operator};

/// Neighbouring numbers with the same leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) leaf: Id,
    /// How much it matters that the way here is short.
    pub(super) weight: u64,
}

/// Numbers above this have no system call on any kernel yet; the kernel does not try them at installation.
const NUMBERS: u32 = 512;

/// What a rule on arguments weighs beside its number: every such call of the program runs the filter.
pub(super) const WEIGHT_OF_A_CALL: u64 = 16;

/// What one instruction weighs: the kernel compiles it at each installation, which takes about as long as carrying out this many.
const WEIGHT_OF_AN_INSTRUCTION: u64 = 128;

/// Above this many ranges the best tree is not searched for: the search grows with the cube.
const MOST_FOR_THE_BEST_TREE: usize = 192;

/// What a range weighs by itself: the kernel tries each of its numbers at installation.
pub(super) fn weight(first: u32, last: u32) -> u64 {
    u64::from((last + u32::from(last < u32::MAX)).min(NUMBERS).saturating_sub(first))
}

/// Builds the tree; `ranges` are in order and leave no gap.
pub(super) fn build(ranges: &[Range], graph: &mut Graph) -> Id {
    let search = Search::new(ranges);
    search.build(0, ranges.len() - 1, graph)
}

/// How to tell a run of ranges apart.
#[derive(Clone, Copy)]
enum Choice {
    /// There is one.
    One,
    /// One comparison: before this range, or from it on.
    Split(usize),
    /// Every second range is one number amid the same leaf: ask for each of the numbers.
    Singles,
}

struct Search<'a> {
    ranges: &'a [Range],
    /// The weight of everything before each range.
    before: Vec<u64>,
    /// Cost and choice of each run, first times `ranges.len()` plus last; empty when there are too many ranges.
    best: Vec<(u64, Choice)>,
}

impl<'a> Search<'a> {
    fn new(ranges: &'a [Range]) -> Self {
        let mut sum = 0;
        let mut before = vec![0];
        // One is added to each, so that ranges without weight are split in halves too.
        before.extend(ranges.iter().map(|range| {
            sum += range.weight + 1;
            sum
        }));
        let mut search = Search { ranges, before, best: Vec::new() };
        if ranges.len() <= MOST_FOR_THE_BEST_TREE {
            search.find_best();
        }
        search
    }

    /// Shorter runs first, so that the parts of a run are known before it.
    fn find_best(&mut self) {
        let count = self.ranges.len();
        self.best = vec![(0, Choice::One); count * count];
        for length in 2..=count {
            for first in 0..=count - length {
                let last = first + length - 1;
                let here = self.weight(first, last) + WEIGHT_OF_AN_INSTRUCTION;
                let split = |at: usize| self.best[first * count + at - 1].0 + self.best[at * count + last].0;
                let at = (first + 1..=last).min_by_key(|&at| split(at)).unwrap_or(last);
                let mut best = (here + split(at), Choice::Split(at));
                if let Some(cost) = self.cost_of_singles(first, last)
                    && cost <= best.0
                {
                    best = (cost, Choice::Singles);
                }
                self.best[first * count + last] = best;
            }
        }
    }

    fn weight(&self, first: usize, last: usize) -> u64 {
        self.before[last + 1] - self.before[first]
    }

    /// What asking for single numbers costs; `None` where the run has another shape.
    fn cost_of_singles(&self, first: usize, last: usize) -> Option<u64> {
        let run = &self.ranges[first..=last];
        let around = run[0].leaf;
        let shape = |(at, range): (usize, &Range)| if at.is_multiple_of(2) { range.leaf == around } else { range.first == range.last };
        if run.len() < 3 || run.len().is_multiple_of(2) || !run.iter().enumerate().all(shape) {
            return None;
        }
        let questions = (run.len() / 2) as u64;
        let way = |(at, range): (usize, &Range)| (range.weight + 1) * if at.is_multiple_of(2) { questions } else { at as u64 / 2 + 1 };
        Some(run.iter().enumerate().map(way).sum::<u64>() + questions * WEIGHT_OF_AN_INSTRUCTION)
    }

    fn choose(&self, first: usize, last: usize) -> Choice {
        if first == last {
            return Choice::One;
        }
        match self.best.get(first * self.ranges.len() + last) {
            Some(&(_, choice)) => choice,
            None => {
                let half = self.before[first] + self.weight(first, last) / 2;
                Choice::Split((first + 1..=last).min_by_key(|&at| self.before[at].abs_diff(half)).unwrap_or(last))
            }
        }
    }

    fn build(&self, first: usize, last: usize, graph: &mut Graph) -> Id {
        match self.choose(first, last) {
            Choice::One => self.ranges[first].leaf,
            Choice::Split(at) => {
                let (below, from) = (self.build(first, at - 1, graph), self.build(at, last, graph));
                graph.branch(Operator::AtLeast, self.ranges[at].first, from, below)
            }
            Choice::Singles => (first + 1..last).step_by(2).rev().fold(self.ranges[first].leaf, |others, at| {
                graph.branch(Operator::Equal, self.ranges[at].first, self.ranges[at].leaf, others)
            }),
        }
    }
}
