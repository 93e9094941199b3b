//! One pod on each node: which are missing, which are too many.
//!
//! Upstream: `podsShouldBeOnNode` of `pkg/controller/daemon/daemon_controller.go`.

use super::backoff::Backoffs;
use super::placement::Fit;
use super::rolling::surge;
use super::{Note, Observed, Plan, template};
use crate::objects::pods;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// What each node lacks or has too much.
pub(super) fn manage(observed: &Observed, backoffs: &mut Backoffs) -> Plan {
    let mut plan = Plan::default();
    for node in &observed.nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let there = observed.by_node.get(name).map_or(&[][..], Vec::as_slice);
        match observed.placement.fit(node) {
            Fit::Runs if there.is_empty() => plan.create.push(name.to_owned()),
            fit @ (Fit::Runs | Fit::Stays) => keep_one(observed, backoffs, &mut plan, name, there, fit == Fit::Runs),
            Fit::No => plan.delete.extend(there.iter().filter(|pod| !pods::is_terminating(pod)).cloned()),
        }
    }
    plan.delete.extend(of_no_node(observed));
    plan
}

fn keep_one(
    observed: &Observed,
    backoffs: &mut Backoffs,
    plan: &mut Plan,
    node: &str,
    there: &[Arc<Pod>],
    may_come: bool,
) {
    let mut running = Vec::new();
    for pod in there.iter().filter(|pod| !pods::is_terminating(pod)) {
        match pods::phase(pod) {
            "Failed" => replace_failed(observed, backoffs, plan, node, pod),
            "Succeeded" => {
                let key = client::ObjectKey::of(&**pod);
                let text = format!("Found succeeded daemon pod {key} on node {node}, will try to delete it");
                plan.notes.push(Note { is_warning: false, reason: "SucceededDaemonPod", text });
                plan.delete.push(Arc::clone(pod));
            }
            _ => running.push(Arc::clone(pod)),
        }
    }
    running.sort_by_key(|pod| age(pod));
    if surge(&observed.set, 1) == 0 {
        plan.delete.extend(running.into_iter().skip(1));
    } else if running.is_empty() {
        plan.create.extend(may_come.then(|| node.to_owned()));
    } else if running.len() > 1 {
        keep_two(observed, plan, running);
    }
}

/// With surge an old pod stays beside the new one as long as it serves and the new one does not.
fn keep_two(observed: &Observed, plan: &mut Plan, running: Vec<Arc<Pod>>) {
    let hash = Some(observed.hash.as_str());
    let label = |pod: &Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(super::HASH_LABEL)).cloned();
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| label(pod).as_deref() == hash);
    let (mut new, mut old) = (new.into_iter(), old.into_iter());
    let (first_new, first_old) = (new.next(), old.next());
    plan.delete.extend(new.chain(old));
    if let (Some(new), Some(old)) = (first_new, first_old)
        && (!pods::is_ready(&old) || observed.is_available(&new))
    {
        plan.delete.push(old);
    }
}

fn replace_failed(observed: &Observed, backoffs: &mut Backoffs, plan: &mut Plan, node: &str, pod: &Arc<Pod>) {
    let set = &observed.set;
    let seen = set.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
    let place = (set.metadata.uid.clone().unwrap_or_default(), seen, node.to_owned());
    if let Some(wait) = backoffs.wait(place, observed.now) {
        plan.again = Some(plan.again.map_or(wait, |other| other.min(wait)));
        return;
    }
    let key = client::ObjectKey::of(&**pod);
    let text = format!("Found failed daemon pod {key} on node {node}, will try to kill it");
    plan.notes.push(Note { is_warning: true, reason: "FailedDaemonPod", text });
    plan.delete.push(Arc::clone(pod));
}

/// Bound before unbound, then the oldest first.
pub(super) fn age(pod: &Pod) -> (bool, Option<jiff::Timestamp>, Option<String>) {
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (pods::node(pod).is_empty(), created, pod.metadata.name.clone())
}

/// Pods for nodes that are gone: nobody will ever bind them.
fn of_no_node(observed: &Observed) -> impl Iterator<Item = Arc<Pod>> {
    let exists = |name: &str| observed.nodes.iter().any(|node| node.metadata.name.as_deref() == Some(name));
    let lost = observed.by_node.iter().filter(move |(name, _)| !exists(name)).flat_map(|(_, pods)| pods);
    lost.filter(|pod| pods::node(pod).is_empty()).cloned()
}

/// Whether the pod is of the current template.
pub(super) fn is_new(observed: &Observed, pod: &Pod) -> bool {
    template::is_updated(pod, &observed.set, &observed.hash)
}
