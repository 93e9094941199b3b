//! What the kubelet counts of its pods and of the runtime, for `/metrics`.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`, `pkg/kubelet/kuberuntime/instrumented_services.go`.

pub mod census;
pub mod images;
pub mod pods;
pub mod startups;

use crate::resize::metrics::ResizeCounts;
use crate::runtime::ContainerState;
use crate::runtime::record::Outline;
use component::metrics::{Durations, Exponential, Histograms, PlainCounter, Registry, SECONDS};
use images::ImageCounts;
use pods::PodCounts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds that calls of the runtime take.
const CALLS: Exponential = Exponential { first: 0.005, factor: 2.5, count: 14 };

/// All states of containers, as the runtime calls them.
const STATES: [(ContainerState, &str); 4] = [
    (ContainerState::Created, "created"),
    (ContainerState::Running, "running"),
    (ContainerState::Exited, "exited"),
    (ContainerState::Unknown, "unknown"),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Started {
    container_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotStarted {
    container_type: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    container_state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Evicted {
    eviction_signal: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Node {
    node: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) pods: PodCounts,
    pub(crate) images: ImageCounts,
    pub(crate) resizes: ResizeCounts,
    operations: Family<Operation, Counter>,
    operation_errors: Family<Operation, Counter>,
    operation_seconds: Histograms<Operation>,
    started_pods: Counter,
    started_pod_errors: Counter,
    started_containers: Family<Started, Counter>,
    started_container_errors: Family<NotStarted, Counter>,
    running_pods: Gauge,
    running_containers: Family<State, Gauge>,
    list_seconds: Histogram,
    list_intervals: Histogram,
    last_list: Gauge<f64, AtomicU64>,
    evictions: Family<Evicted, PlainCounter>,
    eviction_ages: Durations<Evicted>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pods: PodCounts::default(),
            images: ImageCounts::default(),
            resizes: ResizeCounts::default(),
            operations: Family::default(),
            operation_errors: Family::default(),
            operation_seconds: CALLS.family(),
            started_pods: Counter::default(),
            started_pod_errors: Counter::default(),
            started_containers: Family::default(),
            started_container_errors: Family::default(),
            running_pods: Gauge::default(),
            running_containers: Family::default(),
            list_seconds: SECONDS.histogram(),
            list_intervals: SECONDS.histogram(),
            last_list: Gauge::default(),
            evictions: Family::default(),
            eviction_ages: SECONDS.family(),
        }
    }
}

impl Metrics {
    /// Adds them to what is served, with the name of the node.
    pub fn register(&self, registry: &mut Registry, node: &str) {
        self.pods.register(registry);
        self.images.register(registry);
        self.resizes.register(registry);
        let help = "[ALPHA] Cumulative number of runtime operations by operation type";
        registry.register("kubelet_runtime_operations", help, self.operations.clone());
        let help = "[ALPHA] Cumulative number of runtime operation errors by operation type";
        registry.register("kubelet_runtime_operations_errors", help, self.operation_errors.clone());
        let help = "[ALPHA] Duration in seconds of runtime operations by operation type";
        registry.register("kubelet_runtime_operations_duration_seconds", help, self.operation_seconds.clone());
        let help = "[ALPHA] Cumulative number of pods started";
        registry.register("kubelet_started_pods", help, self.started_pods.clone());
        let help = "[ALPHA] Cumulative number of errors when starting pods";
        registry.register("kubelet_started_pods_errors", help, self.started_pod_errors.clone());
        let help = "[ALPHA] Cumulative number of containers started";
        registry.register("kubelet_started_containers", help, self.started_containers.clone());
        let help = "[ALPHA] Cumulative number of errors when starting containers";
        registry.register("kubelet_started_containers_errors", help, self.started_container_errors.clone());
        let help = "[ALPHA] Number of pods that have a running pod sandbox";
        registry.register("kubelet_running_pods", help, self.running_pods.clone());
        let help = "[ALPHA] Number of containers by state";
        registry.register("kubelet_running_containers", help, self.running_containers.clone());
        let help = "[ALPHA] Duration in seconds for listing pods and containers";
        registry.register("kubelet_pleg_relist_duration_seconds", help, self.list_seconds.clone());
        let help = "[ALPHA] Interval in seconds between listings of pods and containers";
        registry.register("kubelet_pleg_relist_interval_seconds", help, self.list_intervals.clone());
        let help = "[ALPHA] Timestamp in seconds when PLEG was last seen active";
        registry.register("kubelet_pleg_last_seen_seconds", help, self.last_list.clone());
        let help = "[ALPHA] Cumulative number of pod evictions by eviction signal";
        registry.register("kubelet_evictions", help, self.evictions.clone());
        let help = "[ALPHA] Time between when stats are collected, and when pod is evicted based on those stats by \
                    eviction signal";
        registry.register("kubelet_eviction_stats_age_seconds", help, self.eviction_ages.clone());
        let name = Family::<Node, Gauge>::default();
        name.get_or_create(&Node { node: node.to_owned() }).set(1);
        registry.register("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.", name);
    }

    /// Counts a call of the runtime that began then.
    pub(crate) fn operation(&self, call: &'static str, began: Instant, failed: bool) {
        let labels = Operation { operation_type: operation_type(call) };
        self.operations.get_or_create(&labels).inc();
        self.operation_seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        if failed {
            self.operation_errors.get_or_create(&labels).inc();
        }
    }

    /// Counts a pod for which a sandbox is made, and whether that failed.
    pub(crate) fn pod_started(&self, failed: bool) {
        self.started_pods.inc();
        self.started_pod_errors.inc_by(failed.into());
    }

    /// Counts a container that is started, of `container`, `init_container` or `ephemeral_container`, and the reason why
    /// it does not run.
    pub(crate) fn container_started(&self, container_type: &'static str, failure: Option<&str>) {
        self.started_containers.get_or_create(&Started { container_type }).inc();
        if let Some(code) = failure {
            self.started_container_errors.get_or_create(&NotStarted { container_type, code: code.to_owned() }).inc();
        }
    }

    /// Notes what a list of everything has in it, how long it took, and how long after the one before it began.
    pub(crate) fn listed(&self, all: &HashMap<String, Outline>, took: Duration, interval: Option<Duration>) {
        self.list_seconds.observe(took.as_secs_f64());
        self.last_list.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as f64);
        interval.into_iter().for_each(|interval| self.list_intervals.observe(interval.as_secs_f64()));
        let runs = |outline: &&Outline| outline.sandboxes.values().any(|is_ready| *is_ready);
        self.running_pods.set(i64::try_from(all.values().filter(runs).count()).unwrap_or(i64::MAX));
        for (state, container_state) in STATES {
            let count = all.values().flat_map(|outline| outline.containers.values()).filter(|s| **s == state).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.running_containers.get_or_create(&State { container_state }).set(count);
        }
    }

    /// Counts a pod that is evicted because of what is short on the node, or because it goes over a limit of its own.
    pub(crate) fn evicted(&self, eviction_signal: &'static str) {
        self.evictions.get_or_create(&Evicted { eviction_signal }).inc();
    }

    /// Notes how old the figures are by which a pod is going to be evicted.
    pub(crate) fn judged(&self, eviction_signal: &'static str, age: Duration) {
        self.eviction_ages.get_or_create(&Evicted { eviction_signal }).observe(age.as_secs_f64());
    }
}

