//! Figures of a queue, as plain values: what serves them gives them names.

use std::time::Duration;

/// Upper bounds of the buckets of [`Metrics::waits`], in seconds.
pub const WAIT_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// Durations, counted by upper bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many lie at or below each of [`WAIT_BUCKETS`] and above the one before; the last counts those above all bounds.
    pub counts: [u64; WAIT_BUCKETS.len() + 1],
    /// Sum of all, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, value: Duration) {
        let seconds = value.as_secs_f64();
        let bucket = WAIT_BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(WAIT_BUCKETS.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Figures of a queue at one moment. Those that only grow say "so far".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Cores that jobs may use.
    pub cores: usize,
    /// Cores in use.
    pub cores_in_use: usize,
    /// Places for jobs that wait.
    pub capacity: usize,
    /// Places for jobs of one key that wait.
    pub per_key: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Bytes of memory that the jobs hold that wait.
    pub bytes: usize,
    /// Jobs that run.
    pub running: usize,
    /// Keys that have a job waiting or running.
    pub keys: usize,
    /// Jobs taken so far.
    pub accepted: u64,
    /// Jobs refused so far.
    pub refused: u64,
    /// Jobs whose handler returned, so far.
    pub finished: u64,
    /// Jobs cancelled so far, waiting or running.
    pub cancelled: u64,
    /// Handlers that panicked, so far.
    pub panicked: u64,
    /// How long jobs waited before they ran, so far.
    pub waits: Histogram,
    /// For how long the job that waits longest has waited.
    pub oldest: Duration,
    /// Core time of a job: a mean that forgets, over roughly the last 20.
    pub mean_service: Duration,
}
