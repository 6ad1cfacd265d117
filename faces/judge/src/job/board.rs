//! Reports of tests that run at once, given out in an order in which nothing has to be taken back.
//!
//! Tests run ahead of the ones before them. Should a fatal one before them fail, they count as skipped, whatever came of them: so a report is
//! held until every fatal test before it has passed. Nobody can tell from the answer whether tests ran one after another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::{Observer, TestReport, Verdict};

/// One place for each test.
pub struct Board<'a> {
    fatal: Vec<bool>,
    state: Mutex<State>,
    skipped: Box<dyn Fn(usize) -> TestReport + Sync + 'a>,
    observer: &'a dyn Observer,
}

struct State {
    next: usize,
    reports: Vec<Option<TestReport>>,
    told: Vec<bool>,
    /// The first fatal test that did not pass.
    stop: Option<usize>,
}

impl<'a> Board<'a> {
    /// `fatal`: which tests are. `skipped`: the report of one that is not run.
    pub fn new(fatal: Vec<bool>, skipped: impl Fn(usize) -> TestReport + Sync + 'a, observer: &'a dyn Observer) -> Self {
        let count = fatal.len();
        let state = State { next: 0, reports: vec![None; count], told: vec![false; count], stop: None };
        Board { fatal, state: Mutex::new(state), skipped: Box::new(skipped), observer }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next test to run.
    pub fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        let index = state.next;
        if index >= self.fatal.len() || state.stop.is_some_and(|stop| index > stop) {
            return None;
        }
        state.next += 1;
        Some(index)
    }

    /// What came of it.
    pub fn put(&self, index: usize, report: TestReport) {
        let mut state = self.lock();
        if self.fatal[index] && report.verdict != Verdict::Ok && state.stop.is_none_or(|stop| index < stop) {
            state.stop = Some(index);
        }
        state.reports[index] = Some(report);
        self.tell(&mut state);
    }

    /// Tells of everything that can no longer change. Under the lock, so that each is told once and one after another.
    fn tell(&self, state: &mut State) {
        for index in 0..self.fatal.len() {
            if let Some(report) = state.reports[index].as_ref().filter(|_| !state.told[index]) {
                self.observer.test(index, report);
                state.told[index] = true;
            }
            // What comes after a fatal test hangs on it.
            if self.fatal[index] && state.reports[index].as_ref().is_none_or(|report| report.verdict != Verdict::Ok) {
                return;
            }
        }
    }

    /// All reports, in order; the ones that were not run, or should not have been, are skipped.
    pub fn finish(self) -> Vec<TestReport> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::with_capacity(state.reports.len());
        for (index, report) in state.reports.into_iter().enumerate() {
            let beyond = state.stop.is_some_and(|stop| index > stop);
            let report = report.filter(|_| !beyond).unwrap_or_else(|| (self.skipped)(index));
            if !state.told[index] {
                self.observer.test(index, &report);
            }
            out.push(report);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(index: usize, verdict: Verdict) -> TestReport {
        TestReport { name: index.to_string(), verdict, score: 0.0, points: 1.0, subtask: None, step: None, check: None, runs: Vec::new() }
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<(usize, Verdict)>>);

    impl Observer for Told {
        fn test(&self, index: usize, report: &TestReport) {
            self.0.lock().unwrap().push((index, report.verdict));
        }
    }

    #[test]
    fn what_ran_ahead_of_a_fatal_failure_counts_as_skipped() {
        let told = Told::default();
        let board = Board::new(vec![false, true, false, false], |index| report(index, Verdict::Skipped), &told);
        assert_eq!([board.take(), board.take(), board.take()], [Some(0), Some(1), Some(2)]);
        board.put(2, report(2, Verdict::Ok));
        assert!(told.0.lock().unwrap().is_empty());
        board.put(0, report(0, Verdict::RuntimeError));
        assert_eq!(*told.0.lock().unwrap(), [(0, Verdict::RuntimeError)]);
        board.put(1, report(1, Verdict::WrongAnswer));
        assert_eq!(board.take(), None);
        let verdicts: Vec<Verdict> = board.finish().into_iter().map(|report| report.verdict).collect();
        assert_eq!(verdicts, [Verdict::RuntimeError, Verdict::WrongAnswer, Verdict::Skipped, Verdict::Skipped]);
        let told = told.0.into_inner().unwrap();
        assert_eq!(told, [(0, Verdict::RuntimeError), (1, Verdict::WrongAnswer), (2, Verdict::Skipped), (3, Verdict::Skipped)]);
    }

    #[test]
    fn without_fatal_tests_each_is_told_as_it_ends() {
        let told = Told::default();
        let board = Board::new(vec![false; 3], |index| report(index, Verdict::Skipped), &told);
        while let Some(index) = board.take() {
            board.put(2 - index, report(2 - index, Verdict::Ok));
        }
        assert_eq!(told.0.lock().unwrap().iter().map(|told| told.0).collect::<Vec<_>>(), [2, 1, 0]);
        assert!(board.finish().iter().all(|report| report.verdict == Verdict::Ok));
    }

    #[test]
    fn an_earlier_fatal_failure_takes_the_place_of_a_later_one() {
        let board = Board::new(vec![true; 3], |index| report(index, Verdict::Skipped), &crate::api::NoObserver);
        board.take();
        board.take();
        board.put(1, report(1, Verdict::WrongAnswer));
        board.put(0, report(0, Verdict::TimedOut));
        let verdicts: Vec<Verdict> = board.finish().into_iter().map(|report| report.verdict).collect();
        assert_eq!(verdicts, [Verdict::TimedOut, Verdict::Skipped, Verdict::Skipped]);
    }
}
