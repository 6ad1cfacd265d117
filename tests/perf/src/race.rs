//! Timing contenders against each other in one run.
//!
//! Every round runs each contender once, and each round starts with another one, so that a slow moment of the machine, or the state one of them
//! leaves behind, falls on all of them. A ratio is taken within a round and its median over the rounds: what is stable on a noisy machine is
//! the ratio of neighbours, not the time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// One way to do the job that is measured.
pub struct Contender<'a> {
    /// What the table calls it.
    pub name: &'static str,
    /// What must be there before the job; not timed.
    prepare: Box<dyn FnMut() -> Result<()> + 'a>,
    /// Does the job and tells nanoseconds.
    run: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contender<'a> {
    /// One whose every call does the job once and is timed from outside.
    pub fn timed(name: &'static str, mut run: impl FnMut() -> Result<()> + 'a) -> Self {
        let run = move || {
            let started = Instant::now();
            run()?;
            Ok(started.elapsed().as_nanos() as f64)
        };
        Contender { name, prepare: Box::new(|| Ok(())), run: Box::new(run) }
    }

    /// One that tells itself how many nanoseconds the job took.
    pub fn told(name: &'static str, run: impl FnMut() -> Result<f64> + 'a) -> Self {
        Contender { name, prepare: Box::new(|| Ok(())), run: Box::new(run) }
    }

    /// With something to be done before every job, untimed.
    #[must_use]
    pub fn after(mut self, prepare: impl FnMut() -> Result<()> + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }
}

/// How a race is run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rounds before the first that counts: caches, page tables and frequency settle.
    pub warm_up: usize,
    /// Rounds that count.
    pub rounds: usize,
    /// Pause before every job: what the one before left to be cleared away is not this one's cost.
    pub rest: Duration,
}

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quartiles {
    /// A quarter of the values is smaller.
    pub q1: f64,
    /// Half of them is.
    pub median: f64,
    /// Three quarters are.
    pub q3: f64,
}

impl Quartiles {
    /// Of at least one value.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Quartiles { q1: quantile(&sorted, 0.25), median: quantile(&sorted, 0.5), q3: quantile(&sorted, 0.75) }
    }

    /// A single value.
    #[must_use]
    pub fn exactly(value: f64) -> Self {
        Quartiles { q1: value, median: value, q3: value }
    }

    /// By a function that keeps or turns round the order.
    #[must_use]
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let (q1, q3) = (function(self.q1), function(self.q3));
        Quartiles { q1: q1.min(q3), median: function(self.median), q3: q1.max(q3) }
    }
}

/// Between the two nearest values, in proportion (Hyndman and Fan's type 7, the default of R and numpy).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// Nanoseconds per job of each contender, by round.
pub struct Race {
    names: Vec<&'static str>,
    /// `[contender][round]`
    samples: Vec<Vec<f64>>,
}

/// Runs the rounds.
///
/// # Errors
/// When a contender fails, or there is none or no round.
pub fn race(contenders: &mut [Contender<'_>], pace: Pace) -> Result<Race> {
    ensure!(pace.rounds > 0 && !contenders.is_empty(), "a race needs a contender and a round");
    let mut samples = vec![Vec::with_capacity(pace.rounds); contenders.len()];
    let count = contenders.len();
    for round in 0..pace.warm_up + pace.rounds {
        for step in 0..count {
            let index = (round + step) % count;
            let contender = &mut contenders[index];
            (contender.prepare)().with_context(|| format!("preparing {}", contender.name))?;
            if !pace.rest.is_zero() {
                std::thread::sleep(pace.rest);
            }
            let took = (contender.run)().with_context(|| contender.name)?;
            if round >= pace.warm_up {
                samples[index].push(took);
            }
        }
    }
    Ok(Race { names: contenders.iter().map(|c| c.name).collect(), samples })
}

impl Race {
    /// Nanoseconds per job of one contender.
    ///
    /// # Errors
    /// When it did not take part.
    pub fn nanoseconds(&self, name: &str) -> Result<Quartiles> {
        Ok(Quartiles::of(self.of(name)?))
    }

    /// Time of `a` divided by time of `b`, round by round.
    ///
    /// # Errors
    /// When one of them did not take part.
    pub fn ratio(&self, a: &str, b: &str) -> Result<Quartiles> {
        let ratios: Vec<f64> = self.of(a)?.iter().zip(self.of(b)?).map(|(a, b)| a / b).collect();
        Ok(Quartiles::of(&ratios))
    }

    /// Nanoseconds by which `a` takes longer than `b`, round by round.
    ///
    /// # Errors
    /// When one of them did not take part.
    pub fn difference(&self, a: &str, b: &str) -> Result<Quartiles> {
        let differences: Vec<f64> = self.of(a)?.iter().zip(self.of(b)?).map(|(a, b)| a - b).collect();
        Ok(Quartiles::of(&differences))
    }

    fn of(&self, name: &str) -> Result<&[f64]> {
        let index = self.names.iter().position(|n| *n == name).with_context(|| format!("{name} took no part"))?;
        Ok(&self.samples[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn pace(warm_up: usize, rounds: usize) -> Pace {
        Pace { warm_up, rounds, rest: Duration::ZERO }
    }

    #[test]
    fn quartiles_are_those_of_numpy() {
        let of = Quartiles::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((of.q1, of.median, of.q3), (1.75, 2.5, 3.25));
        assert_eq!(Quartiles::of(&[7.0]), Quartiles::exactly(7.0));
        assert_eq!(of.map(|value| 1.0 / value), Quartiles { q1: 1.0 / 3.25, median: 0.4, q3: 1.0 / 1.75 });
    }

    #[test]
    fn rounds_interleave_and_rotate_and_each_job_is_prepared() {
        let order = RefCell::new(String::new());
        let push = |c| {
            order.borrow_mut().push(c);
            Ok(())
        };
        let mut contenders = [Contender::timed("a", || push('a')), Contender::timed("b", || push('b')).after(|| push('-'))];
        let race = race(&mut contenders, pace(1, 2)).unwrap();
        assert_eq!(race.samples.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        drop(contenders);
        assert_eq!(order.into_inner(), "a-b-baa-b");
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        // The machine was ten times slower in the second and third round: the ratio does not care.
        let race = Race { names: vec!["a", "b"], samples: vec![vec![1.0, 10.0, 10.0], vec![2.0, 20.0, 20.0]] };
        assert_eq!(race.ratio("a", "b").unwrap().median, 0.5);
        assert!(race.ratio("a", "c").is_err());
    }

    #[test]
    fn a_contender_that_fails_ends_the_race() {
        let mut contenders = [Contender::timed("a", || anyhow::bail!("no"))];
        assert!(race(&mut contenders, pace(0, 1)).is_err());
        let mut contenders = [Contender::told("a", || Ok(1.0)).after(|| anyhow::bail!("no"))];
        assert!(race(&mut contenders, pace(0, 1)).is_err());
        assert!(race(&mut [], pace(0, 1)).is_err());
    }
}
