//! How long pods take to start: since they were seen here, and since they were created.
//!
//! Only pods that were seen before they had begun count, and none that had to wait for a node. What the pod's own images
//! and init containers took is not the kubelet's doing and is left out of one of the figures.
//!
//! Upstream: `pkg/kubelet/util/pod_startup_latency_tracker.go`.

use super::pods::since;
use crate::pod::{PodExt, is_sidecar};
use component::metrics::{Bounds, Registry};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds that starts take.
const STARTS: Bounds = Bounds(&[
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0,
    600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0,
]);

/// How far a pod that was seen has come.
#[derive(Clone, Debug, PartialEq)]
enum Startup {
    /// Not all containers have started; when images were pulled for them.
    Waits(Vec<(Instant, Instant)>),
    /// It counts, or is not to be counted; nothing changes that.
    Done,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Startups {
    here: Histogram,
    total: Histogram,
    own: Histogram,
    pods: Arc<Mutex<HashMap<String, Startup>>>,
}

impl Default for Startups {
    fn default() -> Self {
        let (here, total, own) = (STARTS.histogram(), STARTS.histogram(), STARTS.histogram());
        Self { here, total, own, pods: Arc::default() }
    }
}

impl Startups {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help =
            "[ALPHA] Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run";
        registry.register("kubelet_pod_start_duration_seconds", help, self.here.clone());
        let help = "[ALPHA] Duration in seconds to start a pod since creation, including time to pull images and run \
                    init containers, measured from pod creation timestamp to when all its containers are reported as \
                    started and observed via watch";
        registry.register("kubelet_pod_start_total_duration_seconds", help, self.total.clone());
        let help = "[ALPHA] Duration in seconds to start a pod, excluding time to pull images and run init containers, \
                    measured from pod creation timestamp to when all its containers are reported as started and \
                    observed via watch";
        registry.register("kubelet_pod_start_sli_duration_seconds", help, self.own.clone());
    }

    /// A pod runs that was seen here then.
    pub(crate) fn runs(&self, seen: Instant) {
        self.here.observe(seen.elapsed().as_secs_f64());
    }

    /// The apiserver shows a pod like this.
    pub(crate) fn shown(&self, pod: &Pod, now: Timestamp) {
        let mut pods = self.pods.lock();
        if matches!(pod.phase(), "Succeeded" | "Failed") {
            pods.remove(pod.uid());
            return;
        }
        let Some(startup) = pods.get_mut(pod.uid()) else {
            // One that has begun already may have begun under another kubelet.
            if pod.start_time().is_none() {
                let first = if is_unschedulable(pod) { Startup::Done } else { Startup::Waits(Vec::new()) };
                pods.insert(pod.uid().to_owned(), first);
            }
            return;
        };
        let Startup::Waits(pulls) = startup else { return };
        if !is_unschedulable(pod) {
            if !has_started(pod) {
                return;
            }
            self.count(pod, pulls, now);
        }
        *startup = Startup::Done;
    }

    fn count(&self, pod: &Pod, pulls: &mut [(Instant, Instant)], now: Timestamp) {
        let Some(created) = &pod.metadata.creation_timestamp else { return };
        let total = since(created.0, now);
        self.total.observe(total.as_secs_f64());
        if !is_stateful(pod) {
            self.own.observe(total.saturating_sub(covered(pulls)).saturating_sub(init(pod)).as_secs_f64());
        }
    }

    /// An image was pulled for a pod, with or without success.
    pub(crate) fn pulled(&self, uid: &str, began: Instant, ended: Instant) {
        if let Some(Startup::Waits(pulls)) = self.pods.lock().get_mut(uid) {
            pulls.push((began, ended));
        }
    }

    /// A pod is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }
}

