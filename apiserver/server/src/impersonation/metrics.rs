//! What is counted of impersonation, with upstream's names.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// In which way, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    mode: &'static str,
    decision: &'static str,
}

type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// Counters and durations.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    attempts: Family<Labels, Counter>,
    attempt_durations: Durations,
    checks: Family<Labels, Counter>,
    check_durations: Durations,
}

impl Metrics {
    /// Adds them to those of the server.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Self {
            attempts: Family::default(),
            attempt_durations: Family::new_with_constructor(histogram),
            checks: Family::default(),
            check_durations: Family::new_with_constructor(histogram),
        };
        registry.register(
            "apiserver_impersonation_attempts",
            "Requests made as somebody else by mode and decision",
            metrics.attempts.clone(),
        );
        registry.register(
            "apiserver_impersonation_attempts_duration_seconds",
            "Time to decide on requests made as somebody else by mode and decision",
            metrics.attempt_durations.clone(),
        );
        registry.register(
            "apiserver_impersonation_authorization_attempts",
            "Authorization checks of requests made as somebody else by mode and decision",
            metrics.checks.clone(),
        );
        registry.register(
            "apiserver_impersonation_authorization_attempts_duration_seconds",
            "Time of authorization checks of requests made as somebody else by mode and decision",
            metrics.check_durations.clone(),
        );
        metrics
    }

    /// A request was let through in this way, or refused in all.
    pub(super) fn attempt(&self, mode: &'static str, is_allowed: bool, took: Duration) {
        let labels = labels(mode, is_allowed);
        self.attempts.get_or_create(&labels).inc();
        self.attempt_durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// An authorizer was asked.
    pub(super) fn check(&self, mode: &'static str, is_allowed: bool, took: Duration) {
        let labels = labels(mode, is_allowed);
        self.checks.get_or_create(&labels).inc();
        self.check_durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

fn labels(mode: &'static str, is_allowed: bool) -> Labels {
    Labels { mode, decision: if is_allowed { "allowed" } else { "denied" } }
}