/// Upstream's word for a call of the runtime.
fn operation_type(call: &'static str) -> &'static str {
    match call {
        "Attach" => "attach",
        "ContainerStatus" => "container_status",
        "CreateContainer" => "create_container",
        "Exec" => "exec",
        "ExecSync" => "exec_sync",
        "ImageFsInfo" => "image_fs_info",
        "ImageStatus" => "image_status",
        "ListContainers" => "list_containers",
        "ListContainerStats" => "list_container_stats",
        "ListImages" => "list_images",
        "ListPodSandbox" => "list_podsandbox",
        "PodSandboxStatus" => "podsandbox_status",
        "PortForward" => "port_forward",
        "PullImage" => "pull_image",
        "RemoveContainer" => "remove_container",
        "RemoveImage" => "remove_image",
        "RemovePodSandbox" => "remove_podsandbox",
        "ReopenContainerLog" => "reopen_container_log",
        "RunPodSandbox" => "run_podsandbox",
        "RuntimeConfig" => "runtime_config",
        "StartContainer" => "start_container",
        "Status" => "status",
        "StopContainer" => "stop_container",
        "StopPodSandbox" => "stop_podsandbox",
        "UpdateContainerResources" => "update_container",
        "Version" => "version",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_served_under_upstreams_names() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry, "n1");
        metrics.operation("RunPodSandbox", Instant::now(), true);
        metrics.pod_started(true);
        metrics.pod_started(false);
        metrics.container_started("init_container", None);
        metrics.container_started("container", Some("CreateContainerError"));
        metrics.evicted("memory.available");
        metrics.pods.worked(pods::Work::Create, Instant::now());
        metrics.pods.restarted(&k8s_openapi::api::core::v1::Pod::default());
        metrics.images.removed(images::Removal::Space);
        metrics.images.pulled(1000, Duration::from_secs(2));
        let outline = |ready, state| Outline {
            sandboxes: [("s".to_owned(), ready)].into(),
            containers: [("c".to_owned(), state)].into(),
            ..Outline::default()
        };
        let all = [("a", outline(true, ContainerState::Running)), ("b", outline(false, ContainerState::Exited))];
        metrics.listed(&all.map(|(uid, o)| (uid.to_owned(), o)).into(), Duration::from_millis(7), None);
        let text = component::metrics::encode(&registry);
        for line in [
            r#"kubelet_runtime_operations_total{operation_type="run_podsandbox"} 1"#,
            r#"kubelet_runtime_operations_errors_total{operation_type="run_podsandbox"} 1"#,
            r#"kubelet_runtime_operations_duration_seconds_count{operation_type="run_podsandbox"} 1"#,
            "kubelet_started_pods_total 2",
            "kubelet_started_pods_errors_total 1",
            r#"kubelet_started_containers_total{container_type="init_container"} 1"#,
            r#"kubelet_started_containers_errors_total{container_type="container",code="CreateContainerError"} 1"#,
            "kubelet_running_pods 1",
            r#"kubelet_running_containers{container_state="running"} 1"#,
            r#"kubelet_running_containers{container_state="created"} 0"#,
            "kubelet_pleg_relist_duration_seconds_count 1",
            "kubelet_pleg_relist_interval_seconds_count 0",
            "kubelet_pod_worker_duration_seconds_count{operation_type=\"create\"} 1",
            "kubelet_restarted_pods_total{static=\"\"} 1",
            "kubelet_image_garbage_collected_total{reason=\"space\"} 1",
            "kubelet_image_pull_duration_seconds_count{image_size_in_bytes=\"0-10MB\"} 1",
            "# TYPE kubelet_evictions counter",
            r#"kubelet_evictions{eviction_signal="memory.available"} 1"#,
            r#"kubelet_node_name{node="n1"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }
}
