//! What came of health checks, for `/metrics/slis`.
//!
//! Upstream: `component-base/metrics/prometheus/slis`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    name: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    name: String,
    status: &'static str,
    r#type: &'static str,
}

/// The last result of each check, and how often it had which.
#[derive(Debug)]
pub(super) struct Indicators {
    registry: Registry,
    last: Family<CheckLabels, Gauge>,
    all: Family<ResultLabels, Counter>,
}

impl Indicators {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let (last, all) = (Family::default(), Family::default());
        registry.register("kubernetes_healthcheck", "The result of a single healthcheck", last.clone());
        registry.register("kubernetes_healthchecks", "The results of all healthchecks", all.clone());
        Self { registry, last, all }
    }

    /// Notes what came of a check of a family.
    pub(super) fn note(&self, check: &str, family: &'static str, is_well: bool) {
        let name = check.to_owned();
        let status = if is_well { "success" } else { "error" };
        self.last.get_or_create(&CheckLabels { name: name.clone(), r#type: family }).set(is_well.into());
        self.all.get_or_create(&ResultLabels { name, status, r#type: family }).inc();
    }

    pub(super) fn text(&self) -> String {
        component::metrics::encode(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_counted_by_result() {
        let indicators = Indicators::new();
        for is_well in [true, true, false] {
            indicators.note("etcd", "readyz", is_well);
        }
        let text = indicators.text();
        for line in [
            "kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 0",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"success\",type=\"readyz\"} 2",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"error\",type=\"readyz\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
