//! What is counted, in Prometheus' text format (OpenMetrics 1.0).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Labels as pairs; their names are ours, their values come from closed sets.
type Labels = Vec<(&'static str, String)>;

/// Upper bounds of answer times, seconds: from a parked sandbox to the longest wall limit.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// The registry, and what the kit itself counts. Clones are one.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Metrics {
            registry: Arc::new(Mutex::new(Registry::with_prefix("enclos"))),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        };
        metrics.register(|registry| {
            registry.register("http_requests", "Requests answered, by route, method and status", metrics.requests.clone());
            registry.register("http_request_seconds", "Time from head to answer, by route", metrics.seconds.clone());
            registry.register("http_requests_in_flight", "Requests that wait for their answer", metrics.in_flight.clone());
        });
        metrics
    }
}

impl Metrics {
    /// Adds more to count. Names get the prefix `enclos_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }

    fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let route = ("route", route.to_owned());
        self.seconds.get_or_create(&vec![route.clone()]).observe(took.as_secs_f64());
        self.requests.get_or_create(&vec![route, ("method", method.to_owned()), ("status", status.to_string())]).inc();
    }
}

/// Counts one request down when it is answered or dropped.
struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Middleware that counts each request.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    metrics.in_flight.inc();
    let _in_flight = InFlight(metrics.in_flight.clone());
    let start = Instant::now();
    // Routes and methods come from the client; only those we know become labels.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    metrics.answered(&route, &method, response.status().as_u16(), start.elapsed());
    tracing::debug!(route, method, status = response.status().as_u16(), seconds = start.elapsed().as_secs_f64(), "answered");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::default();
        metrics.answered("/run", "POST", 200, Duration::from_millis(7));
        let text = metrics.text();
        for line in [
            "enclos_http_requests_total{route=\"/run\",method=\"POST\",status=\"200\"} 1",
            "enclos_http_request_seconds_bucket{le=\"0.01\",route=\"/run\"} 1",
            "enclos_http_requests_in_flight 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
