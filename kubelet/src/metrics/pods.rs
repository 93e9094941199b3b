//! What is counted of pods: how long their steps take, what was refused, what ended.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`.

use super::startups::Startups;
use crate::pod::PodExt;
use component::metrics::{Durations, Exponential, PlainCounter, Registry, SECONDS};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::{Duration, Instant};

/// Reasons of refusals that are told apart; upstream's.
const REFUSALS: [&str; 21] = [
    "AppArmor",
    "PodOSSelectorNodeLabelDoesNotMatch",
    "PodOSNotSupported",
    "InvalidNodeInfo",
    "InitContainerRestartPolicyForbidden",
    "SupplementalGroupsPolicyNotSupported",
    "UnexpectedAdmissionError",
    "UnknownReason",
    "UnexpectedPredicateFailureType",
    "OutOfcpu",
    "OutOfmemory",
    "OutOfephemeral-storage",
    "OutOfpods",
    "PodLevelResourcesNotSupported",
    "PodFeatureUnsupported",
    "node(s) had taints that the pod didn't tolerate",
    "Evicted",
    "SysctlForbidden",
    "TopologyAffinityError",
    "NodeShutdown",
    "VolumeAttachmentLimitExceeded",
];

/// What a worker did in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// It looked at the pod for the first time.
    Create,
    /// The pod had changed.
    Update,
    /// Something happened to it, or time had passed.
    Sync,
    /// It was stopped.
    Kill,
    /// What it had was taken away.
    Terminated,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Sync => "sync",
            Self::Kill => "kill",
            Self::Terminated => "terminated",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Termination {
    container_type: &'static str,
    exit_code: i32,
    reason: String,
}

