//! What is counted of device plugins, and of who asks what pods have.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`.

use component::metrics::{Durations, PlainCounter, Registry, SECONDS};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resource {
    resource_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    server_api_version: &'static str,
}

/// The version of the pod resources API.
const V1: Version = Version { server_api_version: "v1" };

/// What is asked of the pod resources API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What all pods have.
    List,
    /// What one pod has.
    Get,
    /// What pods can have.
    Allocatable,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Counts {
    registrations: Family<Resource, Counter>,
    allocation_seconds: Durations<Resource>,
    questions: Family<Version, Counter>,
    /// By what is asked: how often, and how often in vain.
    by_question: [(Family<Version, PlainCounter>, Family<Version, PlainCounter>); 3],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            registrations: Family::default(),
            allocation_seconds: SECONDS.family(),
            questions: Family::default(),
            by_question: Default::default(),
        }
    }
}

impl Counts {
    /// Serves what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Cumulative number of device plugin registrations. Broken down by resource name";
        registry.register("kubelet_device_plugin_registration", help, self.registrations.clone());
        let help =
            "[ALPHA] Duration in seconds to serve a device plugin Allocation request. Broken down by resource name";
        registry.register("kubelet_device_plugin_alloc_duration_seconds", help, self.allocation_seconds.clone());
        let help =
            "[ALPHA] Cumulative number of requests to the PodResource endpoint. Broken down by server api version";
        registry.register("kubelet_pod_resources_endpoint_requests", help, self.questions.clone());
        let names = [("list", "List"), ("get", "Get"), ("get_allocatable", "GetAllocatableResources")];
        for ((name, call), (asked, failed)) in names.iter().zip(&self.by_question) {
            let help = format!(
                "[ALPHA] Number of requests to the PodResource {call} endpoint. Broken down by server api version"
            );
            registry.register(format!("kubelet_pod_resources_endpoint_requests_{name}"), help, asked.clone());
            let help = format!(
                "[ALPHA] Number of requests to the PodResource {call} endpoint which returned error. Broken down by server \
                 api version"
            );
            registry.register(format!("kubelet_pod_resources_endpoint_errors_{name}"), help, failed.clone());
        }
    }

    /// A plugin has registered.
    pub(super) fn registered(&self, resource: &str) {
        self.registrations.get_or_create(&Resource { resource_name: resource.to_owned() }).inc();
    }

    /// A plugin has granted devices, or not, since it was asked.
    pub(super) fn allocated(&self, resource: &str, asked: Instant) {
        let labels = Resource { resource_name: resource.to_owned() };
        self.allocation_seconds.get_or_create(&labels).observe(asked.elapsed().as_secs_f64());
    }

    /// Somebody asks what pods have.
    pub(super) fn asked(&self, question: Question) {
        self.questions.get_or_create(&V1).inc();
        self.by_question[question as usize].0.get_or_create(&V1).inc();
    }

    /// There is no answer.
    pub(super) fn failed(&self, question: Question) {
        self.by_question[question as usize].1.get_or_create(&V1).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_plugins_are_counted_under_upstreams_names() {
        let (counts, mut registry) = (Counts::default(), Registry::default());
        counts.register(&mut registry);
        counts.registered("example.test/card");
        counts.allocated("example.test/card", Instant::now());
        counts.asked(Question::Get);
        counts.failed(Question::Get);
        counts.asked(Question::Allocatable);
        let text = component::metrics::encode(&registry);
        for line in [
            "kubelet_device_plugin_registration_total{resource_name=\"example.test/card\"} 1",
            "kubelet_device_plugin_alloc_duration_seconds_count{resource_name=\"example.test/card\"} 1",
            "kubelet_pod_resources_endpoint_requests_total{server_api_version=\"v1\"} 2",
            "kubelet_pod_resources_endpoint_requests_get{server_api_version=\"v1\"} 1",
            "kubelet_pod_resources_endpoint_errors_get{server_api_version=\"v1\"} 1",
            "kubelet_pod_resources_endpoint_requests_get_allocatable{server_api_version=\"v1\"} 1",
            "# TYPE kubelet_pod_resources_endpoint_errors_get counter",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
    }
}
