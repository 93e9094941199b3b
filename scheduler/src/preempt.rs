//! Making room: which pods of lower priority to drive away, from which node.
//!
//! Upstream: `pkg/scheduler/framework/preemption`, `plugins/defaultpreemption`.

use crate::cluster::Cluster;
use crate::diagnosis::{Diagnosis, available};
use crate::framework::Candidates;
use crate::model::pod::Preemption as Policy;
use crate::model::{NodeId, Pod};
use crate::profile::Profile;
use client::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use std::cmp::Reverse;
use std::sync::Arc;

/// What came of the search for room.
#[derive(Clone, Debug)]
pub enum Preemption {
    /// Not tried: the pod may not, or room is being made for it already.
    NotTried {
        /// Why, in upstream's words.
        why: &'static str,
    },
    /// No node can be helped.
    NotFound {
        /// How many nodes there are.
        nodes: usize,
        /// On how many of them driving pods away could have helped.
        tried: usize,
    },
    /// Room is made here.
    Found {
        /// The node.
        node: Arc<str>,
        /// Who has to go.
        victims: Vec<Arc<Pod>>,
    },
}

impl Preemption {
    /// What is said about it behind the reasons.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Found { .. } => None,
            Self::NotTried { why } => Some(format!("preemption: {why}")),
            Self::NotFound { nodes, tried } => {
                let hopeless = nodes.saturating_sub(*tried);
                let reasons = std::iter::repeat_n("No preemption victims found for incoming pod", *tried);
                let reasons = reasons.chain(std::iter::repeat_n("Preemption is not helpful for scheduling", hopeless));
                Some(format!("preemption: {}", available(*nodes, reasons)))
            }
        }
    }

    /// Where room is made.
    pub fn node(&self) -> Option<&Arc<str>> {
        match self {
            Self::Found { node, .. } => Some(node),
            Self::NotTried { .. } | Self::NotFound { .. } => None,
        }
    }
}

/// Looks for the node where making room costs least.
pub fn find(profile: &Profile, cluster: &mut Cluster, pod: &Arc<Pod>, diagnosis: &Diagnosis) -> Preemption {
    if pod.preemption == Policy::Never {
        return Preemption::NotTried { why: "not eligible due to preemptionPolicy=Never." };
    }
    if is_waiting_for_victims(cluster, pod) {
        return Preemption::NotTried { why: "not eligible due to a terminating pod on the nominated node." };
    }
    let possible: Vec<NodeId> = diagnosis.resolvable().collect();
    let victims = possible.iter().filter_map(|&node| Some((node, victims_on(profile, cluster, pod, node)?)));
    match victims.min_by_key(|(_, victims)| Cost::of(victims)) {
        Some((node, victims)) => Preemption::Found { node: Arc::clone(cluster.nodes.name(node)), victims },
        None => Preemption::NotFound { nodes: diagnosis.nodes(), tried: possible.len() },
    }
}

/// Whether pods of lower priority are already ending where room is made for the pod.
fn is_waiting_for_victims(cluster: &Cluster, pod: &Pod) -> bool {
    let Some(node) = pod.nominated.as_deref().and_then(|name| cluster.nodes.number(name)) else { return false };
    cluster.nodes.pods[node as usize].iter().any(|other| other.is_terminating && other.priority < pod.priority)
}

/// The fewest pods without which the pod fits; `None` if it does not fit without all lower ones.
/// The cluster is as before afterwards.
fn victims_on(profile: &Profile, cluster: &mut Cluster, pod: &Pod, node: NodeId) -> Option<Vec<Arc<Pod>>> {
    let mut lower: Vec<_> =
        cluster.nodes.pods[node as usize].iter().filter(|p| p.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return None;
    }
    for victim in &lower {
        cluster.nodes.take_pod(node, victim);
    }
    let mut victims = Vec::new();
    let fits = fits(profile, cluster, pod, node);
    // The most important first: each stays if the pod still fits.
    lower.sort_by_key(|victim| (Reverse(victim.priority), victim.started));
    for victim in lower {
        cluster.nodes.put_pod(node, Arc::clone(&victim));
        if fits && !self::fits(profile, cluster, pod, node) {
            cluster.nodes.take_pod(node, &victim);
            victims.push(victim);
        }
    }
    for victim in &victims {
        cluster.nodes.put_pod(node, Arc::clone(victim));
    }
    (fits && !victims.is_empty()).then_some(victims)
}

fn fits(profile: &Profile, cluster: &Cluster, pod: &Pod, node: NodeId) -> bool {
    let mut candidates = Candidates::new(&[node]);
    for filter in &profile.filters {
        if filter.concerns(cluster, pod) {
            filter.filter(cluster, pod, &mut candidates);
        }
    }
    !candidates.nodes.is_empty()
}

/// What upstream compares, in its order: the highest priority among the victims, the sum of their
/// priorities, their number, and how late the most important of them started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    highest: i32,
    sum: i64,
    count: usize,
    latest: Reverse<Timestamp>,
}

impl Cost {
    fn of(victims: &[Arc<Pod>]) -> Self {
        let highest = victims.iter().map(|victim| victim.priority).max().unwrap_or(i32::MIN);
        let most_important = victims.iter().filter(|victim| victim.priority == highest);
        Self {
            highest,
            // Shifted so that more victims never sum up to less.
            sum: victims.iter().map(|victim| i64::from(victim.priority) - i64::from(i32::MIN)).sum(),
            count: victims.len(),
            latest: Reverse(most_important.map(|victim| victim.started).min().unwrap_or(Timestamp::MAX)),
        }
    }
}

/// Drives a pod away: says why in its conditions, then deletes it.
pub(crate) async fn evict(client: &kube::Client, recorder: &Recorder, preemptor: &Pod, victim: &Pod) {
    if victim.is_terminating {
        return;
    }
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &victim.namespace);
    let message = format!("{}: preempting to accommodate a higher priority pod", preemptor.scheduler_name);
    let patch = json!({"metadata": {"uid": victim.uid}, "status": {"conditions": [{
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": message,
        "lastTransitionTime": apimachinery::time::now(),
    }]}});
    if let Err(error) = pods.patch_status(&victim.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        tracing::warn!(pod = %victim.key(), %error, "cannot write why the pod is preempted");
        return;
    }
    let preconditions = Preconditions { uid: Some(victim.uid.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match pods.delete(&victim.name, &params).await {
        Ok(_) => {
            let message = format!("Preempted by pod {}", preemptor.uid);
            recorder.normal(&victim.reference(), "Preempted", message);
        }
        Err(error) => tracing::warn!(pod = %victim.key(), %error, "cannot delete the preempted pod"),
    }
}

#[cfg(test)]
#[path = "preempt_tests.rs"]
mod tests;
