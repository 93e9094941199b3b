//! How many nodes have, lack or should not have a pod.

use super::Observed;
use super::nodes::{age, is_new};
use super::placement::Fit;
use crate::objects::pods;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::DaemonSetStatus;

/// The status, and how long until a ready pod becomes available.
pub(super) fn status(observed: &Observed) -> (DaemonSetStatus, Option<SignedDuration>) {
    let (mut desired, mut current, mut wrong) = (0, 0, 0);
    let (mut ready, mut updated, mut available) = (0, 0, 0);
    let mut again: Option<SignedDuration> = None;
    for node in &observed.nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let first = observed.by_node.get(name).and_then(|pods| pods.iter().min_by_key(|pod| age(pod)));
        if observed.placement.fit(node) != Fit::Runs {
            wrong += i32::from(first.is_some());
            continue;
        }
        desired += 1;
        let Some(pod) = first else { continue };
        current += 1;
        ready += i32::from(pods::is_ready(pod));
        available += i32::from(observed.is_available(pod));
        updated += i32::from(is_new(observed, pod));
        let wait = pods::available_in(pod, observed.min_ready(), observed.now);
        again = [again, wait].into_iter().flatten().min();
    }
    let before = observed.set.status.clone().unwrap_or_default();
    let status = DaemonSetStatus {
        desired_number_scheduled: desired,
        current_number_scheduled: current,
        number_misscheduled: wrong,
        number_ready: ready,
        updated_number_scheduled: some(updated),
        number_available: some(available),
        number_unavailable: some(desired - available),
        observed_generation: observed.set.metadata.generation,
        ..before
    };
    (status, again)
}

/// Go omits zeros of these fields.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
