//! How many pods the kubelet has, by where they come from and how far they are; counted when somebody looks.
//!
//! Upstream: `HandlePodCleanups` of `pkg/kubelet/kubelet_pods.go`.

use crate::workers::{Headcount, Workers};
use component::metrics::{gauge, gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::BTreeSet;
use std::fmt;

/// Where in the life of a pod its worker is.
const LIFECYCLES: [&str; 3] = ["sync", "terminating", "terminated"];
/// How the pod came to be here, and whether it is static.
const ORIGINS: [(&str, &str); 5] =
    [("desired", "true"), ("desired", ""), ("orphan", "true"), ("orphan", ""), ("runtime_only", "unknown")];

/// Asks the workers at each scrape.
pub struct Census(pub Workers);

impl fmt::Debug for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Census").finish_non_exhaustive()
    }
}

impl Collector for Census {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        write(&mut encoder, &self.0.headcount())
    }
}

fn write(encoder: &mut DescriptorEncoder<'_>, count: &Headcount) -> Result<(), fmt::Error> {
    let by_source = |of: &[usize; 2]| [([("static", "")], of[0]), ([("static", "true")], of[1])];
    let help = "[ALPHA] The number of pods the kubelet is being instructed to run. static is true if the pod is not \
                from the apiserver";
    gauges(encoder, "kubelet_desired_pods", help, by_source(&count.desired))?;
    let help = "[ALPHA] The number of pods the kubelet considers active and which are being considered when admitting \
                new pods. static is true if the pod is not from the apiserver";
    gauges(encoder, "kubelet_active_pods", help, by_source(&count.active))?;
    let help = "[ALPHA] Current number of ephemeral containers in pods managed by this kubelet";
    gauge(encoder, "kubelet_managed_ephemeral_containers", help, count.ephemeral_containers)?;
    let pending = &count.pending_resizes;
    let reasons = pending.iter().collect::<BTreeSet<_>>();
    let rows = reasons.into_iter().map(|reason| {
        let count = pending.iter().filter(|other| *other == reason).count();
        ([("reason", reason.to_lowercase())], count)
    });
    gauges(encoder, "kubelet_pod_pending_resizes", "[ALPHA] Number of pending resizes for pods", rows)?;
    let help = "[ALPHA] Number of in-progress resizes for pods";
    gauge(encoder, "kubelet_pod_in_progress_resizes", help, count.going_resizes)?;
    let all = LIFECYCLES.into_iter().flat_map(|lifecycle| ORIGINS.map(|(config, origin)| (lifecycle, config, origin)));
    let rows = all.map(|row| {
        let (lifecycle, config, origin) = row;
        let labels = [("lifecycle", lifecycle), ("config", config), ("static", origin)];
        (labels, count.working.iter().filter(|working| **working == row).count())
    });
    let help = "[ALPHA] Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod \
                is desired, orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned pod \
                has been removed from local configuration or force deleted in the API and consumes resources that are \
                not otherwise visible";
    gauges(encoder, "kubelet_working_pods", help, rows)
}