/// The time in which one at least went on.
fn covered(spans: &mut [(Instant, Instant)]) -> Duration {
    spans.sort_unstable();
    let mut until = None::<Instant>;
    let mut sum = Duration::ZERO;
    for (began, ended) in spans {
        let from = until.map_or(*began, |until| until.max(*began));
        sum += ended.saturating_duration_since(from);
        until = Some(until.map_or(*ended, |until| until.max(*ended)));
    }
    sum
}

/// What the init containers took that had to end before the others began.
fn init(pod: &Pod) -> Duration {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let ordinary = |name: &str| pod.init_containers().iter().any(|c| c.name == name && !is_sidecar(c));
    let ends = statuses.filter(|s| ordinary(&s.name)).filter_map(|s| s.state.as_ref()?.terminated.as_ref());
    ends.filter_map(|end| Some(since(end.started_at.as_ref()?.0, end.finished_at.as_ref()?.0))).sum()
}

fn has_started(pod: &Pod) -> bool {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).peekable();
    let runs = |s: &k8s_openapi::api::core::v1::ContainerStatus| {
        s.state.as_ref().is_some_and(|state| state.running.as_ref().is_some_and(|r| r.started_at.is_some()))
    };
    statuses.peek().is_some() && statuses.all(runs)
}

fn is_unschedulable(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|c| c.type_ == "PodScheduled" && c.status == "False")
}

/// Whether a volume of it is more than what the cluster's objects say.
fn is_stateful(pod: &Pod) -> bool {
    PodExt::spec(pod).volumes.iter().flatten().any(|v| {
        v.secret.is_none()
            && v.config_map.is_none()
            && v.downward_api.is_none()
            && v.empty_dir.is_none()
            && v.projected.is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn second(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn pod(status: serde_json::Value) -> Pod {
        let pod = json!({
            "metadata": { "uid": "u", "creationTimestamp": second(100) },
            "spec": { "initContainers": [{ "name": "i" }], "containers": [{ "name": "c" }] },
            "status": status,
        });
        serde_json::from_value(pod).unwrap()
    }

    /// Count and sum of a histogram.
    fn figures(startups: &Startups, name: &str) -> (f64, f64) {
        let mut registry = Registry::default();
        startups.register(&mut registry);
        let text = component::metrics::encode(&registry);
        let of = |part: &str| {
            let wanted = format!("kubelet_pod_start_{name}duration_seconds_{part} ");
            text.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok()).unwrap()
        };
        (of("count"), of("sum"))
    }

    #[test]
    fn images_and_init_containers_are_not_counted_in() {
        let startups = Startups::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        startups.shown(&pod(json!({})), second(101));
        for (began, ended) in [(2, 5), (1, 3), (2, 3)] {
            startups.pulled("u", at(began), at(ended));
        }
        startups.pulled("another", at(0), at(9));
        let end = json!({ "exitCode": 0, "startedAt": second(110), "finishedAt": second(113) });
        let running = pod(json!({
            "startTime": second(101),
            "initContainerStatuses": [{ "name": "i", "state": { "terminated": end } }],
            "containerStatuses": [{ "name": "c", "state": { "running": { "startedAt": second(114) } } }],
        }));
        startups.shown(&running, second(120));
        startups.shown(&running, second(130));
        assert_eq!(figures(&startups, "total_"), (1.0, 20.0), "once");
        assert_eq!(figures(&startups, "sli_"), (1.0, 20.0 - 4.0 - 3.0));
    }

    #[test]
    fn pods_that_waited_for_a_node_or_had_begun_are_not_counted() {
        let running = json!({ "name": "c", "state": { "running": { "startedAt": second(114) } } });
        let begun = || pod(json!({ "startTime": second(1), "containerStatuses": [running.clone()] }));
        let refused = json!([{ "type": "PodScheduled", "status": "False" }]);
        for first in [pod(json!({ "conditions": refused })), begun()] {
            let startups = Startups::default();
            startups.shown(&first, second(101));
            startups.shown(&begun(), second(120));
            assert_eq!(figures(&startups, "total_").0, 0.0);
        }
    }
}
