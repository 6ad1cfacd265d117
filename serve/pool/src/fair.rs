//! Who is next: the pure part of the queue, without threads and clocks.
//!
//! Each key has a lane, first in, first out. The next job is that of the key which uses the fewest cores now; among equals, of the one
//! whose last turn is longest ago. So a key whose jobs are long does not pay with its neighbours' time: each key that has work gets the
//! same share of the cores, and what one leaves unused the others share (max-min fairness).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::queue::Id;

/// A job in its lane.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub id: Id,
    pub weight: usize,
    pub item: T,
}

/// A job that has its turn.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    pub id: Id,
    pub key: Arc<str>,
    /// Cores it was given.
    pub cores: usize,
    pub item: T,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Cores that jobs of this key use.
    in_use: usize,
    /// When it had its last turn, counted in turns.
    turn: u64,
}

/// Lanes by key.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    lanes: HashMap<Arc<str>, Lane<T>>,
    /// Keys with a job that waits, the next one first: by cores in use, then by the last turn.
    ready: BTreeSet<(usize, u64, Arc<str>)>,
    /// The lane of each job that waits.
    places: HashMap<Id, Arc<str>>,
    turns: u64,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), ready: BTreeSet::new(), places: HashMap::new(), turns: 0 }
    }
}

impl<T> Fair<T> {
    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.places.len()
    }

    /// Jobs of a key that wait.
    pub fn waiting_of(&self, key: &str) -> usize {
        self.lanes.get(key).map_or(0, |lane| lane.waiting.len())
    }

    /// Keys that have a job waiting or running.
    pub fn keys(&self) -> usize {
        self.lanes.len()
    }

    /// Jobs before this one in its lane; `None`: it does not wait.
    pub fn ahead(&self, id: Id) -> Option<usize> {
        self.lanes.get(self.places.get(&id)?)?.waiting.iter().position(|waiting| waiting.id == id)
    }

    /// The heads of all lanes.
    pub fn heads(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().filter_map(|lane| lane.waiting.front()).map(|waiting| &waiting.item)
    }

    /// To the end of the key's lane.
    pub fn push(&mut self, key: &str, waiting: Waiting<T>) {
        let key = match self.lanes.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => {
                // As if it just had its turn: a key that comes and goes must not pass one that waits.
                self.turns += 1;
                let key: Arc<str> = key.into();
                self.lanes.insert(Arc::clone(&key), Lane { waiting: VecDeque::new(), in_use: 0, turn: self.turns });
                key
            }
        };
        let lane = self.lanes.get_mut(&key).expect("it was found or made above");
        self.places.insert(waiting.id, Arc::clone(&key));
        lane.waiting.push_back(waiting);
        self.ready.insert((lane.in_use, lane.turn, key));
    }

    /// The next job, with between one core and its weight, never more than `free`; `None`: nothing waits, or nothing is free.
    pub fn next(&mut self, free: usize) -> Option<Turn<T>> {
        if free == 0 {
            return None;
        }
        let (in_use, turn, key) = self.ready.pop_first()?;
        let lane = self.lanes.get_mut(&key).expect("every ready key has a lane");
        debug_assert_eq!((lane.in_use, lane.turn), (in_use, turn));
        let Waiting { id, weight, item } = lane.waiting.pop_front().expect("every ready lane has a job");
        self.places.remove(&id);
        let cores = weight.clamp(1, free);
        self.turns += 1;
        lane.turn = self.turns;
        lane.in_use += cores;
        if !lane.waiting.is_empty() {
            self.ready.insert((lane.in_use, lane.turn, Arc::clone(&key)));
        }
        Some(Turn { id, key, cores, item })
    }

    /// A job that had its turn has ended.
    pub fn done(&mut self, key: &Arc<str>, cores: usize) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let was = (lane.in_use, lane.turn, Arc::clone(key));
        lane.in_use = lane.in_use.saturating_sub(cores);
        if self.ready.remove(&was) {
            self.ready.insert((lane.in_use, lane.turn, Arc::clone(key)));
        }
        self.forget_if_idle(key);
    }

    /// Takes a job that waits out of its lane.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        let key = self.places.remove(&id)?;
        let lane = self.lanes.get_mut(&key)?;
        let index = lane.waiting.iter().position(|waiting| waiting.id == id)?;
        let waiting = lane.waiting.remove(index)?;
        if lane.waiting.is_empty() {
            self.ready.remove(&(lane.in_use, lane.turn, Arc::clone(&key)));
            self.forget_if_idle(&key);
        }
        Some(waiting.item)
    }

    /// Takes all jobs that wait.
    pub fn clear(&mut self) -> Vec<T> {
        self.places.clear();
        self.ready.clear();
        let items = self.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).map(|waiting| waiting.item).collect();
        self.lanes.retain(|_, lane| lane.in_use > 0);
        items
    }

    fn forget_if_idle(&mut self, key: &Arc<str>) {
        if self.lanes.get(key).is_some_and(|lane| lane.in_use == 0 && lane.waiting.is_empty()) {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push { key: u8, weight: usize },
        Next { free: usize },
        Done { which: usize },
        Remove { which: usize },
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..4u8, 0..4usize).prop_map(|(key, weight)| Step::Push { key, weight }),
            5 => (0..4usize).prop_map(|free| Step::Next { free }),
            4 => any::<usize>().prop_map(|which| Step::Done { which }),
            2 => any::<usize>().prop_map(|which| Step::Remove { which }),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..200)
    }

    /// What a plain reading of the rules says: lists instead of indexes.
    #[derive(Default)]
    struct Model {
        waiting: BTreeMap<String, Vec<(Id, usize)>>,
        in_use: BTreeMap<String, usize>,
        running: Vec<(Arc<str>, usize)>,
    }

    impl Model {
        fn total(&self) -> usize {
            self.waiting.values().map(Vec::len).sum()
        }

        fn nth_waiting(&self, which: usize) -> Option<Id> {
            let all: Vec<Id> = self.waiting.values().flatten().map(|(id, _)| *id).collect();
            all.get(which % all.len().max(1)).copied()
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled_and_the_least_served_key_is_next(steps in steps()) {
            let (mut fair, mut model, mut ids) = (Fair::default(), Model::default(), 0);
            for step in steps {
                match step {
                    Step::Push { key, weight } => {
                        ids += 1;
                        fair.push(&key.to_string(), Waiting { id: Id(ids), weight, item: ids });
                        model.waiting.entry(key.to_string()).or_default().push((Id(ids), weight));
                    }
                    Step::Next { free } => match fair.next(free) {
                        None => prop_assert!(free == 0 || model.total() == 0),
                        Some(turn) => {
                            let lane = model.waiting.get_mut(&*turn.key).unwrap();
                            let (id, weight) = lane.remove(0);
                            prop_assert_eq!((turn.id, turn.item), (id, id.0));
                            prop_assert_eq!(turn.cores, weight.clamp(1, free));
                            let used = |key: &str| model.in_use.get(key).copied().unwrap_or(0);
                            for (key, lane) in &model.waiting {
                                prop_assert!(lane.is_empty() || used(key) >= used(&turn.key), "{} was passed by {}", key, turn.key);
                            }
                            *model.in_use.entry(turn.key.to_string()).or_default() += turn.cores;
                            model.running.push((turn.key, turn.cores));
                        }
                    },
                    Step::Done { which } if !model.running.is_empty() => {
                        let (key, cores) = model.running.remove(which % model.running.len());
                        *model.in_use.get_mut(&*key).unwrap() -= cores;
                        fair.done(&key, cores);
                    }
                    Step::Remove { which } => {
                        if let Some(id) = model.nth_waiting(which) {
                            prop_assert_eq!(fair.remove(id), Some(id.0));
                            prop_assert_eq!(fair.remove(id), None);
                            model.waiting.values_mut().for_each(|lane| lane.retain(|(other, _)| *other != id));
                        }
                    }
                    Step::Clear => {
                        let mut cleared = fair.clear();
                        cleared.sort_unstable();
                        let mut expected: Vec<u64> = model.waiting.values().flatten().map(|(id, _)| id.0).collect();
                        expected.sort_unstable();
                        prop_assert_eq!(cleared, expected);
                        model.waiting.clear();
                    }
                    Step::Done { .. } => {}
                }
                prop_assert_eq!(fair.waiting(), model.total());
                for (key, lane) in &model.waiting {
                    prop_assert_eq!(fair.waiting_of(key), lane.len());
                    for (place, (id, _)) in lane.iter().enumerate() {
                        prop_assert_eq!(fair.ahead(*id), Some(place));
                    }
                }
            }
        }

        #[test]
        fn with_one_core_every_key_has_a_turn_before_any_has_two(keys in 1..6usize, backlog in 1..6usize) {
            let mut fair = Fair::default();
            for id in 0..keys * backlog {
                // The first key brings its whole backlog first.
                fair.push(&(id / backlog).to_string(), Waiting { id: Id(id as u64), weight: 1, item: () });
            }
            for _ in 0..backlog {
                let mut seen = BTreeSet::new();
                for _ in 0..keys {
                    let turn = fair.next(1).unwrap();
                    prop_assert!(seen.insert(turn.key.to_string()));
                    fair.done(&turn.key, turn.cores);
                }
            }
            prop_assert_eq!((fair.waiting(), fair.keys()), (0, 0));
        }
    }

    #[test]
    fn a_key_that_comes_and_goes_does_not_pass_one_that_waits() {
        let mut fair = Fair::default();
        for id in 0..3 {
            fair.push("steady", Waiting { id: Id(id), weight: 1, item: "steady" });
        }
        let mut served = Vec::new();
        for id in 10..14 {
            fair.push("brief", Waiting { id: Id(id), weight: 1, item: "brief" });
            let turn = fair.next(1).unwrap();
            fair.done(&turn.key, turn.cores);
            served.push(turn.item);
        }
        assert_eq!(served, ["steady", "brief", "steady", "brief"]);
    }
}
