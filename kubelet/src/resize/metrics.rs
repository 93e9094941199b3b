//! What is counted of resizes: what is asked for, what is granted late or never, and how long the runtime takes.
//!
//! Upstream: `recordContainerResizeOperations` of `pkg/kubelet/kubelet.go`, `pkg/kubelet/allocation`.

use super::Resources;
use crate::resources::Amount;
use component::metrics::{Bounds, Durations, Registry};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Instant;

/// Milliseconds that a resize takes.
const MILLIS: Bounds = Bounds(&[
    10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 30_000.0, 60_000.0, 120_000.0, 300_000.0,
    600_000.0,
]);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    resource: &'static str,
    requirement: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    success: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Detail {
    reason_detail: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Trigger {
    retry_trigger: &'static str,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ResizeCounts {
    changes: Family<Change, Counter>,
    millis: Durations<Outcome>,
    infeasible: Family<Detail, Counter>,
    late: Family<Trigger, Counter>,
}

impl Default for ResizeCounts {
    fn default() -> Self {
        Self {
            changes: Family::default(),
            millis: MILLIS.family(),
            infeasible: Family::default(),
            late: Family::default(),
        }
    }
}

impl ResizeCounts {
    /// Serves what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Number of requested resizes, counted at the container level. Different resources on the same \
                    container are counted separately. The 'requirement' label refers to 'memory' or 'limits'; the \
                    'operation' label can be one of 'add', 'remove', 'increase' or 'decrease'";
        registry.register("kubelet_container_requested_resizes", help, self.changes.clone());
        let help = "[ALPHA] Duration in milliseconds to actuate a pod resize";
        registry.register("kubelet_pod_resize_duration_milliseconds", help, self.millis.clone());
        let help = "[ALPHA] Number of infeasible resizes for pods";
        registry.register("kubelet_pod_infeasible_resizes", help, self.infeasible.clone());
        let help = "[ALPHA] Cumulative number of resizes that were accepted after being deferred";
        registry.register("kubelet_pod_deferred_accepted_resizes", help, self.late.clone());
    }

    /// A pod asks for other amounts than before.
    pub(crate) fn asked(&self, before: &Resources, now: &Resources) {
        for change in changes(before, now) {
            self.changes.get_or_create(&change).inc();
        }
    }

    /// The runtime was told since then, with or without success.
    pub(crate) fn made(&self, began: Instant, success: bool) {
        self.millis.get_or_create(&Outcome { success }).observe(began.elapsed().as_secs_f64() * 1000.0);
    }

    /// What a pod asks for is not to be had here.
    pub(crate) fn infeasible(&self, reason_detail: &'static str) {
        self.infeasible.get_or_create(&Detail { reason_detail }).inc();
    }

    /// What a pod had to wait for is there at another look.
    pub(crate) fn granted_late(&self) {
        self.late.get_or_create(&Trigger { retry_trigger: "periodic_retry" }).inc();
    }
}

fn changes(before: &Resources, now: &Resources) -> Vec<Change> {
    type Amounts = Option<BTreeMap<String, Quantity>>;
    let mut all = Vec::new();
    for (name, new) in now {
        let Some(old) = before.get(name) else { continue };
        let sides = [("requests", &old.requests, &new.requests), ("limits", &old.limits, &new.limits)];
        for (requirement, old, new) in sides {
            for resource in ["memory", "cpu"] {
                let of =
                    |side: &Amounts| side.as_ref().and_then(|s| s.get(resource)).map(Amount::of).unwrap_or_default();
                let Some(operation) = operation(of(old), of(new)) else { continue };
                all.push(Change { resource, requirement, operation });
            }
        }
    }
    all
}

fn operation(old: Amount, new: Amount) -> Option<&'static str> {
    match (old.is_zero(), new.is_zero(), new.cmp(&old)) {
        (_, _, Ordering::Equal) => None,
        (false, true, _) => Some("remove"),
        (true, false, _) => Some("add"),
        (_, _, Ordering::Less) => Some("decrease"),
        (_, _, Ordering::Greater) => Some("increase"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ResourceRequirements;

    #[test]
    fn changes_are_told_apart() {
        let amounts =
            |all: &[(&str, &str)]| Some(all.iter().map(|(k, v)| ((*k).into(), Quantity((*v).into()))).collect());
        let of = |requests, limits| {
            Resources::from([("c".to_owned(), ResourceRequirements { requests, limits, claims: None })])
        };
        let before = of(amounts(&[("cpu", "1"), ("memory", "1Gi")]), amounts(&[("memory", "1Gi")]));
        let now = of(amounts(&[("cpu", "1500m"), ("memory", "1024Mi")]), amounts(&[("cpu", "2")]));
        let counts = ResizeCounts::default();
        counts.asked(&before, &now);
        counts.asked(&now, &now);
        let mut registry = Registry::default();
        counts.register(&mut registry);
        let text = component::metrics::encode(&registry);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("kubelet_container_requested")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        for line in [
            "{resource=\"cpu\",requirement=\"requests\",operation=\"increase\"} 1",
            "{resource=\"cpu\",requirement=\"limits\",operation=\"add\"} 1",
            "{resource=\"memory\",requirement=\"limits\",operation=\"remove\"} 1",
        ] {
            assert!(lines.iter().any(|other| other.ends_with(line)), "no {line} in {text}");
        }
    }
}