/// `true` or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Static {
    r#static: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Signal {
    preemption_signal: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handler {
    runtime_handler: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct PodCounts {
    /// How long pods took to start.
    pub(crate) startups: Startups,
    work_seconds: Durations<Operation>,
    first_look_seconds: Histogram,
    containers: Histogram,
    terminated: Family<Termination, Counter>,
    restarted: Family<Static, Counter>,
    orphans: Counter,
    mirrors: Gauge,
    swept: Gauge,
    unswept: Gauge,
    refusals: Family<Reason, Counter>,
    preemptions: Family<Signal, PlainCounter>,
    sandbox_seconds: Durations<Handler>,
    sandbox_errors: Family<Handler, Counter>,
    fallbacks: Counter,
    sleeps_cut: Counter,
}

impl Default for PodCounts {
    fn default() -> Self {
        Self {
            startups: Startups::default(),
            work_seconds: SECONDS.family(),
            first_look_seconds: SECONDS.histogram(),
            containers: Exponential { first: 1.0, factor: 2.0, count: 5 }.histogram(),
            terminated: Family::default(),
            restarted: Family::default(),
            orphans: Counter::default(),
            mirrors: Gauge::default(),
            swept: Gauge::default(),
            unswept: Gauge::default(),
            refusals: Family::default(),
            preemptions: Family::default(),
            sandbox_seconds: SECONDS.family(),
            sandbox_errors: Family::default(),
            fallbacks: Counter::default(),
            sleeps_cut: Counter::default(),
        }
    }
}

impl PodCounts {
    pub(super) fn register(&self, registry: &mut Registry) {
        self.startups.register(registry);
        let help = "[ALPHA] Duration in seconds to sync a single pod. Broken down by operation type: create, update, \
                    or sync";
        registry.register("kubelet_pod_worker_duration_seconds", help, self.work_seconds.clone());
        let help = "[ALPHA] Duration in seconds from kubelet seeing a pod to starting a worker";
        registry.register("kubelet_pod_worker_start_duration_seconds", help, self.first_look_seconds.clone());
        let help = "[ALPHA] The number of containers per pod";
        registry.register("kubelet_containers_per_pod_count", help, self.containers.clone());
        let help = "[ALPHA] Cumulative number of container terminations";
        registry.register("kubelet_terminated_containers", help, self.terminated.clone());
        let help = "[ALPHA] Number of pods that have been restarted because they were deleted and recreated with the \
                    same UID while the kubelet was watching them (common for static pods, extremely uncommon for API \
                    pods)";
        registry.register("kubelet_restarted_pods", help, self.restarted.clone());
        let help = "[ALPHA] Number of pods that have been detected in the container runtime without being already \
                    known to the pod worker. This typically indicates the kubelet was restarted while a pod was force \
                    deleted in the API or in the local configuration, which is unusual";
        registry.register("kubelet_orphaned_runtime_pods", help, self.orphans.clone());
        let help = "[ALPHA] The number of mirror pods the kubelet will try to create (one per admitted static pod)";
        registry.register("kubelet_mirror_pods", help, self.mirrors.clone());
        let help = "[ALPHA] The total number of orphaned Pods whose volumes were cleaned in the last periodic sweep";
        registry.register("kubelet_orphan_pod_cleaned_volumes", help, self.swept.clone());
        let help = "[ALPHA] The number of orphaned Pods whose volumes failed to be cleaned in the last periodic sweep";
        registry.register("kubelet_orphan_pod_cleaned_volumes_errors", help, self.unswept.clone());
        let help = "[ALPHA] Cumulative number pod admission rejections by the Kubelet";
        registry.register("kubelet_admission_rejections", help, self.refusals.clone());
        let help = "[ALPHA] Cumulative number of pod preemptions by preemption resource";
        registry.register("kubelet_preemptions", help, self.preemptions.clone());
        let help = "[ALPHA] Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler";
        registry.register("kubelet_run_podsandbox_duration_seconds", help, self.sandbox_seconds.clone());
        let help = "[ALPHA] Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler";
        registry.register("kubelet_run_podsandbox_errors", help, self.sandbox_errors.clone());
        let help = "[ALPHA] The number of times lifecycle handlers successfully fell back to http from https";
        registry.register("kubelet_lifecycle_handler_http_fallbacks", help, self.fallbacks.clone());
        let help = "[ALPHA] The number of times lifecycle sleep handler got terminated before it finishes";
        registry.register("kubelet_sleep_action_terminated_early", help, self.sleeps_cut.clone());
    }

    /// A worker is done with a piece of work that it began then.
    pub(crate) fn worked(&self, work: Work, began: Instant) {
        let labels = Operation { operation_type: work.name() };
        self.work_seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }

    /// A worker looks at its pod for the first time, which was seen then.
    pub(crate) fn first_look(&self, pod: &Pod, seen: Instant) {
        self.first_look_seconds.observe(seen.elapsed().as_secs_f64());
        self.containers.observe(PodExt::spec(pod).containers.len() as f64);
    }

    /// Counts the containers that have ended from one status of a pod to the next.
    pub(crate) fn ended(&self, before: &PodStatus, now: &PodStatus) {
        for (container_type, exit_code, reason) in terminations(before, now) {
            self.terminated.get_or_create(&Termination { container_type, exit_code, reason }).inc();
        }
    }

    /// A pod begins again under its old UID.
    pub(crate) fn restarted(&self, pod: &Pod) {
        self.restarted.get_or_create(&Static { r#static: if pod.is_static() { "true" } else { "" } }).inc();
    }

    /// The runtime has a pod that nobody asks for.
    pub(crate) fn orphaned(&self) {
        self.orphans.inc();
    }

    /// How many static pods the apiserver shows.
    pub(crate) fn mirrored(&self, pods: usize) {
        self.mirrors.set(i64::try_from(pods).unwrap_or(i64::MAX));
    }

    /// So many pods that nobody knows had folders, of which so many could not be removed.
    pub(crate) fn swept(&self, pods: i64, failures: i64) {
        self.swept.set(pods);
        self.unswept.set(failures);
    }

    /// A pod is not taken.
    pub(crate) fn refused(&self, reason: &str) {
        let known = REFUSALS.iter().find(|known| **known == reason).copied();
        let other = if reason.starts_with("OutOf") { "OutOfExtendedResources" } else { "Other" };
        self.refusals.get_or_create(&Reason { reason: known.unwrap_or(other) }).inc();
    }

    /// A pod ends so that a critical one has enough of a resource.
    pub(crate) fn preempted(&self, resource: &str) {
        self.preemptions.get_or_create(&Signal { preemption_signal: resource.to_owned() }).inc();
    }

    /// A sandbox was made, or not, by this handler.
    pub(crate) fn sandbox(&self, runtime_handler: &str, began: Instant, failed: bool) {
        let labels = Handler { runtime_handler: runtime_handler.to_owned() };
        self.sandbox_seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        if failed {
            self.sandbox_errors.get_or_create(&labels).inc();
        }
    }

    /// A hook that was to speak TLS was answered without.
    pub(crate) fn fell_back(&self) {
        self.fallbacks.inc();
    }

    /// A hook's sleep was ended before its time.
    pub(crate) fn sleep_cut(&self) {
        self.sleeps_cut.inc();
    }
}

/// The kind, the exit code and the reason of each container that ended.
fn terminations<'a>(
    before: &'a PodStatus,
    now: &'a PodStatus,
) -> impl Iterator<Item = (&'static str, i32, String)> + use<'a> {
    type All = Option<Vec<ContainerStatus>>;
    let of = |kind, before: &'a All, now: &'a All| {
        let ended = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
        let known = move |name: &str| before.iter().flatten().any(|old| old.name == name && ended(old));
        let new = now.iter().flatten().filter(move |status| ended(status) && !known(&status.name));
        new.filter_map(move |status| {
            let end = status.state.as_ref()?.terminated.as_ref()?;
            Some((kind, end.exit_code, end.reason.clone().unwrap_or_default()))
        })
    };
    of("init_container", &before.init_container_statuses, &now.init_container_statuses)
        .chain(of("container", &before.container_statuses, &now.container_statuses))
        .chain(of("ephemeral_container", &before.ephemeral_container_statuses, &now.ephemeral_container_statuses))
}

/// How long ago something was, which the clock may have been set back since.
pub(super) fn since(then: k8s_openapi::jiff::Timestamp, now: k8s_openapi::jiff::Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStateTerminated};

    fn status(name: &str, exit_code: Option<i32>) -> ContainerStatus {
        let end = exit_code.map(|exit_code| ContainerStateTerminated {
            exit_code,
            reason: Some("Error".to_owned()),
            ..ContainerStateTerminated::default()
        });
        let running = end.is_none().then(ContainerStateRunning::default);
        let state = ContainerState { running, terminated: end, waiting: None };
        ContainerStatus { name: name.to_owned(), state: Some(state), ..ContainerStatus::default() }
    }

    #[test]
    fn each_end_of_a_container_counts_once() {
        let of = |main: Vec<ContainerStatus>, init: Vec<ContainerStatus>| PodStatus {
            container_statuses: Some(main),
            init_container_statuses: Some(init),
            ..PodStatus::default()
        };
        let before = of(vec![status("a", None), status("b", Some(1))], vec![]);
        let now = of(vec![status("a", Some(137)), status("b", Some(1))], vec![status("i", Some(0))]);
        let got: Vec<_> = terminations(&before, &now).collect();
        assert_eq!(
            got,
            [("init_container", 0, "Error".to_owned()), ("container", 137, "Error".to_owned())],
            "b had ended before"
        );
    }

    #[test]
    fn refusals_have_few_reasons() {
        let counts = PodCounts::default();
        for (reason, label) in [
            ("OutOfcpu", "OutOfcpu"),
            ("OutOfexample.com/gpu", "OutOfExtendedResources"),
            ("NodePorts", "Other"),
            ("Evicted", "Evicted"),
        ] {
            counts.refused(reason);
            assert_eq!(counts.refusals.get_or_create(&Reason { reason: label }).get(), 1, "{reason}");
        }
    }
}
