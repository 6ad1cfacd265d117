//! What the judge and its queue have done, for `/metrics`.

use std::fmt;
use std::sync::Arc;

use enclos_host::metrics::Metrics;
use enclos_host::prometheus_client::collector::Collector;
use enclos_host::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use enclos_host::prometheus_client::metrics::MetricType;
use enclos_host::prometheus_client::metrics::counter::{ConstCounter, Counter};
use enclos_host::prometheus_client::metrics::family::Family;
use enclos_host::prometheus_client::metrics::gauge::ConstGauge;
use enclos_judge::LocalJudge;
use enclos_judge::api::{Answer, Cancel, Job, JobError, Judge, LanguageStatus, LimitSettings, Observer, SystemInfo};
use enclos_judge::work::Jobs;
use enclos_pool::WAIT_BUCKETS;

/// A judge that counts what comes of its jobs.
pub struct Counted {
    judge: Arc<LocalJudge>,
    jobs: Family<Vec<(&'static str, String)>, Counter>,
}

impl Counted {
    /// Counts for `judge`, in `metrics`.
    pub fn new(judge: Arc<LocalJudge>, metrics: &Metrics) -> Self {
        let counted = Counted { judge, jobs: Family::default() };
        metrics.register(|registry| registry.register("judge_jobs", "Jobs that ended, by verdict", counted.jobs.clone()));
        counted
    }
}

impl Judge for Counted {
    fn languages(&self) -> Vec<LanguageStatus> {
        self.judge.languages()
    }

    fn system(&self) -> SystemInfo {
        self.judge.system()
    }

    fn limits(&self) -> &LimitSettings {
        self.judge.limits()
    }

    fn run(&self, job: &Job, cancel: &Cancel, observer: &dyn Observer) -> Result<Answer, JobError> {
        let answer = self.judge.run(job, cancel, observer);
        let came_of_it = match &answer {
            Ok(answer) => answer.verdict.as_str(),
            Err(JobError::Cancelled) => "cancelled",
            Err(JobError::Internal(message)) => {
                tracing::error!(message, "a job could not be carried out");
                "INTERNAL_ERROR"
            }
            Err(_) => "refused",
        };
        self.jobs.get_or_create(&vec![("verdict", came_of_it.to_owned())]).inc();
        answer
    }

    fn reference(&self, language: &str) -> Result<Job, JobError> {
        self.judge.reference(language)
    }
}

/// A histogram without examples has labels of no kind.
type NoLabels = [(&'static str, &'static str); 0];

/// Figures that are read when somebody asks.
pub struct Figures {
    queue: Arc<Jobs>,
    judge: Arc<LocalJudge>,
}

impl Figures {
    /// Of these.
    pub fn new(queue: Arc<Jobs>, judge: Arc<LocalJudge>) -> Self {
        Figures { queue, judge }
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (queue, cache) = (self.queue.metrics(), self.judge.cache());
        let gauges = [
            ("queue_cores", "Cores that jobs may use", queue.cores as u64),
            ("queue_cores_in_use", "Cores that jobs use", queue.cores_in_use as u64),
            ("queue_capacity", "Places for jobs that wait", queue.capacity as u64),
            ("queue_waiting", "Jobs that wait", queue.waiting as u64),
            ("queue_running", "Jobs that run", queue.running as u64),
            ("queue_keys", "Keys that have a job waiting or running", queue.keys as u64),
            ("cache_entries", "Compiled programs kept", cache.entries),
            ("cache_bytes", "Memory of compiled programs kept", cache.bytes),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters = [
            ("queue_accepted", "Jobs taken", queue.accepted),
            ("queue_refused", "Jobs refused", queue.refused),
            ("queue_finished", "Jobs that ended", queue.finished),
            ("queue_cancelled", "Jobs cancelled", queue.cancelled),
            ("queue_panicked", "Jobs that a fault of the server ended", queue.panicked),
            ("cache_hits", "Times a compiled program was there", cache.hits),
            ("cache_misses", "Times it was not", cache.misses),
        ];
        for (name, help, value) in counters {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let bounds = WAIT_BUCKETS.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(queue.waits.counts).collect();
        let mut waits = encoder.encode_descriptor("queue_wait_seconds", "Time that jobs waited", None, MetricType::Histogram)?;
        waits.encode_histogram::<NoLabels>(queue.waits.sum, queue.waits.count(), &buckets, None)
    }
}
