//! What the face counts.

use enclos_host::metrics::Metrics;
use enclos_host::prometheus_client::metrics::counter::Counter;
use enclos_host::prometheus_client::metrics::family::Family;
use enclos_host::prometheus_client::metrics::gauge::Gauge;

use crate::api::Verdict;

type Labels = Vec<(&'static str, &'static str)>;

/// Counters and gauges; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    lives: Counter,
    living: Gauge,
    sandboxes: Gauge,
    sessions: Gauge,
    commands: Family<Labels, Counter>,
}

/// The word of a verdict.
#[must_use]
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ended => "ended",
        Verdict::Signaled => "signaled",
        Verdict::TimedOut => "timed-out",
        Verdict::OutOfMemory => "out-of-memory",
        Verdict::DiskLimit => "disk-limit",
        Verdict::Truncated => "truncated",
        Verdict::Cancelled => "cancelled",
        Verdict::Lost => "lost",
    }
}

impl Figures {
    /// Has them shown.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("agent_lives", "Sandboxes brought to life", self.lives.clone());
            registry.register("agent_living", "Sandboxes that live", self.living.clone());
            registry.register("agent_sandboxes", "Sandboxes that are known", self.sandboxes.clone());
            registry.register("agent_sessions", "Sessions that are open", self.sessions.clone());
            registry.register("agent_commands", "Commands that ended, by verdict", self.commands.clone());
        });
    }

    /// One more was brought to life.
    pub fn life(&self) {
        self.lives.inc();
    }

    /// A command ended.
    pub fn command(&self, verdict: Verdict) {
        self.commands.get_or_create(&vec![("verdict", word(verdict))]).inc();
    }

    /// How many there are now.
    pub fn set(&self, living: u64, sandboxes: usize, sessions: u64) {
        self.living.set(i64::try_from(living).unwrap_or(i64::MAX));
        self.sandboxes.set(i64::try_from(sandboxes).unwrap_or(i64::MAX));
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }
}
